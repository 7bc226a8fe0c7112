// grad_dot: inner products of per-sample gradients from layer factors, without the gradients.
//
//   G_i = sum_{t in i} g_t (a_t, 1)^T
//   K_ij = sum_layers <G_i, G_j> = sum_layers sum_{t in i, s in j} (a_t . a_s + bias) (g_t . g_s)
//
// The tokens of sample i are rows offsets[i] .. offsets[i + 1] of inputs (a, d numbers) and
// gradients (g, p numbers). A materialised gradient is the case of one token with p = 1 and g = 1.
//
// Many pairs: tokens of x are rows and tokens of y columns of two matrix products, over d and over
// p, which meet in the second-level cache: multiplied, summed over the tokens of each pair, added
// to float64. A register of columns holds the s-th token of `width` consecutive samples of y, zeros
// where a sample has fewer: the sum over s is then a sum of registers, and nothing is shuffled.
//
// Scales      each token's (a, bias) is multiplied by the power of two that brings its largest
//             entry to about 1, and its g by the one that makes the product of both the same for
//             all tokens of a sample, whose inverse the sum is multiplied by. So gradients of any
//             size keep all their digits, and neither a product nor its square leaves float32.
// Precision   float: products of d numbers in float32, chains of at most kChain terms, which are
//             then added; at most kVectors tokens of y in float32, all else in float64.
//               |error| <= about 1e-6 |G_i| |G_j|, and a tenth of that for factors in disorder
//             tiles: bfloat16 thrice, x = x1 + x2 + x3 exactly to 2^-24, six of the nine products
//             (the others are below 2^-24), the small ones summed first: as float
//             whole: 16-bit integers with a step for every 64 features, |x - x_h| <= kWholeUnit
//             |x|; exact sums of them in int32: for screens and for a tolerance double: float64
//             throughout: |error| <= about (d + p) 2^-53 |G_i| |G_j| per layer
// Order       a sum depends on the two samples alone: not on the block, the batch, the threads or
//             where in them the samples stand. So a copy of a sample has the products of the
//             sample.
// Cost        2 T_i T_j (d + p) flops per pair and layer; bytes: each factor once per kTokens
//             tokens of the other side.
#pragma once

#include "kernels/pairs/pairs.hpp"

namespace genmem {

inline constexpr int64_t kTokens = 512;       // rows of a block
inline constexpr int64_t kVectors = 8;        // tokens of y that one chain sums
inline constexpr int64_t kChain = 128;        // terms that one chain of float32 sums
inline constexpr int64_t kTokenDepth = 2048;  // features packed at a time

// Unit roundoffs of factors: float32 or as much in parts, 16-bit integers (sqrt(64) / 2 / 32,700,
// and 2 % for what underflows), one bfloat16.
inline constexpr double kFloatUnit = 0x1p-22;
inline constexpr double kWholeUnit = 1.25e-4;
inline constexpr double kBfloatUnit = 0x1p-8;

struct TokenLayer {
  Matrix inputs;           // (tokens, d)
  Matrix gradients;        // (tokens, p)
  const int64_t* offsets;  // (samples + 1,)
};

// The powers of two of samples begin .. begin + count and of their tokens.
struct TokenScales {
  TokenLayer layer;
  int64_t begin, count;
  bool bias;
  double* inputs;     // (tokens,)
  double* gradients;  // (tokens,) 0 for a token that is nothing beside the others of its sample
  double* unscale;    // (count,)
};

// Rows of a matrix times powers of two, in the order of a product's operand.
struct TokenPack {
  Matrix from;
  const int64_t* at;    // (count,) the row, or -1: zeros
  const double* scale;  // (count,)
  int64_t count;
  int64_t col, depth;  // features col .. col + depth
  void* out;           // row_bytes(depth) per row or column_bytes(depth) per column, whole tiles
};

// out[i][j] = or += rows i . columns j.
struct TokenProducts {
  const void* rows;
  const void* columns;
  int64_t row_count;  // whole tiles of rows are computed
  int64_t vectors;    // of columns; whole panels are computed
  int64_t depth;
  bool first;          // write, else add
  void* out;           // (rows, columns)
  int64_t out_stride;  // numbers
};

// out[i][j] += unscaled sum over the rows of sample i and the vectors of group j / width.
struct TokenSums {
  const void* inputs;     // products over d
  const void* gradients;  // products over p
  int64_t stride;         // of both
  int64_t x_samples;
  const int64_t* x_rows;     // (x_samples + 1,)
  const double* x_bias;      // (rows,) the scale of a where there is a bias, else 0
  const double* x_unscale;   // (x_samples,)
  int64_t groups;            // of `width` samples of y
  const int64_t* y_vectors;  // (groups + 1,)
  const double* y_bias;      // (vectors width,)
  const double* y_unscale;   // (groups width,)
  double* out;               // (x_samples, groups width)
  int64_t out_stride;
};

struct TokenKernel {
  int64_t width;      // samples side by side in a register of columns
  int64_t tile_rows;  // rows at a time: buffers hold whole tiles
  int64_t panel;      // registers of columns at a time
  int64_t chunk;      // registers of columns packed at a time, a multiple of kVectors
  int64_t item;       // bytes of a product
  int64_t (*row_bytes)(int64_t depth);
  int64_t (*column_bytes)(int64_t depth);
  void (*scales)(const TokenScales&);
  void (*pack_rows)(const TokenPack&);
  void (*pack_columns)(const TokenPack&);
  void (*multiply)(const TokenProducts&);
  void (*sum)(const TokenSums&);
};

// One pair, in float64, of contiguous float32 or float64 rows; inputs of one type on both sides,
// and gradients of one. Nothing is packed: for products of a sample with itself, and for few
// others.
struct GradDotPair {
  TokenLayer x;
  TokenLayer y;
  double bias;  // 1 when the layer has a bias fed by the same output gradients, else 0
  int64_t x_sample, y_sample;
};

// Either the product, or of x_sample alone its size nu = sum_t |(a_t, bias)| |g_t|, any rows. With
// factors rounded to a unit roundoff u, and float32 sums of relative error gamma, a product of two
// samples is off by at most eps nu_i nu_j per layer: e = (1 + u)^2 (1 + gamma) - 1 for either
// inner product, eps = (1 + e)^2 - 1.
using GradDotPairKernel = double (*)(const GradDotPair&);

// Any rows, in float64: at most kRows tokens of one side against at most kPoints of the other, in
// one layer, added to the products of the samples they belong to.
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
