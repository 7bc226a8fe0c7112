// log_kde over any lanes.
#pragma once

#include "kernels/log_kde/log_kde.hpp"
#include "math/kernel_function.hpp"
#include "math/logsumexp.hpp"

namespace genmem::GENMEM_ISA {

inline int64_t point_of(const KdeChunk& b, int64_t i) { return b.at ? b.at[i] : b.first + i; }

// Exponents, filled up with -inf to a whole register; returns how many.
template <class L>
inline int64_t exponents(const KdeChunk& b) {
  double* a = b.exponents;
  const KdeTerms& terms = b.terms;
  const int64_t whole = b.count / L::kWidth * L::kWidth;
  if (terms.kind == KernelKind::gaussian && !terms.sq_scale) {
    const double slope = -0.5 / terms.sq_bandwidth;
    const typename L::Reg slopes = L::broadcast(slope);
    for (int64_t i = 0; i < whole; i += L::kWidth) {
      L::store(a + i, L::mul(L::load(b.sq + i), slopes));
    }
    for (int64_t i = whole; i < b.count; ++i) a[i] = b.sq[i] * slope;
  } else {
    for (int64_t i = 0; i < b.count; ++i) {
      const double scale = terms.sq_scale ? terms.sq_scale[point_of(b, i)] : 1.0;
      a[i] = log_kernel(terms.kind, b.sq[i] / (terms.sq_bandwidth * scale));
    }
  }
  if (terms.log_weight) {
    for (int64_t i = 0; i < b.count; ++i) a[i] += terms.log_weight[point_of(b, i)];
  }
  const int64_t end = (b.count + L::kWidth - 1) / L::kWidth * L::kWidth;
  for (int64_t i = b.count; i < end; ++i) a[i] = kLowest;
  return end;
}

template <class L>
inline double highest(const double* a, int64_t count) {
  typename L::Reg best = L::broadcast(kLowest);
  for (int64_t j = 0; j < count; j += L::kWidth) best = L::max(best, L::load(a + j));
  return L::highest(best);
}

// sum of exp(a - max) over the terms at most kNegligible below max, by place in the chunk modulo
// the width: a list of some of the points is summed like all of them.
template <class L>
inline double sum_exp(const KdeChunk& b, int64_t count, double max) {
  double* a = b.exponents;
  const typename L::Reg shift = L::broadcast(max), cut = L::broadcast(max - kNegligible);
  typename L::Reg sum = L::zero();
  if (!b.at) {
    for (int64_t i = 0; i < count; i += L::kWidth) {
      const typename L::Reg x = L::load(a + i);
      if (!L::any_less_equal(cut, x)) continue;
      const typename L::Reg below = L::sub(x, shift);
      sum = L::add(sum, L::zero_where_below(L::exp(below), below, -kNegligible));
    }
    return L::sum(sum);
  }
  for (int64_t i = 0; i < count; i += L::kWidth) {
    const typename L::Reg below = L::sub(L::load(a + i), shift);
    L::store(a + i, L::zero_where_below(L::exp(below), below, -kNegligible));
  }
  double lanes[L::kWidth] = {};
  for (int64_t i = 0; i < b.count; ++i) lanes[(b.at[i] - b.first) % L::kWidth] += a[i];
  return L::sum(L::load(lanes));
}

template <class L>
inline Slots chunk_slots(const KdeChunk& b) {
  Slots s;
  clear(s);
  if (b.count == 0) return s;
  double* a = b.exponents;
  const int64_t count = exponents<L>(b);
  s.top = highest<L>(a, count);
  if (s.top == kLowest) return s;
  // Unchecked input may hold a NaN, which equals nothing: the search must end all the same.
  int64_t at = 0;
  while (at < b.count - 1 && a[at] != s.top) ++at;
  s.top_index = point_of(b, at);
  a[at] = kLowest;
  s.max = highest<L>(a, count);
  if (s.max != kLowest) s.sum = sum_exp<L>(b, count, s.max);
  return s;
}

}  // namespace genmem::GENMEM_ISA
