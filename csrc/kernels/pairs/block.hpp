// The block of pair sums over any lanes; see pairs.hpp for what it promises.
#pragma once

#include "kernels/pairs/pairs.hpp"

namespace genmem::GENMEM_ISA {

struct SquaredDifference {
  template <class L>
  static typename L::Reg add(typename L::Reg sum, typename L::Reg x, typename L::Reg y) {
    const typename L::Reg difference = L::sub(x, y);
    return L::fma(difference, difference, sum);
  }
};

struct Product {
  template <class L>
  static typename L::Reg add(typename L::Reg sum, typename L::Reg x, typename L::Reg y) {
    return L::fma(x, y, sum);
  }
};

template <class T>
inline const T* element(const Matrix& m, int64_t row, int64_t col) {
  return static_cast<const T*>(m.data) + row * m.row_stride + col * m.col_stride;
}

// rows[i][c]: widened copies of consecutive rows, kDepth apart.
template <class T>
inline void pack_rows(const Matrix& m, int64_t row, int64_t count, int64_t col, int64_t depth,
                      double* rows) {
  for (int64_t i = 0; i < count; ++i) {
    const T* from = element<T>(m, row + i, col);
    double* to = rows + i * kDepth;
    for (int64_t c = 0; c < depth; ++c) to[c] = static_cast<double>(from[c * m.col_stride]);
  }
}

// panel[c][j]: kPanel rows interleaved, so that one load brings one feature of a lane's worth of
// rows. Rows past the end are zero; nobody reads their sums. Sixteen features at a time keep the
// lines being written within the first-level cache.
template <class T>
inline void pack_panel(const Matrix& m, int64_t row, int64_t count, int64_t col, int64_t depth,
                       double* panel) {
  constexpr int64_t kStep = 16;
  for (int64_t start = 0; start < depth; start += kStep) {
    const int64_t end = start + kStep < depth ? start + kStep : depth;
    for (int64_t j = 0; j < count; ++j) {
      const T* from = element<T>(m, row + j, col);
      for (int64_t c = start; c < end; ++c) {
        panel[c * kPanel + j] = static_cast<double>(from[c * m.col_stride]);
      }
    }
    for (int64_t j = count; j < kPanel; ++j) {
      for (int64_t c = start; c < end; ++c) panel[c * kPanel + j] = 0.0;
    }
  }
}

inline void pack_rows(const Matrix& m, int64_t row, int64_t count, int64_t col, int64_t depth,
                      double* rows) {
  switch (m.dtype) {
    case Dtype::float32: return pack_rows<float>(m, row, count, col, depth, rows);
    case Dtype::float64: return pack_rows<double>(m, row, count, col, depth, rows);
    case Dtype::uint8: return pack_rows<uint8_t>(m, row, count, col, depth, rows);
  }
}

inline void pack_panel(const Matrix& m, int64_t row, int64_t count, int64_t col, int64_t depth,
                       double* panel) {
  switch (m.dtype) {
    case Dtype::float32: return pack_panel<float>(m, row, count, col, depth, panel);
    case Dtype::float64: return pack_panel<double>(m, row, count, col, depth, panel);
    case Dtype::uint8: return pack_panel<uint8_t>(m, row, count, col, depth, panel);
  }
}

// R rows against V registers of the panel. R V sums in registers hide the latency of the fused
// multiply-add (2 ports x 4 cycles); the first pass starts from zero, later ones from `out`.
template <class L, class Term, int R, int V>
inline void tile(const double* rows, const double* panel, int64_t depth, bool first, double* out,
                 int64_t stride) {
  typename L::Reg sum[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      sum[r][v] = first ? L::zero() : L::load(out + r * stride + v * L::kWidth);
    }
  }
  for (int64_t c = 0; c < depth; ++c) {
    typename L::Reg y[V];
    for (int v = 0; v < V; ++v) y[v] = L::load(panel + c * kPanel + v * L::kWidth);
    for (int r = 0; r < R; ++r) {
      const typename L::Reg x = L::broadcast(rows[r * kDepth + c]);
      for (int v = 0; v < V; ++v) sum[r][v] = Term::template add<L>(sum[r][v], x, y[v]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) L::store(out + r * stride + v * L::kWidth, sum[r][v]);
  }
}

template <class L, class Term, int R>
inline void panel_sums(const double* rows, const double* panel, int64_t depth, bool first,
                       double* out, int64_t stride) {
  constexpr int kStep = L::kTileRegs * L::kWidth;
  for (int64_t j = 0; j < kPanel; j += kStep) {
    tile<L, Term, R, L::kTileRegs>(rows, panel + j, depth, first, out + j, stride);
  }
}

// out[i * stride + j] for rows x_begin .. x_begin + rows of x and y_begin .. y_begin + points of y,
// each sum one chain over the features.
template <class L, class Term>
inline void chain_block(const Matrix& x, int64_t x_begin, int64_t rows, const Matrix& y,
                        int64_t y_begin, int64_t points, double* out, int64_t stride,
                        double* scratch) {
  double* packed = scratch;
  double* panel = scratch + kRows * kDepth;
  for (int64_t col = 0; col < x.cols; col += kDepth) {
    const int64_t depth = x.cols - col < kDepth ? x.cols - col : kDepth;
    const bool first = col == 0;
    pack_rows(x, x_begin, rows, col, depth, packed);
    for (int64_t j = 0; j < points; j += kPanel) {
      const int64_t count = points - j < kPanel ? points - j : kPanel;
      pack_panel(y, y_begin + j, count, col, depth, panel);
      int64_t i = 0;
      for (; i + 4 <= rows; i += 4) {
        panel_sums<L, Term, 4>(packed + i * kDepth, panel, depth, first, out + i * stride + j,
                               stride);
      }
      for (; i < rows; ++i) {
        panel_sums<L, Term, 1>(packed + i * kDepth, panel, depth, first, out + i * stride + j,
                               stride);
      }
    }
  }
}

}  // namespace genmem::GENMEM_ISA
