// Sums over the tokens of each pair of samples, of a tile of products in shared memory.
#pragma once

#include <math.h>

#include "kernels/device/device.hpp"
#include "kernels/grad_dot/card.hpp"

namespace genmem::GENMEM_ISA {

// Tokens of a sample that are summed at a time, counted from its first one: so the order of a sum
// depends on the pair alone.
inline constexpr int kRun = 8;

// A tile of products, kSide x kSide; rows are turned against each other, so that neither a row nor
// a column is read from one bank.
template <class T, int kSide>
struct Plane {
  T* at;
  GENMEM_DEVICE T& of(int row, int col) const {
    return at[row * kSide + ((col + row) & (kSide - 1))];
  }
};

// Of one side of a tile: the tokens that it holds of a group of samples.
template <class T>
struct TileSide {
  int64_t first;  // token of the tile's first row
  int count;      // rows of the tile that are tokens
  T* bias;        // (kSide,) scale of a where there is a bias, else 0
  uint8_t* run;   // (kSide,) tokens of the run that begins here, 0 within one
};

GENMEM_DEVICE int64_t first_token(const CardTokens& tokens, int64_t group) {
  return tokens.layer.offsets[tokens.groups[group]];
}

// Row `row` of the tile that begins with side.first.
template <class T>
GENMEM_DEVICE void describe_row(const CardTokens& tokens, int64_t group, const TileSide<T>& side,
                                int row, bool bias) {
  const int64_t token = side.first + row;
  const bool inside = row < side.count;
  side.bias[row] = inside && bias ? static_cast<T>(tokens.input_scale[token]) : T{0};
  int length = 0;
  if (inside) {
    const int64_t* offsets = tokens.layer.offsets;
    int64_t low = tokens.groups[group], high = tokens.groups[group + 1];
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      if (offsets[middle] <= token) {
        low = middle;
      } else {
        high = middle;
      }
    }
    if ((token - offsets[low]) % kRun == 0) {
      int64_t left = offsets[low + 1] - token;
      left = left < side.count - row ? left : side.count - row;
      length = static_cast<int>(left < kRun ? left : kRun);
    }
  }
  side.run[row] = static_cast<uint8_t>(length);
}

// Whether the product of two samples is of those that a tolerance leaves to this call.
GENMEM_DEVICE bool taken(const CardTokenProducts& p, int64_t i, int64_t j) {
  if (!p.x.ratio) return true;
  if (p.x.before && p.x.before[i] * p.y.before[j] <= p.tol) return false;
  return p.x.ratio[i] * p.y.ratio[j] <= p.tol;
}

// Runs of columns, then runs of rows, each into its first place; then pairs of samples, in float64.
// Every thread of the block; the tile has been written behind a barrier.
template <class T, int kSide>
GENMEM_DEVICE void add_segments(const CardTokenProducts& p, int64_t x_group, int64_t y_group,
                                const Plane<T, kSide>& plane, const TileSide<T>& x,
                                const TileSide<T>& y) {
  const int warps = device::threads() / device::kWarp;
  for (int c = device::warp(); c < y.count; c += warps) {
    const int length = y.run[c];
    if (length < 2) continue;
    for (int r = device::lane(); r < x.count; r += device::kWarp) {
      T sum = plane.of(r, c);
      for (int i = 1; i < length; ++i) sum += plane.of(r, c + i);
      plane.of(r, c) = sum;
    }
  }
  device::barrier();
  for (int r = device::warp(); r < x.count; r += warps) {
    const int length = x.run[r];
    if (length < 2) continue;
    for (int c = device::lane(); c < y.count; c += device::kWarp) {
      if (y.run[c] == 0) continue;
      double sum = static_cast<double>(plane.of(r, c));
      for (int i = 1; i < length; ++i) sum += static_cast<double>(plane.of(r + i, c));
      plane.of(r, c) = static_cast<T>(sum);
    }
  }
  device::barrier();
  const int64_t *x_offsets = p.x.layer.offsets, *y_offsets = p.y.layer.offsets;
  const int64_t x_sample = p.x.groups[x_group], y_sample = p.y.groups[y_group];
  const int columns = static_cast<int>(p.y.groups[y_group + 1] - y_sample);
  const int pairs = static_cast<int>(p.x.groups[x_group + 1] - x_sample) * columns;
  for (int pair = device::thread(); pair < pairs; pair += device::threads()) {
    const int64_t i = x_sample + pair / columns, j = y_sample + pair % columns;
    if (!taken(p, i, j)) continue;
    const auto place = [](int64_t token, int64_t first, int count) {
      const int64_t at = token - first;
      return at < 0 ? 0 : at > count ? count : static_cast<int>(at);
    };
    const int rows_end = place(x_offsets[i + 1], x.first, x.count);
    const int cols_begin = place(y_offsets[j], y.first, y.count);
    const int cols_end = place(y_offsets[j + 1], y.first, y.count);
    double sum = 0.0;
    for (int r = place(x_offsets[i], x.first, x.count); r < rows_end; r += kRun) {
      for (int c = cols_begin; c < cols_end; c += kRun) {
        sum += static_cast<double>(plane.of(r, c));
      }
    }
    p.out[(i - p.x.origin) * p.out_stride + j - p.y.origin] +=
        sum * p.x.unscale[i] * p.y.unscale[j];
  }
}

// Of a group's samples, by a warp: the least ratio, and the most of those before.
struct Ratios {
  double least, most;
};
GENMEM_DEVICE Ratios ratios_of(const CardTokens& tokens, int64_t group) {
  Ratios all{HUGE_VAL, 0.0};
  for (int64_t i = tokens.groups[group] + device::lane(); i < tokens.groups[group + 1];
       i += device::kWarp) {
    const double ratio = tokens.ratio[i], before = tokens.before ? tokens.before[i] : HUGE_VAL;
    all.least = ratio < all.least ? ratio : all.least;
    all.most = before > all.most ? before : all.most;
  }
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
    const double least = device::shuffle_xor(all.least, mask);
    const double most = device::shuffle_xor(all.most, mask);
    all.least = least < all.least ? least : all.least;
    all.most = most > all.most ? most : all.most;
  }
  return all;
}

// Whether any product of two groups is wanted; every lane of a warp. A ratio without a value, 0
// times infinity, rules nothing out.
GENMEM_DEVICE bool wanted(const CardTokenProducts& p, int64_t x_group, int64_t y_group) {
  if (p.triangle && p.x_sample + p.x.groups[x_group] >= p.y_sample + p.y.groups[y_group + 1]) {
    return false;
  }
  if (!p.x.ratio) return true;
  const Ratios x = ratios_of(p.x, x_group), y = ratios_of(p.y, y_group);
  return !(x.most * y.most <= p.tol) && !(x.least * y.least > p.tol);
}

}  // namespace genmem::GENMEM_ISA
