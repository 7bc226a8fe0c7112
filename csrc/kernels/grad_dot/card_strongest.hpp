// The strongest products of each row, kept on the card; see card.hpp. A warp owns a row.
#pragma once

#include <string.h>

#include "kernels/device/device.hpp"
#include "kernels/device/reduce.hpp"
#include "kernels/grad_dot/card.hpp"

namespace genmem::GENMEM_ISA {

inline constexpr int kRowWarps = 8;  // of a block
inline constexpr int kAhead = 4;     // steps of a row that are on their way at once

// Scores in an order of integers, the strongest last: a NaN above all, both zeros one.
GENMEM_DEVICE uint64_t strength(double score) {
  if (score != score) return UINT64_MAX;
  score += 0.0;
  uint64_t bits;
  memcpy(&bits, &score, sizeof bits);
  const uint64_t sign = uint64_t{1} << 63;
  return bits & sign ? ~bits : bits | sign;
}
GENMEM_DEVICE double from_strength(uint64_t key) {
  const uint64_t sign = uint64_t{1} << 63;
  const uint64_t bits = key & sign ? key & ~sign : ~key;
  double score;
  memcpy(&score, &bits, sizeof score);
  return score;
}

// Lanes before this one that voted.
GENMEM_DEVICE int before(uint32_t votes) {
  return device::count_bits(votes & ((uint32_t{1} << device::lane()) - 1u));
}

// What a row holds: `count` entries in ascending order of their index.
struct KeptRow {
  uint64_t *low, *high;
  int64_t* at;
  int count;
  uint64_t limit;  // k others reach it for certain; 0: fewer than k were seen
};

// The k-th largest, bit by bit from the highest: how many reach it decides each.
GENMEM_DEVICE uint64_t kth_largest(const uint64_t* keys, int count, int64_t k) {
  uint64_t key = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const uint64_t half = key | uint64_t{1} << bit;
    int reach = 0;
    for (int j = device::lane(); j < count; j += device::kWarp) reach += keys[j] >= half;
    if (warp_sum(reach) >= k) key = half;
  }
  return key;
}

// Raises the limit and forgets what it rules out: all but k entries, the lower index of two equal
// ones first, or with a screen those that cannot be among k.
template <bool kScreen>
GENMEM_DEVICE void forget(KeptRow& row, int64_t k) {
  using namespace device;
  warp_barrier();  // other lanes wrote
  if (row.count < k) return;
  row.limit = kth_largest(row.low, row.count, k);
  int ties = static_cast<int>(k);  // that stay
  if (!kScreen) {
    int above = 0;
    for (int j = lane(); j < row.count; j += kWarp) above += row.low[j] > row.limit;
    ties -= warp_sum(above);
  }
  int kept = 0, equal = 0;
  for (int first = 0; first < row.count; first += kWarp) {
    const int j = first + lane();
    const bool inside = j < row.count;
    const uint64_t low = inside ? row.low[j] : 0, high = inside && kScreen ? row.high[j] : 0;
    const int64_t at = inside ? row.at[j] : 0;
    bool stays = inside && high >= row.limit;
    if (!kScreen) {
      const uint32_t tied = votes(inside && low == row.limit);
      stays = inside && (low > row.limit || (low == row.limit && equal + before(tied) < ties));
      equal += count_bits(tied);
    }
    const uint32_t all = votes(stays);
    warp_barrier();  // before an entry moves to where another lane read
    if (stays) {
      const int to = kept + before(all);
      row.low[to] = low;
      if (kScreen) row.high[to] = high;
      row.at[to] = at;
    }
    kept += count_bits(all);
  }
  row.count = kept;
  warp_barrier();
}

struct Bounds {
  uint64_t low, high;
};

// Of a product, without a screen both of them its score.
template <bool kScreen>
GENMEM_DEVICE Bounds bounds_of(const CardStrongest& p, double product, double x_scale,
                               double x_bound, int64_t j) {
  const double by = p.y_scale ? x_scale * p.y_scale[j] : 1.0;
  const double score = p.largest ? product * by : -(product * by);
  if (!kScreen) return {strength(score), strength(score)};
  const double bound = x_bound * p.y_bound[j] * by;
  // A score without a value may be any.
  if (!(score - bound <= score + bound)) return {0, UINT64_MAX};
  return {strength(score - bound), strength(score + bound)};
}

template <bool kScreen>
GENMEM_KERNEL void GENMEM_BLOCKS(kRowWarps* device::kWarp, 3) keep_strongest(CardStrongest p) {
  using namespace device;
  const int64_t i = block_x() * kRowWarps + warp();
  if (i >= p.rows) return;
  const CardKept& kept = p.kept;
  KeptRow row{kept.low + i * kept.capacity, kScreen ? kept.high + i * kept.capacity : nullptr,
              kept.at + i * kept.capacity, kept.found[i], kept.limit[i]};
  if (row.count > kept.capacity) return;
  warp_barrier();  // the count was read by all
  const double* const products = p.products + i * p.columns;
  const double x_scale = p.x_scale ? p.x_scale[i] : 1.0, x_bound = kScreen ? p.x_bound[i] : 0.0;
  // A later one that ties with the k-th is no stronger.
  const auto matters = [&](const Bounds& of) {
    return kScreen ? of.high >= row.limit : of.low > row.limit;
  };
  for (int64_t first = 0; first < p.columns; first += kWarp) {
    // Some steps at once while none of them matters, as most do not behind the first.
    if (first % (kAhead * kWarp) == 0) {
      double product[kAhead];
      GENMEM_UNROLL
      for (int step = 0; step < kAhead; ++step) {
        const int64_t j = first + step * kWarp + lane();
        product[step] = j < p.columns ? products[j] : 0.0;
      }
      bool some = false;
      GENMEM_UNROLL
      for (int step = 0; step < kAhead; ++step) {
        const int64_t j = first + step * kWarp + lane();
        if (j >= p.columns) continue;
        some = some || matters(bounds_of<kScreen>(p, product[step], x_scale, x_bound, j));
      }
      if (votes(some) == 0) {
        first += (kAhead - 1) * kWarp;
        continue;
      }
    }
    const int64_t j = first + lane();
    const bool inside = j < p.columns;
    const Bounds own =
        inside ? bounds_of<kScreen>(p, products[j], x_scale, x_bound, j) : Bounds{0, 0};
    bool stays = inside && matters(own);
    uint32_t all = votes(stays);
    if (row.count + count_bits(all) > kept.capacity) {
      forget<kScreen>(row, p.k);
      stays = inside && matters(own);
      all = votes(stays);
      if (row.count + count_bits(all) > kept.capacity) {  // with a screen alone
        if (lane() == 0) kept.found[i] = static_cast<int>(kept.capacity) + 1;
        return;
      }
    }
    if (stays) {
      const int to = row.count + before(all);
      row.low[to] = own.low;
      if (kScreen) row.high[to] = own.high;
      row.at[to] = p.first + j;
    }
    row.count += count_bits(all);
  }
  if (p.last) forget<kScreen>(row, p.k);
  if (lane() != 0) return;
  kept.found[i] = row.count;
  kept.limit[i] = row.limit;
}

GENMEM_KERNEL void GENMEM_BLOCKS(kRowWarps* device::kWarp, 4) rank_strongest(CardRanked p) {
  const int64_t i = device::block_x() * kRowWarps + device::warp();
  if (i >= p.rows) return;
  const uint64_t* const key = p.kept.low + i * p.kept.capacity;
  const int64_t* const at = p.kept.at + i * p.kept.capacity;
  for (int64_t n = device::lane(); n < p.k; n += device::kWarp) {
    const uint64_t own = key[n];
    int64_t rank = 0;
    for (int64_t m = 0; m < p.k; ++m) rank += key[m] > own || (key[m] == own && m < n);
    const double score = from_strength(own);
    p.index[i * p.k + rank] = at[n];
    p.score[i * p.k + rank] = p.largest ? score : 0.0 - score;
  }
}

// A warp for each row.
GENMEM_KERNEL void GENMEM_BLOCKS(kRowWarps* device::kWarp, 4) gather_kept(CardGathered p) {
  const int64_t i = device::block_x() * kRowWarps + device::warp();
  if (i >= p.rows) return;
  const int64_t count = p.bounds[i + 1] - p.bounds[i];
  for (int64_t n = device::lane(); n < count; n += device::kWarp) {
    p.out[p.bounds[i] + n] = p.kept.at[i * p.kept.capacity + n];
  }
}

}  // namespace genmem::GENMEM_ISA
