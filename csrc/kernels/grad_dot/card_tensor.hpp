// Token products on tensor cores: 128 rows against 128 columns, of the first kOf parts of bfloat16
// that floats were split into; see card.hpp.
#pragma once

#include "kernels/grad_dot/card_scales.hpp"
#include "kernels/grad_dot/card_segments.hpp"

namespace genmem::GENMEM_ISA {

// A tile of 128 x 128 for 16 warps, 32 x 32 each. Of each stage of 32 features, 256 tokens come to
// shared memory while the stage before is multiplied. Of three parts, at half of the tensor cores'
// speed, these are 16 bytes a clock and multiprocessor, which is what the second-level cache can
// bring; of two parts 21, of one 32: then the cache sets the pace.
struct Tensor {
  static constexpr int kSide = 128;
  static constexpr int kThreads = 512;
  static constexpr int kRowBytes = kCardStage * 2;          // of one part
  static constexpr int kPartBytes = 2 * kSide * kRowBytes;  // rows, then columns
};
template <int kOf>
inline constexpr int kBufferBytes = kOf * Tensor::kPartBytes;
template <int kOf>
inline constexpr int64_t kTensorShared =
    2 * kBufferBytes<kOf> + Tensor::kSide * Tensor::kSide * 4 + 2 * Tensor::kSide * (4 + 1);

// Rows of 64 bytes, their four pieces exchanged by turns: eight rows at one piece are in all banks.
GENMEM_DEVICE int piece_at(int row, int piece) {
  return row * Tensor::kRowBytes + ((piece ^ (row >> 1 & 3)) * 16);
}

// Where a thread stands in a tile: all but constants of what it reads and writes in every stage.
struct Place {
  int row, column;    // of the warp's 32 x 32
  int rows, columns;  // in a part, of the first 16 features of a stage; kLater from the others
  int token, piece;   // that it brings of either side
};
inline constexpr int kLater = 32;  // bytes, exchanged

GENMEM_DEVICE Place own_place() {
  const int lane = device::lane(), row = device::warp() / 4 * 32, column = device::warp() % 4 * 32;
  const int right = Tensor::kSide + column + lane % 8 + lane / 16 * 8;
  return {row,
          column,
          piece_at(row + lane % 16, lane / 16),
          piece_at(right, lane / 8 % 2),
          device::thread() / 4,
          device::thread() % 4};
}

// One stage of both sides of a tile, on its way to a buffer: of a part, four threads bring the 64
// bytes of a token.
template <int kOf>
GENMEM_DEVICE void fetch_stage(char* buffer, const Place& place, const char* x, bool x_inside,
                               const char* y, bool y_inside) {
  char* const to = buffer + piece_at(place.token, place.piece);
  GENMEM_UNROLL
  for (int part = 0; part < kOf; ++part) {
    device::copy_async(to + part * Tensor::kPartBytes, x + part * Tensor::kRowBytes, x_inside);
    device::copy_async(to + part * Tensor::kPartBytes + Tensor::kSide * Tensor::kRowBytes,
                       y + part * Tensor::kRowBytes, y_inside);
  }
  device::commit_copies();
}

using Sums = float[2][4][4];
using Operand = uint32_t[2][4];

// 32 rows, or columns, of one part: 16 features of each.
GENMEM_DEVICE void load(Operand& to, const char* at) {
  device::load_matrix(to[0], at);
  device::load_matrix(to[1], at + 16 * Tensor::kRowBytes);
}
GENMEM_DEVICE void multiply(Sums& sums, const Operand& a, const Operand& b) {
  GENMEM_UNROLL
  for (int m = 0; m < 2; ++m) {
    GENMEM_UNROLL
    for (int n = 0; n < 4; ++n) {
      device::multiply_bf16(sums[m][n], a[m], {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]});
    }
  }
}

// One stage. The small products of both halves first, in an order in which most differ from the one
// before in one operand.
template <int kOf>
GENMEM_DEVICE void multiply_stage(Sums& sums, const char* buffer, const Place& place) {
  Operand a, b;
  GENMEM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const char* const rows = buffer + (place.rows ^ half * kLater);
    const char* const columns = buffer + (place.columns ^ half * kLater);
    if (kOf == 3) {
      load(a, rows + 2 * Tensor::kPartBytes);
      load(b, columns);
      multiply(sums, a, b);
      load(a, rows + Tensor::kPartBytes);
      multiply(sums, a, b);
      load(b, columns + Tensor::kPartBytes);
      multiply(sums, a, b);
      load(a, rows);
      multiply(sums, a, b);
      load(b, columns + 2 * Tensor::kPartBytes);
      multiply(sums, a, b);
    } else if (kOf == 2) {
      load(a, rows + Tensor::kPartBytes);
      load(b, columns);
      multiply(sums, a, b);
      load(a, rows);
      load(b, columns + Tensor::kPartBytes);
      multiply(sums, a, b);
    }
  }
  GENMEM_UNROLL
  for (int half = 0; half < 2; ++half) {
    load(a, buffer + (place.rows ^ half * kLater));
    load(b, buffer + (place.columns ^ half * kLater));
    multiply(sums, a, b);
  }
}

// Calls each(m, n, r, row, column) for every sum that a thread holds.
template <class Each>
GENMEM_DEVICE void each_sum(const Place& place, const Each& each) {
  GENMEM_UNROLL
  for (int m = 0; m < 2; ++m) {
    GENMEM_UNROLL
    for (int n = 0; n < 4; ++n) {
      GENMEM_UNROLL
      for (int r = 0; r < 4; ++r) {
        each(m, n, r, place.row + m * 16 + device::lane() / 4 + r / 2 * 8,
             place.column + n * 8 + device::lane() % 4 * 2 + r % 2);
      }
    }
  }
}

// The factors of one operand, as parts, of the tokens from a tile's first ones on.
struct TileParts {
  const char *x, *y;
  int stages;
};

GENMEM_DEVICE TileParts tile_parts(const void* x, int64_t x_token, const void* y, int64_t y_token,
                                   int64_t cols) {
  const int stages = static_cast<int>(card_stages(cols));
  const int64_t bytes = static_cast<int64_t>(stages) * kStageBytes;
  return {static_cast<const char*>(x) + x_token * bytes,
          static_cast<const char*>(y) + y_token * bytes, stages};
}

// One product, over d or over p: take(sums, whether the first) gets the sums of every kStages
// stages, in which those of each stage were added.
template <int kOf, int kStages, class Take>
GENMEM_DEVICE void each_chain(const TileParts& parts, char* buffers, const Place& place,
                              int x_count, int y_count, const Take& take) {
  const bool live = place.row < x_count && place.column < y_count;
  const bool x_inside = place.token < x_count, y_inside = place.token < y_count;
  const int64_t at =
      static_cast<int64_t>(place.token) * parts.stages * kStageBytes + place.piece * 16;
  const char* x = parts.x + (x_inside ? at : 0);
  const char* y = parts.y + (y_inside ? at : 0);
  fetch_stage<kOf>(buffers, place, x, x_inside, y, y_inside);
  Sums total = {};
  for (int stage = 0; stage < parts.stages; ++stage) {
    device::wait_copies<0>();
    device::barrier();
    if (stage + 1 < parts.stages) {
      x += kStageBytes;
      y += kStageBytes;
      fetch_stage<kOf>(buffers + (stage + 1) % 2 * kBufferBytes<kOf>, place, x, x_inside, y,
                       y_inside);
    }
    if (!live) continue;
    Sums sums = {};
    multiply_stage<kOf>(sums, buffers + stage % 2 * kBufferBytes<kOf>, place);
    each_sum(place, [&](int m, int n, int r, int, int) { total[m][n][r] += sums[m][n][r]; });
    if ((stage + 1) % kStages != 0 && stage + 1 < parts.stages) continue;
    take(total, stage < kStages);
    each_sum(place, [&](int m, int n, int r, int, int) { total[m][n][r] = 0.0f; });
  }
  device::barrier();
}

template <int kOf>
GENMEM_KERNEL void GENMEM_BLOCKS(Tensor::kThreads, 1) add_tensor_products(CardTokenProducts p) {
  const int64_t x_group = device::block_y(), y_group = device::block_x();
  if (!wanted(p, x_group, y_group)) return;
  char* const buffers = device::shared_memory();
  const Plane<float, Tensor::kSide> plane{
      reinterpret_cast<float*>(buffers + 2 * kBufferBytes<kOf>)};
  float* const bias = plane.at + Tensor::kSide * Tensor::kSide;
  uint8_t* const runs = reinterpret_cast<uint8_t*>(bias + 2 * Tensor::kSide);
  TileSide<float> x{0, 0, bias, runs}, y{0, 0, bias + Tensor::kSide, runs + Tensor::kSide};
  const Place place = own_place();
  // The wider product comes first: its chains meet in the plane, the other is one chain.
  const bool inputs_first = p.x.layer.inputs.cols >= p.x.layer.gradients.cols;
  const auto rows_left = [](int64_t left) {
    return static_cast<int>(left < Tensor::kSide ? left : Tensor::kSide);
  };
  for (x.first = first_token(p.x, x_group); x.first < first_token(p.x, x_group + 1);
       x.first += Tensor::kSide) {
    x.count = rows_left(first_token(p.x, x_group + 1) - x.first);
    for (y.first = first_token(p.y, y_group); y.first < first_token(p.y, y_group + 1);
         y.first += Tensor::kSide) {
      y.count = rows_left(first_token(p.y, y_group + 1) - y.first);
      if (device::thread() < Tensor::kSide) {
        describe_row(p.x, x_group, x, device::thread(), p.bias);
      } else if (device::thread() < 2 * Tensor::kSide) {
        describe_row(p.y, y_group, y, device::thread() - Tensor::kSide, p.bias);
      }
      const auto parts_of = [&](bool inputs) {
        return inputs ? tile_parts(p.x.input_parts, x.first, p.y.input_parts, y.first,
                                   p.x.layer.inputs.cols)
                      : tile_parts(p.x.gradient_parts, x.first, p.y.gradient_parts, y.first,
                                   p.x.layer.gradients.cols);
      };
      each_chain<kOf, kCardChain>(
          parts_of(inputs_first), buffers, place, x.count, y.count, [&](Sums& sums, bool begins) {
            each_sum(place, [&](int m, int n, int r, int i, int j) {
              const float bias_of = inputs_first ? x.bias[i] * y.bias[j] : 0.0f;
              plane.of(i, j) = sums[m][n][r] + (begins ? bias_of : plane.of(i, j));
            });
          });
      each_chain<kOf, kCardWidth / kCardStage>(
          parts_of(!inputs_first), buffers, place, x.count, y.count, [&](Sums& sums, bool) {
            each_sum(place, [&](int m, int n, int r, int i, int j) {
              const float bias_of = inputs_first ? 0.0f : x.bias[i] * y.bias[j];
              plane.of(i, j) *= sums[m][n][r] + bias_of;
            });
          });
      device::barrier();
      add_segments(p, x_group, y_group, plane, x, y);
      device::barrier();
    }
  }
}

}  // namespace genmem::GENMEM_ISA
