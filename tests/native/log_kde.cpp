// log_kde: the largest term, its index and the logsumexp of the others, for a list of bandwidths.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/expansion.hpp"
#include "density.hpp"
#include "kernels/pairs/pairs.hpp"
#include "runs.hpp"

namespace genmem::native {

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// One query and bandwidth.
struct Want {
  std::vector<double> a, error;
  std::int64_t index;
  double top, rest, rest_error;
};

Want naive(const Problem& p, const Estimate& e, double sq_bandwidth, std::int64_t query,
           bool exclude, Exponents& exponent) {
  exponents(p, e, sq_bandwidth, query, exclude, exponent);
  if (e.kind == KernelKind::gaussian && p.d() >= backends::kExpandedCols && p.d() <= kChainDepth) {
    for (double& error : exponent.error) error += backends::kExpansionError;
  }
  Want w{exponent.a, exponent.error, -1, kNone, kNone, 0.0};
  const auto largest = std::max_element(w.a.begin(), w.a.end());
  w.top = *largest;
  if (w.top == kNone) return w;
  w.index = largest - w.a.begin();
  exponent.a[static_cast<std::size_t>(w.index)] = kNone;
  w.rest = log_sum(exponent.a);
  if (w.rest == kNone) return w;
  for (std::size_t j = 0; j < w.a.size(); ++j) {
    w.rest_error += std::exp(exponent.a[j] - w.rest) * w.error[j];
  }
  // What a chunk leaves out, the roundings of the sum, those of the exponentials.
  w.rest_error +=
      3e-12 + 2.0 * static_cast<double>(p.n()) * kRoundoff + 8.0 * kRoundoff * std::abs(w.rest);
  return w;
}

void compare(Tally& tally, const Problem& p, const Want& w, double top, std::int64_t index,
             double rest) {
  const auto error = [&](std::int64_t j) { return w.error[static_cast<std::size_t>(j)]; };
  const auto a = [&](std::int64_t j) { return w.a[static_cast<std::size_t>(j)]; };
  if (w.index >= 0 && index != w.index) {
    if (index < 0 || index >= p.n()) return tally.check(false, "no index of a point", p.name);
    tally.check(a(index) != a(w.index), "not the first of the largest terms", p.name);
    tally.within(a(index), a(w.index), error(index) + error(w.index), p.name);
  } else {
    tally.check(index == w.index, "an index where there is no term", p.name);
  }
  tally.within(top, w.top, w.index < 0 ? 0.0 : error(w.index), p.name);
  tally.within(rest, w.rest, w.rest_error, p.name);
}

void check(const Problem& p, Suite& suite, const Estimate& e, bool exclude, Again again) {
  const auto bandwidths = static_cast<std::int64_t>(e.sq_bandwidths.size());
  const backends::Density density = e.density();
  std::vector<Want> want;
  Exponents scratch;
  for (std::int64_t i = 0; i < p.m(); ++i) {
    for (const double h : e.sq_bandwidths) want.push_back(naive(p, e, h, i, exclude, scratch));
  }
  const auto walk = [&](const backends::Plan& plan, const Part& part, Rows& rows) {
    const std::int64_t m = part.queries.rows;
    std::vector<Slots> slots(static_cast<std::size_t>(bandwidths * m));
    if (!backends::log_kde(plan, part.queries, p.points.matrix(), part.exclude, density,
                           slots.data())) {
      return false;
    }
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t h = 0; h < bandwidths; ++h) {
        const Slots& s = slots[static_cast<std::size_t>(h * m + i)];
        rows.numbers.push_back(s.top);
        rows.numbers.push_back(s.max == kNone ? kNone : s.max + std::log(s.sum));
        rows.indices.push_back(s.top_index);
      }
    }
    return true;
  };
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "log_kde");
    const Rows got = run(tally, p, exclude, again, walk);
    for (std::size_t i = 0; i < want.size(); ++i) {
      compare(tally, p, want[i], got.numbers[2 * i], got.indices[i], got.numbers[2 * i + 1]);
    }
  }
}

}  // namespace

void check_log_kde(const Problem& p, Suite& suite) {
  constexpr KernelKind others[] = {KernelKind::exponential,  KernelKind::tophat,
                                   KernelKind::epanechnikov, KernelKind::biweight,
                                   KernelKind::linear,       KernelKind::cosine};
  Random& random = suite.random;
  const bool exclude = p.n() > 1;
  check(p, suite, make_estimate(p, KernelKind::gaussian, false, random), false,
        Again::threads_and_batches);
  check(p, suite, make_estimate(p, KernelKind::gaussian, true, random), exclude, Again::no);
  check(p, suite, make_estimate(p, others[random.below(6)], random.below(2) == 0, random), exclude,
        Again::no);
}

}  // namespace genmem::native
