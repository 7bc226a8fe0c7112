// Token products over any lanes, float or double; see grad_dot.hpp for what it promises.
#pragma once

#include "kernels/grad_dot/scales.hpp"
#include "kernels/grad_dot/sums.hpp"

namespace genmem::GENMEM_ISA {

// Rows i row-major; columns in panels of kRegs registers, feature by feature. kRows kRegs sums in
// registers hide the latency of the fused multiply-add.
template <class V, class T, int kRows, int kRegs, int64_t kLimit>
struct LaneProducts {
  using Reg = typename V::Reg;
  static constexpr int64_t kPanelWidth = kRegs * V::kWidth;
  // Rows that stay in the second-level cache while the panels of a chunk pass by.
  static constexpr int64_t kStrip = 8 * kRows;

  // Numbers of a packed row; not a multiple of 1 KiB: rows at such a distance would share the sets
  // of the cache.
  static int64_t row_stride(int64_t depth) {
    const int64_t whole = (depth + 15) / 16 * 16;
    return whole * static_cast<int64_t>(sizeof(T)) % 1024 == 0 ? whole + 16 : whole;
  }
  static int64_t row_bytes(int64_t depth) {
    return row_stride(depth) * static_cast<int64_t>(sizeof(T));
  }
  static int64_t column_bytes(int64_t depth) { return depth * static_cast<int64_t>(sizeof(T)); }

  template <class From>
  static void copy_row(const From* from, int64_t step, int64_t depth, T scale, T* to) {
    if (step == 1) {
      for (int64_t c = 0; c < depth; ++c) to[c] = static_cast<T>(from[c]) * scale;
    } else {
      for (int64_t c = 0; c < depth; ++c) to[c] = static_cast<T>(from[c * step]) * scale;
    }
  }

  template <class From>
  static void pack_rows_of(const TokenPack& p) {
    const int64_t stride = row_stride(p.depth);
    T* out = static_cast<T*>(p.out);
    for (int64_t i = 0; i < p.count; ++i) {
      if (p.at[i] < 0) {
        for (int64_t c = 0; c < p.depth; ++c) out[i * stride + c] = 0;
      } else {
        copy_row(element<From>(p.from, p.at[i], p.col), p.from.col_stride, p.depth,
                 static_cast<T>(p.scale[i]), out + i * stride);
      }
    }
    // The last tile runs over the end; nobody reads its sums.
    for (int64_t i = p.count; i % kRows != 0; ++i) {
      for (int64_t c = 0; c < p.depth; ++c) out[i * stride + c] = 0;
    }
  }

  // Sixteen features at a time keep the lines being written within the first-level cache.
  template <class From>
  static void pack_columns_of(const TokenPack& p) {
    constexpr int64_t kStep = 16;
    T* panel = static_cast<T*>(p.out);
    for (int64_t first = 0; first < p.count; first += kPanelWidth) {
      for (int64_t start = 0; start < p.depth; start += kStep) {
        const int64_t end = start + kStep < p.depth ? start + kStep : p.depth;
        for (int64_t j = 0; j < kPanelWidth; ++j) {
          T* to = panel + j;
          if (first + j >= p.count || p.at[first + j] < 0) {
            for (int64_t c = start; c < end; ++c) to[c * kPanelWidth] = 0;
            continue;
          }
          const From* from = element<From>(p.from, p.at[first + j], p.col);
          const T scale = static_cast<T>(p.scale[first + j]);
          for (int64_t c = start; c < end; ++c) {
            to[c * kPanelWidth] = static_cast<T>(from[c * p.from.col_stride]) * scale;
          }
        }
      }
      panel += p.depth * kPanelWidth;
    }
  }

  static void pack_rows(const TokenPack& p) {
    switch (p.from.dtype) {
      case Dtype::float32: return pack_rows_of<float>(p);
      case Dtype::float64: return pack_rows_of<double>(p);
      case Dtype::uint8: return pack_rows_of<uint8_t>(p);
    }
  }

  static void pack_columns(const TokenPack& p) {
    switch (p.from.dtype) {
      case Dtype::float32: return pack_columns_of<float>(p);
      case Dtype::float64: return pack_columns_of<double>(p);
      case Dtype::uint8: return pack_columns_of<uint8_t>(p);
    }
  }

  // One chain of `depth` terms for each sum, added to what is there.
  static void tile(const T* rows, int64_t step, const T* panel, int64_t depth, bool first, T* out,
                   int64_t stride) {
    Reg sum[kRows][kRegs];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kRegs; ++v) sum[r][v] = V::zero();
    }
    for (int64_t c = 0; c < depth; ++c) {
      Reg y[kRegs];
      for (int v = 0; v < kRegs; ++v) y[v] = V::load(panel + c * kPanelWidth + v * V::kWidth);
      for (int r = 0; r < kRows; ++r) {
        const Reg x = V::broadcast(rows[r * step + c]);
        for (int v = 0; v < kRegs; ++v) sum[r][v] = V::fma(x, y[v], sum[r][v]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kRegs; ++v) {
        T* to = out + r * stride + v * V::kWidth;
        V::store(to, first ? sum[r][v] : V::add(V::load(to), sum[r][v]));
      }
    }
  }

  static void multiply(const TokenProducts& p) {
    const int64_t step = row_stride(p.depth);
    const T* rows = static_cast<const T*>(p.rows);
    const T* columns = static_cast<const T*>(p.columns);
    T* out = static_cast<T*>(p.out);
    for (int64_t strip = 0; strip < p.row_count; strip += kStrip) {
      const int64_t end = strip + kStrip < p.row_count ? strip + kStrip : p.row_count;
      for (int64_t v = 0; v < p.vectors; v += kRegs) {
        const T* panel = columns + v * V::kWidth * p.depth;
        for (int64_t c = 0; c < p.depth; c += kChain) {
          const int64_t depth = p.depth - c < kChain ? p.depth - c : kChain;
          for (int64_t i = strip; i < end; i += kRows) {
            tile(rows + i * step + c, step, panel + c * kPanelWidth, depth, p.first && c == 0,
                 out + i * p.out_stride + v * V::kWidth, p.out_stride);
          }
        }
      }
    }
  }

  static constexpr TokenKernel kernel() {
    return {V::kWidth,
            kRows,
            kRegs,
            kVectors,
            static_cast<int64_t>(sizeof(T)),
            row_bytes,
            column_bytes,
            token_scales<kLimit>,
            pack_rows,
            pack_columns,
            multiply,
            token_sums<V, T>};
  }
};

// Exponents of scales: the inverse of one must be a float, that of two a double.
template <class V, int kRows, int kRegs>
using FloatProducts = LaneProducts<V, float, kRows, kRegs, 126>;
template <class V, int kRows, int kRegs>
using DoubleProducts = LaneProducts<V, double, kRows, kRegs, 500>;

}  // namespace genmem::GENMEM_ISA
