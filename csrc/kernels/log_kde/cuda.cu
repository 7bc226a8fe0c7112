#include "kernels/device/device.hpp"

#include "kernels/device/reduce.hpp"
#include "kernels/log_kde/card.hpp"
#include "kernels/pairs/single.hpp"
#include "kernels/screen/hits.hpp"
#include "math/kernel_function.hpp"
#include "math/logsumexp.hpp"

namespace genmem::GENMEM_ISA {

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / device::kWarp;

// The exponent of the j-th point of a chunk; -inf for one left out.
GENMEM_DEVICE double exponent(const CardKde& p, double sq_bandwidth, int64_t exclude, double sq,
                              int64_t j) {
  const int64_t point = p.first + j;
  if (point == exclude) return kLowest;
  const double scale = p.sq_scale ? p.sq_scale[point] : 1.0;
  const double a = log_kernel(p.kind, sq / (sq_bandwidth * scale));
  return p.log_weight ? a + p.log_weight[point] : a;
}

// The two largest of a chunk.
struct Largest {
  double top, next;
  int64_t at;

  GENMEM_DEVICE void add(double a, int64_t j) {
    if (a > top) {
      next = top;
      top = a;
      at = j;
    } else if (a > next) {
      next = a;
    }
  }
  // With those of other points; of equal tops the lower index.
  GENMEM_DEVICE void join(double other_top, double other_next, int64_t other_at) {
    const bool wins = other_top > top || (other_top == top && other_at < at);
    const double beaten = wins ? top : other_top, runner = wins ? other_next : next;
    next = beaten > runner ? beaten : runner;
    if (!wins) return;
    top = other_top;
    at = other_at;
  }
};

// A warp for each query (along y) and bandwidth (along x).
GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) chunk_states(CardKde p) {
  using namespace device;
  const int64_t query = block_x() * kWarps + warp(), h = block_y();
  if (query >= p.queries) return;
  const double* const sq = p.sq + query * p.count;
  const double sq_bandwidth = p.sq_bandwidths[h];
  const int64_t exclude = p.exclude ? p.exclude[query] : -1;
  Largest largest{kLowest, kLowest, INT64_MAX};
  bool strange = false;
  for (int64_t j = lane(); j < p.count; j += kWarp) {
    strange = strange || (p.strange && !(sq[j] < HUGE_VAL));
    largest.add(exponent(p, sq_bandwidth, exclude, sq[j], j), j);
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const double top = shuffle_xor(largest.top, mask), next = shuffle_xor(largest.next, mask);
    largest.join(top, next, shuffle_xor(largest.at, mask));
  }
  double sum = 0.0;
  if (largest.next > kLowest) {
    for (int64_t j = lane(); j < p.count; j += kWarp) {
      const double below = exponent(p, sq_bandwidth, exclude, sq[j], j) - largest.next;
      if (j != largest.at && below >= -kNegligible) sum += exp(below);
    }
  }
  sum = warp_sum(sum);
  if (votes(strange) != 0 && lane() == 0) atomic_max(p.strange, 1);
  if (lane() != 0 || !(largest.top > kLowest)) return;
  const Slots found{largest.top, p.first + largest.at, largest.next, sum};
  Slots state = p.states[h * p.stride + query];
  merge(state, found);
  p.states[h * p.stride + query] = state;
}

// Both parts of a screened chunk.
struct Screened {
  CardKde kde;
  CardKdeHits of;
};

// The second largest lower bound among the exponents of the hits.
GENMEM_DEVICE double second_exponent(const Screened& p, const CardHit* hits, int count, double h) {
  Largest largest{kLowest, kLowest, INT64_MAX};
  for (int j = device::lane(); j < count; j += device::kWarp) {
    const double high = hits[j].high > 0.0f ? static_cast<double>(hits[j].high) : 0.0;
    const double sq = high / p.of.unit->unit * (1.0 + 1e-12);
    largest.add(exponent(p.kde, h, -1, sq, hits[j].at - p.kde.first), j);
  }
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
    const double top = device::shuffle_xor(largest.top, mask);
    const double next = device::shuffle_xor(largest.next, mask);
    largest.join(top, next, device::shuffle_xor(largest.at, mask));
  }
  return largest.next;
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) narrow_hits(Screened p) {
  using namespace device;
  if (*p.of.off) return;
  const int64_t query = block_x() * kWarps + warp();
  if (query >= p.kde.queries) return;
  const int count = p.of.found[query];
  if (count > p.of.capacity) {
    warp_barrier();
    if (lane() == 0) p.of.threshold[query] = -HUGE_VALF;
    return;
  }
  CardHit* const hits = p.of.hits + query * p.of.capacity;
  double reach = 0.0;
  for (int64_t h = 0; h < p.kde.bandwidths; ++h) {
    const double sq_bandwidth = p.kde.sq_bandwidths[h];
    const double second = second_exponent(p, hits, count, sq_bandwidth);
    const double drop = p.of.most_log_weight - second + kNegligible;
    const double sq = kernel_reach(p.kde.kind, drop) * sq_bandwidth * p.of.most_sq_scale;
    reach = sq > reach ? sq : reach;
  }
  // Upwards by more than the roundings of these few operations; a NaN, of a distance that is none,
  // lets all pass.
  const double bound = reach * p.of.unit->unit * (1.0 + 1e-9);
  const float limit = bound == bound ? float_above(bound) : HUGE_VALF;
  const int kept = keep_below(hits, count, limit);
  if (lane() != 0) return;
  p.of.found[query] = kept;
  put_limit(limit, p.of.norm, query, p.of.limit, p.of.threshold);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) spread_hits(Screened p) {
  using namespace device;
  if (*p.of.off) {
    if (block_x() == 0 && thread() == 0) {
      const int64_t all = p.of.queries.rows * p.of.points.rows;
      atomic_add(p.of.computed, static_cast<unsigned long long>(all));
    }
    return;
  }
  const int64_t query = block_x() * kWarps + warp();
  if (query >= p.kde.queries) return;
  const int64_t all = p.of.points.rows;
  double* const sq = p.of.sq + query * all;
  const bool lost = p.of.found[query] > p.of.capacity;
  const CardHit* const hits = p.of.hits + query * p.of.capacity;
  const int64_t count = lost ? all : p.of.found[query];
  for (int64_t j = lane(); j < all; j += kWarp) sq[j] = HUGE_VAL;
  warp_barrier();
  // Every lane takes part in every shuffle: those past the end do the last one again.
  const bool wide = p.of.queries.cols > kChainDepth;
  const int64_t step = wide ? kWarp / 8 : kWarp;
  for (int64_t first = 0; first < count; first += step) {
    const int64_t own = first + (wide ? lane() / 8 : lane()), i = own < count ? own : count - 1;
    const int64_t j = lost ? i : hits[i].at - p.kde.first;
    const double found = wide ? wide_distance(p.of.queries, query, p.of.points, j)
                              : chain_distance(p.of.queries, query, p.of.points, j);
    if (own < count && (!wide || lane() % 8 == 0)) sq[j] = found;
  }
  if (lane() != 0) return;
  atomic_add(p.of.computed, static_cast<unsigned long long>(count));
  if (lost) atomic_add(p.of.lost, 1);
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) clear_states(CardKde p) {
  const int64_t i = device::block_x() * kThreads + device::thread();
  if (i < p.bandwidths * p.stride) clear(p.states[i]);
}

GENMEM_KERNEL void GENMEM_BLOCKS(device::kWarp, 16) decide(CardKdeDecision p) {
  if (device::thread() == 0 && int64_t{4} * *p.lost > p.asked) *p.off = 1;
}

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) put_log_density(CardLogDensity p) {
  const int64_t i = device::block_x() * kThreads + device::thread(), h = device::block_y();
  if (i >= p.queries) return;
  const Slots state = p.states[h * p.stride + i];
  const double rest = rest_of(state), high = fmax(state.top, rest), low = fmin(state.top, rest);
  const double total = high == kLowest ? high : high + log1p(exp(low - high));
  p.out[h * p.out_stride + i] = total - (p.log_masses ? p.log_masses[i] : p.log_mass) - p.norms[h];
}

// Points whose terms are looked at together, one by each thread.
constexpr int kGradientThreads = 256;
constexpr int kGradientWarps = kGradientThreads / device::kWarp;
constexpr int64_t kGradientShared = kGradientThreads * (8 + 4) + kGradientWarps * 4;

GENMEM_KERNEL void GENMEM_BLOCKS(kGradientThreads, 2) add_gradient(CardKdeGradient p) {
  using namespace device;
  double* const share = reinterpret_cast<double*>(shared_memory());
  int* const at = reinterpret_cast<int*>(share + kGradientThreads);
  int* const of_warp = at + kGradientThreads;
  const int64_t query = block_x(), cols = p.queries.cols;
  const double h = p.kde.sq_bandwidths[0], log_sum = p.log_sum[query], cut = p.cut[query];
  const int64_t exclude = p.kde.exclude ? p.kde.exclude[query] : -1;
  const double* const sq = p.kde.sq + query * p.kde.count;
  for (int64_t first = 0; first < p.kde.count; first += kGradientThreads) {
    const int64_t j = first + thread();
    const double a = j < p.kde.count ? exponent(p.kde, h, exclude, sq[j], j) : kLowest;
    const bool kept = a >= cut && a > kLowest;
    const uint32_t all = votes(kept);
    if (lane() == 0) of_warp[warp()] = count_bits(all);
    barrier();
    int begin = 0, count = 0;
    for (int w = 0; w < kGradientWarps; ++w) {
      if (w < warp()) begin += of_warp[w];
      count += of_warp[w];
    }
    if (kept) {
      const int slot = begin + count_bits(all & ((uint32_t{1} << lane()) - 1u));
      const double scale = p.kde.sq_scale ? p.kde.sq_scale[p.kde.first + j] : 1.0;
      share[slot] = exp(a - log_sum) / (h * scale);
      at[slot] = static_cast<int>(j);
    }
    barrier();
    for (int64_t c = thread(); count > 0 && c < cols; c += kGradientThreads) {
      const double q = entry(p.queries, query, c);
      double sum = p.out[query * cols + c];
      for (int n = 0; n < count; ++n) sum = fma(share[n], entry(p.points, at[n], c) - q, sum);
      p.out[query * cols + c] = sum;
    }
    barrier();
  }
}

const char* add(const Queue& queue, const CardKde& p) {
  const device::Shape shape{(p.queries + kWarps - 1) / kWarps, p.bandwidths, kThreads, 0};
  return device::launch(chunk_states, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* clear_all(const Queue& queue, const CardKde& p) {
  const device::Shape shape{(p.bandwidths * p.stride + kThreads - 1) / kThreads, 1, kThreads, 0};
  return device::launch(clear_states, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* decide_screen(const Queue& queue, const CardKdeDecision& p) {
  return device::launch(decide, {1, 1, device::kWarp, 0}, static_cast<device::Stream>(queue.stream),
                        p);
}

const char* put(const Queue& queue, const CardLogDensity& p) {
  const device::Shape shape{(p.queries + kThreads - 1) / kThreads, p.bandwidths, kThreads, 0};
  return device::launch(put_log_density, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* gradient(const Queue& queue, const CardKdeGradient& p) {
  const device::Shape shape{p.kde.queries, 1, kGradientThreads, kGradientShared};
  return device::launch(add_gradient, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* narrow(const Queue& queue, const CardKde& kde, const CardKdeHits& of) {
  const device::Shape shape{(kde.queries + kWarps - 1) / kWarps, 1, kThreads, 0};
  return device::launch(narrow_hits, shape, static_cast<device::Stream>(queue.stream),
                        Screened{kde, of});
}

const char* spread(const Queue& queue, const CardKde& kde, const CardKdeHits& of) {
  const device::Shape shape{(kde.queries + kWarps - 1) / kWarps, 1, kThreads, 0};
  return device::launch(spread_hits, shape, static_cast<device::Stream>(queue.stream),
                        Screened{kde, of});
}

}  // namespace

const CardLogKde& card_log_kde() {
  static const CardLogKde table{clear_all, add, narrow, spread, decide_screen, put, gradient};
  return table;
}

}  // namespace genmem::GENMEM_ISA
