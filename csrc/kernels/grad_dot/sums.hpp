// What follows the two products of a layer: multiply, and sum over the tokens of each pair.
#pragma once

#include "kernels/grad_dot/grad_dot.hpp"

namespace genmem::GENMEM_ISA {

// kVectors vectors of one group in float or double, the rest in double: where a group stands in its
// chunk changes no bit.
template <class V, class T>
inline void token_sums(const TokenSums& s) {
  constexpr int kHalves = V::kWidth / F64::kWidth;
  const T* inputs = static_cast<const T*>(s.inputs);
  const T* gradients = static_cast<const T*>(s.gradients);
  T lanes[V::kWidth], y_bias[kVectors * V::kWidth];
  for (int64_t group = 0; group < s.groups; ++group) {
    const double* unscale = s.y_unscale + group * V::kWidth;
    for (int64_t first = s.y_vectors[group]; first < s.y_vectors[group + 1]; first += kVectors) {
      const int64_t left = s.y_vectors[group + 1] - first;
      const int64_t columns = (left < kVectors ? left : kVectors) * V::kWidth;
      for (int64_t c = 0; c < columns; ++c) {
        y_bias[c] = static_cast<T>(s.y_bias[first * V::kWidth + c]);
      }
      for (int64_t i = 0; i < s.x_samples; ++i) {
        typename F64::Reg sum[kHalves];
        for (int h = 0; h < kHalves; ++h) sum[h] = F64::zero();
        for (int64_t row = s.x_rows[i]; row < s.x_rows[i + 1]; ++row) {
          const T* a = inputs + row * s.stride + first * V::kWidth;
          const T* g = gradients + row * s.stride + first * V::kWidth;
          const typename V::Reg bias = V::broadcast(static_cast<T>(s.x_bias[row]));
          typename V::Reg part = V::zero();
          for (int64_t c = 0; c < columns; c += V::kWidth) {
            part = V::fma(V::fma(bias, V::load(y_bias + c), V::load(a + c)), V::load(g + c), part);
          }
          V::store(lanes, part);
          for (int h = 0; h < kHalves; ++h) {
            sum[h] = F64::add(sum[h], F64::widen(lanes + h * F64::kWidth));
          }
        }
        const typename F64::Reg x_unscale = F64::broadcast(s.x_unscale[i]);
        double* out = s.out + i * s.out_stride + group * V::kWidth;
        for (int h = 0; h < kHalves; ++h) {
          const int at = h * F64::kWidth;
          F64::store(out + at, F64::fma(F64::mul(sum[h], x_unscale), F64::load(unscale + at),
                                        F64::load(out + at)));
        }
      }
    }
  }
}

}  // namespace genmem::GENMEM_ISA
