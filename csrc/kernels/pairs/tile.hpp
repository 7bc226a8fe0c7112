// A tile of squared distances by a block of 256 threads. Include after device.hpp.
#pragma once

#include <math.h>

#include "kernels/device/entries.hpp"
#include "kernels/pairs/pairs.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr int kTileThreads = 256;
inline constexpr int kTileGrid = 16;  // threads along each side of a tile
inline constexpr int kTileStep = 16;  // features in shared memory at a time, of two whole eights
// An odd distance of rows: threads that read one feature of 16 rows find them in different banks.
inline constexpr int kTileRow = kTileStep + 1;

// Rows up to kChainDepth features are one chain, 4 x 4 pairs a thread; wider ones are eight, 2 x 2.
template <bool kWide>
struct DistanceTile {
  static constexpr int kSide = kWide ? 2 : 4;
  static constexpr int kChains = kWide ? 8 : 1;
  static constexpr int kRows = kSide * kTileGrid;  // of either side
  static constexpr int64_t kShared = int64_t{2} * kRows * kTileRow * 8;

  double sum[kSide][kSide][kChains];

  GENMEM_DEVICE static int query_of(int r) { return device::thread() / kTileGrid + r * kTileGrid; }
  GENMEM_DEVICE static int point_of(int p) { return device::thread() % kTileGrid + p * kTileGrid; }

  GENMEM_DEVICE static void load(const Matrix& m, int64_t first, int64_t col, double* to) {
    for (int i = device::thread(); i < kRows * kTileStep; i += kTileThreads) {
      const int64_t row = first + i / kTileStep, c = col + i % kTileStep;
      to[i / kTileStep * kTileRow + i % kTileStep] =
          row < m.rows && c < m.cols ? entry(m, row, c) : 0.0;
    }
  }

  // Of the rows from x_first and y_first on; beyond the last row the sums mean nothing.
  GENMEM_DEVICE void run(const Matrix& x, int64_t x_first, const Matrix& y, int64_t y_first) {
    double* const left = reinterpret_cast<double*>(device::shared_memory());
    double* const right = left + kRows * kTileRow;
    GENMEM_UNROLL
    for (int r = 0; r < kSide; ++r) {
      GENMEM_UNROLL
      for (int p = 0; p < kSide; ++p) {
        GENMEM_UNROLL
        for (int v = 0; v < kChains; ++v) sum[r][p][v] = 0.0;
      }
    }
    for (int64_t col = 0; col < x.cols; col += kTileStep) {
      device::barrier();
      load(x, x_first, col, left);
      load(y, y_first, col, right);
      device::barrier();
      for (int c = 0; c < kTileStep; c += kChains) {
        GENMEM_UNROLL
        for (int v = 0; v < kChains; ++v) {
          GENMEM_UNROLL
          for (int r = 0; r < kSide; ++r) {
            GENMEM_UNROLL
            for (int p = 0; p < kSide; ++p) {
              const double difference =
                  left[query_of(r) * kTileRow + c + v] - right[point_of(p) * kTileRow + c + v];
              sum[r][p][v] = fma(difference, difference, sum[r][p][v]);
            }
          }
        }
      }
    }
  }

  GENMEM_DEVICE double of(int r, int p) const {
    const double* t = sum[r][p];
    if constexpr (!kWide) return t[0];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
  }
};

}  // namespace genmem::GENMEM_ISA
