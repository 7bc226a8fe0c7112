// Two doubles: the vectors that every AArch64 processor has.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#include "kernels/lanes/exp.hpp"

namespace genmem::GENMEM_ISA {

struct F64 {
  using Reg = float64x2_t;
  static constexpr int kWidth = 2;
  // 4 rows x 4 registers of sums, 4 loads, and room for the differences, in 32 registers.
  static constexpr int kTileRegs = 4;
  static constexpr int kWideSide = 2;  // 2 x 2 pairs of eight chains

  static Reg zero() { return vdupq_n_f64(0.0); }
  static Reg broadcast(double x) { return vdupq_n_f64(x); }
  static Reg load(const double* p) { return vld1q_f64(p); }
  static void store(double* p, Reg x) { vst1q_f64(p, x); }
  static Reg add(Reg a, Reg b) { return vaddq_f64(a, b); }
  static Reg sub(Reg a, Reg b) { return vsubq_f64(a, b); }
  static Reg mul(Reg a, Reg b) { return vmulq_f64(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f64(c, a, b); }
  static double fma_one(double a, double b, double c) { return __builtin_fma(a, b, c); }
  static Reg min(Reg a, Reg b) { return vminq_f64(a, b); }
  static Reg max(Reg a, Reg b) { return vmaxq_f64(a, b); }
  static bool any_less_equal(Reg a, Reg b) {
    return vmaxvq_u32(vreinterpretq_u32_u64(vcleq_f64(a, b))) != 0;
  }
  static double sum(Reg x) { return vaddvq_f64(x); }
  static Reg add_to_exponent(Reg x, Reg shifted) {
    const int64x2_t exponent = vshlq_n_s64(vreinterpretq_s64_f64(shifted), 52);
    return vreinterpretq_f64_s64(vaddq_s64(vreinterpretq_s64_f64(x), exponent));
  }
  static Reg zero_where_below(Reg value, Reg x, double limit) {
    const uint64x2_t keep = vcgeq_f64(x, vdupq_n_f64(limit));
    return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(value), keep));
  }
  static Reg exp(Reg x) { return exp_nonpositive<F64>(x); }
  static Reg widen(const double* p) { return vld1q_f64(p); }
  static Reg widen(const float* p) { return vcvt_f64_f32(vld1_f32(p)); }
  static Reg widen(const uint8_t* p) {
    uint16_t two;
    __builtin_memcpy(&two, p, 2);
    const uint16x8_t halves = vmovl_u8(vreinterpret_u8_u16(vdup_n_u16(two)));
    const uint32x4_t words = vmovl_u16(vget_low_u16(halves));
    return vcvtq_f64_u64(vmovl_u32(vget_low_u32(words)));
  }
};

// Four floats.
struct F32 {
  using Reg = float32x4_t;
  static constexpr int kWidth = 4;
  // 6 rows x 4 registers of sums leave 8 of the 32 registers for the operands.
  static constexpr int kTileRows = 6;
  static constexpr int kTileRegs = 4;

  static Reg zero() { return vdupq_n_f32(0.0f); }
  static Reg broadcast(float x) { return vdupq_n_f32(x); }
  static Reg load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Reg x) { vst1q_f32(p, x); }
  static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static Reg sub(Reg a, Reg b) { return vsubq_f32(a, b); }
  static Reg mul(Reg a, Reg b) { return vmulq_f32(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg fnma(Reg a, Reg b, Reg c) { return vfmsq_f32(c, a, b); }
  // One bit per lane; a NaN is not greater.
  static uint32_t not_greater(Reg a, Reg b) {
    const uint32x4_t bits = {1, 2, 4, 8};
    return vaddvq_u32(vbicq_u32(bits, vcgtq_f32(a, b)));
  }
};

}  // namespace genmem::GENMEM_ISA
