// Entries of a matrix on the card, widened exactly. Include after device.hpp.
#pragma once

#include "kernels/matrix.hpp"

namespace genmem::GENMEM_ISA {

GENMEM_DEVICE double entry(const Matrix& m, int64_t row, int64_t col) {
  const int64_t at = row * m.row_stride + col * m.col_stride;
  switch (m.dtype) {
    case Dtype::float32: return static_cast<double>(static_cast<const float*>(m.data)[at]);
    case Dtype::float64: return static_cast<const double*>(m.data)[at];
    case Dtype::uint8: return static_cast<double>(static_cast<const uint8_t*>(m.data)[at]);
  }
  return 0.0;
}

}  // namespace genmem::GENMEM_ISA
