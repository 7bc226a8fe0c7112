// (operation, backend) -> kernel, and the walk over blocks that every backend shares.
//
// A walk allocates scratch, cuts the work by shape and hands blocks to the kernel of the chosen
// instruction set. It returns false when the caller interrupted it.
#pragma once

#include <functional>
#include <vector>

#include "backends/probe.hpp"
#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/knn/knn.hpp"
#include "kernels/log_kde/log_kde.hpp"

namespace genmem::backends {

struct Plan {
  Isa isa;
  int threads;
  std::function<bool()> interrupted;
};

// sq (M, k) and index (M, k), ascending.
bool knn(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
         int64_t k, double* sq, int64_t* index);

// out (M, N).
bool sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out);

// slots (M,).
bool log_kde(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
             const double* log_weights, double scale, Slots* slots);

struct LayerPair {
  TokenLayer x;
  TokenLayer y;
  bool bias;
};

// out (M, N); symmetric: x and y are the same samples, and only half of the blocks are computed.
bool grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
              int64_t y_samples, bool symmetric, double* out);

// out (N,): K_ii only.
bool grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers, int64_t samples,
                       double* out);

}  // namespace genmem::backends
