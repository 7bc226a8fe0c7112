// grad_dot: inner products of per-sample gradients from layer factors, without the gradients.
//
//   G_i = sum_{t in i} g_t (a_t, 1)^T
//   K_ij = sum_layers <G_i, G_j> = sum_layers sum_{t in i, s in j} (a_t . a_s + bias) (g_t . g_s)
//
// One call adds at most kRows tokens of one side against at most kPoints of the other, in one
// layer, to the products of the samples they belong to; the tokens of sample i are rows offsets[i]
// .. offsets[i + 1] of inputs (a, d numbers) and gradients (g, p numbers). A materialised gradient
// is the case of one token with p = 1 and g = 1.
//
// Precision   float64 throughout: |error| <= about (d + p) u |G_i| |G_j| per layer.
// Cost        2 T_i T_j (d + p) flops per pair and layer.
#pragma once

#include "kernels/pairs/pairs.hpp"

namespace genmem {

struct TokenLayer {
  Matrix inputs;           // (tokens, d)
  Matrix gradients;        // (tokens, p)
  const int64_t* offsets;  // (samples + 1,)
};

struct GradDotBlock {
  TokenLayer x;
  TokenLayer y;
  double bias;             // 1 when the layer has a bias fed by the same output gradients, else 0
  int64_t x_token, rows;   // rows <= kRows tokens from x_token on
  int64_t y_token, count;  // count <= kPoints tokens from y_token on
  int64_t x_sample, y_sample;  // the samples of the first token of either side
  double* out;                 // product of x_sample and y_sample
  int64_t out_stride;
  double* scratch;  // kPairScratch + 2 kPairBlock doubles
};

using GradDotKernel = void (*)(const GradDotBlock&);

}  // namespace genmem
