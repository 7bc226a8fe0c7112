#include "kernels/device/device.hpp"

#include "kernels/device/entries.hpp"
#include "kernels/pairs/card.hpp"
#include "kernels/pairs/tile.hpp"

namespace genmem::GENMEM_ISA {

namespace {

template <bool kWide>
GENMEM_KERNEL void GENMEM_BLOCKS(kTileThreads, kWide ? 2 : 3) all_distances(CardDistances p) {
  using Tile = DistanceTile<kWide>;
  if (p.only && *p.only == 0) return;
  const int64_t columns = (p.points.rows + Tile::kRows - 1) / Tile::kRows;
  const int64_t tiles = columns * ((p.queries.rows + Tile::kRows - 1) / Tile::kRows);
  for (int64_t at = device::block_x(); at < tiles; at += device::blocks_x()) {
    const int64_t x_first = at / columns * Tile::kRows, y_first = at % columns * Tile::kRows;
    Tile tile;
    tile.run(p.queries, x_first, p.points, y_first);
    GENMEM_UNROLL
    for (int r = 0; r < Tile::kSide; ++r) {
      const int64_t i = x_first + Tile::query_of(r);
      GENMEM_UNROLL
      for (int q = 0; q < Tile::kSide; ++q) {
        const int64_t j = y_first + Tile::point_of(q);
        if (i < p.queries.rows && j < p.points.rows) p.out[i * p.points.rows + j] = tile.of(r, q);
      }
    }
  }
}

// More than a card runs at a time; few enough that a call that does nothing costs nothing.
constexpr int64_t kMostBlocks = 2048;

GENMEM_KERNEL void GENMEM_BLOCKS(kTileThreads, 4) look_at_entries(CardFinite p) {
  bool strange = false;
  const int64_t all = p.matrix.rows * p.matrix.cols, step = device::blocks_x() * kTileThreads;
  for (int64_t i = device::block_x() * kTileThreads + device::thread(); i < all; i += step) {
    const double x = entry(p.matrix, i / p.matrix.cols, i % p.matrix.cols);
    strange = strange || !(x - x == 0.0);
  }
  if (strange) device::atomic_max(p.strange, 1);
}

template <bool kWide>
const char* launch_all(const Queue& queue, const CardDistances& p) {
  using Tile = DistanceTile<kWide>;
  const int64_t tiles = ((p.points.rows + Tile::kRows - 1) / Tile::kRows) *
                        ((p.queries.rows + Tile::kRows - 1) / Tile::kRows);
  const device::Shape shape{tiles < kMostBlocks ? tiles : kMostBlocks, 1, kTileThreads,
                            Tile::kShared};
  return device::launch(all_distances<kWide>, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* distances(const Queue& queue, const CardDistances& p) {
  return p.queries.cols > kChainDepth ? launch_all<true>(queue, p) : launch_all<false>(queue, p);
}

const char* finite(const Queue& queue, const CardFinite& p) {
  const int64_t blocks = (p.matrix.rows * p.matrix.cols + kTileThreads - 1) / kTileThreads;
  const device::Shape shape{blocks < kMostBlocks ? blocks : kMostBlocks, 1, kTileThreads, 0};
  return device::launch(look_at_entries, shape, static_cast<device::Stream>(queue.stream), p);
}

}  // namespace

const CardPairs& card_pairs() {
  static const CardPairs table{distances, finite};
  return table;
}

}  // namespace genmem::GENMEM_ISA
