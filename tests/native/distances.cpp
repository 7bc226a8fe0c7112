// sq_distances: within the error of a sum; copies at exactly 0, integers exact.
#include "runs.hpp"

namespace genmem::native {

void check_distances(const Problem& p, Suite& suite) {
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "sq_distances");
    const Matrix points = p.points.matrix();
    const Rows got =
        run(tally, p, false, Again::threads_and_batches,
            [&](const backends::Plan& plan, const Part& part, Rows& rows) {
              rows.numbers.resize(static_cast<std::size_t>(part.queries.rows * points.rows));
              return backends::sq_distances(plan, part.queries, points, rows.numbers.data());
            });
    for (std::size_t i = 0; i < p.sq.size(); ++i) {
      tally.within(got.numbers[i], p.sq[i], p.sq_error() * p.sq[i], p.name);
    }
  }
}

}  // namespace genmem::native
