// Four doubles: AVX2 with FMA.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/lanes/exp.hpp"

namespace genmem::GENMEM_ISA {

struct F64 {
  using Reg = __m256d;
  static constexpr int kWidth = 4;
  // 4 rows x 2 registers of sums leave 8 of the 16 registers for the operands.
  static constexpr int kTileRegs = 2;
  static constexpr int kWideSide = 2;  // 2 x 2 pairs of eight chains

  static Reg zero() { return _mm256_setzero_pd(); }
  static Reg broadcast(double x) { return _mm256_set1_pd(x); }
  static Reg load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, Reg x) { _mm256_storeu_pd(p, x); }
  static Reg add(Reg a, Reg b) { return _mm256_add_pd(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_pd(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_pd(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_pd(a, b, c); }
  static double fma_one(double a, double b, double c) { return __builtin_fma(a, b, c); }
  static Reg min(Reg a, Reg b) { return _mm256_min_pd(a, b); }
  static Reg max(Reg a, Reg b) { return _mm256_max_pd(a, b); }
  static bool any_less_equal(Reg a, Reg b) {
    return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ)) != 0;
  }
  static double sum(Reg x) {
    const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
  }
  static Reg add_to_exponent(Reg x, Reg shifted) {
    const __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(shifted), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), exponent));
  }
  static Reg zero_where_below(Reg value, Reg x, double limit) {
    return _mm256_and_pd(value, _mm256_cmp_pd(x, _mm256_set1_pd(limit), _CMP_GE_OQ));
  }
  static Reg exp(Reg x) { return exp_nonpositive<F64>(x); }
  static Reg widen(const double* p) { return _mm256_loadu_pd(p); }
  static Reg widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static Reg widen(const uint8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
  }
};

// Eight floats.
struct F32 {
  using Reg = __m256;
  static constexpr int kWidth = 8;
  // 6 rows x 2 registers of sums leave 4 of the 16 registers for the operands.
  static constexpr int kTileRows = 6;
  static constexpr int kTileRegs = 2;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg broadcast(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg fnma(Reg a, Reg b, Reg c) { return _mm256_fnmadd_ps(a, b, c); }
  // One bit per lane; a NaN is not greater.
  static uint32_t not_greater(Reg a, Reg b) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NGT_UQ)));
  }
};

// Eight sums of products of pairs of 16-bit integers.
struct PairSums {
  // Not __m256i, which may alias anything: GCC 12 then keeps the sums in memory.
  using Reg = int32_t __attribute__((vector_size(32)));
  // As of F32: 6 rows x 2 registers of sums leave 4 of the 16 for operands and products.
  static constexpr int kTileRows = 6;
  static constexpr int kTileRegs = 2;

  static Reg zero() { return Reg{}; }
  static Reg load(const int32_t* p) {
    return (Reg)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store(int32_t* p, Reg x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)x);
  }
  static Reg broadcast(int32_t pair) { return (Reg)_mm256_set1_epi32(pair); }
  static Reg add_products(Reg sum, Reg x, Reg y) {
    return sum + (Reg)_mm256_madd_epi16((__m256i)x, (__m256i)y);
  }
  static __m256 to_float(Reg x) { return _mm256_cvtepi32_ps((__m256i)x); }
};

}  // namespace genmem::GENMEM_ISA
