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

// The limit and what it leaves for a screen that knows all but the query's norm.
GENMEM_DEVICE void put_limit(float limit, const float* norm, int64_t query, float* limits,
                             float* thresholds) {
  limits[query] = limit;
  if (!norm) {
    thresholds[query] = limit;
    return;
  }
  const double room = static_cast<double>(limit) - static_cast<double>(norm[query]);
  // A NaN, of a norm beyond float32, lets all pass.
  thresholds[query] = room == room ? float_above(room) : HUGE_VALF;
}

// Forgets the hits of a query whose lower bound is above the limit, by a warp; returns how many
// are left.
GENMEM_DEVICE int keep_below(CardHit* hits, int count, float limit) {
  using namespace device;
  int kept = 0;
  for (int first = 0; first < count; first += kWarp) {
    const int j = first + lane();
    const CardHit hit = j < count ? hits[j] : CardHit{0, HUGE_VALF, HUGE_VALF};
    const bool stays = j < count && hit.low <= limit;
    const uint32_t all = votes(stays);
    warp_barrier();
    if (stays) hits[kept + count_bits(all & ((uint32_t{1} << lane()) - 1u))] = hit;
    kept += count_bits(all);
  }
  return kept;
}

}  // namespace genmem::GENMEM_ISA
