// The squared distance of one pair on the card. Include after device.hpp.
#pragma once

#include <math.h>

#include "kernels/device/entries.hpp"
#include "kernels/pairs/pairs.hpp"

namespace genmem::GENMEM_ISA {

// The exact squared distance of a pair by one thread: rows that are one chain.
GENMEM_DEVICE double chain_distance(const Matrix& x, int64_t i, const Matrix& y, int64_t j) {
  double sum = 0.0;
  for (int64_t c = 0; c < x.cols; ++c) {
    const double difference = entry(x, i, c) - entry(y, j, c);
    sum = fma(difference, difference, sum);
  }
  return sum;
}

// The same by eight neighbouring lanes, a chain each.
GENMEM_DEVICE double wide_distance(const Matrix& x, int64_t i, const Matrix& y, int64_t j) {
  double sum = 0.0;
  for (int64_t c = device::lane() % 8; c < x.cols; c += 8) {
    const double difference = entry(x, i, c) - entry(y, j, c);
    sum = fma(difference, difference, sum);
  }
  sum += device::shuffle_xor(sum, 4);
  sum += device::shuffle_xor(sum, 2);
  return sum + device::shuffle_xor(sum, 1);
}

}  // namespace genmem::GENMEM_ISA
