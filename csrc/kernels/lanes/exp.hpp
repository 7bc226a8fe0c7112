// exp over lanes for arguments <= 0, in float64.
//
//   x = n ln 2 + r, |r| <= ln 2 / 2;  exp(x) = 2^n exp(r),  exp(r) by Taylor to r^13 / 13!
//
// The remainder of the series is below 4e-18 relative, so the error is that of the rounding: within
// 2 ulp (tested). ln 2 is split in two so that n ln 2_high is exact. Below -708 the result would be
// denormal; it is 0, an absolute error of 4e-308 in sums that hold a term 1.
#pragma once

namespace genmem::GENMEM_ISA {

template <class L>
inline typename L::Reg exp_nonpositive(typename L::Reg x) {
  using Reg = typename L::Reg;
  const Reg n = L::round(L::mul(x, L::broadcast(1.4426950408889634074)));
  Reg r = L::fma(n, L::broadcast(-6.93147180369123816490e-01), x);
  r = L::fma(n, L::broadcast(-1.90821492927058770002e-10), r);
  constexpr double kTaylor[] = {1.0 / 479001600.0,
                                1.0 / 39916800.0,
                                1.0 / 3628800.0,
                                1.0 / 362880.0,
                                1.0 / 40320.0,
                                1.0 / 5040.0,
                                1.0 / 720.0,
                                1.0 / 120.0,
                                1.0 / 24.0,
                                1.0 / 6.0,
                                0.5,
                                1.0,
                                1.0};
  Reg p = L::broadcast(1.0 / 6227020800.0);
  for (const double c : kTaylor) p = L::fma(p, r, L::broadcast(c));
  return L::zero_where_below(L::scale_by_power_of_two(p, n), x, -708.0);
}

}  // namespace genmem::GENMEM_ISA
