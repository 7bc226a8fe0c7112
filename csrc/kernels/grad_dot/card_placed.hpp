// Products to their places in an answer on the card; see card.hpp.
#pragma once

#include "kernels/device/device.hpp"
#include "kernels/grad_dot/card.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr int kPlaceThreads = 256;

template <class Params>
GENMEM_DEVICE void put_product(const Params& p, int64_t i, int64_t j, double product) {
  if (p.x_scale) product *= p.x_scale[i] * p.y_scale[j];
  const auto put = [&](int64_t at) {
    if (p.single) {
      static_cast<float*>(p.out)[at] = static_cast<float>(product);
    } else {
      static_cast<double*>(p.out)[at] = product;
    }
  };
  put(i * p.out_stride + j);
  if (p.symmetric && i != j) put(j * p.out_stride + i);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kPlaceThreads, 4) place_products(CardPlaced p) {
  const int64_t row = device::block_y(), i = p.x_first + row;
  const int64_t column = device::block_x() * kPlaceThreads + device::thread();
  const int64_t j = p.y_first + column;
  if (column >= p.columns || (p.symmetric && j < i)) return;
  put_product(p, i, j, p.products[row * p.columns + column]);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kPlaceThreads, 4) scatter_products(CardScattered p) {
  const int64_t n = device::block_x() * kPlaceThreads + device::thread();
  if (n < p.count) put_product(p, p.x_at[n], p.y_at[n], p.products[n]);
}

}  // namespace genmem::GENMEM_ISA
