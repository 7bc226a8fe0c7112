// grad_dot over any lanes.
#pragma once

#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/pairs/block.hpp"

namespace genmem::GENMEM_ISA {

// The sample that token t belongs to, searched upwards from `sample`; samples may have no tokens.
inline int64_t sample_of(const int64_t* offsets, int64_t token, int64_t sample) {
  while (offsets[sample + 1] <= token) ++sample;
  return sample;
}

// One row of token products times one row of token products, summed over the tokens of each sample.
template <class L>
inline void segment_sums(const double* a, const double* g, double bias, int64_t token,
                         int64_t count, const int64_t* offsets, int64_t sample, double* out) {
  for (int64_t j = 0; j < count;) {
    sample = sample_of(offsets, token + j, sample);
    const int64_t end = offsets[sample + 1] - token < count ? offsets[sample + 1] - token : count;
    double sum = 0.0;
    typename L::Reg sums = L::zero();
    const typename L::Reg one = L::broadcast(bias);
    for (; j + L::kWidth <= end; j += L::kWidth) {
      sums = L::fma(L::add(L::load(a + j), one), L::load(g + j), sums);
    }
    for (; j < end; ++j) sum += (a[j] + bias) * g[j];
    out[sample] += L::sum(sums) + sum;
  }
}

template <class L>
inline void grad_dot_block(const GradDotBlock& b) {
  double* a = b.scratch + kPairScratch;
  double* g = a + kPairBlock;
  chain_block<L, Product>(b.x.inputs, b.x_token, b.rows, b.y.inputs, b.y_token, b.count, a, kPoints,
                          b.scratch);
  chain_block<L, Product>(b.x.gradients, b.x_token, b.rows, b.y.gradients, b.y_token, b.count, g,
                          kPoints, b.scratch);
  int64_t sample = b.x_sample;
  for (int64_t i = 0; i < b.rows; ++i) {
    sample = sample_of(b.x.offsets, b.x_token + i, sample);
    double* out = b.out + (sample - b.x_sample) * b.out_stride - b.y_sample;
    segment_sums<L>(a + i * kPoints, g + i * kPoints, b.bias, b.y_token, b.count, b.y.offsets,
                    b.y_sample, out);
  }
}

}  // namespace genmem::GENMEM_ISA
