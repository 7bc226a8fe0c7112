// What bounds the exponents of all points of a density.
#pragma once

#include <algorithm>

#include "backends/dispatch.hpp"

namespace genmem::backends {

struct Extremes {
  double log_weight = 0.0, sq_scale = 1.0;
};

inline Extremes extremes(const Density& density, std::int64_t points) {
  Extremes most;
  if (density.log_weight) {
    most.log_weight = *std::max_element(density.log_weight, density.log_weight + points);
  }
  if (density.sq_scale) {
    most.sq_scale = *std::max_element(density.sq_scale, density.sq_scale + points);
  }
  return most;
}

}  // namespace genmem::backends
