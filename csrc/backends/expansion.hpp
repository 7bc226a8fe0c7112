// Whether the distances of a density may be expanded about a centre (pairs.hpp), query by query.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/dispatch.hpp"

namespace genmem::backends {

// Below this many features the expansion saves nothing.
constexpr std::int64_t kExpandedCols = 9;

// What the expansion may add to the error of an exponent, in nats.
constexpr double kExpansionError = 1e-10;

class Expansion {
 public:
  // Reads queries and points once. Depends on each query, on the points and on the narrowest of the
  // bandwidths, not on the batch.
  // False where it was interrupted.
  bool prepare(const Plan& plan, const Matrix& queries, const Matrix& points,
               const Density& density);

  // Null: no query's distances are expanded.
  const double* centre() const { return centre_.empty() ? nullptr : centre_.data(); }
  bool holds(std::int64_t query) const {
    return !holds_.empty() && holds_[static_cast<std::size_t>(query)];
  }

 private:
  std::vector<double> centre_;
  std::vector<char> holds_;
};

}  // namespace genmem::backends
