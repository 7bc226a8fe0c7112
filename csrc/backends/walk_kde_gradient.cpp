#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "backends/chunk_distances.hpp"
#include "backends/dispatch.hpp"
#include "backends/expansion.hpp"
#include "backends/extremes.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// One task: the gradients of some queries, chunk by chunk.
class Gradients {
 public:
  Gradients(const Plan& plan, const Matrix& queries, const Matrix& points,
            const std::int64_t* exclude, const Density& density, const Extremes& most,
            const Expansion& expansion, const double* log_sum, double* out)
      : kernels_(kernels(plan.isa)),
        queries_(queries),
        points_(points),
        density_(density),
        most_(most),
        log_sum_(log_sum),
        out_(out),
        distances_(kernels_, queries, points, exclude, expansion),
        scratch_(1, gradient_scratch(queries.cols)) {}

  void clear(std::int64_t query) { std::fill_n(out_ + query * queries_.cols, queries_.cols, 0.0); }

  // The squared distance beyond which no term of the query is kept.
  double reach(std::int64_t query) const {
    const double drop = std::max(0.0, most_.log_weight - cut(query));
    return 2.0 * drop * density_.sq_bandwidths[0] * most_.sq_scale * (1.0 + 1e-9);
  }

  // A chunk by all of its distances. These return false where they were interrupted.
  bool dense(std::int64_t query, std::int64_t rows, std::int64_t chunk, Clock& clock) {
    const std::int64_t count = std::min(kChunk, points_.rows - chunk * kChunk);
    for (std::int64_t row = query; row < query + rows; row += kDenseRows) {
      const std::int64_t some = std::min(kDenseRows, query + rows - row);
      const double* sq = distances_.all(row, some, chunk);
      for (std::int64_t i = 0; i < some; ++i) {
        add(row + i, sq + i * kDenseStride, nullptr, chunk, count);
        if (!clock.go_on()) return false;
      }
    }
    return true;
  }

  // By those that the screen lets through; `query` is its first.
  bool screened(Screening& screen, std::int64_t query, std::int64_t rows, std::int64_t chunk,
                Clock& clock) {
    const std::int64_t first = chunk * kChunk, end = std::min(points_.rows, first + kChunk);
    std::int64_t crowded = 0;
    bool stopped = false;
    // What the first short strips let through waits until they have told whether to go on.
    const auto settle = [&](std::int64_t i, std::int64_t points) {
      if (points > 2 * kFirstStrip) return take(screen, i, query, chunk);
      if (points == 2 * kFirstStrip && screen.found(i) > kFirstStrip) ++crowded;
    };
    const auto pause = [&] {
      stopped = !clock.go_on();
      return !stopped && 4 * crowded <= rows;
    };
    if (!screen.scan(points_, first, end, settle, pause)) {
      if (stopped) return false;
      for (std::int64_t i = 0; i < rows; ++i) screen.found(i) = 0;
      crowd_.met();
      return dense(query, rows, chunk, clock);
    }
    for (std::int64_t i = 0; i < rows; ++i) take(screen, i, query, chunk);
    return true;
  }

  bool crowded() { return crowd_.lasts(); }
  std::int64_t computed() const { return distances_.computed(); }

 private:
  double cut(std::int64_t query) const {
    return log_sum_[query] - kNegligible - std::log(static_cast<double>(points_.rows));
  }

  void take(Screening& screen, std::int64_t i, std::int64_t query, std::int64_t chunk) {
    const Named found = distances_.named(screen, i, query + i);
    add(query + i, found.sq, found.at, chunk, found.count);
    screen.found(i) = 0;
  }

  void add(std::int64_t query, const double* sq, const std::int64_t* at, std::int64_t chunk,
           std::int64_t count) {
    const KdeTerms terms{density_.kind, density_.sq_bandwidths[0], density_.log_weight,
                         density_.sq_scale};
    kernels_.kde_gradient({queries_, points_, query, terms, log_sum_[query], cut(query), sq, at,
                           chunk * kChunk, count, out_ + query * queries_.cols, scratch_.of(0)});
  }

  const Kernels& kernels_;
  Matrix queries_, points_;
  const Density& density_;
  const Extremes& most_;
  const double* log_sum_;
  double* out_;
  ChunkDistances distances_;
  PerWorker<double> scratch_;
  Crowd crowd_;
};

}  // namespace

bool kde_gradient(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, const double* log_sum,
                  double* out) {
  if (is_card(plan.isa)) {
    return card_kde_gradient(plan, queries, points, exclude, density, log_sum, out);
  }
  const Frame common = frame(kernels(plan.isa), queries, points);
  const Extremes most = extremes(density, points.rows);
  Expansion expansion;
  if (!expansion.prepare(plan, queries, points, density)) return false;
  plan.stats->pairs += queries.rows * points.rows;
  if (common.kernel) plan.stats->screened = true;
  QueryBlocks blocks;
  std::int64_t panel = 1;
  if (common.kernel) {
    blocks = query_blocks(common, queries.cols, 2 * kFirstStrip, plan.threads, plan.memory);
    panel = common.kernel->panel;
  }
  for (std::int64_t begin = 0; begin < queries.rows; begin += blocks.packed) {
    const std::int64_t rows = std::min(blocks.packed, queries.rows - begin);
    std::unique_ptr<PackedQueries> packed;
    if (common.kernel) {
      packed = std::make_unique<PackedQueries>(common, queries, begin, rows);
      const auto pack = [&](std::int64_t number, int, Clock&) { packed->pack(number); };
      if (!run_tasks(packed->panels(), plan.threads, pack, plan.interrupted)) return false;
    }
    // A query's sum runs over all points in order: only queries are shared out.
    const std::int64_t block =
        std::min(blocks.rows, ceil_div(ceil_div(rows, kTasks), panel) * panel);
    const auto task = [&](std::int64_t number, int, Clock& clock) {
      const std::int64_t first = number * block, some = std::min(block, rows - first);
      Gradients gradients(plan, queries, points, exclude, density, most, expansion, log_sum, out);
      for (std::int64_t i = 0; i < some; ++i) gradients.clear(begin + first + i);
      std::unique_ptr<Screening> screen;
      if (packed) {
        screen =
            std::make_unique<Screening>(common, *packed, first, some, 2 * kFirstStrip, exclude);
        for (std::int64_t i = 0; i < some; ++i) {
          screen->limit(i, gradients.reach(begin + first + i) * screen->unit());
        }
      }
      for (std::int64_t chunk = 0; chunk * kChunk < points.rows; ++chunk) {
        const bool all = !screen || gradients.crowded();
        if (!(all ? gradients.dense(begin + first, some, chunk, clock)
                  : gradients.screened(*screen, begin + first, some, chunk, clock))) {
          return;
        }
      }
      plan.stats->distances += gradients.computed();
    };
    if (!run_tasks(ceil_div(rows, block), plan.threads, task, plan.interrupted)) return false;
  }
  return true;
}

}  // namespace genmem::backends
