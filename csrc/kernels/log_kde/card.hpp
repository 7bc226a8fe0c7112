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
  int* strange;  // set where a distance is not finite
};

using CardKdeKernel = const char* (*)(const Queue&, const CardKde&);

}  // namespace genmem
