#include "kernels/device/device.hpp"

#include "kernels/device/reduce.hpp"
#include "kernels/log_kde/card.hpp"
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
    strange = strange || !(sq[j] < HUGE_VAL);
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

GENMEM_KERNEL void GENMEM_BLOCKS(kThreads, 4) clear_states(CardKde p) {
  const int64_t i = device::block_x() * kThreads + device::thread();
  if (i < p.bandwidths * p.stride) clear(p.states[i]);
}

}  // namespace

const char* card_kde(const Queue& queue, const CardKde& p) {
  const device::Shape shape{(p.queries + kWarps - 1) / kWarps, p.bandwidths, kThreads, 0};
  return device::launch(chunk_states, shape, static_cast<device::Stream>(queue.stream), p);
}

const char* card_kde_clear(const Queue& queue, const CardKde& p) {
  const device::Shape shape{(p.bandwidths * p.stride + kThreads - 1) / kThreads, 1, kThreads, 0};
  return device::launch(clear_states, shape, static_cast<device::Stream>(queue.stream), p);
}

}  // namespace genmem::GENMEM_ISA
