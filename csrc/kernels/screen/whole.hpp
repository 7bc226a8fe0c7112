// The screen of bytes against bytes: D = n_x + n_y - 2 x.y in integers is exact, so that a hit
// needs no second look. Any AVX-512 form of the products may stand before it.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "kernels/screen/screen.hpp"

namespace genmem::GENMEM_ISA {

struct ByteSums {
  int32_t squares, plain;
};

// Copies a row of bytes; its sums stay below 2^31 up to kByteDepth features.
inline ByteSums copy_bytes(const ScreenRows& s, int64_t row, uint8_t* to) {
  const uint8_t* from = static_cast<const uint8_t*>(s.from.data) + row * s.from.row_stride;
  const int64_t step = s.from.col_stride;
  ByteSums sums{0, 0};
  for (int64_t c = 0; c < s.from.cols; ++c) to[c] = from[c * step];
  for (int64_t c = 0; c < s.from.cols; ++c) {
    sums.squares += to[c] * to[c];
    sums.plain += to[c];
  }
  return sums;
}

// products hold int32; kRegs registers of 16 make a panel.
template <int kRegs>
inline void find_whole_hits(const ScreenStrip& s) {
  constexpr int64_t kPanelWidth = kRegs * 16;
  const int32_t* products = reinterpret_cast<const int32_t*>(s.products);
  __m512i limit[kRegs];
  for (int v = 0; v < kRegs; ++v) limit[v] = _mm512_loadu_si512(s.whole_limit + 16 * v);
  const uint64_t wanted = (uint64_t{1} << s.active) - 1;
  for (int64_t row = 0; row < s.count; ++row) {
    const __m512i norm = _mm512_set1_epi32(s.whole[row]);
    __m512i below[kRegs];
    uint64_t found = 0;
    for (int v = 0; v < kRegs; ++v) {
      const __m512i product = _mm512_loadu_si512(products + row * kPanelWidth + 16 * v);
      below[v] = _mm512_sub_epi32(norm, _mm512_slli_epi32(product, 1));
      found |= static_cast<uint64_t>(_mm512_cmple_epi32_mask(below[v], limit[v])) << (16 * v);
    }
    found &= wanted;
    if (found == 0) continue;
    int32_t values[kPanelWidth];
    for (int v = 0; v < kRegs; ++v) _mm512_storeu_si512(values + 16 * v, below[v]);
    for (; found != 0; found &= found - 1) {
      const int query = __builtin_ctzll(found);
      const int64_t at = s.point + row;
      if (s.exclude && s.exclude[query] == at) continue;
      const double sq = static_cast<double>(values[query]) + s.query_whole[query];
      s.hits[query * s.capacity + s.found[query]++] = {at, sq, sq};
    }
  }
}

}  // namespace genmem::GENMEM_ISA
