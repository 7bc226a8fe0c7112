// What the forms of the screen share: rows brought to the common frame, the numbers of the bound,
// and the test of a strip of products.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/screen/screen.hpp"
#include "math/screen_bound.hpp"

namespace genmem::GENMEM_ISA {

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

inline void put(const ScreenRows& s, int64_t i, const RowNumbers& numbers) {
  s.norm[i] = numbers.norm;
  s.length[i] = numbers.length;
  s.error[i] = numbers.error;
}

inline void bound_query(const ScreenRows& s, int64_t i, const RowBound& b) {
  put(s, i, query_numbers(b, s.slack));
}

inline void bound_point(const ScreenRows& s, int64_t i, const RowBound& b) {
  put(s, i, point_numbers(b, s.slack, s.gamma));
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
  const Bounds bounds =
      pair_bounds({s.query_norm[query], s.query_length[query], s.query_error[query]},
                  {s.norm[row], s.length[row], s.error[row]}, below, s.slack);
  s.hits[query * s.capacity + s.found[query]++] = {at, bounds.low, bounds.high};
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
