// log_kde on the card: a block of squared distances (pairs/card.hpp) to states of chunks, merged
// into those of the chunks before. What is left out of a chunk is what the processor leaves out
// (log_kde.hpp); sums are in another order, of lanes.
//
// Precision   float64 throughout; as in log_kde.hpp.
// Cost        a warp for each query and bandwidth reads the chunk twice and takes one exp per term
//             that is kept. From about 50 features on the distances take most of the time.
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/log_kde/log_kde.hpp"
#include "kernels/screen/card.hpp"

namespace genmem {

struct CardKde {
  const double* sq;  // (queries, count)
  int64_t queries;
  int64_t first, count;    // the points: one chunk at most
  const int64_t* exclude;  // (queries,) or null
  KernelKind kind;
  const double* sq_bandwidths;  // (bandwidths,) h^2
  int64_t bandwidths;
  const double* log_weight;  // (all points,) or null, as in KdeTerms
  const double* sq_scale;
  Slots* states;  // (bandwidths, stride): those of the queries come first
  int64_t stride;
  int* strange;  // set where a distance is not finite; null behind a screen, which tells it
};

// With a screen before it, wide rows take fewer distances. The hits of a chunk come in two strips:
//
//   narrow  per query: the two largest lower bounds of exponents among its hits, for each
//           bandwidth, bound what may matter; hits beyond are forgotten
//   spread  per query: a row of distances as `sq` above, infinite but at the hits. A query whose
//           hits did not fit gets all of its distances, by its warp
//
// So the states have the same bits, screened or not.
struct CardKdeHits {
  Matrix queries, points;  // on the card; the points of the chunk
  double* sq;              // (queries, points)
  double unit;
  double most_log_weight, most_sq_scale;
  const float* norm;
  float* limit;
  float* threshold;
  CardHit* hits;
  int* found;
  int64_t capacity;
  int* lost;                     // queries whose hits did not fit, counted
  unsigned long long* computed;  // exact distances, counted
};

using CardKdeHitsKernel = const char* (*)(const Queue&, const CardKde&, const CardKdeHits&);
using CardKdeKernel = const char* (*)(const Queue&, const CardKde&);

}  // namespace genmem
