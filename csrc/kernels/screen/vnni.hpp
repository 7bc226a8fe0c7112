// The screen of bytes on AVX-512 VNNI, whose products are unsigned times signed:
//   x.y = x.(y - 128) + 128 sum(x),   x a point, y a query, and |x.(y - 128)| < 2^31 to kByteDepth.
#pragma once

#include "kernels/screen/whole.hpp"

namespace genmem::GENMEM_ISA {

struct VnniScreen {
  static constexpr int64_t kPanelWidth = 32;
  static constexpr int kRowsAtATime = 12;
  static constexpr int64_t kStrip = 240;
  static constexpr int64_t kDepthBlock = 256;  // groups of four bytes; 32 KiB of a panel

  static int64_t fours(int64_t cols) { return (cols + 3) / 4; }
  static int64_t stride(int64_t cols) { return fours(cols) * 4 + 64; }
  static int64_t panel_bytes(int64_t cols) { return fours(cols) * kPanelWidth * 4; }
  static int64_t strip_bytes(int64_t cols) { return kStrip * stride(cols); }

  static void pack_points(const ScreenRows& s) {
    const int64_t step = stride(s.from.cols);
    uint8_t* rows = static_cast<uint8_t*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      uint8_t* to = rows + i * step;
      memset(to, 0, static_cast<size_t>(step));
      const ByteSums sums = copy_bytes(s, s.begin + i, to);
      // In unsigned arithmetic, modulo 2^32: D - |y|^2 itself fits.
      s.whole[i] = static_cast<int32_t>(static_cast<uint32_t>(sums.squares) -
                                        256u * static_cast<uint32_t>(sums.plain));
    }
    for (int64_t i = s.count; i < kStrip && i % kRowsAtATime != 0; ++i) {
      memset(rows + i * step, 0, static_cast<size_t>(step));
    }
  }

  static void pack_queries(const ScreenRows& s) {
    const int64_t groups = fours(s.from.cols);
    uint32_t* panel = static_cast<uint32_t*>(s.packed);
    uint32_t* row = reinterpret_cast<uint32_t*>(s.scratch);
    for (int64_t i = 0; i < kPanelWidth; ++i) {
      memset(row, 0, static_cast<size_t>(groups) * 4);
      s.whole[i] =
          i < s.count ? copy_bytes(s, s.begin + i, reinterpret_cast<uint8_t*>(row)).squares : 0;
      // Features past the end are 0 in the points, whatever they are here.
      for (int64_t c = 0; c < groups; ++c) panel[c * kPanelWidth + i] = row[c] ^ 0x80808080u;
    }
  }

  static void tile(const uint8_t* rows, int64_t step, const int32_t* panel, int64_t groups,
                   bool first, int32_t* out) {
    // Not __m512i, which may alias anything: GCC 12 then keeps the sums in memory.
    using Reg = int32_t __attribute__((vector_size(64)));
    Reg sum[kRowsAtATime][2];
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < 2; ++v) {
        sum[r][v] = first ? Reg{} : (Reg)_mm512_loadu_si512(out + r * kPanelWidth + v * 16);
      }
    }
    for (int64_t c = 0; c < groups; ++c) {
      const __m512i left = _mm512_loadu_si512(panel + c * kPanelWidth);
      const __m512i right = _mm512_loadu_si512(panel + c * kPanelWidth + 16);
      for (int r = 0; r < kRowsAtATime; ++r) {
        int32_t four;
        memcpy(&four, rows + r * step + c * 4, 4);
        const __m512i x = _mm512_set1_epi32(four);
        sum[r][0] = (Reg)_mm512_dpbusd_epi32((__m512i)sum[r][0], x, left);
        sum[r][1] = (Reg)_mm512_dpbusd_epi32((__m512i)sum[r][1], x, right);
      }
    }
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < 2; ++v) {
        _mm512_storeu_si512(out + r * kPanelWidth + v * 16, (__m512i)sum[r][v]);
      }
    }
  }

  static void find(const ScreenStrip& s) {
    const int64_t step = stride(s.cols), groups = fours(s.cols);
    const uint8_t* rows = static_cast<const uint8_t*>(s.points);
    const int32_t* panel = static_cast<const int32_t*>(s.queries);
    for (int64_t c = 0; c < groups; c += kDepthBlock) {
      const int64_t depth = groups - c < kDepthBlock ? groups - c : kDepthBlock;
      for (int64_t i = 0; i < s.count; i += kRowsAtATime) {
        tile(rows + i * step + c * 4, step, panel + c * kPanelWidth, depth, c == 0,
             reinterpret_cast<int32_t*>(s.products) + i * kPanelWidth);
      }
    }
    find_whole_hits<2>(s);
  }

  static constexpr ScreenKernel kernel() {
    return {kPanelWidth, kStrip,       true,        0.0f, panel_bytes,
            strip_bytes, pack_queries, pack_points, find};
  }
};

}  // namespace genmem::GENMEM_ISA
