// Kernels of a density estimate as functions of the squared distance over the squared bandwidth.
// Gaussian exp(-u^2/2), Epanechnikov (1 - u^2), biweight (1 - u^2)^2, tophat 1, exponential
// exp(-u), linear 1 - u, cosine cos(pi u / 2); all but the Gaussian and the exponential are 0
// outside u <= 1. The constants that make them densities are left to the caller.
#pragma once

#include <math.h>

#include "math/formula.hpp"
#include "math/kernel_kind.hpp"

namespace genmem::GENMEM_ISA {

// log k(u), from u^2; -inf outside the support. The tophat counts its border, the others are 0
// there.
GENMEM_FORMULA double log_kernel(KernelKind kind, double sq) {
  switch (kind) {
    case KernelKind::gaussian: return -0.5 * sq;
    case KernelKind::exponential: return -sqrt(sq);
    case KernelKind::tophat: return sq <= 1.0 ? 0.0 : -HUGE_VAL;
    case KernelKind::epanechnikov: return sq < 1.0 ? log1p(-sq) : -HUGE_VAL;
    case KernelKind::biweight: return sq < 1.0 ? 2.0 * log1p(-sq) : -HUGE_VAL;
    case KernelKind::linear: return sq < 1.0 ? log1p(-sqrt(sq)) : -HUGE_VAL;
    // cos(pi u / 2) as a sine: the cosine of a rounded argument has no digits near its zero.
    case KernelKind::cosine:
      return sq < 1.0 ? log(sin(1.5707963267948966 * (1.0 - sqrt(sq)))) : -HUGE_VAL;
  }
  return -HUGE_VAL;
}

// The u^2 beyond which log k(u) is below -drop.
GENMEM_FORMULA double kernel_reach(KernelKind kind, double drop) {
  switch (kind) {
    case KernelKind::gaussian: return 2.0 * drop;
    case KernelKind::exponential: return drop * drop;
    default: return 1.0;
  }
}

}  // namespace genmem::GENMEM_ISA
