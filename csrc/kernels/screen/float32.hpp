// The screen in float32 over any lanes: x_h is x rounded to float32.
#pragma once

#include "kernels/screen/bound.hpp"

namespace genmem::GENMEM_ISA {

template <class V>
struct Float32Screen {
  static constexpr int64_t kPanelWidth = V::kTileRegs * V::kWidth;
  static constexpr int64_t kRowsAtATime = V::kTileRows;
  static constexpr int64_t kStrip = 240 / kRowsAtATime * kRowsAtATime;
  // 256 features of a panel (32 KiB in the widest form) stay in the first-level cache while the
  // rows of the strip pass by.
  static constexpr int64_t kDepthBlock = 256;

  static int64_t panel_bytes(int64_t cols) { return kPanelWidth * cols * 4; }
  static int64_t strip_bytes(int64_t cols) { return kStrip * stride(cols) * 4; }
  // Not a multiple of 4 KiB: rows at such a distance would share the sets of the cache.
  static int64_t stride(int64_t cols) {
    const int64_t floats = row_floats(cols);
    return floats % 256 == 0 ? floats + 16 : floats;
  }

  static void pack_queries(const ScreenRows& s) {
    float* panel = static_cast<float*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, s.scratch);
      bound_query(s, i, row_bound(sum_squares<V>(s.scratch, row_floats(s.from.cols)), 0.0f));
      for (int64_t c = 0; c < s.from.cols; ++c) panel[c * kPanelWidth + i] = s.scratch[c];
    }
    for (int64_t i = s.count; i < kPanelWidth; ++i) {
      for (int64_t c = 0; c < s.from.cols; ++c) panel[c * kPanelWidth + i] = 0.0f;
      s.norm[i] = s.length[i] = s.error[i] = 0.0f;
    }
  }

  static void pack_points(const ScreenRows& s) {
    const int64_t step = stride(s.from.cols);
    float* rows = static_cast<float*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, rows + i * step);
      bound_point(s, i, row_bound(sum_squares<V>(rows + i * step, row_floats(s.from.cols)), 0.0f));
    }
    // The last tile of rows runs over the end; nobody reads its products.
    for (int64_t i = s.count; i < kStrip && i % kRowsAtATime != 0; ++i) {
      for (int64_t c = 0; c < step; ++c) rows[i * step + c] = 0.0f;
    }
  }

  static void tile(const float* rows, int64_t step, const float* panel, int64_t depth, bool first,
                   float* out) {
    using Reg = typename V::Reg;
    Reg sum[kRowsAtATime][V::kTileRegs];
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < V::kTileRegs; ++v) {
        sum[r][v] = first ? V::zero() : V::load(out + r * kPanelWidth + v * V::kWidth);
      }
    }
    for (int64_t c = 0; c < depth; ++c) {
      Reg y[V::kTileRegs];
      for (int v = 0; v < V::kTileRegs; ++v)
        y[v] = V::load(panel + c * kPanelWidth + v * V::kWidth);
      for (int r = 0; r < kRowsAtATime; ++r) {
        const Reg x = V::broadcast(rows[r * step + c]);
        for (int v = 0; v < V::kTileRegs; ++v) sum[r][v] = V::fma(x, y[v], sum[r][v]);
      }
    }
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < V::kTileRegs; ++v) {
        V::store(out + r * kPanelWidth + v * V::kWidth, sum[r][v]);
      }
    }
  }

  static void find(const ScreenStrip& s) {
    const int64_t step = stride(s.cols);
    const float* rows = static_cast<const float*>(s.points);
    const float* panel = static_cast<const float*>(s.queries);
    for (int64_t c = 0; c < s.cols; c += kDepthBlock) {
      const int64_t depth = s.cols - c < kDepthBlock ? s.cols - c : kDepthBlock;
      for (int64_t i = 0; i < s.count; i += kRowsAtATime) {
        tile(rows + i * step + c, step, panel + c * kPanelWidth, depth, c == 0,
             s.products + i * kPanelWidth);
      }
    }
    find_hits<V, V::kTileRegs>(s, FloatProducts<V, V::kTileRegs>{s.products});
  }

  static constexpr ScreenKernel kernel() {
    return {kPanelWidth, kStrip,       false,       kHalfUlp, panel_bytes,
            strip_bytes, pack_queries, pack_points, find};
  }
};

}  // namespace genmem::GENMEM_ISA
