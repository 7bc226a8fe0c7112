// log_kde over any lanes.
#pragma once

#include "kernels/log_kde/log_kde.hpp"
#include "kernels/pairs/block.hpp"
#include "math/logsumexp.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr double kNegligible = 50.0;  // nats below the largest; see log_kde.hpp

template <class L>
inline double highest(const double* a) {
  typename L::Reg best = L::load(a);
  for (int64_t j = L::kWidth; j < kPoints; j += L::kWidth) best = L::max(best, L::load(a + j));
  return L::highest(best);
}

template <class L>
inline double sum_exp(const double* a, double max) {
  const typename L::Reg shift = L::broadcast(max);
  typename L::Reg sum = L::zero();
  for (int64_t j = 0; j < kPoints; j += L::kWidth) {
    sum = L::add(sum, L::exp(L::sub(L::load(a + j), shift)));
  }
  return L::sum(sum);
}

// sq becomes the exponents, in place; places past `count` become -inf.
template <class L>
inline void exponents(const LogKdeBlock& b, double* sq) {
  const typename L::Reg slope = L::broadcast(-b.scale);
  for (int64_t j = 0; j < b.count; j += L::kWidth) {
    L::store(sq + j, L::mul(L::load(sq + j), slope));
  }
  if (b.log_weights) {
    for (int64_t j = 0; j < b.count; ++j) sq[j] += b.log_weights[b.point + j];
  }
  for (int64_t j = b.count; j < kPoints; ++j) sq[j] = kLowest;
}

template <class L>
inline Slots row_slots(double* a, int64_t point) {
  Slots s;
  clear(s);
  s.top = highest<L>(a);
  if (s.top == kLowest) return s;
  // Unchecked input may hold a NaN, which equals nothing: the search must end all the same.
  int64_t at = 0;
  while (at < kPoints - 1 && a[at] != s.top) ++at;
  s.top_index = point + at;
  a[at] = kLowest;
  s.max = highest<L>(a);
  return s;
}

template <class L>
inline void log_kde_block(const LogKdeBlock& b) {
  double* block = b.scratch + kPairScratch;
  pair_block<L, SquaredDifference>(b.queries, b.query, b.rows, b.points, b.point, b.count, block,
                                   b.scratch);
  for (int64_t i = 0; i < b.rows; ++i) {
    double* a = block + i * kPoints;
    exponents<L>(b, a);
    if (b.exclude) {
      const int64_t at = b.exclude[b.query + i] - b.point;
      if (at >= 0 && at < b.count) a[at] = kLowest;
    }
    Slots s = row_slots<L>(a, b.point);
    // What these terms will be compared with: the rest, once both tops have been settled.
    Slots& into = b.slots[i];
    const double lower_top = s.top < into.top ? s.top : into.top;
    const double rest = into.max > lower_top ? into.max : lower_top;
    if (s.max >= rest - kNegligible && s.max != kLowest) {
      s.sum = sum_exp<L>(a, s.max);
    } else {
      s.max = kLowest;
    }
    merge(into, s);
  }
}

}  // namespace genmem::GENMEM_ISA
