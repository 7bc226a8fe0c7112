// The screen in 16-bit integers: x_h = s q with a step s of each row's own and q whole.
//
//   s = |x| / 32,500, so that |q_c| < 2^15, and every sum of products of two rows is below 2^31
//   (Cauchy-Schwarz): 32-bit sums are exact. r <= s sqrt(d) / 2, 0.05 % of |x| at d = 1,024.
//
// Twice the products of the fused float32 multiply-add in one AVX-512 instruction, one and a half
// times in the two that AVX2 takes; half of the bytes; no tail of the data can spoil the bound.
#pragma once

#include "kernels/screen/bound.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr float kWholeLength = 32500.0f;

// V: float lanes; W: the 32-bit sums of products of pairs, as many.
template <class V, class W>
struct Int16Screen {
  static constexpr int64_t kPanelWidth = W::kTileRegs * V::kWidth;
  static constexpr int kRowsAtATime = W::kTileRows;
  static constexpr int64_t kStrip = 240 / kRowsAtATime * kRowsAtATime;
  static constexpr int64_t kDepthBlock = 256;  // pairs of features; at most 32 KiB of a panel

  static int64_t pairs(int64_t cols) { return (cols + 1) / 2; }
  // Bytes of a packed row, never a multiple of 4 KiB: rows at such a distance would share the sets
  // of the cache.
  static int64_t stride(int64_t cols) {
    const int64_t bytes = row_floats(cols) * 2;
    return bytes % 1024 == 0 ? bytes + 64 : bytes;
  }
  static int64_t panel_bytes(int64_t cols) { return pairs(cols) * kPanelWidth * 4; }
  static int64_t strip_bytes(int64_t cols) { return kStrip * stride(cols); }

  // One framed row, at s.scratch, to integers; returns its bound. Scratch is overwritten by x -
  // x_h.
  static RowBound round_row(const ScreenRows& s, int64_t i, int16_t* to) {
    float* t = s.scratch;
    const int64_t floats = row_floats(s.from.cols);
    const float n = sum_squares<V>(t, floats);
    // What underflow may have taken from n.
    const float lost = 2e-38f * static_cast<float>(floats);
    // Too short or too long a row is not divided: its integers are 0, its residual is itself.
    if (!(n >= 100.0f * lost && n < kLongest)) {
      s.step[i] = 0.0f;
      memset(to, 0, static_cast<size_t>(floats) * 2);
      return row_bound(n, n + lost);
    }
    const float length = sqrtf(n), step = length / kWholeLength, inverse = kWholeLength / length;
    s.step[i] = step;
    constexpr float kRound = 0x1.8p23f;  // a float below 2^22 plus and minus this is whole
    for (int64_t c = 0; c < floats; ++c) {
      const float whole = (t[c] * inverse + kRound) - kRound;
      to[c] = static_cast<int16_t>(static_cast<int32_t>(whole));
      t[c] -= step * whole;
    }
    return row_bound(n, sum_squares<V>(t, floats));
  }

  static void pack_points(const ScreenRows& s) {
    const int64_t step = stride(s.from.cols);
    char* rows = static_cast<char*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, s.scratch);
      bound_point(s, i, round_row(s, i, reinterpret_cast<int16_t*>(rows + i * step)));
    }
    // The last tile of rows runs over the end; nobody reads its products.
    for (int64_t i = s.count; i < kStrip && i % kRowsAtATime != 0; ++i) {
      memset(rows + i * step, 0, static_cast<size_t>(step));
    }
  }

  static void pack_queries(const ScreenRows& s) {
    const int64_t groups = pairs(s.from.cols);
    int32_t* panel = static_cast<int32_t*>(s.packed);
    int16_t* row = reinterpret_cast<int16_t*>(s.scratch + row_floats(s.from.cols));
    for (int64_t i = 0; i < s.count; ++i) {
      frame_row(s, s.begin + i, s.scratch);
      bound_query(s, i, round_row(s, i, row));
      for (int64_t c = 0; c < groups; ++c) memcpy(panel + c * kPanelWidth + i, row + 2 * c, 4);
    }
    for (int64_t i = s.count; i < kPanelWidth; ++i) {
      for (int64_t c = 0; c < groups; ++c) panel[c * kPanelWidth + i] = 0;
      s.norm[i] = s.length[i] = s.error[i] = s.step[i] = 0.0f;
    }
  }

  static void tile(const char* rows, int64_t step, const int32_t* panel, int64_t depth, bool first,
                   int32_t* out) {
    using Reg = typename W::Reg;
    Reg sum[kRowsAtATime][W::kTileRegs];
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < W::kTileRegs; ++v) {
        sum[r][v] = first ? W::zero() : W::load(out + r * kPanelWidth + v * V::kWidth);
      }
    }
    for (int64_t c = 0; c < depth; ++c) {
      Reg y[W::kTileRegs];
      for (int v = 0; v < W::kTileRegs; ++v)
        y[v] = W::load(panel + c * kPanelWidth + v * V::kWidth);
      for (int r = 0; r < kRowsAtATime; ++r) {
        int32_t pair;
        memcpy(&pair, rows + r * step + c * 4, 4);
        const Reg x = W::broadcast(pair);
        for (int v = 0; v < W::kTileRegs; ++v) sum[r][v] = W::add_products(sum[r][v], x, y[v]);
      }
    }
    for (int r = 0; r < kRowsAtATime; ++r) {
      for (int v = 0; v < W::kTileRegs; ++v) {
        W::store(out + r * kPanelWidth + v * V::kWidth, sum[r][v]);
      }
    }
  }

  // s_x s_y (q_x . q_y) of a row and a register of columns: three roundings.
  struct Products {
    const ScreenStrip& s;
    typename V::Reg step[W::kTileRegs];
    explicit Products(const ScreenStrip& strip) : s(strip) {
      for (int v = 0; v < W::kTileRegs; ++v) step[v] = V::load(s.query_step + v * V::kWidth);
    }
    typename V::Reg of(int64_t row, int v) const {
      const int32_t* sums = reinterpret_cast<const int32_t*>(s.products);
      const typename V::Reg whole = W::to_float(W::load(sums + row * kPanelWidth + v * V::kWidth));
      return V::mul(V::mul(whole, V::broadcast(s.step[row])), step[v]);
    }
  };

  static void find(const ScreenStrip& s) {
    const int64_t step = stride(s.cols), groups = pairs(s.cols);
    const char* rows = static_cast<const char*>(s.points);
    const int32_t* panel = static_cast<const int32_t*>(s.queries);
    int32_t* sums = reinterpret_cast<int32_t*>(s.products);
    for (int64_t c = 0; c < groups; c += kDepthBlock) {
      const int64_t depth = groups - c < kDepthBlock ? groups - c : kDepthBlock;
      for (int64_t i = 0; i < s.count; i += kRowsAtATime) {
        tile(rows + i * step + c * 4, step, panel + c * kPanelWidth, depth, c == 0,
             sums + i * kPanelWidth);
      }
    }
    find_hits<V, W::kTileRegs>(s, Products(s));
  }

  static constexpr ScreenKernel kernel() {
    return {kPanelWidth, kStrip,       false,       0.0f, panel_bytes,
            strip_bytes, pack_queries, pack_points, find};
  }
};

}  // namespace genmem::GENMEM_ISA
