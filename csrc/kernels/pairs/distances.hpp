// Squared distances over any lanes: a block of pairs, or one row and a list of others.
#pragma once

#include <string.h>

#include "kernels/pairs/block.hpp"

namespace genmem::GENMEM_ISA {

// One row as doubles, filled up with zeros to a multiple of eight.
template <class T>
inline void widen_row(const Matrix& m, int64_t row, double* to) {
  const T* from = element<T>(m, row, 0);
  if (m.col_stride == 1) {
    for (int64_t c = 0; c < m.cols; ++c) to[c] = static_cast<double>(from[c]);
  } else {
    for (int64_t c = 0; c < m.cols; ++c) to[c] = static_cast<double>(from[c * m.col_stride]);
  }
  for (int64_t c = m.cols; c < widened(m.cols); ++c) to[c] = 0.0;
}

inline void widen_row(const Matrix& m, int64_t row, double* to) {
  switch (m.dtype) {
    case Dtype::float32: return widen_row<float>(m, row, to);
    case Dtype::float64: return widen_row<double>(m, row, to);
    case Dtype::uint8: return widen_row<uint8_t>(m, row, to);
  }
}

// Eight chains of one pair, in as many registers as that takes, and their sum by one fixed tree.
template <class L>
struct Eight {
  static constexpr int kRegs = 8 / L::kWidth;
  typename L::Reg chain[kRegs];

  void clear() {
    for (int v = 0; v < kRegs; ++v) chain[v] = L::zero();
  }
  template <class X, class Y>
  void add(const X* x, const Y* y) {
    for (int v = 0; v < kRegs; ++v) {
      chain[v] = SquaredDifference::template add<L>(chain[v], L::widen(x + v * L::kWidth),
                                                    L::widen(y + v * L::kWidth));
    }
  }
  double sum() const {
    double t[8];
    for (int v = 0; v < kRegs; ++v) L::store(t + v * L::kWidth, chain[v]);
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
  }
};

// R x P pairs of widened rows.
template <class L, int R, int P>
inline void wide_tile(const double* x, const double* y, int64_t depth, double* out,
                      int64_t stride) {
  Eight<L> sums[R][P];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) sums[r][p].clear();
  }
  for (int64_t c = 0; c < depth; c += 8) {
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) sums[r][p].add(x + r * depth + c, y + p * depth + c);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) out[r * stride + p] = sums[r][p].sum();
  }
}

template <class L>
inline void wide_block(const Matrix& x, int64_t x_begin, int64_t rows, const Matrix& y,
                       int64_t y_begin, int64_t points, double* out, int64_t stride,
                       double* scratch) {
  constexpr int kSide = L::kWideSide;
  const int64_t depth = widened(x.cols);
  double* left = scratch;
  double* right = scratch + kWideRows * depth;
  for (int64_t i0 = 0; i0 < rows; i0 += kWideRows) {
    const int64_t some_rows = rows - i0 < kWideRows ? rows - i0 : kWideRows;
    for (int64_t i = 0; i < some_rows; ++i) widen_row(x, x_begin + i0 + i, left + i * depth);
    for (int64_t j0 = 0; j0 < points; j0 += kWidePoints) {
      const int64_t some = points - j0 < kWidePoints ? points - j0 : kWidePoints;
      for (int64_t j = 0; j < some; ++j) widen_row(y, y_begin + j0 + j, right + j * depth);
      double* to = out + i0 * stride + j0;
      int64_t i = 0;
      for (; i + kSide <= some_rows; i += kSide) {
        int64_t j = 0;
        for (; j + kSide <= some; j += kSide) {
          wide_tile<L, kSide, kSide>(left + i * depth, right + j * depth, depth,
                                     to + i * stride + j, stride);
        }
        for (; j < some; ++j) {
          wide_tile<L, kSide, 1>(left + i * depth, right + j * depth, depth, to + i * stride + j,
                                 stride);
        }
      }
      for (; i < some_rows; ++i) {
        for (int64_t j = 0; j < some; ++j) {
          wide_tile<L, 1, 1>(left + i * depth, right + j * depth, depth, to + i * stride + j,
                             stride);
        }
      }
    }
  }
}

// P rows of y, as they lie in memory, against one widened row; the lines of the next P are asked
// for on the way, as their places follow no pattern.
template <class L, class T, int P>
inline void list_tile(const double* x, const Matrix& y, const int64_t* at, const int64_t* next,
                      double* sq) {
  Eight<L> sums[P];
  const T* rows[P];
  const char* ahead[P];
  for (int p = 0; p < P; ++p) {
    sums[p].clear();
    rows[p] = element<T>(y, at[p], 0);
    ahead[p] = reinterpret_cast<const char*>(element<T>(y, next[p], 0));
  }
  const int64_t whole = y.cols / 8 * 8;
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line
  for (int64_t c = 0; c < whole; c += 8) {
    if (c % kLine == 0) {
      for (int p = 0; p < P; ++p) __builtin_prefetch(ahead[p] + c * sizeof(T));
    }
    for (int p = 0; p < P; ++p) sums[p].add(x + c, rows[p] + c);
  }
  if (whole < y.cols) {
    for (int p = 0; p < P; ++p) {
      double rest[8] = {};
      for (int64_t c = whole; c < y.cols; ++c) rest[c - whole] = static_cast<double>(rows[p][c]);
      sums[p].add(x + whole, rest);
    }
  }
  for (int p = 0; p < P; ++p) sq[p] = sums[p].sum();
}

template <class L, class T>
inline void wide_list(const double* x, const Matrix& y, const int64_t* at, int64_t count,
                      double* sq) {
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    list_tile<L, T, 4>(x, y, at + j, j + 8 <= count ? at + j + 4 : at + j, sq + j);
  }
  for (; j < count; ++j) list_tile<L, T, 1>(x, y, at + j, at + j, sq + j);
}

template <class T>
inline void pack_listed(const Matrix& y, const int64_t* at, int64_t count, double* panel) {
  for (int64_t j = 0; j < count; ++j) {
    const T* from = element<T>(y, at[j], 0);
    for (int64_t c = 0; c < y.cols; ++c) {
      panel[c * kPanel + j] = static_cast<double>(from[c * y.col_stride]);
    }
  }
}

// sq[j] for row x_row of x and rows at[j] of y, differences first. Scratch: distance_scratch(cols).
template <class L>
inline void distance_list(const Matrix& x, int64_t x_row, const Matrix& y, const int64_t* at,
                          int64_t count, double* sq, double* scratch) {
  double* row = scratch;
  if (x.cols > kChainDepth) {
    widen_row(x, x_row, row);
    if (y.col_stride == 1) {
      switch (y.dtype) {
        case Dtype::float32: return wide_list<L, float>(row, y, at, count, sq);
        case Dtype::float64: return wide_list<L, double>(row, y, at, count, sq);
        case Dtype::uint8: return wide_list<L, uint8_t>(row, y, at, count, sq);
      }
    }
    const int64_t depth = widened(x.cols);
    for (int64_t j = 0; j < count; ++j) {
      widen_row(y, at[j], row + depth);
      wide_tile<L, 1, 1>(row, row + depth, depth, sq + j, 0);
    }
    return;
  }
  double* panel = scratch + kRows * kDepth;
  pack_rows(x, x_row, 1, 0, x.cols, row);
  for (int64_t j = 0; j < count; j += kPanel) {
    const int64_t some = count - j < kPanel ? count - j : kPanel;
    switch (y.dtype) {
      case Dtype::float32: pack_listed<float>(y, at + j, some, panel); break;
      case Dtype::float64: pack_listed<double>(y, at + j, some, panel); break;
      case Dtype::uint8: pack_listed<uint8_t>(y, at + j, some, panel); break;
    }
    double sums[kPanel];
    for (int64_t v = 0; v < some; v += L::kWidth) {
      tile<L, SquaredDifference, 1, 1>(row, panel + v, x.cols, true, sums + v, 0);
    }
    memcpy(sq + j, sums, static_cast<size_t>(some) * sizeof(double));
  }
}

// Rows of one query or few are read once, where they lie: widening a copy would double the traffic.
template <class L>
inline void narrow_block(const Matrix& x, int64_t x_begin, int64_t rows, const Matrix& y,
                         int64_t y_begin, int64_t points, double* out, int64_t stride,
                         double* scratch) {
  int64_t at[kWidePoints];
  for (int64_t j = 0; j < points; j += kWidePoints) {
    const int64_t some = points - j < kWidePoints ? points - j : kWidePoints;
    for (int64_t p = 0; p < some; ++p) at[p] = y_begin + j + p;
    for (int64_t i = 0; i < rows; ++i) {
      distance_list<L>(x, x_begin + i, y, at, some, out + i * stride + j, scratch);
    }
  }
}

// out[i * stride + j]; room for whole panels of kPanel columns. Scratch: distance_scratch(cols).
template <class L>
inline void distance_block(const Matrix& x, int64_t x_begin, int64_t rows, const Matrix& y,
                           int64_t y_begin, int64_t points, double* out, int64_t stride,
                           double* scratch) {
  if (x.cols <= kChainDepth) {
    chain_block<L, SquaredDifference>(x, x_begin, rows, y, y_begin, points, out, stride, scratch);
  } else if (rows < 4) {
    narrow_block<L>(x, x_begin, rows, y, y_begin, points, out, stride, scratch);
  } else {
    wide_block<L>(x, x_begin, rows, y, y_begin, points, out, stride, scratch);
  }
}

}  // namespace genmem::GENMEM_ISA
