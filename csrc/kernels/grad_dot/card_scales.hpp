// The powers of two of the tokens, their factors as parts of bfloat16, and what is lost of them;
// see scales.hpp and card.hpp.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/device/device.hpp"
#include "kernels/device/entries.hpp"
#include "kernels/device/reduce.hpp"
#include "kernels/grad_dot/card.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr int kStageBytes = kCardParts * kCardStage * 2;  // of a token: part by part
inline constexpr int kStreamWarps = 8;                           // of a block that streams rows

template <class T>
GENMEM_DEVICE T bits_of(const Matrix& m, int64_t row, int64_t col) {
  T bits;
  memcpy(&bits, static_cast<const T*>(m.data) + row * m.row_stride + col * m.col_stride,
         sizeof bits);
  return bits;
}

// 2^e, e within -1022 .. 1023.
GENMEM_DEVICE double two_to(int e) {
  const int64_t bits = static_cast<int64_t>(e + 1023) << 52;
  double out;
  memcpy(&out, &bits, sizeof out);
  return out;
}

// That of zeros alone.
inline constexpr int kZeros = -4096;

// The exponent of the largest entry of a row, by a warp; 0 for bytes. That of infinities and NaN is
// the largest of all.
GENMEM_DEVICE int row_exponent(const Matrix& m, int64_t row) {
  if (m.dtype == Dtype::uint8) return 0;
  int most = kZeros;
  for (int64_t c = device::lane(); c < m.cols; c += device::kWarp) {
    int e = kZeros;
    if (m.dtype == Dtype::float32) {
      const uint32_t bits = bits_of<uint32_t>(m, row, c) & 0x7fffffffu;
      if (bits) e = static_cast<int>(bits >> 23) - 127;
    } else {
      const uint64_t bits = bits_of<uint64_t>(m, row, c) & 0x7fffffffffffffffull;
      if (bits) e = static_cast<int>(bits >> 52) - 1023;
    }
    most = e > most ? e : most;
  }
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
    const int other = device::shuffle_xor(most, mask);
    most = other > most ? other : most;
  }
  return most;
}

struct ScaleParams {
  CardTokens tokens;
  bool bias;
  int limit;  // of exponents: 126 for float32, 500 for float64
};

GENMEM_DEVICE int within(int e, int limit) { return e > limit ? limit : e < -limit ? -limit : e; }

// A warp for each sample. What a lane writes in the first pass, the same lane reads in the second.
GENMEM_KERNEL void GENMEM_BLOCKS(kStreamWarps* device::kWarp, 3) scale_tokens(ScaleParams p) {
  const int64_t sample = device::block_x() * kStreamWarps + device::warp();
  if (sample >= p.tokens.samples) return;
  const TokenLayer& layer = p.tokens.layer;
  const int64_t first = layer.offsets[sample], end = layer.offsets[sample + 1];
  int most = kZeros;
  for (int64_t token = first; token < end; ++token) {
    int a = row_exponent(layer.inputs, token);
    if (p.bias && a < 0) a = 0;
    const int g = row_exponent(layer.gradients, token);
    const bool live = a != kZeros && g != kZeros;
    a = a == kZeros ? 0 : within(a, p.limit);
    const int both = live ? a + within(g, p.limit) : kZeros;
    most = both > most ? both : most;
    if ((token - first) % device::kWarp == device::lane()) {
      p.tokens.input_scale[token] = static_cast<double>(a);
      p.tokens.gradient_scale[token] = live ? 1.0 : 0.0;
    }
  }
  if (most == kZeros) most = 0;
  for (int64_t token = first + device::lane(); token < end; token += device::kWarp) {
    const int a = static_cast<int>(p.tokens.input_scale[token]);
    const bool live = p.tokens.gradient_scale[token] != 0.0, small = live && a - most < -p.limit;
    p.tokens.input_scale[token] = two_to(small ? p.limit - most : -a);
    p.tokens.gradient_scale[token] = live ? two_to(small ? -p.limit : a - most) : 0.0;
  }
  if (device::lane() == 0) p.tokens.unscale[sample] = two_to(most);
}

GENMEM_DEVICE float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The upper half of the nearest bfloat16, ties to even; a NaN stays one.
GENMEM_DEVICE uint32_t nearest_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

// A warp for each token: 32 features at a time, each split into what the parts before it leave.
GENMEM_DEVICE void split_row(const Matrix& m, int64_t row, double scale, uint16_t* to) {
  const float by = static_cast<float>(scale);
  const int64_t padded = card_stages(m.cols) * kCardStage;
  for (int64_t c = device::lane(); c < padded; c += device::kWarp, to += kCardParts * kCardStage) {
    float x = 0.0f;
    if (c < m.cols) x = static_cast<float>(entry(m, row, c)) * by;
    for (int part = 0; part < kCardParts; ++part) {
      const uint32_t half = nearest_bf16(x);
      to[part * kCardStage + device::lane()] = static_cast<uint16_t>(half);
      x -= from_bits(half << 16);
    }
  }
}

GENMEM_KERNEL void GENMEM_BLOCKS(kStreamWarps* device::kWarp, 3) split_tokens(ScaleParams p) {
  const int64_t token = device::block_x() * kStreamWarps + device::warp();
  const TokenLayer& layer = p.tokens.layer;
  if (token >= layer.inputs.rows) return;
  const auto part_row = [token](void* parts, int64_t cols) {
    return static_cast<uint16_t*>(parts) + token * card_stages(cols) * (kStageBytes / 2);
  };
  split_row(layer.inputs, token, p.tokens.input_scale[token],
            part_row(p.tokens.input_parts, layer.inputs.cols));
  split_row(layer.gradients, token, p.tokens.gradient_scale[token],
            part_row(p.tokens.gradient_parts, layer.gradients.cols));
}

// Of a row times its scale, squared lengths: of it, of what one part leaves, and of what two do.
struct RowErrors {
  double all, first, second;
};

GENMEM_DEVICE RowErrors row_errors(const Matrix& m, int64_t row, double scale) {
  const float by = static_cast<float>(scale);
  RowErrors sums{};
  for (int64_t c = device::lane(); c < m.cols; c += device::kWarp) {
    const float x = static_cast<float>(entry(m, row, c)) * by;
    const float first = x - from_bits(nearest_bf16(x) << 16);
    const float second = first - from_bits(nearest_bf16(first) << 16);
    const auto square = [](float of) { return static_cast<double>(of) * static_cast<double>(of); };
    sums.all += square(x);
    sums.first += square(first);
    sums.second += square(second);
  }
  return {warp_sum(sums.all), warp_sum(sums.first), warp_sum(sums.second)};
}

// A warp for each sample.
GENMEM_KERNEL void GENMEM_BLOCKS(kStreamWarps* device::kWarp, 3) add_bounds(CardTokenBounds p) {
  const int64_t sample = device::block_x() * kStreamWarps + device::warp();
  if (sample >= p.tokens.samples) return;
  const TokenLayer& layer = p.tokens.layer;
  double nu = 0.0, one = 0.0, two = 0.0, of_a = 0.0, of_g = 0.0;
  for (int64_t token = layer.offsets[sample]; token < layer.offsets[sample + 1]; ++token) {
    const double by = p.tokens.input_scale[token];
    const RowErrors a = row_errors(layer.inputs, token, by);
    const RowErrors g = row_errors(layer.gradients, token, p.tokens.gradient_scale[token]);
    const double a_all = sqrt(a.all + (p.bias ? by * by : 0.0)), g_all = sqrt(g.all);
    const double a_one = sqrt(a.first), a_two = sqrt(a.second);
    const double g_one = sqrt(g.first), g_two = sqrt(g.second);
    nu += a_all * g_all;
    one += a_one * g_all + a_all * g_one;
    two += a_two * g_all + a_all * g_two;
    of_a += (a_one + a_two) * g_all;
    of_g += a_all * (g_one + g_two);
  }
  if (device::lane() != 0) return;
  const auto put = [&](int parts, double square) {
    const double unscale = p.tokens.unscale[sample];
    p.out[(parts - 1) * p.tokens.samples + sample] += (parts == 1 ? kCardMoreOne : kCardMore) *
                                                      (square + p.rounding * nu * nu) * unscale *
                                                      unscale;
  };
  const auto linear = [nu](double e, double theta) {
    return e * e / theta + theta * nu * nu + e * e;
  };
  put(1, linear(one, kCardThetaOne));
  put(2, linear(two, kCardThetaTwo) + of_a * of_a + of_g * of_g);
  put(3, 2.0 * kCardLeftOut * nu * nu);
}

}  // namespace genmem::GENMEM_ISA
