// Weighted sums of differences over any lanes.
#pragma once

#include "kernels/log_kde/log_kde.hpp"
#include "kernels/pairs/distances.hpp"

namespace genmem::GENMEM_ISA {

template <class L>
inline void kde_gradient_block(const KdeGradient& b) {
  const int64_t depth = widened(b.queries.cols);
  double* q = b.scratch;
  double* x = b.scratch + depth;
  widen_row(b.queries, b.query, q);
  for (int64_t j = 0; j < b.count; ++j) {
    widen_row(b.points, b.at[j], x);
    const typename L::Reg share = L::broadcast(b.share[j]);
    int64_t c = 0;
    for (; c + L::kWidth <= b.queries.cols; c += L::kWidth) {
      const typename L::Reg difference = L::sub(L::load(x + c), L::load(q + c));
      L::store(b.out + c, L::fma(share, difference, L::load(b.out + c)));
    }
    for (; c < b.queries.cols; ++c) b.out[c] += b.share[j] * (x[c] - q[c]);
  }
}

}  // namespace genmem::GENMEM_ISA
