// Token products in float64 on the card, and products of listed pairs of samples; see card.hpp.
#pragma once

#include <math.h>

#include "kernels/device/entries.hpp"
#include "kernels/device/reduce.hpp"
#include "kernels/grad_dot/card_scales.hpp"
#include "kernels/grad_dot/card_segments.hpp"

namespace genmem::GENMEM_ISA {

// A tile of 64 x 64 for 256 threads, 4 x 4 each; 16 features at a time through shared memory.
struct Wide {
  static constexpr int kSide = 64;
  static constexpr int kThreads = 256;
  static constexpr int kDepth = 16;
  static constexpr int64_t kShared = (2 * kDepth * kSide + kSide * kSide) * 8 + 2 * kSide * (8 + 1);
};

// Features `col` .. + 16 of the tokens of one side, feature by feature; zeros outside.
GENMEM_DEVICE void read_features(double* to, const Matrix& m, const TileSide<double>& side,
                                 const double* scale, int64_t col) {
  for (int i = device::thread(); i < Wide::kSide * Wide::kDepth; i += Wide::kThreads) {
    const int row = i / Wide::kDepth, c = i % Wide::kDepth;
    double value = 0.0;
    if (row < side.count && col + c < m.cols) {
      value = entry(m, side.first + row, col + c) * scale[side.first + row];
    }
    to[c * 2 * Wide::kSide + row] = value;
  }
}

GENMEM_DEVICE void add_wide_product(double (&sums)[4][4], double* features, const Matrix& x,
                                    const TileSide<double>& xs, const double* x_scale,
                                    const Matrix& y, const TileSide<double>& ys,
                                    const double* y_scale) {
  const int row = device::thread() / 16, column = device::thread() % 16;
  for (int64_t col = 0; col < x.cols; col += Wide::kDepth) {
    device::barrier();
    read_features(features, x, xs, x_scale, col);
    read_features(features + Wide::kSide, y, ys, y_scale, col);
    device::barrier();
    for (int c = 0; c < Wide::kDepth; ++c) {
      const double* of = features + c * 2 * Wide::kSide;
      GENMEM_UNROLL
      for (int i = 0; i < 4; ++i) {
        GENMEM_UNROLL
        for (int j = 0; j < 4; ++j) {
          sums[i][j] = fma(of[row + 16 * i], of[Wide::kSide + column + 16 * j], sums[i][j]);
        }
      }
    }
  }
}

GENMEM_KERNEL void GENMEM_BLOCKS(Wide::kThreads, 2) add_wide_products(CardTokenProducts p) {
  const int64_t x_group = device::block_y(), y_group = device::block_x();
  if (!wanted(p, x_group, y_group)) return;
  double* const features = reinterpret_cast<double*>(device::shared_memory());
  const Plane<double, Wide::kSide> plane{features + 2 * Wide::kDepth * Wide::kSide};
  double* const bias = plane.at + Wide::kSide * Wide::kSide;
  uint8_t* const runs = reinterpret_cast<uint8_t*>(bias + 2 * Wide::kSide);
  TileSide<double> x{0, 0, bias, runs}, y{0, 0, bias + Wide::kSide, runs + Wide::kSide};
  const int64_t x_end = first_token(p.x, x_group + 1), y_end = first_token(p.y, y_group + 1);
  const int row = device::thread() / 16, column = device::thread() % 16;
  const auto rows_left = [](int64_t left) {
    return static_cast<int>(left < Wide::kSide ? left : Wide::kSide);
  };
  for (x.first = first_token(p.x, x_group); x.first < x_end; x.first += Wide::kSide) {
    x.count = rows_left(x_end - x.first);
    for (y.first = first_token(p.y, y_group); y.first < y_end; y.first += Wide::kSide) {
      y.count = rows_left(y_end - y.first);
      if (device::thread() < Wide::kSide) {
        describe_row(p.x, x_group, x, device::thread(), p.bias);
      } else if (device::thread() < 2 * Wide::kSide) {
        describe_row(p.y, y_group, y, device::thread() - Wide::kSide, p.bias);
      }
      double a[4][4] = {}, g[4][4] = {};
      add_wide_product(a, features, p.x.layer.inputs, x, p.x.input_scale, p.y.layer.inputs, y,
                       p.y.input_scale);
      add_wide_product(g, features, p.x.layer.gradients, x, p.x.gradient_scale, p.y.layer.gradients,
                       y, p.y.gradient_scale);
      device::barrier();
      GENMEM_UNROLL
      for (int i = 0; i < 4; ++i) {
        GENMEM_UNROLL
        for (int j = 0; j < 4; ++j) {
          const int r = row + 16 * i, c = column + 16 * j;
          plane.of(r, c) = (a[i][j] + x.bias[r] * y.bias[c]) * g[i][j];
        }
      }
      device::barrier();
      add_segments(p, x_group, y_group, plane, x, y);
      device::barrier();
    }
  }
}

// Pairs: a block for each, whose warps take turns at blocks of 4 x 4 tokens, features in the lanes.
inline constexpr int kPairSide = 4;
inline constexpr int kPairWarps = 4;

// The sum over all lanes of number lane / 2 of each: in every step the lanes give away half of what
// they hold, a fifth of the shuffles that as many whole sums take.
template <int kHalf>
GENMEM_DEVICE void give_half(double (&x)[kPairSide * kPairSide]) {
  const bool upper = device::lane() & 2 * kHalf;
  GENMEM_UNROLL
  for (int i = 0; i < kHalf; ++i) {
    const double given = upper ? x[i] : x[i + kHalf];
    x[i] = (upper ? x[i + kHalf] : x[i]) + device::shuffle_xor(given, 2 * kHalf);
  }
}
GENMEM_DEVICE double scattered_sum(double (&x)[kPairSide * kPairSide]) {
  static_assert(kPairSide == 4);
  give_half<8>(x);
  give_half<4>(x);
  give_half<2>(x);
  give_half<1>(x);
  return x[0] + device::shuffle_xor(x[0], 1);
}

// Of a block of tokens, the inner product of row lane / 8 and column lane / 2 % 4; a row beyond the
// last one is that one again.
GENMEM_DEVICE double pair_dot(const Matrix& x, int64_t x_token, int64_t x_end, const Matrix& y,
                              int64_t y_token, int64_t y_end) {
  const auto row = [](int64_t token, int64_t end) { return token < end ? token : end - 1; };
  double sums[kPairSide * kPairSide] = {};
  for (int64_t c = device::lane(); c < x.cols; c += device::kWarp) {
    double right[kPairSide];
    GENMEM_UNROLL
    for (int j = 0; j < kPairSide; ++j) right[j] = entry(y, row(y_token + j, y_end), c);
    GENMEM_UNROLL
    for (int i = 0; i < kPairSide; ++i) {
      const double left = entry(x, row(x_token + i, x_end), c);
      GENMEM_UNROLL
      for (int j = 0; j < kPairSide; ++j) {
        sums[i * kPairSide + j] = fma(left, right[j], sums[i * kPairSide + j]);
      }
    }
  }
  return scattered_sum(sums);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kPairWarps* device::kWarp, 4) add_pairs(CardTokenPairs p) {
  double* const parts = reinterpret_cast<double*>(device::shared_memory());
  const int64_t n = device::block_x(), i = p.x_at[n], j = p.y_at[n];
  const int64_t x_first = p.x.offsets[i], x_end = p.x.offsets[i + 1];
  const int64_t y_first = p.y.offsets[j], y_end = p.y.offsets[j + 1];
  const int64_t rows = (x_end - x_first + kPairSide - 1) / kPairSide;
  const int64_t columns = (y_end - y_first + kPairSide - 1) / kPairSide;
  const double bias = p.bias ? 1.0 : 0.0;
  double sum = 0.0;
  for (int64_t at = device::warp(); at < rows * columns; at += kPairWarps) {
    const int64_t x_token = x_first + at / columns * kPairSide;
    const int64_t y_token = y_first + at % columns * kPairSide;
    const double a = pair_dot(p.x.inputs, x_token, x_end, p.y.inputs, y_token, y_end);
    const double g = pair_dot(p.x.gradients, x_token, x_end, p.y.gradients, y_token, y_end);
    const bool inside =
        x_token + device::lane() / 8 < x_end && y_token + device::lane() / 2 % 4 < y_end;
    if (inside && device::lane() % 2 == 0) sum += (a + bias) * g;
  }
  sum = warp_sum(sum);
  if (device::lane() == 0) parts[device::warp()] = sum;
  device::barrier();
  if (device::thread() == 0) {
    double all = 0.0;
    for (int warp = 0; warp < kPairWarps; ++warp) all += parts[warp];
    p.out[n] += all;
  }
}

GENMEM_DEVICE double row_square(const Matrix& m, int64_t row) {
  double sum = 0.0;
  for (int64_t c = device::lane(); c < m.cols; c += device::kWarp) {
    const double x = entry(m, row, c);
    sum = fma(x, x, sum);
  }
  return warp_sum(sum);
}

// A warp for each sample.
GENMEM_KERNEL void GENMEM_BLOCKS(kStreamWarps* device::kWarp, 3) add_sizes(CardTokenSizes p) {
  const int64_t sample = device::block_x() * kStreamWarps + device::warp();
  if (sample >= p.samples) return;
  double sum = 0.0;
  for (int64_t t = p.layer.offsets[sample]; t < p.layer.offsets[sample + 1]; ++t) {
    const double a = row_square(p.layer.inputs, t) + (p.bias ? 1.0 : 0.0);
    sum += sqrt(a) * sqrt(row_square(p.layer.gradients, t));
  }
  if (device::lane() == 0) p.out[sample] += p.weight * sum * sum;
}

}  // namespace genmem::GENMEM_ISA
