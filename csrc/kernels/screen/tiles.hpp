// The screen on AMX: strips of 256 rows against panels of 32 columns, in bfloat16 or in bytes.
#pragma once

#include "kernels/lanes/amx.hpp"
#include "kernels/screen/bound.hpp"
#include "kernels/screen/whole.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr int64_t kTilePanel = 32;
inline constexpr int64_t kTileStrip = 256;
// 16 steps of a panel are 32 KiB: they stay in the first-level cache while the strip passes by.
inline constexpr int64_t kTileSteps = 16;

// Bytes of a packed row, whole steps of 64, and never a multiple of 1 KiB: rows at such a distance
// would share the sets of the cache.
inline int64_t tile_row(int64_t bytes) {
  const int64_t whole = (bytes + 63) / 64 * 64;
  return whole % 1024 == 0 ? whole + 64 : whole;
}

template <class Product>
inline void strip_products(const ScreenStrip& s, int64_t row_bytes) {
  const Tiles tiles;
  const int64_t steps = (row_bytes + 63) / 64, stride = tile_row(row_bytes);
  const char* rows = static_cast<const char*>(s.points);
  const char* columns = static_cast<const char*>(s.queries);
  for (int64_t step = 0; step < steps; step += kTileSteps) {
    const int64_t count = steps - step < kTileSteps ? steps - step : kTileSteps;
    for (int64_t row = 0; row < s.count; row += 32) {
      tile_products<Product>(rows + row * stride + step * 64, stride, columns + step * 2048, count,
                             step == 0, s.products + row * kTilePanel);
    }
  }
}

struct Bfloat16Product {
  static void top() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  }
  static void bottom() {
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
};

struct ByteProduct {
  static void top() {
    _tile_dpbuud(0, 4, 6);
    _tile_dpbuud(1, 4, 7);
  }
  static void bottom() {
    _tile_dpbuud(2, 5, 6);
    _tile_dpbuud(3, 5, 7);
  }
};

struct Bfloat16Screen {
  static int64_t panel_bytes(int64_t cols) { return (cols * 2 + 63) / 64 * 2048; }
  static int64_t strip_bytes(int64_t cols) { return kTileStrip * tile_row(cols * 2); }

  // One framed row of floats to bfloat16, and its bound. The residual t - t_h is exact in float32.
  static RowBound round_row(const float* t, int64_t cols, uint16_t* to) {
    __m512 n[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 r[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t c = 0; c < cols; c += 32) {
      for (int v = 0; v < 2; ++v) {
        const __m512 x = _mm512_loadu_ps(t + c + 16 * v);
        const __m256i half = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + c + 16 * v), half);
        const __m512 back = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
        const __m512 rest = _mm512_sub_ps(x, back);
        n[v] = _mm512_fmadd_ps(x, x, n[v]);
        r[v] = _mm512_fmadd_ps(rest, rest, r[v]);
      }
    }
    return row_bound(_mm512_reduce_add_ps(_mm512_add_ps(n[0], n[1])),
                     _mm512_reduce_add_ps(_mm512_add_ps(r[0], r[1])));
  }

  static void pack_points(const ScreenRows& s) {
    const int64_t stride = tile_row(s.from.cols * 2);
    char* rows = static_cast<char*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, s.scratch);
      bound_point(
          s, i, round_row(s.scratch, s.from.cols, reinterpret_cast<uint16_t*>(rows + i * stride)));
    }
    for (int64_t i = s.count; i % 32 != 0; ++i)
      memset(rows + i * stride, 0, static_cast<size_t>(stride));
  }

  // Two features of a column side by side: the layout of the second operand of TDPBF16PS.
  static void pack_queries(const ScreenRows& s) {
    const int64_t steps = (s.from.cols * 2 + 63) / 64;
    uint32_t* panel = static_cast<uint32_t*>(s.packed);
    memset(panel, 0, static_cast<size_t>(steps) * 2048);
    uint32_t* pairs = reinterpret_cast<uint32_t*>(s.scratch + row_floats(s.from.cols));
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, s.scratch);
      bound_query(s, i, round_row(s.scratch, s.from.cols, reinterpret_cast<uint16_t*>(pairs)));
      for (int64_t c = 0; c < steps * 16; ++c) {
        panel[c / 16 * 512 + i / 16 * 256 + c % 16 * 16 + i % 16] = pairs[c];
      }
    }
    for (int64_t i = s.count; i < kTilePanel; ++i) s.norm[i] = s.length[i] = s.error[i] = 0.0f;
  }

  static void find(const ScreenStrip& s) {
    strip_products<Bfloat16Product>(s, s.cols * 2);
    find_hits<F32, 2>(s, FloatProducts<F32, 2>{s.products});
  }

  static constexpr ScreenKernel kernel() {
    // Twice the unit roundoff: a tile adds two products at a time, in an order that no document
    // promises.
    return {kTilePanel,   kTileStrip,  false, 2.0f * kHalfUlp, panel_bytes, strip_bytes,
            pack_queries, pack_points, find};
  }
};

struct ByteScreen {
  static int64_t panel_bytes(int64_t cols) { return (cols + 63) / 64 * 2048; }
  static int64_t strip_bytes(int64_t cols) { return kTileStrip * tile_row(cols); }

  static void pack_points(const ScreenRows& s) {
    const int64_t stride = tile_row(s.from.cols);
    uint8_t* rows = static_cast<uint8_t*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      uint8_t* to = rows + i * stride;
      memset(to, 0, static_cast<size_t>(stride));
      s.whole[i] = copy_bytes(s, s.begin + i, to).squares;
    }
    for (int64_t i = s.count; i % 32 != 0; ++i)
      memset(rows + i * stride, 0, static_cast<size_t>(stride));
  }

  static void pack_queries(const ScreenRows& s) {
    const int64_t steps = (s.from.cols + 63) / 64;
    uint32_t* panel = static_cast<uint32_t*>(s.packed);
    memset(panel, 0, static_cast<size_t>(steps) * 2048);
    uint32_t* fours = reinterpret_cast<uint32_t*>(s.scratch);
    for (int64_t i = 0; i < s.count; ++i) {
      memset(fours, 0, static_cast<size_t>(steps) * 64);
      s.whole[i] = copy_bytes(s, s.begin + i, reinterpret_cast<uint8_t*>(fours)).squares;
      for (int64_t c = 0; c < steps * 16; ++c) {
        panel[c / 16 * 512 + i / 16 * 256 + c % 16 * 16 + i % 16] = fours[c];
      }
    }
    for (int64_t i = s.count; i < kTilePanel; ++i) s.whole[i] = 0;
  }

  static void find(const ScreenStrip& s) {
    strip_products<ByteProduct>(s, s.cols);
    find_whole_hits<2>(s);
  }

  static constexpr ScreenKernel kernel() {
    return {kTilePanel,  kTileStrip,   true,        0.0f, panel_bytes,
            strip_bytes, pack_queries, pack_points, find};
  }
};

}  // namespace genmem::GENMEM_ISA
