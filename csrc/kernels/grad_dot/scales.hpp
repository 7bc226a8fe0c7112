// The powers of two that tokens are multiplied by.
#pragma once

#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/pairs/block.hpp"

namespace genmem::GENMEM_ISA {

// The largest entry of a row, by the bits of their absolute values, whose order as
// integers is that of the numbers: four lines that every compiler makes registers of. An infinity
// or a NaN has the largest exponent of all, and is scaled like any other.
template <class T, class Word>
inline Word largest_bits(const Matrix& m, int64_t row) {
  Word most = 0;
  constexpr Word kAbsolute = static_cast<Word>(~Word{0}) >> 1;
  const T* from = element<T>(m, row, 0);
  for (int64_t c = 0; c < m.cols; ++c) {
    Word word;
    __builtin_memcpy(&word, from + c * m.col_stride, sizeof word);
    word &= kAbsolute;
    most = word > most ? word : most;
  }
  return most;
}

// The same for contiguous floats, the ordinary case: signed words, which have a maximum in every
// instruction set.
inline int32_t largest_float_bits(const Matrix& m, int64_t row) {
  int32_t most = 0;
  const float* from = element<float>(m, row, 0);
  for (int64_t c = 0; c < m.cols; ++c) {
    int32_t word;
    __builtin_memcpy(&word, from + c, sizeof word);
    word &= INT32_MAX;
    most = word > most ? word : most;
  }
  return most;
}

// 2^e, e within -1022 .. 1023.
inline double power_of_two(int64_t e) {
  const int64_t bits = (e + 1023) << 52;
  double out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

// That of zeros alone.
inline constexpr int64_t kNoExponent = -4096;

// The exponent of the largest entry of a row; 0 for bytes.
inline int64_t largest_exponent(const Matrix& m, int64_t row) {
  switch (m.dtype) {
    case Dtype::float32: {
      const int32_t bits = m.col_stride == 1
                               ? largest_float_bits(m, row)
                               : static_cast<int32_t>(largest_bits<float, uint32_t>(m, row));
      return bits == 0 ? kNoExponent : (bits >> 23) - 127;
    }
    case Dtype::float64: {
      const uint64_t bits = largest_bits<double, uint64_t>(m, row);
      return bits == 0 ? kNoExponent : static_cast<int64_t>(bits >> 52) - 1023;
    }
    case Dtype::uint8: return 0;
  }
  return 0;
}

template <int64_t kLimit>
inline int64_t within(int64_t e) {
  return e > kLimit ? kLimit : e < -kLimit ? -kLimit : e;
}

// kLimit keeps scales, and for doubles the product of two, within the type. A token whose gradients
// want less than 2^-kLimit gets the rest on its inputs: 2^-most is what both make. One without a
// product gets zeros, as it says nothing of the size that is left to its gradients.
template <int64_t kLimit>
inline void token_scales(const TokenScales& s) {
  const int64_t origin = s.layer.offsets[s.begin];
  for (int64_t i = 0; i < s.count; ++i) {
    const int64_t first = s.layer.offsets[s.begin + i], end = s.layer.offsets[s.begin + i + 1];
    int64_t most = kNoExponent;
    for (int64_t token = first; token < end; ++token) {
      int64_t a = largest_exponent(s.layer.inputs, token);
      if (s.bias && a < 0) a = 0;
      const int64_t g = largest_exponent(s.layer.gradients, token);
      s.inputs[token - origin] = static_cast<double>(a == kNoExponent ? 0 : within<kLimit>(a));
      const bool live = a != kNoExponent && g != kNoExponent;
      s.gradients[token - origin] = live ? 1.0 : 0.0;
      if (!live) continue;
      most = most > within<kLimit>(a) + within<kLimit>(g) ? most
                                                          : within<kLimit>(a) + within<kLimit>(g);
    }
    if (most == kNoExponent) most = 0;
    for (int64_t token = first; token < end; ++token) {
      const auto a = static_cast<int64_t>(s.inputs[token - origin]);
      const bool live = s.gradients[token - origin] != 0.0, small = live && a - most < -kLimit;
      s.inputs[token - origin] = power_of_two(small ? kLimit - most : -a);
      s.gradients[token - origin] = live ? power_of_two(small ? -kLimit : a - most) : 0.0;
    }
    s.unscale[i] = power_of_two(most);
  }
}

}  // namespace genmem::GENMEM_ISA
