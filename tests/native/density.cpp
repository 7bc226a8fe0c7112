#include "density.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace genmem::native {

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// log k(u) from u^2 = v.
double profile(KernelKind kind, double v) {
  const double u = std::sqrt(v);
  switch (kind) {
    case KernelKind::gaussian: return -0.5 * v;
    case KernelKind::exponential: return -u;
    case KernelKind::tophat: return v <= 1.0 ? 0.0 : kNone;
    case KernelKind::epanechnikov: return v < 1.0 ? std::log1p(-v) : kNone;
    case KernelKind::biweight: return v < 1.0 ? 2.0 * std::log1p(-v) : kNone;
    case KernelKind::linear: return v < 1.0 ? std::log1p(-u) : kNone;
    case KernelKind::cosine:
      return v < 1.0 ? std::log(std::sin(0.5 * std::acos(-1.0) * (1.0 - u))) : kNone;
  }
  return kNone;
}

double scale(const Estimate& e, std::int64_t point) {
  return e.sq_scale.empty() ? 1.0 : e.sq_scale[static_cast<std::size_t>(point)];
}

bool border(const Problem& p, const Estimate& e, double sq_bandwidth) {
  if (e.kind == KernelKind::gaussian || e.kind == KernelKind::exponential) return false;
  for (std::size_t i = 0; i < p.sq.size(); ++i) {
    const auto point = static_cast<std::int64_t>(i) % p.n();
    if (std::abs(p.sq[i] / (sq_bandwidth * scale(e, point)) - 1.0) < 1e-9) return true;
  }
  return false;
}

}  // namespace

Estimate make_estimate(const Problem& p, KernelKind kind, bool weighted, Random& random) {
  Estimate e{kind, {}, {}, {}};
  if (weighted) {
    for (std::int64_t j = 0; j < p.n(); ++j) {
      e.log_weight.push_back(j % 7 == 3 ? kNone : random.normal());
      e.sq_scale.push_back(std::exp(0.5 * random.normal()));
    }
  }
  const double widest = p.sq.empty() ? 0.0 : *std::max_element(p.sq.begin(), p.sq.end());
  const double unit = widest > 0.0 ? widest : 1.0;
  // From one term that matters to all of them.
  for (const double part : {1e-4, 0.5 / static_cast<double>(p.d()), 0.3, 10.0}) {
    double sq_bandwidth = unit * part * (1.0 + 0.1 * random.uniform());
    while (border(p, e, sq_bandwidth)) sq_bandwidth *= 1.0 + 1e-3 * random.uniform();
    e.sq_bandwidths.push_back(sq_bandwidth);
  }
  return e;
}

void exponents(const Problem& p, const Estimate& e, double sq_bandwidth, std::int64_t query,
               bool exclude, Exponents& to) {
  const std::int64_t skip = exclude ? p.exclude[static_cast<std::size_t>(query)] : -1;
  const double off = p.sq_error() + 8.0 * kRoundoff;
  to.a.resize(static_cast<std::size_t>(p.n()));
  to.error.resize(to.a.size());
  for (std::int64_t j = 0; j < p.n(); ++j) {
    const auto at = static_cast<std::size_t>(j);
    const double v =
        p.sq[static_cast<std::size_t>(query * p.n() + j)] / (sq_bandwidth * scale(e, j));
    const double log_weight = e.log_weight.empty() ? 0.0 : e.log_weight[at];
    const double log_k = profile(e.kind, v);
    to.a[at] = j == skip ? kNone : log_k + log_weight;
    to.error[at] = 0.0;
    if (to.a[at] == kNone) continue;
    to.error[at] = profile(e.kind, v * (1.0 - off)) - profile(e.kind, v * (1.0 + off)) +
                   8.0 * kRoundoff * (std::abs(log_k) + std::abs(log_weight));
  }
}

double log_sum(const std::vector<double>& a) {
  const double most = *std::max_element(a.begin(), a.end());
  if (most == kNone) return kNone;
  double sum = 0.0;
  for (const double x : a) sum += std::exp(x - most);
  return most + std::log(sum);
}

}  // namespace genmem::native
