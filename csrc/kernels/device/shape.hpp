// The shape of a launch; see device.hpp.
#pragma once

#include <stdint.h>

namespace genmem::device {

// Blocks of a grid, threads of a block (a multiple of 32), bytes of shared memory.
struct Shape {
  int64_t blocks_x, blocks_y;
  int threads;
  int64_t shared;
};

inline constexpr int kWarp = 32;

// What compute capability 9.0 and 10.0 allow: shared memory of a block, blocks along y.
inline constexpr int64_t kMostShared = 227 << 10;
inline constexpr int64_t kMostBlocksY = 65535;

}  // namespace genmem::device
