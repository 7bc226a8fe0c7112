// log_kde: the two-slot logsumexp of Gaussian exponents.
//
//   a_ij = log w_j - D_ij / (2 h^2)
//   per query: top = the largest a_ij, its index, rest = logsumexp of the others
//
//   log p(q_i) = logaddexp(top, rest) - log W - d log(h sqrt(2 pi))
//
// One call merges at most kPoints points into the states of at most kRows queries. The terms of a
// call are summed on their own first, so the states depend on the points alone, not on how calls
// are spread over threads, as long as they are merged in the order of the points.
//
// Precision   exponents in float64 from exact differences (pairs.hpp). Terms 50 nats below the
//             largest of the rest are left out: n e^-50 = 2e-22 n relative.
// Cost        3 flops per pair and feature and one exp of some 20 instructions per pair that
//             matters; a row of a block whose terms all lie 50 nats down costs no exp.
#pragma once

#include "kernels/pairs/pairs.hpp"
#include "math/slots.hpp"

namespace genmem {

struct LogKdeBlock {
  Matrix queries;
  Matrix points;
  int64_t query, rows;
  int64_t point, count;
  const int64_t* exclude;     // (queries.rows,), -1 none; or null
  const double* log_weights;  // (points.rows,), -inf for weight 0; or null: all weights 1
  double scale;               // 1 / (2 h^2)
  Slots* slots;               // (rows,) states of the queries of this call
  double* scratch;            // kPairScratch + kPairBlock doubles
};

using LogKdeKernel = void (*)(const LogKdeBlock&);

}  // namespace genmem
