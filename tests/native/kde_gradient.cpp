// kde_gradient: the weighted sum of differences, each term in float64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/expansion.hpp"
#include "density.hpp"
#include "runs.hpp"

namespace genmem::native {

namespace {

struct Want {
  std::vector<double> log_sum;          // (queries,)
  std::vector<double> gradient, error;  // (queries, d)
};

Want naive(const Problem& p, const Estimate& e, bool exclude) {
  const auto d = static_cast<std::size_t>(p.d());
  const double sq_bandwidth = e.sq_bandwidths[0];
  const bool narrow = p.d() >= backends::kExpandedCols && p.d() <= kChainDepth;
  Want w;
  Exponents exponent;
  for (std::int64_t i = 0; i < p.m(); ++i) {
    exponents(p, e, sq_bandwidth, i, exclude, exponent);
    const double sum = log_sum(exponent.a);
    w.log_sum.push_back(sum);
    std::vector<double> gradient(d, 0.0), error(d, 0.0);
    const double* q = p.queries.row(i);
    for (std::int64_t j = 0; j < p.n(); ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double share = std::exp(exponent.a[at] - sum) /
                           (sq_bandwidth * (e.sq_scale.empty() ? 1.0 : e.sq_scale[at]));
      // As specified, terms below exp(-36) / N are left out; at the border, either way.
      const double above =
          exponent.a[at] - sum + kNegligible + std::log(static_cast<double>(p.n()));
      const bool border = std::abs(above) < 1e-9 * (1.0 + std::abs(sum));
      if (above < 0.0 && !border) continue;
      // The exponent's error, with that of distances expanded about a centre, those of the
      // exponential and of the sum.
      const double expanded = narrow ? backends::kExpansionError : 0.0;
      const double off = exponent.error[at] + expanded + 8.0 * kRoundoff * (1.0 + std::abs(sum)) +
                         static_cast<double>(p.n()) * kRoundoff;
      const double* x = p.points.row(j);
      for (std::size_t c = 0; c < d; ++c) {
        const double term = share * (x[c] - q[c]);
        gradient[c] += term;
        error[c] += std::abs(term) * (border ? 1.0 : off);
      }
    }
    w.gradient.insert(w.gradient.end(), gradient.begin(), gradient.end());
    w.error.insert(w.error.end(), error.begin(), error.end());
  }
  return w;
}

}  // namespace

void check_kde_gradient(const Problem& p, Suite& suite) {
  const bool exclude = p.n() > 1, weighted = suite.random.below(2) == 0;
  Estimate e = make_estimate(p, KernelKind::gaussian, weighted, suite.random);
  e.sq_bandwidths = {e.sq_bandwidths[static_cast<std::size_t>(suite.random.below(4))]};
  const backends::Density density = e.density();
  const Want want = naive(p, e, exclude);
  for (const double sum : want.log_sum) {
    // A caller has no gradient where there is no density.
    if (!std::isfinite(sum)) return;
  }
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "kde_gradient");
    const Rows got = run(tally, p, exclude, Again::threads_and_batches,
                         [&](const backends::Plan& plan, const Part& part, Rows& rows) {
                           rows.numbers.resize(static_cast<std::size_t>(part.queries.rows * p.d()));
                           return backends::kde_gradient(
                               plan, part.queries, p.points.matrix(), part.exclude, density,
                               want.log_sum.data() + part.begin, rows.numbers.data());
                         });
    for (std::size_t i = 0; i < want.gradient.size(); ++i) {
      tally.within(got.numbers[i], want.gradient[i], want.error[i], p.name);
    }
  }
}

}  // namespace genmem::native
