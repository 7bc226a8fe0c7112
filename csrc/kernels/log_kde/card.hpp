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
//   decide  whether so many queries lost hits that computing all distances is faster: then the
//           parts of a screen do nothing from now on (`off`), and card_distances does (`only`)
//
// So the states have the same bits, screened or not.
struct CardKdeHits {
  Matrix queries, points;  // on the card; the points of the chunk
  double* sq;              // (queries, points)
  const CardUnit* unit;
  double most_log_weight, most_sq_scale;
  const float* norm;
  float* limit;
  float* threshold;
  CardHit* hits;
  int* found;
  int64_t capacity;
  int* lost;                     // queries whose hits did not fit, counted
  unsigned long long* computed;  // exact distances, counted
  const int* off;                // where it holds no 0, nothing is done
};

struct CardKdeDecision {
  const int* lost;
  int64_t asked;  // queries times chunks that were screened so far
  int* off;       // set where more than a quarter of them were lost
};

// log p of states: logaddexp(top, rest) - log_mass - norm.
struct CardLogDensity {
  const Slots* states;  // (bandwidths, stride)
  int64_t stride, queries, bandwidths;
  double log_mass;
  const double* log_masses;  // (queries,), or null: log_mass of all
  const double* norms;       // (bandwidths,)
  double* out;               // (bandwidths, out_stride): the queries of this call come first
  int64_t out_stride;
};

// The gradient of a Gaussian log-density: adds sum_j r_j (x_j - q) / (h lambda_j)^2 over the points
// of a chunk with exponents of at least `cut`, as KdeGradient of the processor does; a block for
// each query, features in its threads.
struct CardKdeGradient {
  CardKde kde;             // one bandwidth; states and strange are not used
  Matrix queries, points;  // those of the block of distances
  const double* log_sum;   // (queries,)
  const double* cut;       // (queries,)
  double* out;             // (queries, d)
};

struct CardLogKde {
  const char* (*clear)(const Queue&, const CardKde&);
  const char* (*add)(const Queue&, const CardKde&);
  const char* (*narrow)(const Queue&, const CardKde&, const CardKdeHits&);
  const char* (*spread)(const Queue&, const CardKde&, const CardKdeHits&);
  const char* (*decide)(const Queue&, const CardKdeDecision&);
  const char* (*put)(const Queue&, const CardLogDensity&);
  const char* (*add_gradient)(const Queue&, const CardKdeGradient&);
};

namespace emulated {
const CardLogKde& card_log_kde();
}
namespace cuda {
const CardLogKde& card_log_kde();
}

}  // namespace genmem
