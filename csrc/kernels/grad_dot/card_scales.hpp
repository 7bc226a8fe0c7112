// The powers of two of the tokens, and their factors as parts of bfloat16; see scales.hpp and
// card.hpp.
#pragma once

#include <string.h>

#include "kernels/device/device.hpp"
#include "kernels/device/entries.hpp"
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

}  // namespace genmem::GENMEM_ISA
