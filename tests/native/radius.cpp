// radius_counts: borders that fall on a distance, of copies, of all.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runs.hpp"

namespace genmem::native {

namespace {

void check(const Problem& p, Tally& tally, bool exclude, const std::vector<double>& sq,
           const std::vector<double>& most) {
  const Rows got =
      run(tally, p, exclude, exclude ? Again::no : Again::threads_and_batches,
          [&](const backends::Plan& plan, const Part& part, Rows& rows) {
            rows.indices.resize(static_cast<std::size_t>(part.queries.rows));
            return backends::radius_counts(plan, part.queries, p.points.matrix(), part.exclude,
                                           most.data() + part.begin, rows.indices.data());
          });
  for (std::int64_t i = 0; i < p.m(); ++i) {
    const auto row = static_cast<std::size_t>(i);
    const double* from = sq.data() + i * p.n();
    std::int64_t want = 0;
    for (std::int64_t j = 0; j < p.n(); ++j) {
      want += from[j] <= most[row] && !(exclude && j == p.exclude[row]);
    }
    tally.check(got.indices[row] == want, "another number of points within the radius", p.name);
  }
}

}  // namespace

void check_radius_counts(const Problem& p, Suite& suite) {
  const std::int64_t rank = suite.random.below(p.n());
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "radius_counts");
    // The backend's own distances, so that the border is on one of them to the last bit.
    std::vector<double> sq(p.sq.size());
    call(tally, p.name, 1, [&](const backends::Plan& plan) {
      return backends::sq_distances(plan, p.queries.matrix(), p.points.matrix(), sq.data());
    });
    std::vector<double> most(static_cast<std::size_t>(p.m()));
    for (std::int64_t i = 0; i < p.m(); ++i) {
      std::vector<double> row(sq.begin() + i * p.n(), sq.begin() + (i + 1) * p.n());
      std::nth_element(row.begin(), row.begin() + rank, row.end());
      const double border = row[static_cast<std::size_t>(rank)];
      const double choices[] = {border, 0.0, std::numeric_limits<double>::infinity(),
                                std::nextafter(border, 0.0)};
      most[static_cast<std::size_t>(i)] = choices[i % 4];
    }
    check(p, tally, false, sq, most);
    check(p, tally, true, sq, most);
  }
}

}  // namespace genmem::native
