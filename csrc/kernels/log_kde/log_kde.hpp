// log_kde: squared distances to the two-slot logsumexp of a density estimate.
//
//   a_j = log k( sqrt(D_j) / (h lambda_j) ) + c_j,   c_j = log w_j - d log lambda_j
//   top = the largest a_j, its index, rest = logsumexp of the others
//
//   log p = logaddexp(top, rest) - log W - d log h - log c_d
//
// A state is made for kKdeChunk points at a time and merged in the order of the chunks. Within a
// chunk the terms more than kNegligible nats below the second largest are left out: whether a term
// is left out, and the order in which the others are summed, follows from the exact exponents of
// the chunk alone. So the state does not depend on which distances were computed, as long as all
// that matter are among them: screened or not, in whatever batch, on however many threads.
//
// Precision   left out of a chunk: at most kKdeChunk exp(-kNegligible) = 2e-12 of its rest.
// Cost        some 4 flops per distance, and one exp (20 instructions) per term that is kept.
#pragma once

#include "kernels/matrix.hpp"
#include "math/kernel_kind.hpp"
#include "math/slots.hpp"

namespace genmem {

inline constexpr int64_t kKdeChunk = 8192;
inline constexpr double kNegligible = 36.0;  // nats

// How a squared distance becomes an exponent.
struct KdeTerms {
  KernelKind kind;
  double sq_bandwidth;       // h^2
  const double* log_weight;  // (points,) c_j, -inf for a weight of 0; or null: all 0
  const double* sq_scale;    // (points,) lambda_j^2; or null: all 1
};

struct KdeChunk {
  KdeTerms terms;
  const double* sq;   // (count,) squared distances, +inf for a point left out
  const int64_t* at;  // (count,) indices of the points, ascending; or null: first, first + 1, ...
  int64_t first;      // first point of the chunk
  int64_t count;      // <= kKdeChunk
  double* exponents;  // scratch, kKdeChunk doubles
};

using LogKdeKernel = Slots (*)(const KdeChunk&);

// The gradient of log p of one query, term by term:
//
//   out += sum_j r_j / (h lambda_j)^2 (x_j - q),   r_j = exp(a_j - log_sum), of the a_j >= cut
//
// Differences first: (mean - q) of rows far from the origin would lose the digits. A feature's sum
// is one chain over the terms in the order of the points, so it does not depend on which of the
// points below the cut were among those named, nor on how many were named at a time.
//
// Cost        as log_kde, and 3 flops per feature of a term that is kept.
struct KdeGradient {
  Matrix queries;
  Matrix points;
  int64_t query;
  KdeTerms terms;  // of the Gaussian kernel
  double log_sum, cut;
  const double* sq;  // as in KdeChunk
  const int64_t* at;
  int64_t first, count;
  double* out;      // (cols,)
  double* scratch;  // gradient_scratch(cols) doubles
};

// Doubles of scratch: two widened rows, the shares and the indices of a chunk.
static inline int64_t gradient_scratch(int64_t cols) {
  return 2 * ((cols + 7) / 8 * 8) + 2 * kKdeChunk;
}

using KdeGradientKernel = void (*)(const KdeGradient&);

}  // namespace genmem
