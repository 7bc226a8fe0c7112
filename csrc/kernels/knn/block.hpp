// knn over any lanes.
#pragma once

#include "kernels/knn/knn.hpp"
#include "kernels/pairs/distances.hpp"
#include "math/nearest.hpp"

namespace genmem::GENMEM_ISA {

// Most lanes hold nothing near enough: one comparison of a register against the k-th distance
// passes over them.
template <class L>
inline void keep_row(const double* sq, int64_t count, int64_t point, int64_t exclude, int64_t k,
                     double* heap_sq, int64_t* heap_index) {
  for (int64_t j = 0; j < count; j += L::kWidth) {
    if (!L::any_less_equal(L::load(sq + j), L::broadcast(heap_sq[0]))) continue;
    const int64_t end = j + L::kWidth < count ? j + L::kWidth : count;
    for (int64_t lane = j; lane < end; ++lane) {
      if (point + lane == exclude) continue;
      keep_nearest(heap_sq, heap_index, k, sq[lane], point + lane);
    }
  }
}

template <class L>
inline void knn_block(KnnBlock& b) {
  double* sq = b.scratch + distance_scratch(b.queries.cols);
  distance_block<L>(b.queries, b.query, b.rows, b.points, b.point, b.count, sq, kPoints, b.scratch);
  b.strange |= strange_distances(sq, kPoints, b.rows, b.count);
  for (int64_t i = 0; i < b.rows; ++i) {
    const int64_t exclude = b.exclude ? b.exclude[b.query + i] : -1;
    keep_row<L>(sq + i * kPoints, b.count, b.point, exclude, b.k, b.sq + i * b.k,
                b.index + i * b.k);
  }
}

}  // namespace genmem::GENMEM_ISA
