// Eight doubles: AVX-512 F.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/lanes/exp.hpp"

namespace genmem::GENMEM_ISA {

struct F64 {
  using Reg = __m512d;
  static constexpr int kWidth = 8;
  // 4 rows x 4 registers of sums, 4 loads, and room for the differences, in 32 registers.
  static constexpr int kTileRegs = 4;
  static constexpr int kWideSide = 4;  // 4 x 4 pairs of eight chains

  static Reg zero() { return _mm512_setzero_pd(); }
  static Reg broadcast(double x) { return _mm512_set1_pd(x); }
  static Reg load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, Reg x) { _mm512_storeu_pd(p, x); }
  static Reg add(Reg a, Reg b) { return _mm512_add_pd(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_pd(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_pd(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_pd(a, b, c); }
  static double fma_one(double a, double b, double c) { return __builtin_fma(a, b, c); }
  static Reg min(Reg a, Reg b) { return _mm512_min_pd(a, b); }
  static Reg max(Reg a, Reg b) { return _mm512_max_pd(a, b); }
  static bool any_less_equal(Reg a, Reg b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ) != 0; }
  static double sum(Reg x) { return _mm512_reduce_add_pd(x); }
  static Reg add_to_exponent(Reg x, Reg shifted) {
    const __m512i exponent = _mm512_slli_epi64(_mm512_castpd_si512(shifted), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), exponent));
  }
  static Reg zero_where_below(Reg value, Reg x, double limit) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, _mm512_set1_pd(limit), _CMP_GE_OQ), value);
  }
  static Reg exp(Reg x) { return exp_nonpositive<F64>(x); }
  static Reg widen(const double* p) { return _mm512_loadu_pd(p); }
  static Reg widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  static Reg widen(const uint8_t* p) {
    int64_t eight;
    __builtin_memcpy(&eight, p, 8);
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(eight)));
  }
};

// Sixteen floats.
struct F32 {
  using Reg = __m512;
  static constexpr int kWidth = 16;
  // 12 rows x 2 registers of sums, 2 loads, and broadcasts that the multiply-add takes from memory.
  static constexpr int kTileRows = 12;
  static constexpr int kTileRegs = 2;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg broadcast(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg fnma(Reg a, Reg b, Reg c) { return _mm512_fnmadd_ps(a, b, c); }
  // One bit per lane; a NaN is not greater.
  static uint32_t not_greater(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ); }
};

}  // namespace genmem::GENMEM_ISA
