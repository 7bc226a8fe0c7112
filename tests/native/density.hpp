// Density estimates with and without weights and widths by point, and their exponents.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/dispatch.hpp"
#include "problem.hpp"

namespace genmem::native {

struct Estimate {
  KernelKind kind;
  std::vector<double> sq_bandwidths;
  std::vector<double> log_weight, sq_scale;  // (points,), or empty

  backends::Density density() const {
    return {kind, sq_bandwidths, log_weight.empty() ? nullptr : log_weight.data(),
            sq_scale.empty() ? nullptr : sq_scale.data()};
  }
};

// `weighted`: weights, one in seven of them 0, and widths by point. No distance is at a border of
// the support to nine digits, so that rounding cannot decide which side it is on.
Estimate make_estimate(const Problem& p, KernelKind kind, bool weighted, Random& random);

// Exponents of one query, (points,): -inf beyond the support, where the weight is 0 and where the
// point is left out; and how far a kernel's may be from them.
struct Exponents {
  std::vector<double> a, error;
};
void exponents(const Problem& p, const Estimate& estimate, double sq_bandwidth, std::int64_t query,
               bool exclude, Exponents& to);

// log sum exp, -inf for no term.
double log_sum(const std::vector<double>& a);

}  // namespace genmem::native
