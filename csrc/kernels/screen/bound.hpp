// What the forms of the screen share: rows brought to the common frame, the numbers of the bound,
// and the test of a strip of products.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/screen/screen.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr float kHalfUlp = 0x1p-24f;
inline constexpr float kUnderflow = 1e-30f;  // 4 d 2^-126 up to d = 10^7
inline constexpr float kLongest = 1e36f;     // sums of four such squared norms are finite

// Up by more than the roundings of the few float operations that made it; a square root of d
// squares summed in chains may be off by d / 64 half ulps, which the 1 % in gamma and slack covers
// beyond d = 2048.
inline float rounded_up(float x) { return x * (1.0f + 0x1p-19f) + 1e-30f; }

// t[c] = (row - centre) * scale, rounded to float32; zero from cols to row_floats(cols). Bytes and
// floats are computed in float32, doubles in float64: a double may be far outside float's range.
template <class T, class Wide>
inline void frame_row(const ScreenRows& s, int64_t row, float* t) {
  const T* from = static_cast<const T*>(s.from.data) + row * s.from.row_stride;
  const int64_t cols = s.from.cols, step = s.from.col_stride;
  const Wide scale = s.scale;
  if (step == 1) {
    for (int64_t c = 0; c < cols; ++c) {
      t[c] = static_cast<float>((static_cast<Wide>(from[c]) - s.centre[c]) * scale);
    }
  } else {
    for (int64_t c = 0; c < cols; ++c) {
      t[c] = static_cast<float>((static_cast<Wide>(from[c * step]) - s.centre[c]) * scale);
    }
  }
  for (int64_t c = cols; c < row_floats(cols); ++c) t[c] = 0.0f;
}

inline void frame_row(const ScreenRows& s, int64_t row, float* t) {
  switch (s.from.dtype) {
    case Dtype::float32: return frame_row<float, float>(s, row, t);
    case Dtype::float64: return frame_row<double, double>(s, row, t);
    case Dtype::uint8: return frame_row<uint8_t, float>(s, row, t);
  }
}

// From n = |t|^2 and the residual |t - t_h|: r also bounds the rounding of t itself, u |t|.
struct RowBound {
  float n, length, r, a;
};
inline RowBound row_bound(float n, float residual_sq) {
  const float length = rounded_up(sqrtf(n));
  const float r = rounded_up(sqrtf(residual_sq) + 2.0f * kHalfUlp * length);
  return {n, length, r, rounded_up(length + r)};
}

// n (1 - slack) less what underflow may take from products, norms and their sums: 4 d 2^-126 where
// the tiles flush denormals. A row too long for float32 has no norm, so that all its pairs are
// hits.
inline float low_norm(const ScreenRows& s, float n) {
  return n < kLongest ? n * (1.0f - s.slack) - kUnderflow : NAN;
}

inline void bound_query(const ScreenRows& s, int64_t i, const RowBound& b) {
  s.norm[i] = low_norm(s, b.n);
  s.length[i] = rounded_up(2.0f * b.r);
  s.error[i] = b.a;
}

inline void bound_point(const ScreenRows& s, int64_t i, const RowBound& b) {
  s.norm[i] = low_norm(s, b.n);
  s.length[i] = b.length;
  s.error[i] = rounded_up(2.0f * b.r + 2.0f * s.gamma * b.a);
}

// Sum of squares of a padded row in 4 registers: few roundings, see `slack`.
template <class V>
inline float sum_squares(const float* t, int64_t floats) {
  typename V::Reg sum[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  for (int64_t c = 0; c < floats; c += 4 * V::kWidth) {
    for (int v = 0; v < 4; ++v) {
      const typename V::Reg x = V::load(t + c + v * V::kWidth);
      sum[v] = V::fma(x, x, sum[v]);
    }
  }
  float lanes[V::kWidth];
  V::store(lanes, V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));
  float total = 0.0f;
  for (int v = 0; v < V::kWidth; ++v) total += lanes[v];
  return total;
}

inline void keep_hit(const ScreenStrip& s, int64_t row, int64_t query, float below) {
  const int64_t at = s.point + row;
  if (s.exclude && s.exclude[query] == at) return;
  const double norm = s.query_norm[query];
  const double low = static_cast<double>(below) + norm;
  const double width = static_cast<double>(s.query_length[query]) * s.length[row] +
                       static_cast<double>(s.query_error[query]) * s.error[row] +
                       1.01 * s.slack * (norm + s.norm[row]);
  const double high = low + 2.001 * width + 10.0 * static_cast<double>(kUnderflow);
  // Numbers beyond the range of float32 bound nothing.
  s.hits[query * s.capacity + s.found[query]++] = {at, low == low ? low : -HUGE_VAL,
                                                   high == high ? high : HUGE_VAL};
}

// x_h . y_h as float32 sums leave it.
template <class V, int kRegs>
struct FloatProducts {
  const float* products;
  typename V::Reg of(int64_t row, int v) const {
    return V::load(products + (row * kRegs + v) * V::kWidth);
  }
};

// Products of a strip -> hits. V: the float lanes; kRegs of them make a panel.
template <class V, int kRegs, class Products>
inline void find_hits(const ScreenStrip& s, const Products& products) {
  using Reg = typename V::Reg;
  constexpr int64_t kPanelWidth = kRegs * V::kWidth;
  Reg limit[kRegs], length[kRegs], error[kRegs];
  for (int v = 0; v < kRegs; ++v) {
    limit[v] = V::load(s.limit + v * V::kWidth);
    length[v] = V::load(s.query_length + v * V::kWidth);
    error[v] = V::load(s.query_error + v * V::kWidth);
  }
  const Reg two = V::broadcast(2.0f);
  const uint64_t wanted = s.active == 64 ? ~uint64_t{0} : (uint64_t{1} << s.active) - 1;
  for (int64_t row = 0; row < s.count; ++row) {
    const Reg norm = V::broadcast(s.norm[row]), y = V::broadcast(s.length[row]),
              e = V::broadcast(s.error[row]);
    Reg below[kRegs];
    uint64_t found = 0;
    for (int v = 0; v < kRegs; ++v) {
      below[v] = V::fnma(length[v], y, norm);
      below[v] = V::fnma(error[v], e, below[v]);
      below[v] = V::fnma(two, products.of(row, v), below[v]);
      found |= static_cast<uint64_t>(V::not_greater(below[v], limit[v])) << (v * V::kWidth);
    }
    found &= wanted;
    if (found == 0) continue;
    float values[kPanelWidth];
    for (int v = 0; v < kRegs; ++v) V::store(values + v * V::kWidth, below[v]);
    for (; found != 0; found &= found - 1) {
      const int query = __builtin_ctzll(found);
      keep_hit(s, row, query, values[query]);
    }
  }
}

}  // namespace genmem::GENMEM_ISA
