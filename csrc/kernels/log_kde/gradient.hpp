// Weighted sums of differences over any lanes.
#pragma once

#include "kernels/log_kde/chunk.hpp"
#include "kernels/pairs/distances.hpp"

namespace genmem::GENMEM_ISA {

// Rows of which the features are read part by part: some 200 KiB at 784 features.
inline constexpr int64_t kGradientRows = 64;

// The terms that are kept: their shares and the indices of their points; returns how many.
template <class L>
inline int64_t shares(const KdeGradient& b, double* share, int64_t* kept) {
  const KdeChunk chunk{b.terms, b.sq, b.at, b.first, b.count, share};
  double top, next;
  const int64_t end = exponents<L>(chunk, top, next);
  const typename L::Reg shift = L::broadcast(b.log_sum), cut = L::broadcast(b.cut);
  int64_t n = 0;
  for (int64_t i = 0; i < end; i += L::kWidth) {
    const typename L::Reg a = L::load(share + i);
    if (!L::any_less_equal(cut, a)) continue;
    double lanes[L::kWidth], terms[L::kWidth];
    L::store(lanes, a);
    L::store(terms, L::exp(L::sub(a, shift)));
    for (int64_t lane = 0; lane < L::kWidth && i + lane < b.count; ++lane) {
      if (!(lanes[lane] >= b.cut)) continue;
      const int64_t at = point_of(chunk, i + lane);
      const double scale = b.terms.sq_scale ? b.terms.sq_scale[at] : 1.0;
      kept[n] = at;
      share[n++] = terms[lane] / (b.terms.sq_bandwidth * scale);
    }
  }
  return n;
}

// R registers of features from c on; a sum of each in a register.
template <class L, class T, int R>
inline void add_features(const KdeGradient& b, const double* q, const double* share,
                         const int64_t* kept, int64_t n, int64_t c) {
  typename L::Reg sum[R], from[R];
  for (int v = 0; v < R; ++v) {
    sum[v] = L::load(b.out + c + v * L::kWidth);
    from[v] = L::load(q + c + v * L::kWidth);
  }
  for (int64_t j = 0; j < n; ++j) {
    const T* x = element<T>(b.points, kept[j], c);
    const typename L::Reg s = L::broadcast(share[j]);
    for (int v = 0; v < R; ++v) {
      sum[v] = L::fma(s, L::sub(L::widen(x + v * L::kWidth), from[v]), sum[v]);
    }
  }
  for (int v = 0; v < R; ++v) L::store(b.out + c + v * L::kWidth, sum[v]);
}

template <class L, class T>
inline void add_rows(const KdeGradient& b, const double* q, const double* share,
                     const int64_t* kept, int64_t count) {
  const int64_t cols = b.points.cols;
  for (int64_t j = 0; j < count; j += kGradientRows) {
    const int64_t n = count - j < kGradientRows ? count - j : kGradientRows;
    int64_t c = 0;
    for (; c + 4 * L::kWidth <= cols; c += 4 * L::kWidth) {
      add_features<L, T, 4>(b, q, share + j, kept + j, n, c);
    }
    for (; c + L::kWidth <= cols; c += L::kWidth) {
      add_features<L, T, 1>(b, q, share + j, kept + j, n, c);
    }
    for (; c < cols; ++c) {
      for (int64_t i = j; i < j + n; ++i) {
        const double x = static_cast<double>(*element<T>(b.points, kept[i], c));
        b.out[c] = L::fma_one(share[i], x - q[c], b.out[c]);
      }
    }
  }
}

template <class L>
inline void kde_gradient_block(const KdeGradient& b) {
  const int64_t cols = b.queries.cols, depth = widened(cols);
  double* q = b.scratch;
  double* x = q + depth;
  double* share = x + depth;
  int64_t* kept = reinterpret_cast<int64_t*>(share + kKdeChunk);
  const int64_t n = shares<L>(b, share, kept);
  if (n == 0) return;
  widen_row(b.queries, b.query, q);
  if (b.points.col_stride == 1) {
    switch (b.points.dtype) {
      case Dtype::float32: return add_rows<L, float>(b, q, share, kept, n);
      case Dtype::float64: return add_rows<L, double>(b, q, share, kept, n);
      case Dtype::uint8: return add_rows<L, uint8_t>(b, q, share, kept, n);
    }
  }
  for (int64_t j = 0; j < n; ++j) {
    widen_row(b.points, kept[j], x);
    for (int64_t c = 0; c < cols; ++c) b.out[c] = L::fma_one(share[j], x[c] - q[c], b.out[c]);
  }
}

}  // namespace genmem::GENMEM_ISA
