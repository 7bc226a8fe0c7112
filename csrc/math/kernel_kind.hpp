// The kernels of a density estimate, by name; their functions are in kernel_function.hpp.
#pragma once

#include <stdint.h>

namespace genmem {

enum class KernelKind : int32_t {
  gaussian,
  epanechnikov,
  biweight,
  tophat,
  exponential,
  linear,
  cosine
};

}  // namespace genmem
