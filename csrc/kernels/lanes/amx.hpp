// Tiles of 16 rows x 64 bytes: AMX, beside the float lanes of AVX-512.
#pragma once

#include "kernels/lanes/avx512.hpp"

namespace genmem::GENMEM_ISA {

struct TileShape {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Eight full tiles for the calling thread, given back at the end of the block: a thread that holds
// tiles costs 8 KiB at every switch.
class Tiles {
 public:
  Tiles() {
    const TileShape shape;
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// Products of 32 rows with 32 columns, 64 bytes of features a step: 2 x 2 tiles of sums, so that
// four loads feed four products. `rows` row-major, `columns` step by step in halves of 16 columns.
template <class Product>
inline void tile_products(const char* rows, int64_t row_stride, const char* columns, int64_t steps,
                          bool first, void* out) {
  constexpr int64_t kHalf = 1024;
  char* to = static_cast<char*>(out);
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, to, 128);
    _tile_loadd(1, to + 64, 128);
    _tile_loadd(2, to + 16 * 128, 128);
    _tile_loadd(3, to + 16 * 128 + 64, 128);
  }
  for (int64_t step = 0; step < steps; ++step) {
    const char* left = columns + step * 2 * kHalf;
    _tile_loadd(4, rows + step * 64, row_stride);
    _tile_loadd(6, left, 64);
    _tile_loadd(7, left + kHalf, 64);
    Product::top();
    _tile_loadd(5, rows + 16 * row_stride + step * 64, row_stride);
    Product::bottom();
  }
  _tile_stored(0, to, 128);
  _tile_stored(1, to + 64, 128);
  _tile_stored(2, to + 16 * 128, 128);
  _tile_stored(3, to + 16 * 128 + 64, 128);
}

}  // namespace genmem::GENMEM_ISA
