// The k smallest of (squared distance, index) in lexicographic order, as a heap whose root is the
// largest kept: one comparison turns away a pair that does not belong.
#pragma once

#include <math.h>
#include <stdint.h>

#include "math/formula.hpp"

namespace genmem::GENMEM_ISA {

GENMEM_FORMULA bool nearer(double sq_a, int64_t a, double sq_b, int64_t b) {
  return sq_a < sq_b || (sq_a == sq_b && a < b);
}

// The place of an absent neighbour: farther than any real one, even than one at infinity.
inline void clear(double* sq, int64_t* index, int64_t k) {
  for (int64_t i = 0; i < k; ++i) {
    sq[i] = HUGE_VAL;
    index[i] = INT64_MAX;
  }
}

inline void sift_down(double* sq, int64_t* index, int64_t k, int64_t hole, double value,
                      int64_t item) {
  for (;;) {
    int64_t child = 2 * hole + 1;
    if (child >= k) break;
    if (child + 1 < k && nearer(sq[child], index[child], sq[child + 1], index[child + 1])) ++child;
    if (!nearer(value, item, sq[child], index[child])) break;
    sq[hole] = sq[child];
    index[hole] = index[child];
    hole = child;
  }
  sq[hole] = value;
  index[hole] = item;
}

inline void keep_nearest(double* sq, int64_t* index, int64_t k, double value, int64_t item) {
  if (nearer(value, item, sq[0], index[0])) sift_down(sq, index, k, 0, value, item);
}

// Heap sort in place: ascending distance, ties to the lower index.
inline void sort_nearest(double* sq, int64_t* index, int64_t k) {
  for (int64_t last = k - 1; last > 0; --last) {
    const double value = sq[last];
    const int64_t item = index[last];
    sq[last] = sq[0];
    index[last] = index[0];
    sift_down(sq, index, last, 0, value, item);
  }
}

}  // namespace genmem::GENMEM_ISA
