// log_kde over any lanes.
#pragma once

#include "kernels/log_kde/log_kde.hpp"
#include "math/kernel_function.hpp"
#include "math/logsumexp.hpp"

namespace genmem::GENMEM_ISA {

inline int64_t point_of(const KdeChunk& b, int64_t i) { return b.at ? b.at[i] : b.first + i; }

// The two largest of a stream, lane by lane.
template <class L>
struct TwoLargest {
  typename L::Reg first = L::broadcast(kLowest), second = L::broadcast(kLowest);

  void add(typename L::Reg x) {
    second = L::max(second, L::min(first, x));
    first = L::max(first, x);
  }
  // Among all lanes; equal ones count twice.
  void among_lanes(double& top, double& next) const {
    double lanes[2 * L::kWidth];
    L::store(lanes, first);
    L::store(lanes + L::kWidth, second);
    top = next = kLowest;
    for (const double x : lanes) {
      next = x > top ? top : x > next ? x : next;
      top = x > top ? x : top;
    }
  }
};

// Exponents, filled up with -inf to a whole register, and the two largest; returns how many.
template <class L>
inline int64_t exponents(const KdeChunk& b, double& top, double& next) {
  double* a = b.exponents;
  const KdeTerms& terms = b.terms;
  TwoLargest<L> largest;
  const int64_t end = (b.count + L::kWidth - 1) / L::kWidth * L::kWidth;
  if (terms.kind == KernelKind::gaussian && !terms.sq_scale && !terms.log_weight) {
    const double slope = -0.5 / terms.sq_bandwidth;
    const typename L::Reg slopes = L::broadcast(slope);
    const int64_t whole = b.count / L::kWidth * L::kWidth;
    for (int64_t i = 0; i < whole; i += L::kWidth) {
      const typename L::Reg x = L::mul(L::load(b.sq + i), slopes);
      L::store(a + i, x);
      largest.add(x);
    }
    if (whole < end) {
      for (int64_t i = whole; i < end; ++i) a[i] = i < b.count ? b.sq[i] * slope : kLowest;
      largest.add(L::load(a + whole));
    }
  } else {
    for (int64_t i = 0; i < b.count; ++i) {
      const double scale = terms.sq_scale ? terms.sq_scale[point_of(b, i)] : 1.0;
      a[i] = log_kernel(terms.kind, b.sq[i] / (terms.sq_bandwidth * scale));
    }
    if (terms.log_weight) {
      for (int64_t i = 0; i < b.count; ++i) a[i] += terms.log_weight[point_of(b, i)];
    }
    for (int64_t i = b.count; i < end; ++i) a[i] = kLowest;
    for (int64_t i = 0; i < end; i += L::kWidth) largest.add(L::load(a + i));
  }
  largest.among_lanes(top, next);
  return end;
}

// The first place of `value`, or the last place: unchecked input may hold a NaN, which equals
// nothing.
template <class L>
inline int64_t place_of(const double* a, int64_t count, double value) {
  const typename L::Reg wanted = L::broadcast(value);
  int64_t i = 0;
  while (i + L::kWidth < count && !L::any_less_equal(wanted, L::load(a + i))) i += L::kWidth;
  while (i < count - 1 && a[i] != value) ++i;
  return i;
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
  double top, next;
  const int64_t count = exponents<L>(b, top, next);
  if (top == kLowest) return s;
  const int64_t at = place_of<L>(a, b.count, top);
  s.top = top;
  s.top_index = point_of(b, at);
  s.max = next;
  a[at] = kLowest;
  if (next != kLowest) s.sum = sum_exp<L>(b, count, next);
  return s;
}

}  // namespace genmem::GENMEM_ISA
