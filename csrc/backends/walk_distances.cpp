#include <algorithm>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

bool sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out) {
  if (is_card(plan.isa)) return card_sq_distances(plan, queries, points, out);
  const Kernels& table = kernels(plan.isa);
  const Cut cut(queries.rows, points.rows, kRows);
  const PerWorker<double> scratch(workers(plan.threads, cut.tasks()),
                                  distance_scratch(queries.cols) + kPairBlock);
  const auto task = [&](std::int64_t number, int worker, Clock& clock) {
    const std::int64_t group = cut.group(number), end = cut.end_point(group);
    double* block = scratch.of(worker) + distance_scratch(queries.cols);
    DistanceBlock b{queries, points,  cut.query(number),  cut.rows(number), 0,      0,
                    block,   kPoints, scratch.of(worker), nullptr,          nullptr};
    for (b.point = cut.first_point(group); b.point < end; b.point += kPoints) {
      b.count = std::min(kPoints, end - b.point);
      table.distances(b);
      for (std::int64_t i = 0; i < b.rows; ++i) {
        std::copy(block + i * kPoints, block + i * kPoints + b.count,
                  out + (b.query + i) * points.rows + b.point);
      }
      if (!clock.go_on()) return;
    }
  };
  return run_tasks(cut.tasks(), plan.threads, task, plan.interrupted);
}

}  // namespace genmem::backends
