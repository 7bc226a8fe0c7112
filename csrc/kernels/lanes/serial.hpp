// One lane: plain C++ with the flags of the portable build. The witness of the vector kernels.
#pragma once

#include <math.h>
#include <stdint.h>

namespace genmem::GENMEM_ISA {

struct F64 {
  using Reg = double;
  static constexpr int kWidth = 1;
  static constexpr int kTileRegs = 4;
  static constexpr int kWideSide = 1;  // pairs of eight chains

  static Reg zero() { return 0.0; }
  static Reg broadcast(double x) { return x; }
  static Reg load(const double* p) { return *p; }
  static void store(double* p, Reg x) { *p = x; }
  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg sub(Reg a, Reg b) { return a - b; }
  static Reg mul(Reg a, Reg b) { return a * b; }
  // Not the C library's fma: without the instruction it is a function call of some 50 cycles.
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }
  static double fma_one(double a, double b, double c) { return fma(a, b, c); }
  static Reg min(Reg a, Reg b) { return a < b ? a : b; }
  static Reg max(Reg a, Reg b) { return a > b ? a : b; }
  static bool any_less_equal(Reg a, Reg b) { return a <= b; }
  static double sum(Reg x) { return x; }
  static Reg exp(Reg x) { return ::exp(x); }
  static Reg zero_where_below(Reg value, Reg x, double limit) { return x >= limit ? value : 0.0; }
  static Reg widen(const double* p) { return *p; }
  static Reg widen(const float* p) { return static_cast<double>(*p); }
  static Reg widen(const uint8_t* p) { return static_cast<double>(*p); }
};

struct F32 {
  using Reg = float;
  static constexpr int kWidth = 1;

  static Reg zero() { return 0.0f; }
  static Reg broadcast(float x) { return x; }
  static Reg load(const float* p) { return *p; }
  static void store(float* p, Reg x) { *p = x; }
  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg mul(Reg a, Reg b) { return a * b; }
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }
};

}  // namespace genmem::GENMEM_ISA
