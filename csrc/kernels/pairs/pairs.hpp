// Sums over the features of two rows: squared differences (distances) or products (gradients).
// Every operation on pairs is such sums and an epilogue.
//
// Precision   float64 throughout, inputs widened exactly. The sum of a pair depends on the two rows
//             alone, not on block, batch, threads or the path that asked for it: equal rows give
//             equal sums wherever they stand, and a row and its copy give exactly 0.
//               chain  features 0, 1, ... in one chain of fused multiply-adds: products, and
//                      squared differences up to kChainDepth features
//               eight  feature c in chain c mod 8, then one tree: wider rows. A single pair keeps
//                      the multiply-adders busy, which a screened search needs
//             Relative error of a sum of squares: (d + 3) u, u = 2^-53.
//             With a centre c, rows of at most kChainDepth features are expanded instead:
//               |x - y|^2 = |x - c|^2 + |y - c|^2 - 2 (x - c).(y - c), at least 0
//             which is off by 2 (d + 4) u (|x - c| + |y - c|)^2: for densities whose bandwidth is
//             wide enough not to feel it. It costs half as much.
// Cost        2 flops (product) or 3 (squared difference) per pair and feature. A block stays in a
//             core's second-level cache.
#pragma once

#include <math.h>

#include "kernels/matrix.hpp"

namespace genmem {

inline constexpr int64_t kRows = 128;       // rows of the first matrix in a block
inline constexpr int64_t kPoints = 256;     // rows of the second
inline constexpr int64_t kDepth = 512;      // features packed at a time
inline constexpr int64_t kPanel = 32;       // rows of the second matrix that a panel interleaves
inline constexpr int64_t kChainDepth = 64;  // features that one chain sums
inline constexpr int64_t kWideRows = 32;    // rows of either side packed at a time, beyond that
inline constexpr int64_t kWidePoints = 16;

// Doubles of a widened row: whole groups of eight, the last one filled up with zeros.
static inline int64_t widened(int64_t cols) { return (cols + 7) / 8 * 8; }

// Doubles of scratch that one block of products needs: packed rows, one packed panel.
inline constexpr int64_t kPairScratch = kRows * kDepth + kPanel * kDepth;
// Doubles of one result block; row i starts at i * kPoints.
inline constexpr int64_t kPairBlock = kRows * kPoints;
// Doubles of scratch that a block or a list of squared distances needs.
static inline int64_t distance_scratch(int64_t cols) {
  return cols <= kChainDepth ? kPairScratch : (kWideRows + kWidePoints) * widened(cols);
}

// A block of squared distances: out[i * stride + j], with room for whole panels of columns.
struct DistanceBlock {
  Matrix queries;
  Matrix points;
  int64_t query, rows;   // rows <= kRows
  int64_t point, count;  // any number
  double* out;
  int64_t stride;
  double* scratch;       // distance_scratch(cols)
  const double* centre;  // (cols,), or null: differences first
  const double* panels;  // with a centre: the points as packed by a PanelsKernel, from `point` on
};

// Points of a block minus the centre, packed once for many queries.
struct Panels {
  Matrix points;
  int64_t point, count;
  const double* centre;
  double* out;  // expanded_panels(count, cols)
};

// Doubles of so many packed points: panels of kPanel columns, each with their squared norms.
static inline int64_t expanded_panels(int64_t count, int64_t cols) {
  return (count + kPanel - 1) / kPanel * kPanel * (cols + 1);
}

// The squared distances of one query to the points named.
struct DistanceList {
  Matrix queries;
  Matrix points;
  int64_t query;
  const int64_t* at;
  int64_t count;
  double* out;
  double* scratch;       // distance_scratch(cols)
  const double* centre;  // (cols,), or null: differences first
};

using PanelsKernel = void (*)(const Panels&);
using DistancesKernel = void (*)(const DistanceBlock&);
using DistancesToKernel = void (*)(const DistanceList&);

// Whether a row or a point of a block of distances is not finite: it shows in its distance to any
// other, so one row and one column tell it.
static inline bool strange_distances(const double* sq, int64_t stride, int64_t rows,
                                     int64_t points) {
  bool strange = false;
  for (int64_t j = 0; j < points; ++j) strange |= !(sq[j] < HUGE_VAL);
  for (int64_t i = 0; i < rows; ++i) strange |= !(sq[i * stride] < HUGE_VAL);
  return strange;
}

}  // namespace genmem
