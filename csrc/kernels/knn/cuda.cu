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
  const double unit = p.unit->unit;
  GENMEM_UNROLL
  for (int r = 0; r < Tile::kSide; ++r) {
    const int64_t i = x_first + Tile::query_of(r);
    if (i >= p.queries.rows) continue;
    const float threshold = p.hits.threshold[i];
    GENMEM_UNROLL
    for (int q = 0; q < Tile::kSide; ++q) {
      const int64_t j = y_first + Tile::point_of(q);
      if (j >= p.points.rows) continue;
      const double sq = tile.of(r, q) * unit;
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

// The k smallest of `count` candidates and of `kept` others, into other memory, by threads first,
// first + step, ...; `wait` lets each see what the others wrote.
template <class Wait>
GENMEM_DEVICE void rank_all(const double* exact, const CardHit* hits, int count,
                            const double* kept_sq, const int64_t* kept_index, int64_t kept,
                            int64_t k, double* sq, int64_t* index, int first, int step,
                            const Wait& wait) {
  for (int64_t i = first; i < k; i += step) {
    sq[i] = HUGE_VAL;
    index[i] = INT64_MAX;
  }
  wait();
  for (int64_t i = first; i < count + kept; i += step) {
    const double own = i < count ? exact[i] : kept_sq[i - count];
    const int64_t at = i < count ? hits[i].at : kept_index[i - count];
    // A row with a NaN is no neighbour, and an absent one has no rank.
    if (own != own || at == INT64_MAX) continue;
    int64_t rank = 0;
    for (int64_t j = 0; j < count; ++j) rank += nearer(exact[j], hits[j].at, own, at);
    for (int64_t j = 0; j < kept; ++j) rank += nearer(kept_sq[j], kept_index[j], own, at);
    if (rank >= k) continue;
    sq[rank] = own;
    index[rank] = at;
  }
  wait();
}

// What is computed of a query, once its k nearest so far are known.
GENMEM_DEVICE void close_query(const CardRank& p, int64_t query, int64_t computed, float limit) {
  const int64_t last = query * p.k + p.k - 1;
  device::atomic_add(p.computed, static_cast<unsigned long long>(computed));
  p.found[query] = 0;
  if (p.index[last] != INT64_MAX) {
    const float kth = float_above(p.sq[last] * p.unit->unit);
    limit = kth < limit ? kth : limit;
  }
  put_limit(limit, p.norm, query, p.limit, p.threshold);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 5) rank_hits(CardRank p) {
  using namespace device;
  const int64_t query = block_x() * kQueriesOfABlock + warp();
  if (query >= p.queries.rows) return;
  const int count = p.found[query];
  if (count > p.capacity) return;  // to be rescued
  exact_distances(p, query, count);
  warp_barrier();
  rank_all(p.exact + query * p.capacity, p.hits + query * p.capacity, count,
           p.kept_sq + query * p.k, p.kept_index + query * p.k, p.kept, p.k, p.sq + query * p.k,
           p.index + query * p.k, lane(), kWarp, [] { warp_barrier(); });
  if (lane() == 0) close_query(p, query, count, p.limit[query]);
}

// A block for each query; without a barrier in those of queries that lost nothing.
GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 5) rescue_query(CardRank p) {
  using namespace device;
  const int64_t query = block_x();
  if (p.found[query] <= p.capacity) return;
  barrier();
  const bool wide = p.queries.cols > kChainDepth;
  const int64_t step = wide ? kThreads / 8 : kThreads;
  const int64_t exclude = p.exclude ? p.exclude[query] : -1;
  CardHit* const hits = p.hits + query * p.capacity;
  double* const exact = p.exact + query * p.capacity;
  // The nearest so far, and where the next ones go.
  double* near_sq = p.kept_sq + query * p.k;
  double* next_sq = p.sq + query * p.k;
  int64_t* near = p.kept_index + query * p.k;
  int64_t* next = p.index + query * p.k;
  int64_t kept = p.kept;
  if (thread() == 0) p.found[query] = 0;
  barrier();
  for (int64_t first = 0; first < p.points.rows; first += step) {
    const int64_t own = first + (wide ? thread() / 8 : thread());
    const int64_t j = own < p.points.rows ? own : p.points.rows - 1;
    const double sq = wide ? wide_distance(p.queries, query, p.points, j)
                           : chain_distance(p.queries, query, p.points, j);
    const bool counts =
        own < p.points.rows && p.first_point + j != exclude && (!wide || thread() % 8 == 0);
    // Of equal distances that which was kept has the lower index.
    const double bar = kept == p.k ? near_sq[p.k - 1] : HUGE_VAL;
    if (counts && (sq < bar || (sq == bar && (kept < p.k || near[p.k - 1] == INT64_MAX)))) {
      const int slot = atomic_add(&p.found[query], 1);
      hits[slot] = {p.first_point + j, 0.0f, 0.0f};
      exact[slot] = sq;
    }
    barrier();
    const int count = p.found[query];
    barrier();
    const bool last = first + step >= p.points.rows;
    if (count + step <= p.capacity && !last) continue;
    rank_all(exact, hits, count, near_sq, near, kept, p.k, next_sq, next, thread(), kThreads,
             [] { barrier(); });
    if (thread() == 0) p.found[query] = 0;
    double* const other_sq = near_sq;
    int64_t* const other = near;
    near_sq = next_sq, near = next;
    next_sq = other_sq, next = other;
    kept = p.k;
    barrier();
  }
  if (near != p.index + query * p.k) {
    for (int64_t i = thread(); i < p.k; i += kThreads) next_sq[i] = near_sq[i], next[i] = near[i];
    barrier();
  }
  if (thread() == 0) close_query(p, query, p.points.rows, HUGE_VALF);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 8) put_neighbours(CardNeighbours p) {
  const int64_t i = device::block_x() * kThreads + device::thread();
  if (i >= p.queries * p.k) return;
  const double distance = sqrt(p.sq[i]);
  if (p.single) {
    static_cast<float*>(p.distances)[i] = static_cast<float>(distance);
  } else {
    static_cast<double*>(p.distances)[i] = distance;
  }
  p.indices[i] = p.index[i];
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 8) limit_radius(CardRadius p) {
  const int64_t query = device::block_x() * kThreads + device::thread();
  if (query >= p.queries.rows) return;
  const double most = p.sq_radius[query] * p.unit->unit;
  put_limit(most < HUGE_VAL ? float_above(most) : HUGE_VALF, p.norm, query, p.limit, p.threshold);
}

// All pairs of narrow rows, or of few.
template <bool kWide>
GENMEM_KERNEL void GENMEM_BLOCKS(kTileThreads, kWide ? 2 : 3) near_counts(CardRadius p) {
  using Tile = DistanceTile<kWide>;
  const int64_t x_first = device::block_y() * Tile::kRows,
                y_first = device::block_x() * Tile::kRows;
  Tile tile;
  tile.run(p.queries, x_first, p.points, y_first);
  bool strange = false;
  GENMEM_UNROLL
  for (int r = 0; r < Tile::kSide; ++r) {
    const int64_t i = x_first + Tile::query_of(r);
    if (i >= p.queries.rows) continue;
    const double most = p.sq_radius[i];
    const int64_t exclude = p.exclude ? p.exclude[i] : -1;
    unsigned long long within = 0;
    GENMEM_UNROLL
    for (int q = 0; q < Tile::kSide; ++q) {
      const int64_t j = y_first + Tile::point_of(q);
      if (j >= p.points.rows) continue;
      const double sq = tile.of(r, q);
      strange = strange || !(sq < HUGE_VAL);
      within += sq <= most && p.first_point + j != exclude;
    }
    if (within > 0) device::atomic_add(&p.counts[i], within);
  }
  if (strange) device::atomic_max(p.strange, 1);
}

// A warp for each query.
GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) count_hits(CardRadius p) {
  using namespace device;
  const int64_t query = block_x() * kQueriesOfABlock + warp();
  if (query >= p.queries.rows) return;
  const bool wide = p.queries.cols > kChainDepth;
  const int64_t count = p.found[query], step = wide ? kWarp / 8 : kWarp;
  const CardHit* const hits = p.hits + query * p.capacity;
  unsigned long long within = 0;
  // Every lane takes part in every shuffle: those past the end do the last one again.
  for (int64_t first = 0; first < count; first += step) {
    const int64_t own = first + (wide ? lane() / 8 : lane()), i = own < count ? own : count - 1;
    const int64_t j = hits[i].at - p.first_point;
    const double sq = wide ? wide_distance(p.queries, query, p.points, j)
                           : chain_distance(p.queries, query, p.points, j);
    within += own < count && (!wide || lane() % 8 == 0) && sq <= p.sq_radius[query];
  }
  within = warp_sum(within);
  warp_barrier();  // all have read what is cleared
  if (lane() != 0) return;
  p.counts[query] += within + p.certain[query];
  atomic_add(p.computed, static_cast<unsigned long long>(count));
  p.found[query] = 0;
  p.certain[query] = 0;
}

template <bool kWide>
const char* launch_counts(const Queue& queue, const CardRadius& p) {
  using Tile = DistanceTile<kWide>;
  const device::Shape shape{(p.points.rows + Tile::kRows - 1) / Tile::kRows,
                            (p.queries.rows + Tile::kRows - 1) / Tile::kRows, kTileThreads,
                            Tile::kShared};
  return device::launch(near_counts<kWide>, shape, static_cast<device::Stream>(queue.stream), p);
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

const char* near(const Queue& queue, const CardNear& p) {
  return p.queries.cols > kChainDepth ? launch_near<true>(queue, p) : launch_near<false>(queue, p);
}

const char* settle(const Queue& queue, const CardSettle& p) {
  return device::launch(settle_hits, warp_each(p.queries),
                        static_cast<device::Stream>(queue.stream), p);
}

const char* rank(const Queue& queue, const CardRank& p) {
  const auto stream = static_cast<device::Stream>(queue.stream);
  if (const char* error = device::launch(rank_hits, warp_each(p.queries.rows), stream, p)) {
    return error;
  }
  return device::launch(rescue_query, {p.queries.rows, 1, kThreads, 0}, stream, p);
}

const char* radius_limits(const Queue& queue, const CardRadius& p) {
  const device::Shape shape{(p.queries.rows + kThreads - 1) / kThreads, 1, kThreads, 0};
  return device::launch(limit_radius, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* radius_near(const Queue& queue, const CardRadius& p) {
  return p.queries.cols > kChainDepth ? launch_counts<true>(queue, p)
                                      : launch_counts<false>(queue, p);
}

const char* radius_hits(const Queue& queue, const CardRadius& p) {
  return device::launch(count_hits, warp_each(p.queries.rows),
                        static_cast<device::Stream>(queue.stream), p);
}

const char* put(const Queue& queue, const CardNeighbours& p) {
  const device::Shape shape{(p.queries * p.k + kThreads - 1) / kThreads, 1, kThreads, 0};
  return device::launch(put_neighbours, shape, static_cast<device::Stream>(queue.stream), p);
}

}  // namespace

const CardKnn& card_knn() {
  static const CardKnn table{near, settle, rank, put, radius_limits, radius_near, radius_hits};
  return table;
}

}  // namespace genmem::GENMEM_ISA
