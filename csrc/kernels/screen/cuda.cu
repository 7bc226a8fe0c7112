#include "kernels/device/device.hpp"

#include "kernels/device/entries.hpp"
#include "kernels/device/reduce.hpp"
#include "kernels/screen/card.hpp"
#include "kernels/screen/hits.hpp"
#include "math/scale.hpp"
#include "math/screen_bound.hpp"

namespace genmem::GENMEM_ISA {

namespace {

constexpr int kThreads = 256;

GENMEM_DEVICE uint16_t to_bfloat16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffffu) >= 0x7f800000u) return static_cast<uint16_t>(bits >> 16);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
GENMEM_DEVICE float from_bfloat16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// The sum of `x` over the rows of warps, of each column; every thread of the block.
GENMEM_DEVICE double column_sum(double x) {
  double* const parts = reinterpret_cast<double*>(device::shared_memory());
  device::barrier();
  parts[device::thread()] = x;
  device::barrier();
  double sum = 0.0;
  for (int w = 0; w < kThreads / device::kWarp; ++w)
    sum += parts[w * device::kWarp + device::lane()];
  return sum;
}

// A block for 32 columns: a column for each lane, and the warps share the rows.
GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 2) centre_columns(CardCentre p) {
  using namespace device;
  const int64_t col = block_x() * kWarp + lane();
  const auto each_row = [&](auto&& add) {
    if (col >= p.points.cols) return;
    for (int64_t i = warp(); i < p.sampled; i += kThreads / kWarp) {
      add(entry(p.points, i * p.points.rows / p.sampled, col));
    }
  };
  double sum = 0.0;
  each_row([&](double x) { sum += x; });
  const double mean = column_sum(sum) / static_cast<double>(p.sampled);
  double squares = 0.0;
  each_row([&](double x) { squares = fma(x - mean, x - mean, squares); });
  squares = column_sum(squares);
  if (warp() != 0 || col >= p.points.cols) return;
  const float near = static_cast<float>(p.whole ? rint(mean) : mean);
  p.centre[col] = near - near == 0.0f ? near : 0.0f;
  p.squares[col] = squares;
}

GENMEM_KERNEL void GENMEM_BLOCKS(device::kWarp, 16) set_unit(CardCentre p) {
  double squares = 0.0;
  for (int64_t c = device::lane(); c < p.points.cols; c += device::kWarp) squares += p.squares[c];
  squares = warp_sum(squares);
  if (device::lane() != 0) return;
  const double count = static_cast<double>(p.sampled) * static_cast<double>(p.points.cols);
  const float scale = scale_of(sqrt(squares / count));
  *p.unit = {static_cast<double>(scale) * static_cast<double>(scale), scale};
}

// A warp for each row.
GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 2) pack_rows(CardPack p) {
  using namespace device;
  const int64_t row = block_x() * (kThreads / kWarp) + warp();
  if (row >= p.from.rows) return;
  const int64_t depth = packed_depth(p.from.cols);
  uint16_t* to = p.to.packed + row * depth;
  const double scale = static_cast<double>(p.unit->scale);
  float squares = 0.0f, residual = 0.0f;
  for (int64_t c = lane(); c < depth; c += kWarp) {
    float t = 0.0f;
    if (c < p.from.cols) {
      const double from = entry(p.from, row, c) - static_cast<double>(p.centre[c]);
      t = static_cast<float>(from * scale);
    }
    const uint16_t half = to_bfloat16(t);
    const float lost = t - from_bfloat16(half);
    to[c] = half;
    squares = fmaf(t, t, squares);
    residual = fmaf(lost, lost, residual);
  }
  const float n = warp_sum(squares);
  const RowBound bound = row_bound(n, warp_sum(residual) * (1.0f + 0x1p-12f));
  if (lane() != 0) return;
  const RowNumbers numbers =
      p.queries ? query_numbers(bound, p.slack) : point_numbers(bound, p.slack, p.gamma);
  p.to.norm[row] = numbers.norm;
  p.to.length[row] = numbers.length;
  p.to.error[row] = numbers.error;
  if (!(n < kLongest)) atomic_max(p.strange, 1);
}

// Eight warps share a tile, two by four: each 64 queries by 32 points, 4 x 4 products of 16 x 8.
constexpr int kStages = 4;
constexpr int kRowBytes = static_cast<int>(kCardStep) * 2;
constexpr int kSideBytes = static_cast<int>(kCardTile) * kRowBytes;
constexpr int kStageBytes = 2 * kSideBytes;

// Where 16 bytes of a row lie: eight rows that a warp reads together are in different banks.
GENMEM_DEVICE int chunk_place(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ (row >> 1)) & 3) * 16;
}

GENMEM_DEVICE void copy_side(const CardSide& side, int64_t first, int64_t depth, int64_t col,
                             char* to) {
  for (int i = device::thread(); i < kSideBytes / 16; i += kThreads) {
    const int row = i / 4, chunk = i % 4;
    const bool inside = first + row < side.rows;
    const uint16_t* from = side.packed + (inside ? first + row : 0) * depth + col + chunk * 8;
    device::copy_async(to + chunk_place(row, chunk), from, inside);
  }
}

struct Products {
  float sums[4][4][4];

  GENMEM_DEVICE void add(const char* stage, int warp_row, int warp_col) {
    const int lane = device::lane();
    const char* const left = stage;
    const char* const right = stage + kSideBytes;
    GENMEM_UNROLL
    for (int step = 0; step < 2; ++step) {
      uint32_t a[4][4];
      GENMEM_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = warp_row + i * 16 + lane % 16;
        device::load_matrix(a[i], left + chunk_place(row, step * 2 + lane / 16));
      }
      GENMEM_UNROLL
      for (int j = 0; j < 4; j += 2) {
        uint32_t b[4];
        const int row = warp_col + j * 8 + lane % 8 + lane / 16 * 8;
        device::load_matrix(b, right + chunk_place(row, step * 2 + lane / 8 % 2));
        GENMEM_UNROLL
        for (int i = 0; i < 4; ++i) {
          device::multiply_bf16(sums[i][j], a[i], {b[0], b[1]});
          device::multiply_bf16(sums[i][j + 1], a[i], {b[2], b[3]});
        }
      }
    }
  }
};

// Calls take(query, point, bounds) for every pair of the tile whose lower bound is within its
// query's threshold, and behind the pairs of a thread and query last(query).
template <class Take, class Last>
GENMEM_DEVICE void each_near_pair(const CardScreen& p, const Take& take, const Last& last) {
  using namespace device;
  if (p.off && *p.off) return;
  const int64_t all = card_tiles(p.points.rows);
  const int64_t point = (p.first_tile + block_x()) * p.step % all * kCardTile;
  const int64_t query = block_y() * kCardTile;
  const int64_t depth = packed_depth(p.cols), steps = depth / kCardStep;
  const int warp_row = warp() / 4 * 64, warp_col = warp() % 4 * 32;
  char* const shared = shared_memory();
  const auto fetch = [&](int64_t step) {
    if (step < steps) {
      char* const stage = shared + step % kStages * kStageBytes;
      copy_side(p.queries, query, depth, step * kCardStep, stage);
      copy_side(p.points, point, depth, step * kCardStep, stage + kSideBytes);
    }
    commit_copies();
  };
  Products products{};
  for (int64_t step = 0; step < kStages - 1; ++step) fetch(step);
  for (int64_t step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    // The stage of this step is whole, and that of the step before is read by none.
    barrier();
    fetch(step + kStages - 1);
    products.add(shared + step % kStages * kStageBytes, warp_row, warp_col);
  }
  wait_copies<0>();
  GENMEM_UNROLL
  for (int i = 0; i < 4; ++i) {
    GENMEM_UNROLL
    for (int upper = 0; upper < 2; ++upper) {
      const int64_t row = query + warp_row + i * 16 + upper * 8 + lane() / 4;
      if (row >= p.queries.rows) continue;
      const RowNumbers q{p.queries.norm[row], p.queries.length[row], p.queries.error[row]};
      const float threshold = p.hits.threshold[row];
      GENMEM_UNROLL
      for (int j = 0; j < 8; ++j) {
        const int64_t col = point + warp_col + j / 2 * 8 + lane() % 4 * 2 + j % 2;
        if (col >= p.points.rows) continue;
        const RowNumbers y{p.points.norm[col], p.points.length[col], p.points.error[col]};
        float below = fmaf(-q.length, y.length, y.norm);
        below = fmaf(-q.error, y.error, below);
        below = fmaf(-2.0f, products.sums[i][j / 2][upper * 2 + j % 2], below);
        if (below > threshold) continue;
        take(row, p.first_point + col, pair_bounds(q, y, below, p.slack));
      }
      last(row);
    }
  }
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 2) find_hits(CardScreen p) {
  each_near_pair(
      p,
      [&](int64_t query, int64_t point, const Bounds& bounds) {
        add_hit(p.hits, query, point, bounds.low, bounds.high);
      },
      [](int64_t) {});
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 2) count_pairs(CardCount p) {
  const double unit = p.unit->unit;
  const CardHits& hits = p.screen.hits;
  int certain = 0;
  each_near_pair(
      p.screen,
      [&](int64_t query, int64_t point, const Bounds& bounds) {
        if (!(bounds.high < HUGE_VAL && bounds.high <= p.sq_radius[query] * unit)) {
          add_hit(hits, query, point, bounds.low, bounds.high);
        } else if (!hits.exclude || hits.exclude[query] != point) {
          ++certain;
        }
      },
      [&](int64_t query) {
        if (certain > 0)
          device::atomic_add(&p.certain[query], static_cast<unsigned long long>(certain));
        certain = 0;
      });
}

template <class Params>
const char* launch_tiles(void (*kernel)(Params), const Queue& queue, const CardScreen& tiles,
                         const Params& p) {
  const device::Shape shape{tiles.tiles, card_tiles(tiles.queries.rows), kThreads,
                            kStages * kStageBytes};
  return device::launch(kernel, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* centre(const Queue& queue, const CardCentre& p) {
  const device::Shape shape{(p.points.cols + device::kWarp - 1) / device::kWarp, 1, kThreads,
                            kThreads * 8};
  const auto stream = static_cast<device::Stream>(queue.stream);
  if (const char* error = device::launch(centre_columns, shape, stream, p)) return error;
  return device::launch(set_unit, {1, 1, device::kWarp, 0}, stream, p);
}

const char* pack(const Queue& queue, const CardPack& p) {
  constexpr int kRowsOfABlock = kThreads / device::kWarp;
  const device::Shape shape{(p.from.rows + kRowsOfABlock - 1) / kRowsOfABlock, 1, kThreads, 0};
  return device::launch(pack_rows, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* find(const Queue& queue, const CardScreen& p) {
  return launch_tiles(find_hits, queue, p, p);
}

const char* count(const Queue& queue, const CardCount& p) {
  return launch_tiles(count_pairs, queue, p.screen, p);
}

}  // namespace

const CardScreens& card_screens() {
  static const CardScreens table{centre, pack, find, count};
  return table;
}

}  // namespace genmem::GENMEM_ISA
