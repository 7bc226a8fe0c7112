// exp over lanes in float64, for -708 <= x <= 0: the result is normal. Below, the caller masks it.
//
//   x = n ln 2 + r, |r| <= ln 2 / 2;  exp(x) = 2^n (1 + r + r^2 q(r))
//
// q of degree 9 is the best in relative error, 1.1e-17 as rounded here (Remez's exchange), so the
// error is that of the arithmetic: within 2 ulp (tested). ln 2 is split in two so that n ln 2_high
// is exact. x log2(e) + 1.5 2^52 holds the integer n in its low bits: 52 places up they are what
// 2^n adds to the exponent.
#pragma once

namespace genmem::GENMEM_ISA {

template <class L>
inline typename L::Reg exp_nonpositive(typename L::Reg x) {
  using Reg = typename L::Reg;
  const Reg whole = L::broadcast(6755399441055744.0);
  const Reg shifted = L::fma(x, L::broadcast(1.4426950408889634074), whole);
  const Reg n = L::sub(shifted, whole);
  Reg r = L::fma(n, L::broadcast(-6.93147180369123816490e-01), x);
  r = L::fma(n, L::broadcast(-1.90821492927058770002e-10), r);
  constexpr double kSeries[] = {2.7630233929422185e-07,
                                2.7557586266515903e-06,
                                2.4801493136159968e-05,
                                1.9841269506779462e-04,
                                1.3888888943597722e-03,
                                8.3333333334943331e-03,
                                4.1666666666530266e-02,
                                1.6666666666666413e-01,
                                0x1.000000000000ap-1,
                                1.0,
                                1.0};
  Reg p = L::broadcast(2.5000072281462547e-08);
  for (const double c : kSeries) p = L::fma(p, r, L::broadcast(c));
  return L::add_to_exponent(p, shifted);
}

}  // namespace genmem::GENMEM_ISA
