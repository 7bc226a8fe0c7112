#include "kernels/device/device.hpp"

#include "kernels/device/reduce.hpp"
#include "kernels/knn/card.hpp"
#include "kernels/pairs/single.hpp"
#include "kernels/pairs/tile.hpp"
#include "kernels/screen/hits.hpp"
#include "math/nearest.hpp"

namespace genmem::GENMEM_ISA {

namespace {

constexpr int kThreads = 128;
constexpr int kQueriesOfABlock = kThreads / device::kWarp;

template <bool kWide>
GENMEM_KERNEL void GENMEM_BLOCKS(kTileThreads, kWide ? 2 : 3) near_hits(CardNear p) {
  using Tile = DistanceTile<kWide>;
  const int64_t all = (p.points.rows + Tile::kRows - 1) / Tile::kRows;
  const int64_t y_first = (p.first_tile + device::block_x()) * p.step % all * Tile::kRows;
  const int64_t x_first = device::block_y() * Tile::kRows;
  Tile tile;
  tile.run(p.queries, x_first, p.points, y_first);
  bool strange = false;
  GENMEM_UNROLL
  for (int r = 0; r < Tile::kSide; ++r) {
    const int64_t i = x_first + Tile::query_of(r);
    if (i >= p.queries.rows) continue;
    const float threshold = p.hits.threshold[i];
    GENMEM_UNROLL
    for (int q = 0; q < Tile::kSide; ++q) {
      const int64_t j = y_first + Tile::point_of(q);
      if (j >= p.points.rows) continue;
      const double sq = tile.of(r, q) * p.unit;
      strange = strange || !(sq < HUGE_VAL);
      if (float_below(sq) > threshold) continue;
      add_hit(p.hits, i, p.first_point + j, sq, sq);
    }
  }
  if (strange) device::atomic_max(p.strange, 1);
}

// Floats in an order of integers.
GENMEM_DEVICE uint32_t ordered(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
GENMEM_DEVICE float from_ordered(uint32_t key) {
  const uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// The k-th smallest upper bound, bit by bit from the highest: how many lie below decides each.
GENMEM_DEVICE float kth_high(const CardHit* hits, int count, int64_t k) {
  uint32_t key = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t half = key | uint32_t{1} << bit;
    int below = 0;
    for (int j = device::lane(); j < count; j += device::kWarp)
      below += ordered(hits[j].high) < half;
    if (warp_sum(below) < k) key = half;
  }
  return from_ordered(key);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 8) settle_hits(CardSettle p) {
  using namespace device;
  const int64_t query = block_x() * kQueriesOfABlock + warp();
  if (query >= p.queries) return;
  const int count = p.found[query];
  if (count > p.capacity) {
    warp_barrier();
    if (lane() == 0) p.threshold[query] = p.limit[query] = -HUGE_VALF;
    return;
  }
  CardHit* const hits = p.hits + query * p.capacity;
  float limit = p.limit[query];
  if (count >= p.k) {
    const float kth = kth_high(hits, count, p.k);
    limit = kth < limit ? kth : limit;
  }
  const int kept = keep_below(hits, count, limit);
  if (lane() != 0) return;
  p.found[query] = kept;
  put_limit(limit, p.norm, query, p.limit, p.threshold);
}

GENMEM_DEVICE void exact_distances(const CardRank& p, int64_t query, int count) {
  const CardHit* const hits = p.hits + query * p.capacity;
  double* const exact = p.exact + query * p.capacity;
  if (p.queries.cols <= kChainDepth) {
    for (int j = device::lane(); j < count; j += device::kWarp) {
      exact[j] = chain_distance(p.queries, query, p.points, hits[j].at - p.first_point);
    }
    return;
  }
  // Every lane takes part in every shuffle: those past the end do the last one again.
  for (int first = 0; first < count; first += 4) {
    const int j = first + device::lane() / 8, at = j < count ? j : count - 1;
    const double sq = wide_distance(p.queries, query, p.points, hits[at].at - p.first_point);
    if (j < count && device::lane() % 8 == 0) exact[j] = sq;
  }
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 5) rank_hits(CardRank p) {
  using namespace device;
  const int64_t query = block_x() * kQueriesOfABlock + warp();
  if (query >= p.queries.rows) return;
  const int count = p.found[query];
  if (count > p.capacity) return;  // all of its distances are computed elsewhere
  exact_distances(p, query, count);
  warp_barrier();
  const CardHit* const hits = p.hits + query * p.capacity;
  const double* const exact = p.exact + query * p.capacity;
  const double* const kept_sq = p.kept_sq + query * p.k;
  const int64_t* const kept_index = p.kept_index + query * p.k;
  double* const sq = p.sq + query * p.k;
  int64_t* const index = p.index + query * p.k;
  const int64_t all = count + p.kept;
  int ranked = 0;
  for (int64_t i = lane(); i < all; i += kWarp) {
    const double own = i < count ? exact[i] : kept_sq[i - count];
    const int64_t at = i < count ? hits[i].at : kept_index[i - count];
    // A row with a NaN is no neighbour, and an absent one has no rank.
    if (own != own || at == INT64_MAX) continue;
    ++ranked;
    int64_t rank = 0;
    for (int64_t j = 0; j < count; ++j) rank += nearer(exact[j], hits[j].at, own, at);
    for (int64_t j = 0; j < p.kept; ++j) rank += nearer(kept_sq[j], kept_index[j], own, at);
    if (rank >= p.k) continue;
    sq[rank] = own;
    index[rank] = at;
  }
  const int total = warp_sum(ranked);
  for (int64_t i = total + lane(); i < p.k; i += kWarp) {
    sq[i] = HUGE_VAL;
    index[i] = INT64_MAX;
  }
  warp_barrier();
  if (lane() != 0) return;
  atomic_add(p.computed, static_cast<unsigned long long>(count));
  p.found[query] = 0;
  float limit = p.limit[query];
  if (total >= p.k) {
    const float kth = float_above(sq[p.k - 1] * p.unit);
    limit = kth < limit ? kth : limit;
  }
  put_limit(limit, p.norm, query, p.limit, p.threshold);
}

template <bool kWide>
const char* launch_near(const Queue& queue, const CardNear& p) {
  using Tile = DistanceTile<kWide>;
  const device::Shape shape{p.tiles, (p.queries.rows + Tile::kRows - 1) / Tile::kRows, kTileThreads,
                            Tile::kShared};
  return device::launch(near_hits<kWide>, shape, static_cast<device::Stream>(queue.stream), p);
}

device::Shape warp_each(int64_t queries) {
  return {(queries + kQueriesOfABlock - 1) / kQueriesOfABlock, 1, kThreads, 0};
}

}  // namespace

const char* card_near(const Queue& queue, const CardNear& p) {
  return p.queries.cols > kChainDepth ? launch_near<true>(queue, p) : launch_near<false>(queue, p);
}

const char* card_settle(const Queue& queue, const CardSettle& p) {
  return device::launch(settle_hits, warp_each(p.queries),
                        static_cast<device::Stream>(queue.stream), p);
}

const char* card_rank(const Queue& queue, const CardRank& p) {
  return device::launch(rank_hits, warp_each(p.queries.rows),
                        static_cast<device::Stream>(queue.stream), p);
}

}  // namespace genmem::GENMEM_ISA
