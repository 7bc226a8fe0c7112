// Squared distances of narrow rows by their expansion about a centre; see pairs.hpp.
#pragma once

#include "kernels/pairs/block.hpp"

namespace genmem::GENMEM_ISA {

// to[c * step] = row - centre.
template <class T>
inline void centre_row(const Matrix& m, int64_t row, const double* centre, double* to,
                       int64_t step) {
  const T* from = element<T>(m, row, 0);
  for (int64_t c = 0; c < m.cols; ++c) {
    to[c * step] = static_cast<double>(from[c * m.col_stride]) - centre[c];
  }
}

inline void centre_row(const Matrix& m, int64_t row, const double* centre, double* to,
                       int64_t step) {
  switch (m.dtype) {
    case Dtype::float32: return centre_row<float>(m, row, centre, to, step);
    case Dtype::float64: return centre_row<double>(m, row, centre, to, step);
    case Dtype::uint8: return centre_row<uint8_t>(m, row, centre, to, step);
  }
}

// |t|^2 of a row: the chain that column_norms and the products are, so that a copy is at exactly 0.
template <class L>
inline double row_norm(const double* t, int64_t depth) {
  double sum = 0.0;
  for (int64_t c = 0; c < depth; ++c) sum = L::fma_one(t[c], t[c], sum);
  return sum;
}

// The same of a register of columns of a panel.
template <class L>
inline typename L::Reg column_norms(const double* panel, int64_t depth) {
  typename L::Reg sum = L::zero();
  for (int64_t c = 0; c < depth; ++c) {
    const typename L::Reg t = L::load(panel + c * kPanel);
    sum = L::fma(t, t, sum);
  }
  return sum;
}

// R rows against V registers of a panel whose squared norms are `panel_norm`.
template <class L, int R, int V>
inline void expanded_tile(const double* rows, const double* norm, const double* panel,
                          const double* panel_norm, int64_t depth, double* out, int64_t stride) {
  typename L::Reg sum[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sum[r][v] = L::zero();
  }
  for (int64_t c = 0; c < depth; ++c) {
    typename L::Reg y[V];
    for (int v = 0; v < V; ++v) y[v] = L::load(panel + c * kPanel + v * L::kWidth);
    for (int r = 0; r < R; ++r) {
      const typename L::Reg x = L::broadcast(rows[r * kChainDepth + c]);
      for (int v = 0; v < V; ++v) sum[r][v] = L::fma(x, y[v], sum[r][v]);
    }
  }
  const typename L::Reg minus_two = L::broadcast(-2.0);
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      const typename L::Reg norms =
          L::add(L::broadcast(norm[r]), L::load(panel_norm + v * L::kWidth));
      L::store(out + r * stride + v * L::kWidth,
               L::max(L::zero(), L::fma(sum[r][v], minus_two, norms)));
    }
  }
}

// Panel by panel: features x kPanel columns, then the squared norms of the columns.
template <class L>
inline void expanded_panels(const Panels& b) {
  const int64_t cols = b.points.cols;
  double* panel = b.out;
  for (int64_t j = 0; j < b.count; j += kPanel, panel += kPanel * (cols + 1)) {
    const int64_t count = b.count - j < kPanel ? b.count - j : kPanel;
    for (int64_t p = 0; p < count; ++p) {
      centre_row(b.points, b.point + j + p, b.centre, panel + p, kPanel);
    }
    for (int64_t p = count; p < kPanel; ++p) {
      for (int64_t c = 0; c < cols; ++c) panel[c * kPanel + p] = 0.0;
    }
    for (int64_t p = 0; p < kPanel; p += L::kWidth) {
      L::store(panel + cols * kPanel + p, column_norms<L>(panel + p, cols));
    }
  }
}

template <class L>
inline void expanded_block(const DistanceBlock& b) {
  constexpr int kStep = L::kTileRegs * L::kWidth;
  const int64_t cols = b.queries.cols;
  double* rows = b.scratch;
  double norm[kRows];
  for (int64_t i = 0; i < b.rows; ++i) {
    centre_row(b.queries, b.query + i, b.centre, rows + i * kChainDepth, 1);
    norm[i] = row_norm<L>(rows + i * kChainDepth, cols);
  }
  const double* panel = b.panels;
  for (int64_t j = 0; j < b.count; j += kPanel, panel += kPanel * (cols + 1)) {
    for (int64_t p = 0; p < kPanel; p += kStep) {
      const double* norms = panel + cols * kPanel + p;
      double* out = b.out + j + p;
      int64_t i = 0;
      for (; i + 4 <= b.rows; i += 4) {
        expanded_tile<L, 4, L::kTileRegs>(rows + i * kChainDepth, norm + i, panel + p, norms, cols,
                                          out + i * b.stride, b.stride);
      }
      for (; i < b.rows; ++i) {
        expanded_tile<L, 1, L::kTileRegs>(rows + i * kChainDepth, norm + i, panel + p, norms, cols,
                                          out + i * b.stride, b.stride);
      }
    }
  }
}

template <class L>
inline void expanded_list(const Matrix& x, int64_t x_row, const Matrix& y, const int64_t* at,
                          int64_t count, const double* centre, double* sq, double* scratch) {
  double* row = scratch;
  double* panel = scratch + kRows * kChainDepth;
  double panel_norm[kPanel], sums[kPanel];
  centre_row(x, x_row, centre, row, 1);
  const double norm = row_norm<L>(row, x.cols);
  for (int64_t j = 0; j < count; j += kPanel) {
    const int64_t some = count - j < kPanel ? count - j : kPanel;
    for (int64_t p = 0; p < some; ++p) centre_row(y, at[j + p], centre, panel + p, kPanel);
    for (int64_t v = 0; v < some; v += L::kWidth) {
      L::store(panel_norm + v, column_norms<L>(panel + v, x.cols));
      expanded_tile<L, 1, 1>(row, &norm, panel + v, panel_norm + v, x.cols, sums + v, 0);
    }
    for (int64_t p = 0; p < some; ++p) sq[j + p] = sums[p];
  }
}

}  // namespace genmem::GENMEM_ISA
