// The product of two samples in one layer, in float64: features in the lanes, nothing packed.
#pragma once

#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/pairs/block.hpp"

namespace genmem::GENMEM_ISA {

// R x P inner products of contiguous rows, each in as many chains as there are lanes.
template <class L, class T, int R, int P>
inline void row_products(const Matrix& x, int64_t x_row, const Matrix& y, int64_t y_row,
                         double* out) {
  typename L::Reg sum[R][P];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) sum[r][p] = L::zero();
  }
  const int64_t whole = x.cols / L::kWidth * L::kWidth;
  for (int64_t c = 0; c < whole; c += L::kWidth) {
    typename L::Reg right[P];
    for (int p = 0; p < P; ++p) right[p] = L::widen(element<T>(y, y_row + p, 0) + c);
    for (int r = 0; r < R; ++r) {
      const typename L::Reg left = L::widen(element<T>(x, x_row + r, 0) + c);
      for (int p = 0; p < P; ++p) sum[r][p] = L::fma(left, right[p], sum[r][p]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) {
      double rest = L::sum(sum[r][p]);
      for (int64_t c = whole; c < x.cols; ++c) {
        rest += static_cast<double>(*element<T>(x, x_row + r, c)) *
                static_cast<double>(*element<T>(y, y_row + p, c));
      }
      out[r * P + p] = rest;
    }
  }
}

template <class L, int R, int P>
inline double token_pairs(const GradDotPair& s, int64_t x_token, int64_t y_token) {
  double a[R * P], g[R * P], sum = 0.0;
  if (s.x.inputs.dtype == Dtype::float32) {
    row_products<L, float, R, P>(s.x.inputs, x_token, s.y.inputs, y_token, a);
  } else {
    row_products<L, double, R, P>(s.x.inputs, x_token, s.y.inputs, y_token, a);
  }
  if (s.x.gradients.dtype == Dtype::float32) {
    row_products<L, float, R, P>(s.x.gradients, x_token, s.y.gradients, y_token, g);
  } else {
    row_products<L, double, R, P>(s.x.gradients, x_token, s.y.gradients, y_token, g);
  }
  for (int i = 0; i < R * P; ++i) sum += (a[i] + s.bias) * g[i];
  return sum;
}

template <class L>
inline double grad_dot_pair_of(const GradDotPair& s) {
  constexpr int kSide = L::kWideSide;
  const int64_t x_end = s.x.offsets[s.x_sample + 1], y_end = s.y.offsets[s.y_sample + 1];
  double sum = 0.0;
  int64_t i = s.x.offsets[s.x_sample];
  for (; i + kSide <= x_end; i += kSide) {
    int64_t j = s.y.offsets[s.y_sample];
    for (; j + kSide <= y_end; j += kSide) sum += token_pairs<L, kSide, kSide>(s, i, j);
    for (; j < y_end; ++j) sum += token_pairs<L, kSide, 1>(s, i, j);
  }
  for (; i < x_end; ++i) {
    for (int64_t j = s.y.offsets[s.y_sample]; j < y_end; ++j) sum += token_pairs<L, 1, 1>(s, i, j);
  }
  return sum;
}

template <class T>
inline double square_of(const Matrix& m, int64_t row) {
  double sum = 0.0;
  for (int64_t c = 0; c < m.cols; ++c) {
    const auto x = static_cast<double>(*element<T>(m, row, c));
    sum += x * x;
  }
  return sum;
}

template <class L>
inline double row_square(const Matrix& m, int64_t row) {
  double sum = 0.0;
  switch (m.dtype) {
    case Dtype::float32:
      if (m.col_stride != 1) return square_of<float>(m, row);
      row_products<L, float, 1, 1>(m, row, m, row, &sum);
      return sum;
    case Dtype::float64:
      if (m.col_stride != 1) return square_of<double>(m, row);
      row_products<L, double, 1, 1>(m, row, m, row, &sum);
      return sum;
    case Dtype::uint8: return square_of<uint8_t>(m, row);
  }
  return sum;
}

template <class L>
inline double grad_dot_size_of(const GradDotPair& s) {
  double sum = 0.0;
  for (int64_t t = s.x.offsets[s.x_sample]; t < s.x.offsets[s.x_sample + 1]; ++t) {
    const double a = row_square<L>(s.x.inputs, t) + s.bias;
    sum += __builtin_sqrt(a) * __builtin_sqrt(row_square<L>(s.x.gradients, t));
  }
  return sum;
}

}  // namespace genmem::GENMEM_ISA
