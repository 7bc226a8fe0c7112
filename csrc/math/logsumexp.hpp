// The two-slot logsumexp: the largest term kept apart from the sum of all the others.
//
//   L = logsumexp of all terms = logaddexp(top, rest),   rest = max + log(sum)
//
// The responsibility of the top term is r = exp(top - L), and log(1 - r) = rest - L keeps its
// digits at any gap; 1 - r itself is 0 in double from a gap of 40 nats on.
#pragma once

#include <math.h>

#include "math/formula.hpp"
#include "math/slots.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr double kLowest = -HUGE_VAL;

// The rest of a state without terms: sum is relative to max, and 0 when there is nothing.
GENMEM_FORMULA void clear(Slots& s) {
  s.top = kLowest;
  s.top_index = -1;
  s.max = kLowest;
  s.sum = 0.0;
}

// sum * exp(from - to): the sum of terms re-expressed relative to a maximum `to` >= `from`.
GENMEM_FORMULA double rescaled(double sum, double from, double to) {
  return from == kLowest ? 0.0 : sum * exp(from - to);
}

// Adds `sum` terms, relative to `max`, to the rest.
GENMEM_FORMULA void add_rest(Slots& s, double max, double sum) {
  if (max == kLowest) return;
  if (max > s.max) {
    s.sum = rescaled(s.sum, s.max, max) + sum;
    s.max = max;
  } else {
    s.sum += rescaled(sum, max, s.max);
  }
}

// Merging in one fixed order gives one fixed result; the terms of `from` have the higher indices.
GENMEM_FORMULA void merge(Slots& into, const Slots& from) {
  add_rest(into, from.max, from.sum);
  if (from.top > into.top) {
    add_rest(into, into.top, 1.0);
    into.top = from.top;
    into.top_index = from.top_index;
  } else {
    add_rest(into, from.top, 1.0);
  }
}

GENMEM_FORMULA double rest_of(const Slots& s) {
  return s.max == kLowest ? kLowest : s.max + log(s.sum);
}

}  // namespace genmem::GENMEM_ISA
