// knn: the k nearest points of each query, exactly.
//
//   D_ij = sum_c (q_ic - x_jc)^2;   the k smallest of (D_ij, j) in lexicographic order
//
// One call updates the heaps of at most kRows queries with at most kPoints points. Heaps start
// cleared, take blocks in any order, and are sorted once at the end (Neighbourhood).
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
  double* sq;       // (rows, k) squared distances, heaps of the queries of this call
  int64_t* index;   // (rows, k)
  double* scratch;  // kPairScratch + kPairBlock doubles
};

using KnnKernel = void (*)(const KnnBlock&);

// sq_distances: the block itself, as it is.
struct SqDistancesBlock {
  Matrix queries;
  Matrix points;
  int64_t query, rows;
  int64_t point, count;
  double* out;  // element (0, 0) of the block in the (queries.rows, points.rows) answer
  int64_t out_stride;
  double* scratch;
};

using SqDistancesKernel = void (*)(const SqDistancesBlock&);

}  // namespace genmem
