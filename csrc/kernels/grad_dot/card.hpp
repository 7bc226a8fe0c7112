// grad_dot on a card: what a walk on the host asks for. See grad_dot.hpp for the formula, the
// scales and the order; all pointers are to memory of the card.
//
// A block of threads owns the products of a group of samples of x with a group of samples of y in
// one layer: their tokens are rows and columns of two matrix products, over d and over p, whose
// sums stay in registers and in shared memory, are multiplied there, summed over the tokens of each
// pair and added to float64. Nothing of size tokens x tokens reaches the card's memory.
//
// Precision  float32, bytes: bfloat16 thrice, x = x1 + x2 + x3 exactly to 2^-24, six of the nine
//            products on tensor cores, the small ones summed first; 32 features are one sum of
//            float32, of these at most kChain are another one, and of the narrower of the two
//            products all, at most kCardWidth / 32; at most 8 x 8 tokens in float32
//              |error| <= about 1e-6 |G_i| |G_j|
//            float64: float64 throughout
// Cost       2 T_i T_j (d + p) flops per pair and layer, six times that on tensor cores; bytes:
// each
//            packed factor once per `tile` tokens of the other side, from the second-level cache
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/grad_dot/grad_dot.hpp"

namespace genmem {

// Features that the narrower of d and p may have where floats are multiplied in float32: within
// error bounds that are proven for chains of the processor.
inline constexpr int64_t kCardWidth = 32768;

// Consecutive samples of one side in one layer.
struct CardTokens {
  TokenLayer layer;  // offsets begin with 0
  int64_t samples;
  double* input_scale;     // (tokens,)
  double* gradient_scale;  // (tokens,)
  double* unscale;         // (samples,)
  void* input_parts;       // (tokens, part_bytes(d))
  void* gradient_parts;    // (tokens, part_bytes(p))
  const int64_t* groups;  // (group_count + 1,) bounds in samples: at most `tile` samples and tokens
  int64_t group_count;    // each, or one longer sample
  int64_t origin;         // the sample whose products are in row, or column, 0 of the answer
};

// out[i - x.origin][j - y.origin] += the products of the samples in the groups, in one layer.
struct CardTokenProducts {
  CardTokens x, y;
  bool bias;
  bool triangle;  // of pairs x_sample + i <= y_sample + j alone, and some others
  int64_t x_sample, y_sample;
  double* out;
  int64_t out_stride;
};

struct CardTokenKernel {
  int64_t tile;
  int64_t (*part_bytes)(int64_t depth);  // of a token; 0: its factors are read as they are
  const char* (*prepare)(const Queue&, const CardTokens&, bool bias);  // scales and parts
  const char* (*add)(const Queue&, const CardTokenProducts&);
};

// out[n] += the product of samples x_at[n] and y_at[n] in one layer, in float64 from any factors.
struct CardTokenPairs {
  TokenLayer x, y;
  bool bias;
  const int64_t *x_at, *y_at;
  int64_t count;
  double* out;
};

// out[i] += weight nu_i^2, nu_i = sum_t |(a_t, bias)| |g_t|: see GradDotPairKernel.
struct CardTokenSizes {
  TokenLayer layer;
  int64_t samples;
  bool bias;
  double weight;
  double* out;
};

struct CardGradDot {
  CardTokenKernel floats;   // no factor is float64, d or p is at most kCardWidth
  CardTokenKernel doubles;  // any factors
  const char* (*pairs)(const Queue&, const CardTokenPairs&);
  const char* (*sizes)(const Queue&, const CardTokenSizes&);
};

namespace emulated {
const CardGradDot& card_grad_dot();
}
namespace cuda {
const CardGradDot& card_grad_dot();
}

}  // namespace genmem
