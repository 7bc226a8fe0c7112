// All squared distances of some queries to all points, from the card to the host block by block.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "backends/on_card.hpp"

namespace genmem::backends {

// `take(query, point, count, sq)` gets the distances of a query to `count` points from `point` on;
// it is called by several threads, for a query in the order of the points. False where it was
// interrupted.
bool each_card_distance(const OnCard& on, Uploads& uploads, const Plan& plan, const Matrix& queries,
                        const Matrix& points,
                        const std::function<void(std::int64_t query, std::int64_t point,
                                                 std::int64_t count, const double* sq)>& take);

}  // namespace genmem::backends
