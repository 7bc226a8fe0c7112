// A power of two that brings a spread near one; one where it is 0 or not finite.
#pragma once

#include <math.h>

#include "math/formula.hpp"

namespace genmem::GENMEM_ISA {

GENMEM_FORMULA float scale_of(double spread) {
  int exponent = 0;
  if (spread > 0.0 && spread < HUGE_VAL) frexp(spread, &exponent);
  const int within = exponent > 100 ? 100 : exponent < -100 ? -100 : exponent;
  return ldexpf(1.0f, -within);
}

}  // namespace genmem::GENMEM_ISA
