// Token products in 16-bit integers: coarser than float32, and up to twice as fast.
//
//   x = s q + r for every run of kRun features, with a step s of the run's own and q whole:
//   s = max(|x| / 46,300, max |x_c| / 32,700), so that q fits 16 bits and, by Cauchy-Schwarz, every
//   sum of products of two runs fits 32: it is exact.   |r| <= s sqrt(kRun) / 2 <= kWholeUnit |x|
//
// A run whose squares underflow is left out: after the scales of tokens it is below 2^-60 of what
// its sample consists of. A run with a NaN or an infinity has a NaN for its step.
#pragma once

#include "kernels/grad_dot/scales.hpp"
#include "kernels/grad_dot/sums.hpp"

namespace genmem::GENMEM_ISA {

// V: float lanes; W: the 32-bit sums of products of pairs, as many.
template <class V, class W>
struct WholeProducts {
  static constexpr int kRows = W::kTileRows;
  static constexpr int kRegs = W::kTileRegs;
  static constexpr int64_t kPanelWidth = kRegs * V::kWidth;
  static constexpr int64_t kStrip = 8 * kRows;
  static constexpr int64_t kRun = 64;
  static constexpr int64_t kPairs = kRun / 2;

  static int64_t runs(int64_t depth) { return (depth + kRun - 1) / kRun; }
  // The integers of all runs, then their steps; never a multiple of 1 KiB: rows at such a distance
  // would share the sets of the cache.
  static int64_t row_bytes(int64_t depth) {
    const int64_t bytes = (runs(depth) * (2 * kRun + 4) + 63) / 64 * 64;
    return bytes % 1024 == 0 ? bytes + 64 : bytes;
  }
  // A panel is run after run: pairs of features side by side, then the steps of the columns.
  static int64_t column_bytes(int64_t depth) { return runs(depth) * (2 * kRun + 4); }

  template <class From>
  static void load_run(const From* from, int64_t step, int64_t count, float scale, float* x) {
    for (int64_t c = 0; c < count; ++c) x[c] = static_cast<float>(from[c * step]) * scale;
  }

  // Features col .. col + kRun of a row, as far as there are any, times its scale.
  static void load(const TokenPack& p, int64_t row, int64_t run, float* x) {
    const int64_t at = run * kRun, left = p.depth - at, count = left < kRun ? left : kRun;
    const int64_t step = p.from.col_stride, col = p.col + at;
    const float scale = static_cast<float>(p.scale[row]);
    switch (p.from.dtype) {
      case Dtype::float32:
        if (step == 1) {
          load_run(element<float>(p.from, p.at[row], col), 1, count, scale, x);
        } else {
          load_run(element<float>(p.from, p.at[row], col), step, count, scale, x);
        }
        break;
      case Dtype::float64:
        load_run(element<double>(p.from, p.at[row], col), step, count, scale, x);
        break;
      case Dtype::uint8:
        load_run(element<uint8_t>(p.from, p.at[row], col), step, count, scale, x);
        break;
    }
    for (int64_t c = count; c < kRun; ++c) x[c] = 0.0f;
  }

  // A run to integers; returns its step.
  static float round_run(const float* x, int16_t* q) {
    typename V::Reg sum = V::zero();
    int32_t most = 0;
    for (int64_t c = 0; c < kRun; c += V::kWidth) {
      const typename V::Reg part = V::load(x + c);
      sum = V::fma(part, part, sum);
    }
    for (int64_t c = 0; c < kRun; ++c) {
      int32_t word;
      __builtin_memcpy(&word, x + c, sizeof word);
      word &= INT32_MAX;
      most = word > most ? word : most;
    }
    float lanes[V::kWidth], largest;
    V::store(lanes, sum);
    for (int half = V::kWidth / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) lanes[v] += lanes[v + half];
    }
    const float squares = lanes[0];
    __builtin_memcpy(&largest, &most, sizeof largest);
    if (!(squares >= 1e-36f && squares < 1e36f)) {
      for (int64_t c = 0; c < kRun; ++c) q[c] = 0;
      return squares < 1e-36f ? 0.0f : __builtin_nanf("");
    }
    const float by_length = __builtin_sqrtf(squares) * (1.0f / 46300.0f);
    const float by_entry = largest * (1.0f / 32700.0f);
    const float step = by_length > by_entry ? by_length : by_entry, inverse = 1.0f / step;
    constexpr float kRound = 0x1.8p23f;  // a float below 2^22 plus and minus this is whole
    for (int64_t c = 0; c < kRun; ++c) {
      q[c] = static_cast<int16_t>(static_cast<int32_t>((x[c] * inverse + kRound) - kRound));
    }
    return step;
  }

  static void pack_rows(const TokenPack& p) {
    const int64_t count = runs(p.depth), stride = row_bytes(p.depth);
    float x[kRun];
    for (int64_t i = 0; i < (p.count + kRows - 1) / kRows * kRows; ++i) {
      char* row = static_cast<char*>(p.out) + i * stride;
      int16_t* q = reinterpret_cast<int16_t*>(row);
      float* steps = reinterpret_cast<float*>(row + count * 2 * kRun);
      const bool absent = i >= p.count || p.at[i] < 0;
      for (int64_t run = 0; run < count; ++run) {
        if (absent) {
          for (int64_t c = 0; c < kRun; ++c) q[run * kRun + c] = 0;
          steps[run] = 0.0f;
        } else {
          load(p, i, run, x);
          steps[run] = round_run(x, q + run * kRun);
        }
      }
    }
  }

  static void pack_columns(const TokenPack& p) {
    const int64_t count = runs(p.depth);
    int32_t* panel = static_cast<int32_t*>(p.out);
    float x[kRun];
    int16_t q[kRun];
    for (int64_t first = 0; first < p.count; first += kPanelWidth) {
      for (int64_t run = 0; run < count; ++run) {
        float* steps = reinterpret_cast<float*>(panel + kPairs * kPanelWidth);
        for (int64_t j = 0; j < kPanelWidth; ++j) {
          if (first + j >= p.count || p.at[first + j] < 0) {
            for (int64_t c = 0; c < kPairs; ++c) panel[c * kPanelWidth + j] = 0;
            steps[j] = 0.0f;
            continue;
          }
          load(p, first + j, run, x);
          steps[j] = round_run(x, q);
          for (int64_t c = 0; c < kPairs; ++c) {
            __builtin_memcpy(panel + c * kPanelWidth + j, q + 2 * c, 4);
          }
        }
        panel += (kPairs + 1) * kPanelWidth;
      }
    }
  }

  // One run of kRows rows against a panel, times both steps, added to what is there.
  static void tile(const char* rows, int64_t stride, const float* row_steps, const int32_t* panel,
                   bool first, float* out, int64_t out_stride) {
    using Sums = typename W::Reg;
    Sums sum[kRows][kRegs];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kRegs; ++v) sum[r][v] = W::zero();
    }
    for (int64_t c = 0; c < kPairs; ++c) {
      Sums y[kRegs];
      for (int v = 0; v < kRegs; ++v) y[v] = W::load(panel + c * kPanelWidth + v * V::kWidth);
      for (int r = 0; r < kRows; ++r) {
        int32_t pair;
        __builtin_memcpy(&pair, rows + r * stride + c * 4, 4);
        const Sums x = W::broadcast(pair);
        for (int v = 0; v < kRegs; ++v) sum[r][v] = W::add_products(sum[r][v], x, y[v]);
      }
    }
    typename V::Reg y[kRegs];
    const float* steps = reinterpret_cast<const float*>(panel + kPairs * kPanelWidth);
    for (int v = 0; v < kRegs; ++v) y[v] = V::load(steps + v * V::kWidth);
    for (int r = 0; r < kRows; ++r) {
      float step;
      __builtin_memcpy(&step, reinterpret_cast<const char*>(row_steps) + r * stride, 4);
      const typename V::Reg x = V::broadcast(step);
      for (int v = 0; v < kRegs; ++v) {
        float* to = out + r * out_stride + v * V::kWidth;
        const typename V::Reg product = V::mul(W::to_float(sum[r][v]), V::mul(x, y[v]));
        V::store(to, first ? product : V::add(V::load(to), product));
      }
    }
  }

  static void multiply(const TokenProducts& p) {
    const int64_t stride = row_bytes(p.depth), count = runs(p.depth);
    const char* rows = static_cast<const char*>(p.rows);
    const char* columns = static_cast<const char*>(p.columns);
    float* out = static_cast<float*>(p.out);
    for (int64_t strip = 0; strip < p.row_count; strip += kStrip) {
      const int64_t end = strip + kStrip < p.row_count ? strip + kStrip : p.row_count;
      for (int64_t v = 0; v < p.vectors; v += kRegs) {
        const int32_t* panel =
            reinterpret_cast<const int32_t*>(columns + v * V::kWidth * column_bytes(p.depth));
        for (int64_t run = 0; run < count; ++run, panel += (kPairs + 1) * kPanelWidth) {
          for (int64_t i = strip; i < end; i += kRows) {
            const char* row = rows + i * stride;
            const float* steps = reinterpret_cast<const float*>(row + count * 2 * kRun) + run;
            tile(row + run * 2 * kRun, stride, steps, panel, p.first && run == 0,
                 out + i * p.out_stride + v * V::kWidth, p.out_stride);
          }
        }
      }
    }
  }

  static constexpr TokenKernel kernel() {
    return {V::kWidth, kRows,        kRegs,        kVectors,
            4,         row_bytes,    column_bytes, token_scales<126>,
            pack_rows, pack_columns, multiply,     token_sums<V, float>};
  }
};

}  // namespace genmem::GENMEM_ISA
