// The operations on a card; the walks of dispatch.hpp come here where the plan names one.
#pragma once

#include "backends/dispatch.hpp"

namespace genmem::backends {

bool card_knn(const Plan& plan, const Matrix& queries, const Matrix& points,
              const std::int64_t* exclude, std::int64_t k, double* sq, std::int64_t* index);

bool card_sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out);

bool card_radius_counts(const Plan& plan, const Matrix& queries, const Matrix& points,
                        const std::int64_t* exclude, const double* sq_radius, std::int64_t* counts);

bool card_kde_gradient(const Plan& plan, const Matrix& queries, const Matrix& points,
                       const std::int64_t* exclude, const Density& density, const double* log_sum,
                       double* out);

bool card_log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, Slots* slots);

bool card_grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                   std::int64_t y_samples, bool symmetric, double tol, double* out);

bool card_grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers,
                       std::int64_t x_samples, std::int64_t y_samples, const Strongest& top);

bool card_grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers,
                          std::int64_t x_samples, const std::int64_t* index, std::int64_t count,
                          double* out);

bool card_grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers,
                            std::int64_t samples, double* out);

}  // namespace genmem::backends
