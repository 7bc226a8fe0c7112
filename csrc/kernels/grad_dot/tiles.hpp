// Token products on AMX: 32 rows against 32 columns, floats split into bfloat16.
//
//   x = x1 + x2 + x3 + e, |e| <= 2^-26 |x|: each part is what the earlier ones leave, rounded
//   x . y = x1 y1 + (x1 y2 + x2 y1) + (x2 y2 + x1 y3 + x3 y1) + O(2^-24 |x| |y|)
//
// Six products of the tiles, a third as fast as one would be with a third of the parts, and still
// some three times as fast as float32. The tiles flush numbers below 2^-126 to zero; after the
// scales these are below 2^-100 of the largest.
#pragma once

#include "kernels/grad_dot/scales.hpp"
#include "kernels/grad_dot/sums.hpp"

namespace genmem::GENMEM_ISA {

// `x` to 16 x 16: register r holds what was word r of every register.
inline void transpose_words(__m512i* x) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int h = 0; h < 2; ++h) {
      x[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + 2 + h]);
      x[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + 2 + h]);
    }
  }
  // x[4 q + r] holds word r of its four quarters, for the rows 4 q .. 4 q + 3.
  for (int r = 0; r < 4; ++r) {
    const __m512i even01 = _mm512_shuffle_i32x4(x[r], x[4 + r], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(x[r], x[4 + r], 0xdd);
    const __m512i even23 = _mm512_shuffle_i32x4(x[8 + r], x[12 + r], 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(x[8 + r], x[12 + r], 0xdd);
    t[r] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    t[8 + r] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    t[4 + r] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    t[12 + r] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  }
  for (int i = 0; i < 16; ++i) x[i] = t[i];
}

// 32 features of one row, times its scale; zeros past the end.
struct Features {
  __m512 low, high;
};

template <class From>
inline Features gather_features(const From* from, int64_t step, int64_t count, float scale) {
  float x[32];
  for (int64_t c = 0; c < count; ++c) x[c] = static_cast<float>(from[c * step]) * scale;
  for (int64_t c = count; c < 32; ++c) x[c] = 0.0f;
  return {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
}

inline Features load_features(const Matrix& m, int64_t row, int64_t col, int64_t count,
                              float scale) {
  switch (m.dtype) {
    case Dtype::float32:
      if (m.col_stride == 1) {
        const float* from = element<float>(m, row, col);
        const __mmask16 low = static_cast<__mmask16>(count < 16 ? (1 << count) - 1 : 0xffff);
        const __mmask16 high = static_cast<__mmask16>(count > 16 ? (1 << (count - 16)) - 1 : 0);
        const __m512 by = _mm512_set1_ps(scale);
        return {_mm512_mul_ps(_mm512_maskz_loadu_ps(low, from), by),
                _mm512_mul_ps(_mm512_maskz_loadu_ps(high, from + (high ? 16 : 0)), by)};
      }
      return gather_features(element<float>(m, row, col), m.col_stride, count, scale);
    case Dtype::float64:
      return gather_features(element<double>(m, row, col), m.col_stride, count, scale);
    case Dtype::uint8:
      return gather_features(element<uint8_t>(m, row, col), m.col_stride, count, scale);
  }
  return {_mm512_setzero_ps(), _mm512_setzero_ps()};
}

template <int kParts>
inline void split_features(Features x, __m512i* parts) {
  for (int p = 0; p < kParts; ++p) {
    parts[p] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.high, x.low));
    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(parts[p]));
    const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(parts[p], 1));
    x.low = _mm512_sub_ps(x.low, _mm512_castsi512_ps(_mm512_slli_epi32(low, 16)));
    x.high = _mm512_sub_ps(x.high, _mm512_castsi512_ps(_mm512_slli_epi32(high, 16)));
  }
}

template <int kParts>
struct TileProducts {
  static constexpr int64_t kStepFeatures = 32;
  // Eight steps are one chain: 128 pairs of features, kChain roundings.
  static constexpr int64_t kChainSteps = 8;
  static constexpr int64_t kStrip = 96;

  static int64_t steps(int64_t depth) { return (depth + kStepFeatures - 1) / kStepFeatures; }
  // Of rows and columns alike.
  static int64_t packed_bytes(int64_t depth) { return kParts * steps(depth) * 64; }

  // Blocks of 16 rows, part by part, step by step: each tile is 1 KiB in one piece.
  static void pack_rows(const TokenPack& p) {
    const int64_t count = steps(p.depth);
    for (int64_t i = 0; i < (p.count + 31) / 32 * 32; ++i) {
      char* row = static_cast<char*>(p.out) + i / 16 * 16 * packed_bytes(p.depth) + i % 16 * 64;
      const bool absent = i >= p.count || p.at[i] < 0;
      for (int64_t step = 0; step < count; ++step) {
        __m512i parts[kParts] = {};
        if (!absent) {
          const int64_t c = step * kStepFeatures;
          const int64_t some = p.depth - c < kStepFeatures ? p.depth - c : kStepFeatures;
          split_features<kParts>(
              load_features(p.from, p.at[i], p.col + c, some, static_cast<float>(p.scale[i])),
              parts);
        }
        for (int part = 0; part < kParts; ++part) {
          _mm512_storeu_si512(row + (step * kParts + part) * 1024, parts[part]);
        }
      }
    }
  }

  // Panels of 32 columns, part by part, step by step, in halves of 16 columns; two features of a
  // column side by side: the layout of the second operand of TDPBF16PS.
  static void pack_columns(const TokenPack& p) {
    const int64_t count = steps(p.depth);
    char* panel = static_cast<char*>(p.out);
    for (int64_t first = 0; first < p.count; first += 32) {
      for (int64_t step = 0; step < count; ++step) {
        const int64_t c = step * kStepFeatures;
        const int64_t some = p.depth - c < kStepFeatures ? p.depth - c : kStepFeatures;
        for (int64_t half = 0; half < 2; ++half) {
          __m512i words[kParts][16];
          for (int64_t j = 0; j < 16; ++j) {
            const int64_t at = first + half * 16 + j;
            __m512i parts[kParts] = {};
            if (at < p.count && p.at[at] >= 0) {
              split_features<kParts>(
                  load_features(p.from, p.at[at], p.col + c, some, static_cast<float>(p.scale[at])),
                  parts);
            }
            for (int part = 0; part < kParts; ++part) words[part][j] = parts[part];
          }
          for (int part = 0; part < kParts; ++part) {
            transpose_words(words[part]);
            char* to = panel + ((step * kParts + part) * 2 + half) * 1024;
            for (int64_t r = 0; r < 16; ++r) _mm512_storeu_si512(to + r * 64, words[part][r]);
          }
        }
      }
      panel += kParts * count * 2048;
    }
  }

  static void load_rows(const char* top, const char* bottom, int part) {
    _tile_loadd(4, top + part * 1024, 64);
    _tile_loadd(5, bottom + part * 1024, 64);
  }
  static void load_columns(const char* columns, int part) {
    _tile_loadd(6, columns + part * 2048, 64);
    _tile_loadd(7, columns + part * 2048 + 1024, 64);
  }
  static void add() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }

  // The small terms first, so that only the last of a chain round at the size of the sum; in an
  // order in which each differs from the one before in one operand.
  static void chain(const char* top, const char* bottom, const char* columns, int64_t steps,
                    float* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (kParts == 3) {
      for (int64_t step = 0; step < steps; ++step) {
        const int64_t at = step * kParts * 1024;
        load_rows(top + at, bottom + at, 2);
        load_columns(columns + 2 * at, 0);
        add();
        load_rows(top + at, bottom + at, 1);
        add();
        load_columns(columns + 2 * at, 1);
        add();
        load_rows(top + at, bottom + at, 0);
        add();
        load_columns(columns + 2 * at, 2);
        add();
      }
    }
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t at = step * kParts * 1024;
      load_rows(top + at, bottom + at, 0);
      load_columns(columns + 2 * at, 0);
      add();
    }
    _tile_stored(0, sums, 128);
    _tile_stored(1, sums + 16, 128);
    _tile_stored(2, sums + 16 * 32, 128);
    _tile_stored(3, sums + 16 * 32 + 16, 128);
  }

  static void add_chain(const float* sums, bool first, float* out, int64_t stride) {
    for (int64_t r = 0; r < 32; ++r, out += stride) {
      for (int h = 0; h < 32; h += 16) {
        const __m512 sum = _mm512_load_ps(sums + r * 32 + h);
        _mm512_storeu_ps(out + h, first ? sum : _mm512_add_ps(_mm512_loadu_ps(out + h), sum));
      }
    }
  }

  static void multiply(const TokenProducts& p) {
    const Tiles tiles;
    const int64_t count = steps(p.depth), stride = packed_bytes(p.depth);
    const char* rows = static_cast<const char*>(p.rows);
    const char* columns = static_cast<const char*>(p.columns);
    float* out = static_cast<float*>(p.out);
    alignas(64) float sums[32 * 32];
    for (int64_t strip = 0; strip < p.row_count; strip += kStrip) {
      const int64_t end = strip + kStrip < p.row_count ? strip + kStrip : p.row_count;
      for (int64_t v = 0; v < p.vectors; v += 2) {
        const char* panel = columns + v * 16 * stride;
        for (int64_t step = 0; step < count; step += kChainSteps) {
          const int64_t some = count - step < kChainSteps ? count - step : kChainSteps;
          for (int64_t i = strip; i < end; i += 32) {
            const char* top = rows + i * stride + step * kParts * 1024;
            chain(top, top + 16 * stride, panel + step * kParts * 2048, some, sums);
            add_chain(sums, p.first && step == 0, out + i * p.out_stride + v * 16, p.out_stride);
          }
        }
      }
    }
  }

  static constexpr TokenKernel kernel() {
    return {16,
            32,
            2,
            2 * kVectors,
            4,
            packed_bytes,
            packed_bytes,
            token_scales<126>,
            pack_rows,
            pack_columns,
            multiply,
            token_sums<F32, float>};
  }
};

}  // namespace genmem::GENMEM_ISA
