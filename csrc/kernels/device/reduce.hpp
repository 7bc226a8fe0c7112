// Sums over the lanes of a warp. Include after device.hpp.
#pragma once

namespace genmem::GENMEM_ISA {

// By one fixed tree, the same on every lane.
template <class T>
GENMEM_DEVICE T warp_sum(T x) {
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) x += device::shuffle_xor(x, mask);
  return x;
}

}  // namespace genmem::GENMEM_ISA
