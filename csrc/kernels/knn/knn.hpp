// knn: the k nearest points of each query, exactly.
//
//   D_ij = sum_c (q_ic - x_jc)^2;   the k smallest of (D_ij, j) in lexicographic order
//
// The kernel computes every distance: the straight way, best for narrow rows and few queries.
// One call updates the heaps of at most kRows queries with at most kPoints points. Heaps start
// cleared, take blocks in any order, and are sorted once at the end. Wide rows are screened first
// (screen.hpp), and only what passes is computed; the answer is the same.
//
// Precision   see pairs.hpp: a copy is at exactly 0, ties go to the lower index.
// Cost        3 flops per pair and feature; the heap is touched by the pairs that enter it,
//             about k ln(n / k) per query on points in random order.
#pragma once

#include "kernels/pairs/pairs.hpp"

namespace genmem {

struct KnnBlock {
  Matrix queries;
  Matrix points;
  int64_t query, rows;     // rows <= kRows queries from `query` on
  int64_t point, count;    // count <= kPoints points from `point` on
  const int64_t* exclude;  // (queries.rows,) index left out of each query, -1 none; or null
  int64_t k;
  bool strange;     // set where a distance to the first row or point is not finite
  double* sq;       // (rows, k) squared distances, heaps of the queries of this call
  int64_t* index;   // (rows, k)
  double* scratch;  // distance_scratch(cols) + kPairBlock doubles
};

using KnnKernel = void (*)(KnnBlock&);

}  // namespace genmem
