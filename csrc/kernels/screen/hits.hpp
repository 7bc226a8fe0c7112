// Hits of a query on the card. Include after device.hpp.
#pragma once

#include <float.h>
#include <math.h>

#include "kernels/screen/card.hpp"

namespace genmem::GENMEM_ISA {

// A float at most x, and one at least x: two roundings away. The first is at most 3e38.
GENMEM_DEVICE float float_below(double x) {
  if (x > 3e38) return 3e38f;
  if (!(x >= -3e38)) return -HUGE_VALF;
  const float near = static_cast<float>(x);
  return near - fabsf(near) * 0x1p-22f - 1e-44f;
}
GENMEM_DEVICE float float_above(double x) { return -float_below(-x); }

GENMEM_DEVICE void add_hit(const CardHits& h, int64_t query, int64_t at, double low, double high) {
  if (h.exclude && h.exclude[query] == at) return;
  const int slot = device::atomic_add(&h.found[query], 1);
  if (slot < h.capacity)
    h.hits[query * h.capacity + slot] = {at, float_below(low), float_above(high)};
}

}  // namespace genmem::GENMEM_ISA
