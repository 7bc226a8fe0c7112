// Where a matrix lies and how far it spreads, from at most 1,024 of its rows, evenly spaced.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/matrix.hpp"

namespace genmem::backends {

// A power of two: the mean of so many bytes is exact, so that expanded distances of bytes are too.
constexpr std::int64_t kSample = 1024;

// The mean of the sampled rows, each entry rounded to float32.
std::vector<double> sample_mean(const Matrix& m);

// The root mean square of the sampled entries about `mean`.
double sample_spread(const Matrix& m, const std::vector<double>& mean);

}  // namespace genmem::backends
