// A matrix as a kernel sees it: a pointer, two sizes, two strides and the type of its elements.
#pragma once

#include <stdint.h>

namespace genmem {

enum class Dtype : int32_t { float32, float64, uint8 };

struct Matrix {
  const void* data;
  int64_t rows;
  int64_t cols;
  int64_t row_stride;  // in elements; may be negative or zero
  int64_t col_stride;
  Dtype dtype;
  bool on_card = false;  // the memory is a card's; no kernel of the processor may read it
};

}  // namespace genmem
