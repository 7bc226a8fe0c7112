// The numbers of a screen's bound (kernels/screen/screen.hpp), of one row and of one pair.
#pragma once

#include <math.h>

#include "math/formula.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr float kHalfUlp = 0x1p-24f;
inline constexpr float kUnderflow = 1e-30f;  // 4 d 2^-126 up to d = 10^7
inline constexpr float kLongest = 1e36f;     // sums of four such squared norms are finite

// Up by more than the roundings of the few float operations that made it; a square root of d
// squares summed in chains may be off by d / 64 half ulps, which the 1 % in gamma and slack covers
// beyond d = 2048.
GENMEM_FORMULA float rounded_up(float x) { return x * (1.0f + 0x1p-19f) + 1e-30f; }

// From n = |t|^2 and the residual |t - t_h|: r also bounds the rounding of t itself, u |t|.
struct RowBound {
  float n, length, r, a;
};
GENMEM_FORMULA RowBound row_bound(float n, float residual_sq) {
  const float length = rounded_up(sqrtf(n));
  const float r = rounded_up(sqrtf(residual_sq) + 2.0f * kHalfUlp * length);
  return {n, length, r, rounded_up(length + r)};
}

// What is kept of a row: `norm`, n (1 - slack) less what underflow may take from products, norms
// and their sums (4 d 2^-126 where denormals are flushed), NaN for a row too long for float32, so
// that all its pairs are hits; `length`, of a point |y|, of a query 2 r; `error`, of a point
// 2 r + 2 gamma a, of a query a.
struct RowNumbers {
  float norm, length, error;
};
GENMEM_FORMULA float low_norm(float n, float slack) {
  return n < kLongest ? n * (1.0f - slack) - kUnderflow : NAN;
}
GENMEM_FORMULA RowNumbers query_numbers(const RowBound& b, float slack) {
  return {low_norm(b.n, slack), rounded_up(2.0f * b.r), b.a};
}
GENMEM_FORMULA RowNumbers point_numbers(const RowBound& b, float slack, float gamma) {
  return {low_norm(b.n, slack), b.length, rounded_up(2.0f * b.r + 2.0f * gamma * b.a)};
}

// D~ - B and D~ + B of a pair, from D~ - B less the query's norm. Numbers beyond the range of
// float32 bound nothing.
struct Bounds {
  double low, high;
};
GENMEM_FORMULA Bounds pair_bounds(const RowNumbers& query, const RowNumbers& point, float below,
                                  float slack) {
  const double norm = static_cast<double>(query.norm);
  const double low = static_cast<double>(below) + norm;
  const double width = static_cast<double>(query.length) * static_cast<double>(point.length) +
                       static_cast<double>(query.error) * static_cast<double>(point.error) +
                       1.01 * static_cast<double>(slack) * (norm + static_cast<double>(point.norm));
  const double high = low + 2.001 * width + 10.0 * static_cast<double>(kUnderflow);
  return {low == low ? low : -HUGE_VAL, high == high ? high : HUGE_VAL};
}

}  // namespace genmem::GENMEM_ISA
