// grad_dot on a card: what a walk on the host asks for. See grad_dot.hpp for the formula, the
// scales and the order; all pointers are to memory of the card.
//
// A block of threads owns the products of a group of samples of x with a group of samples of y in
// one layer: their tokens are rows and columns of two matrix products, over d and over p, whose
// sums stay in registers and in shared memory, are multiplied there, summed over the tokens of each
// pair and added to float64. Nothing of size tokens x tokens reaches the card's memory.
//
// Precision  float32, bytes: bfloat16 in n parts, x = x_1 + .. + x_n + e_n, each the rounding of
//            what is left; 1, 3 or 6 of their products on tensor cores,
//              x_1 y_1  |  + x_1 y_2 + x_2 y_1  |  + x_2 y_2 + x_1 y_3 + x_3 y_1,
//            the small ones summed first; kCardStage features are one sum of float32, of these at
//            most kCardChain are another one, and of the narrower of the two products all, at most
//            kCardWidth / kCardStage; at most 8 x 8 tokens in float32
//              3: |error| <= about 1e-6 |G_i| |G_j|
//              2: |error| <= about 4e-5 nu_i nu_j     1: 4e-3 nu_i nu_j     see below
//            float64: float64 throughout
// Cost       2 T_i T_j (d + p) flops per pair and layer, as many times that on tensor cores as
//            there are products; bytes: each packed factor once per `tile` tokens of the other
//            side, from the second-level cache
//
// The error of an inner product of x and y, with r = 2^-8: a part is off by at most r |x|, entry by
// entry; e_n is what n parts leave of x, and e_n' of y.
//
//   left out  1:  e_1.y + (x - e_1).e_1'
//             2:  e_2.y + (x - e_2).e_2' + x_2.y_2,                    |x_2| <= |e_1| + |e_2|
//             3:  e_3.y + (x - e_3).e_3' + x_2.y_3 + x_3.y_2 + x_3.y_3  <= 4.03 r^3 |x| |y|
//   cores     a sum of 16 products and what was there takes at most two steps, each of which aligns
//             8 or more numbers to the largest one and cuts off below 2^-23 of it: 10 cuts for 8
//             features, of the x_1 y_1 of a stage 40 2^-23 sum |x_c y_c|, of the small ones, which
//             are below 2^-7 of it, 2 2^-23. kCardCut allows for 64
//   float32   a sum of s stages rounds s - 1 times at most, of chains each and all; the bias, the
//             product of both and 8 x 8 tokens 16 times: 2^-24 each
//
// Over the tokens of two samples and both inner products, with nu = sum |(a, bias)| |g|, and with
// E_n = sum |e_n(a)| |g| + |(a, bias)| |e_n(g)|, F of |e_1| + |e_2| likewise, of a and g apart, and
// the roundings R of both: the error is at most, but for a factor kCardMore for what is of second
// order,
//
//   1:  E_1i nu_j + nu_i E_1j + E_1i E_1j + R nu_i nu_j
//   2:  E_2i nu_j + nu_i E_2j + E_2i E_2j + F_i.F_j + R nu_i nu_j
//   3:  (2 4.03 r^3 + R) nu_i nu_j
//
// and by Cauchy-Schwarz at most u_i u_j with, for any theta: ours are near what e is in the mean,
//
//   u^2 = E^2 / theta + theta nu^2 + E^2 + F.F + R nu^2
//
// E is measured: a rounding is at most r of a number, those of a row are in the mean 0.4 r of its
// length. Were all of them the largest, u^2 would be 5 r nu^2, or (10.5 r^2 + R) nu^2 of two parts.
// What underflows after the scales is below 2^-80 of that. Of layers, squares add up.
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/grad_dot/grad_dot.hpp"
#include "math/formula.hpp"

namespace genmem {

// Features that the narrower of d and p may have where floats are multiplied in float32: within
// error bounds that are proven for chains of the processor.
inline constexpr int64_t kCardWidth = 32768;

inline constexpr int kCardParts = 3;                // that a float is split into
inline constexpr int64_t kCardStage = 32;           // features of one sum
inline constexpr int64_t kCardChain = 128;          // stages
inline constexpr double kCardLeftOut = 0x1.02p-22;  // of three parts
inline constexpr double kCardThetaOne = 0x1p-8, kCardThetaTwo = 0x1p-17;  // of one part, of two
inline constexpr double kCardMoreOne = 1.02, kCardMore = 1.001;           // of one part, of more
inline constexpr double kCardCut = 64 * 0x1p-23;

static GENMEM_FORMULA int64_t card_stages(int64_t cols) {
  return cols > 0 ? (cols + kCardStage - 1) / kCardStage : 1;
}

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
  const double *ratio = nullptr, *before = nullptr;  // (samples,) see CardTokenProducts
};

// out[i - x.origin][j - y.origin] += the products of the samples in the groups, in one layer.
struct CardTokenProducts {
  CardTokens x, y;
  bool bias;
  bool triangle;  // of pairs x_sample + i <= y_sample + j alone, and some others
  int64_t x_sample, y_sample;
  double* out;
  int64_t out_stride;
  int parts = kCardParts;  // that are multiplied, where there are any
  // Where both sides have ratios, u / |G|, products alone whose error is proven to be within the
  // tolerance by these, x.ratio[i] y.ratio[j] <= tol, and not by those of fewer parts that were
  // there before. A block of threads without any ends at once.
  double tol = 0.0;
};

struct CardTokenKernel {
  int64_t tile;
  int64_t shared;                        // memory that a block takes
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

// out[n - 1][i] += u^2 of products of n parts.
struct CardTokenBounds {
  CardTokens tokens;  // prepared
  bool bias;
  double rounding;  // R
  double* out;      // (kCardParts, samples)
};

// out[i] += weight nu_i^2, nu_i = sum_t |(a_t, bias)| |g_t|: see GradDotPairKernel.
struct CardTokenSizes {
  TokenLayer layer;
  int64_t samples;
  bool bias;
  double weight;
  double* out;
};

// The strongest products of each row so far, of tiles of products that come in the order of their
// columns. As integers whose order is that of the scores, a NaN above all:
//
//   keep    without a screen, scores above the k-th largest so far; with one, scores whose upper
//           bound reaches the k-th largest lower bound. Appended to the row's list, and where that
//           is full, what the raised limit rules out is forgotten: so k + kCardSpare entries do for
//           any number of columns without a screen. With one, a row that does not fit is marked
//           and left alone
//   rank    of k entries each, the scores in order, ties to the lower index
//   gather  the indices of the lists, one behind another
//
// Cost  keep reads the tile once, a warp for each row; a list that is cut takes 64 passes over it,
//       of 8 bytes an entry from the first-level cache. rank compares each entry with each other
struct CardKept {
  uint64_t* low;    // (rows, capacity) of the score, or of its lower bound
  uint64_t* high;   // the same of the upper bound; null without a screen
  int64_t* at;      // (rows, capacity)
  int* found;       // (rows,) entries; capacity + 1: lost
  uint64_t* limit;  // (rows,)
  int64_t capacity;
};

inline constexpr int64_t kCardStrongest = 1024;  // k up to which the card selects
inline constexpr int64_t kCardSpare = 256;       // entries beyond k, or as many as k
inline constexpr int64_t kCardMaybe = 1024;      // entries beyond 2 k of a screen

struct CardStrongest {
  const double* products;  // (rows, columns)
  int64_t rows, columns;
  int64_t first;                    // index of the first column
  const double *x_scale, *y_scale;  // (rows,) and (columns,) factors of the products, or null
  const double *x_bound, *y_bound;  // (rows,) and (columns,) whose product bounds the error; null
  bool largest;                     // without a screen
  bool last;                        // the lists are cut behind it
  int64_t k;
  CardKept kept;
};

struct CardRanked {
  CardKept kept;  // cut, without a screen
  int64_t rows, k;
  bool largest;
  int64_t* index;  // (rows, k)
  double* score;   // (rows, k)
};

struct CardGathered {
  CardKept kept;
  int64_t rows;
  const int64_t* bounds;  // (rows + 1,) of what each row has in `out`
  int64_t* out;
};

// Products that stay on the card: of a tile, times the scales of both samples, to their places in
// the answer; symmetric, those of pairs i <= j, and mirrored. Cost: reads each once, writes it.
struct CardPlaced {
  const double* products;  // (rows, columns)
  int64_t rows, columns;
  int64_t x_first, y_first;         // of all samples
  const double *x_scale, *y_scale;  // (all samples,), or null
  bool symmetric;
  bool single;  // out is float32, else float64
  void* out;    // (x samples, out_stride)
  int64_t out_stride;
};

// The same of listed ones.
struct CardScattered {
  const double* products;  // (count,)
  const int64_t *x_at, *y_at;
  int64_t count;
  const double *x_scale, *y_scale;
  bool symmetric, single;
  void* out;
  int64_t out_stride;
};

struct CardGradDot {
  CardTokenKernel floats;   // no factor is float64, d or p is at most kCardWidth
  CardTokenKernel doubles;  // any factors
  const char* (*pairs)(const Queue&, const CardTokenPairs&);
  const char* (*bounds)(const Queue&, const CardTokenBounds&);
  const char* (*sizes)(const Queue&, const CardTokenSizes&);
  const char* (*keep)(const Queue&, const CardStrongest&);
  const char* (*rank)(const Queue&, const CardRanked&);
  const char* (*gather)(const Queue&, const CardGathered&);
  const char* (*place)(const Queue&, const CardPlaced&);
  const char* (*scatter)(const Queue&, const CardScattered&);
};

namespace emulated {
const CardGradDot& card_grad_dot();
}
namespace cuda {
const CardGradDot& card_grad_dot();
}

}  // namespace genmem
