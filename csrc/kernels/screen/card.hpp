// screen on the card: the bound of screen.hpp over bfloat16 products of the tensor cores.
//
//   centre  of points that lie on the card: the mean of some rows, and a power of two near one over
//           their spread about it
//   pack    rows minus the centre, times the scale, rounded to bfloat16, and their numbers
//   find    tiles of 128 x 128 pairs; a pair that its query's limit lets through is a hit
//   count   the same, but a pair that is certain to lie within its query's radius is counted
//
// Rows of either side are packed to whole steps of 32 features. The points of a call are visited
// in tiles `first_tile` .. `first_tile + tiles - 1` of an order in which neighbours lie far apart:
// points are often sorted, and a limit should come from all kinds of them.
//
// Precision   x_h has 8 bits, r about 2^-9 |x|. Sums of products are float32, cut off instead of
//             rounded and aligned 16 at a time: within 17/16 d 2^-23 of a_x a_y, for which
//             kCardAccumulation d stands.
// Cost        find: 2 flops per pair and feature; 64 KiB of shared memory and two blocks of 256
//             threads on a multiprocessor. Packing reads a row twice and writes half a float32's.
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/matrix.hpp"
#include "math/formula.hpp"

namespace genmem {

inline constexpr int64_t kCardStep = 32;   // features of a step
inline constexpr int64_t kCardTile = 128;  // queries, and points, of a tile
inline constexpr double kCardAccumulation = 0x1p-22;

static GENMEM_FORMULA int64_t packed_depth(int64_t cols) {
  return (cols + kCardStep - 1) / kCardStep * kCardStep;
}
static GENMEM_FORMULA int64_t card_tiles(int64_t rows) {
  return (rows + kCardTile - 1) / kCardTile;
}

// One side, as the screen reads it; all on the card.
struct CardSide {
  int64_t rows;
  uint16_t* packed;              // (rows, packed_depth(cols))
  float *norm, *length, *error;  // (rows,); see math/screen_bound.hpp
};

// Screened squared distance = unit * squared distance, unit = scale^2. On the card.
struct CardUnit {
  double unit;
  float scale;
};

struct CardCentre {
  Matrix points;    // on the card
  int64_t sampled;  // rows that are looked at, evenly spaced
  bool whole;       // to whole numbers
  float* centre;    // (cols,)
  double* squares;  // scratch (cols,)
  CardUnit* unit;
};

struct CardPack {
  Matrix from;
  const float* centre;  // (cols,)
  const CardUnit* unit;
  float gamma, slack;
  bool queries;  // else points
  CardSide to;
  int* strange;  // set where a row is not finite or too long for float32
};

// Bounds of a pair that may matter: float32, rounded outwards.
struct CardHit {
  int64_t at;
  float low, high;
};

// What hits are measured against and where they go, by query.
struct CardHits {
  const float* threshold;  // on D~ - B less the norm of the query: above it, no hit
  const int64_t* exclude;  // index of the point left out, -1 none; or null
  CardHit* hits;           // (queries, capacity)
  int* found;              // hits so far; beyond capacity they are counted and lost
  int64_t capacity;
};

struct CardScreen {
  CardSide queries, points;
  int64_t cols;
  float slack;
  int64_t first_tile, tiles, step;  // the t-th tile of the order is t step mod all tiles
  int64_t first_point;              // index of the points' first row
  CardHits hits;
  const int* off = nullptr;  // of the card: where it holds no 0, nothing is done
};

// Pairs within a radius: those that are certain are counted, those that may be are hits.
struct CardCount {
  CardScreen screen;
  const double* sq_radius;  // (queries,)
  const CardUnit* unit;
  unsigned long long* certain;  // (queries,)
};

struct CardScreens {
  const char* (*centre)(const Queue&, const CardCentre&);
  const char* (*pack)(const Queue&, const CardPack&);
  const char* (*find)(const Queue&, const CardScreen&);
  const char* (*count)(const Queue&, const CardCount&);
};

namespace emulated {
const CardScreens& card_screens();
}
namespace cuda {
const CardScreens& card_screens();
}

}  // namespace genmem
