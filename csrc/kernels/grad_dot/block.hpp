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
  const int64_t x_last = b.x.offsets[b.x_end];
  const int64_t y_last = b.y.offsets[b.y_end];
  int64_t x_sample = b.x_begin;
  for (int64_t x = b.x.offsets[b.x_begin]; x < x_last; x += kRows) {
    const int64_t rows = x_last - x < kRows ? x_last - x : kRows;
    int64_t y_sample = b.y_begin;
    for (int64_t y = b.y.offsets[b.y_begin]; y < y_last; y += kPoints) {
      const int64_t count = y_last - y < kPoints ? y_last - y : kPoints;
      pair_block<L, Product>(b.x.inputs, x, rows, b.y.inputs, y, count, a, b.scratch);
      pair_block<L, Product>(b.x.gradients, x, rows, b.y.gradients, y, count, g, b.scratch);
      y_sample = sample_of(b.y.offsets, y, y_sample);
      int64_t row_sample = x_sample;
      for (int64_t i = 0; i < rows; ++i) {
        row_sample = sample_of(b.x.offsets, x + i, row_sample);
        double* out = b.out + (row_sample - b.x_begin) * b.out_stride - b.y_begin;
        segment_sums<L>(a + i * kPoints, g + i * kPoints, b.bias, y, count, b.y.offsets, y_sample,
                        out);
      }
    }
    x_sample = sample_of(b.x.offsets, x + rows - 1, x_sample);
  }
}

}  // namespace genmem::GENMEM_ISA
