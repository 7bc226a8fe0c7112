// The operations on a card; the walks of dispatch.hpp come here where the plan names one.
#pragma once

#include "backends/dispatch.hpp"

namespace genmem::backends {

bool card_knn(const Plan& plan, const Matrix& queries, const Matrix& points,
              const std::int64_t* exclude, std::int64_t k, double* sq, std::int64_t* index);

bool card_sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out);

bool card_log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, Slots* slots);

}  // namespace genmem::backends
