// knn on the card: hits collected strip by strip, limits lowered in between, survivors ranked.
//
//   near     hits by their distance, for narrow rows or few queries: no screen, bounds of rounding
//   settle   per query: the limit comes down to the k-th smallest upper bound of its hits, and hits
//            with a lower bound above it are forgotten
//   rank     per query: exact squared distances of what is left, the k smallest of them and of
//            those kept from other points, ascending, ties to the lower index
//   rescue   the same for a query whose hits did not fit, from its distances to all points
//   put      distances and indices as the caller wants them
//   radius   of radius_counts: limits from radii; counts of narrow rows; and per query of a
//   screened
//            strip those that are certain and those of its hits that lie within
//
// A strip takes as many points as were seen before it, in random order: about k of them come within
// the limit. A query whose hits do not fit is marked, and its limit lets nothing pass any more
// until it is rescued. So no pair is ever lost, and the answer is the processor's, bit for bit but
// for its `serial` backend, which does not fuse.
//
// Precision   as in pairs.hpp: a copy is at exactly 0.
// Cost        near: 3 float64 flops per pair and feature. settle, rank: a warp for each query; rank
//             compares each survivor with each other one. rescue: a block for each query, which
//             ends at once where nothing was lost.
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/screen/card.hpp"

namespace genmem {

// Neighbours up to which the card ranks; for more all distances are computed.
inline constexpr int64_t kCardNeighbours = 1024;
// Points of the first strip beyond k, whose pairs are all hits, and hits of a query beyond them.
inline constexpr int64_t kCardFirst = 512;

struct CardNear {
  Matrix queries, points;  // on the card
  const CardUnit* unit;    // distances times this are within float32
  int64_t first_tile, tiles, step;
  int64_t first_point;
  CardHits hits;
  int* strange;  // set where a distance is not finite
};

struct CardSettle {
  int64_t queries, k;
  const float* norm;  // of the screened queries; or null: 0
  float* limit;       // on the lower bound
  float* threshold;   // the same, less the norm
  CardHit* hits;
  int* found;
  int64_t capacity;
};

struct CardRank {
  Matrix queries, points;
  const int64_t* exclude;  // (queries,) or null; for rescues
  int64_t first_point, k;
  const CardUnit* unit;
  CardHit* hits;
  int* found;        // 0 again behind it; of a query whose hits were lost, behind its rescue
  int64_t capacity;  // at least k + kCardFirst
  unsigned long long* computed;  // exact distances, counted
  int64_t kept;                  // k, or 0 where these are the first points
  double* kept_sq;               // (queries, k) of other points, absent ones infinite; may change
  int64_t* kept_index;
  double* exact;  // scratch (queries, capacity)
  double* sq;     // (queries, k)
  int64_t* index;
  const float* norm;  // as in CardSettle
  float* limit;
  float* threshold;
};

struct CardRadius {
  Matrix queries, points;
  int64_t first_point;
  const double* sq_radius;  // (queries,)
  const CardUnit* unit;
  const int64_t* exclude;  // (queries,) or null
  const float* norm;       // as in CardSettle
  float* limit;
  float* threshold;
  const CardHit* hits;
  int* found;                    // 0 again behind the count
  int64_t capacity;              // at least the points, so that no hit is lost
  unsigned long long* certain;   // (queries,), 0 again
  unsigned long long* computed;  // exact distances, counted
  unsigned long long* counts;    // (queries,)
  int* strange;                  // set where a distance is not finite; only by `near`
};

struct CardNeighbours {
  int64_t queries, k;
  const double* sq;
  const int64_t* index;
  void* distances;  // (queries, k), roots
  bool single;      // float32, else float64
  int64_t* indices;
};

// Points of a tile of `near`.
static inline int64_t near_tile(int64_t cols) { return cols > 64 ? 32 : 64; }

struct CardKnn {
  const char* (*near)(const Queue&, const CardNear&);
  const char* (*settle)(const Queue&, const CardSettle&);
  const char* (*rank)(const Queue&, const CardRank&);
  const char* (*put)(const Queue&, const CardNeighbours&);
  const char* (*limit_radius)(const Queue&, const CardRadius&);
  const char* (*count_near)(const Queue&, const CardRadius&);
  const char* (*count_hits)(const Queue&, const CardRadius&);
};

namespace emulated {
const CardKnn& card_knn();
}
namespace cuda {
const CardKnn& card_knn();
}

}  // namespace genmem
