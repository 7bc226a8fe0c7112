#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

bool straight(const Plan& plan, const Kernels& table, const Matrix& queries, const Matrix& points,
              const std::int64_t* exclude, const double* sq_radius, std::int64_t* counts) {
  const Cut cut(queries.rows, points.rows, kRows);
  const PerWorker<double> scratch(workers(plan.threads, cut.tasks()),
                                  distance_scratch(queries.cols) + kPairBlock);
  std::vector<std::int64_t> partial(static_cast<std::size_t>(cut.groups * queries.rows), 0);
  const auto task = [&](std::int64_t number, int worker, Clock& clock) {
    const std::int64_t group = cut.group(number), end = cut.end_point(group);
    double* block = scratch.of(worker) + distance_scratch(queries.cols);
    std::int64_t* found = partial.data() + group * queries.rows;
    DistanceBlock b{queries, points,  cut.query(number),  cut.rows(number), 0,      0,
                    block,   kPoints, scratch.of(worker), nullptr,          nullptr};
    for (b.point = cut.first_point(group); b.point < end; b.point += kPoints) {
      b.count = std::min(kPoints, end - b.point);
      table.distances(b);
      if (strange_distances(block, kPoints, b.rows, b.count)) plan.stats->strange = true;
      for (std::int64_t i = 0; i < b.rows; ++i) {
        const std::int64_t query = b.query + i, skip = exclude ? exclude[query] : -1;
        for (std::int64_t j = 0; j < b.count; ++j) {
          found[query] += block[i * kPoints + j] <= sq_radius[query] && b.point + j != skip;
        }
      }
      if (!clock.go_on()) return;
    }
  };
  if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
  plan.stats->distances += queries.rows * points.rows;
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    counts[i] = 0;
    for (std::int64_t group = 0; group < cut.groups; ++group) {
      counts[i] += partial[static_cast<std::size_t>(group * queries.rows + i)];
    }
  }
  return true;
}

}  // namespace

bool radius_counts(const Plan& plan, const Matrix& queries, const Matrix& points,
                   const std::int64_t* exclude, const double* sq_radius, std::int64_t* counts) {
  if (is_card(plan.isa)) {
    return card_radius_counts(plan, queries, points, exclude, sq_radius, counts);
  }
  const Kernels& table = kernels(plan.isa);
  const Frame common = frame(table, queries, points);
  plan.stats->pairs += queries.rows * points.rows;
  if (!common.kernel) return straight(plan, table, queries, points, exclude, sq_radius, counts);
  plan.stats->screened = true;
  const QueryBlocks blocks = query_blocks(common, queries.cols, 0, plan.threads, plan.memory);
  for (std::int64_t begin = 0; begin < queries.rows; begin += blocks.packed) {
    const std::int64_t rows = std::min(blocks.packed, queries.rows - begin);
    PackedQueries packed(common, queries, begin, rows);
    const auto pack = [&](std::int64_t panel, int, Clock&) {
      if (!packed.pack(panel)) plan.stats->strange = true;
    };
    if (!run_tasks(packed.panels(), plan.threads, pack, plan.interrupted)) return false;
    const Cut cut(rows, points.rows, blocks.rows);
    const PerWorker<double> scratch(workers(plan.threads, cut.tasks()),
                                    distance_scratch(queries.cols));
    std::vector<std::int64_t> partial(static_cast<std::size_t>(cut.groups * rows), 0);
    const auto task = [&](std::int64_t number, int worker, Clock& clock) {
      const std::int64_t group = cut.group(number), first = cut.query(number);
      Screening screen(common, packed, first, cut.rows(number), 0, exclude);
      for (std::int64_t i = 0; i < cut.rows(number); ++i) {
        screen.limit(i, sq_radius[begin + first + i] * screen.unit());
      }
      std::vector<std::int64_t> at;
      std::vector<double> sq;
      std::int64_t computed = 0;
      const auto settle = [&](std::int64_t i, std::int64_t) {
        const std::int64_t query = begin + first + i;
        const double most = sq_radius[query];
        std::int64_t& count = partial[static_cast<std::size_t>(group * rows + first + i)];
        const Hit* hits = screen.hits(i);
        at.clear();
        for (std::int32_t j = 0; j < screen.found(i); ++j) {
          if (hits[j].high < HUGE_VAL && hits[j].high <= most * screen.unit()) {
            ++count;
          } else if (!screen.exact()) {
            at.push_back(hits[j].at);
          }
        }
        screen.found(i) = 0;
        if (at.empty()) return;
        sq.resize(at.size());
        table.distances_to({queries, points, query, at.data(), static_cast<std::int64_t>(at.size()),
                            sq.data(), scratch.of(worker), nullptr});
        computed += static_cast<std::int64_t>(at.size());
        for (const double d : sq) count += d <= most;
      };
      if (!screen.scan(points, cut.first_point(group), cut.end_point(group), settle,
                       [&] { return clock.go_on(); })) {
        return;
      }
      if (screen.strange()) plan.stats->strange = true;
      plan.stats->distances += computed;
    };
    if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
    for (std::int64_t i = 0; i < rows; ++i) {
      counts[begin + i] = 0;
      for (std::int64_t group = 0; group < cut.groups; ++group) {
        counts[begin + i] += partial[static_cast<std::size_t>(group * rows + i)];
      }
    }
  }
  return true;
}

}  // namespace genmem::backends
