// A block of pair sums: out[i][j] = sum_c term(x_ic, y_jc) for kRows rows x of one matrix and
// kPoints rows y of another; term is (x - y)^2 or x y. Every operation on pairs is this block and
// an epilogue.
//
// Precision   float64 throughout, inputs widened exactly. The sum of a pair runs over c = 0, 1, ...
//             in one chain of fused multiply-adds, so it depends on the two rows alone: equal rows
//             give equal sums wherever they stand, a row and its copy give exactly 0, and the
//             result does not depend on block, batch or threads. Relative error of a sum of
//             squares: d u, u = 2^-53.
// Cost        2 flops (product) or 3 (squared difference) per pair and feature. A block reads
//             (kRows + kPoints) d elements and stays in a core's second-level cache:
//             rows 512 KiB + panel 128 KiB + out 256 KiB.
#pragma once

#include "kernels/matrix.hpp"

namespace genmem {

inline constexpr int64_t kRows = 128;    // rows of the first matrix in a block
inline constexpr int64_t kPoints = 256;  // rows of the second
inline constexpr int64_t kDepth = 512;   // features packed at a time
inline constexpr int64_t kPanel = 32;    // rows of the second matrix that a panel interleaves

// Doubles of scratch that one block needs: packed rows, one packed panel.
inline constexpr int64_t kPairScratch = kRows * kDepth + kPanel * kDepth;
// Doubles of one result block; row i starts at i * kPoints.
inline constexpr int64_t kPairBlock = kRows * kPoints;

}  // namespace genmem
