#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/extremes.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// The terms of one query that are kept, from distances in the order of the points, and their sum.
class Gradient {
 public:
  Gradient(const Kernels& kernels, const Matrix& queries, const Matrix& points,
           const Density& density, const double* log_sum, double* out)
      : kernels_(kernels),
        queries_(queries),
        points_(points),
        density_(density),
        log_sum_(log_sum),
        out_(out),
        most_(extremes(density, points.rows)),
        scratch_(1, std::max(distance_scratch(queries.cols), 2 * widened(queries.cols))) {}

  void clear(std::int64_t query) { std::fill_n(out_ + query * queries_.cols, queries_.cols, 0.0); }

  // The squared distance beyond which no term of the query is kept.
  double reach(std::int64_t query) const {
    const double drop = std::max(0.0, most_.log_weight - cut(query));
    return 2.0 * drop * density_.sq_bandwidths[0] * most_.sq_scale * (1.0 + 1e-9);
  }

  // Adds points at[0 .. count - 1]; sq holds their squared distances, or is null: not yet known.
  void add(std::int64_t query, const std::int64_t* at, std::int64_t count, const double* sq) {
    if (!sq) {
      sq_.resize(static_cast<std::size_t>(count));
      kernels_.distances_to(
          {queries_, points_, query, at, count, sq_.data(), scratch_.of(0), nullptr});
      sq = sq_.data();
    }
    kept_.clear();
    shares_.clear();
    for (std::int64_t j = 0; j < count; ++j) {
      const double width =
          density_.sq_bandwidths[0] * (density_.sq_scale ? density_.sq_scale[at[j]] : 1.0);
      const double a =
          -0.5 * sq[j] / width + (density_.log_weight ? density_.log_weight[at[j]] : 0.0);
      if (!(a >= cut(query))) continue;
      kept_.push_back(at[j]);
      shares_.push_back(std::exp(a - log_sum_[query]) / width);
    }
    kernels_.kde_gradient({queries_, points_, query, kept_.data(), shares_.data(),
                           static_cast<std::int64_t>(kept_.size()), out_ + query * queries_.cols,
                           scratch_.of(0)});
  }

 private:
  double cut(std::int64_t query) const {
    return log_sum_[query] - kNegligible - std::log(static_cast<double>(points_.rows));
  }

  const Kernels& kernels_;
  Matrix queries_, points_;
  const Density& density_;
  const double* log_sum_;
  double* out_;
  Extremes most_;
  PerWorker<double> scratch_;
  std::vector<double> sq_, shares_;
  std::vector<std::int64_t> kept_;
};

}  // namespace

bool kde_gradient(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, const double* log_sum,
                  double* out) {
  const Kernels& table = kernels(plan.isa);
  const Frame common = frame(table, queries, points);
  plan.stats->pairs += queries.rows * points.rows;
  if (common.kernel) plan.stats->screened = true;
  // A query's sum runs over all points in order: only queries are shared out.
  std::unique_ptr<PackedQueries> packed;
  QueryBlocks blocks;
  if (common.kernel) {
    blocks = query_blocks(common, queries.cols, 0, plan.threads, plan.memory);
  }
  for (std::int64_t begin = 0; begin < queries.rows; begin += blocks.packed) {
    const std::int64_t rows = std::min(blocks.packed, queries.rows - begin);
    std::int64_t panel = 1;
    if (common.kernel) {
      packed = std::make_unique<PackedQueries>(common, queries, begin, rows);
      const auto pack = [&](std::int64_t number, int, Clock&) { packed->pack(number); };
      if (!run_tasks(packed->panels(), plan.threads, pack, plan.interrupted)) return false;
      panel = common.kernel->panel;
    }
    const std::int64_t block =
        std::min(blocks.rows, ceil_div(ceil_div(rows, kTasks), panel) * panel);
    const auto task = [&](std::int64_t number, int, Clock& clock) {
      const std::int64_t first = number * block, some = std::min(block, rows - first);
      Gradient gradient(table, queries, points, density, log_sum, out);
      for (std::int64_t i = 0; i < some; ++i) gradient.clear(begin + first + i);
      std::int64_t computed = 0;
      std::vector<std::int64_t> at;
      if (!packed) {
        for (std::int64_t i = 0; i < some; ++i) {
          const std::int64_t query = begin + first + i, skip = exclude ? exclude[query] : -1;
          for (std::int64_t point = 0; point < points.rows; point += kPoints) {
            at.clear();
            for (std::int64_t j = point; j < std::min(points.rows, point + kPoints); ++j) {
              if (j != skip) at.push_back(j);
            }
            gradient.add(query, at.data(), static_cast<std::int64_t>(at.size()), nullptr);
            if (!clock.go_on()) return;
          }
        }
        plan.stats->distances += some * points.rows;
        return;
      }
      Screening screening(common, *packed, first, some, 0, exclude);
      for (std::int64_t i = 0; i < some; ++i) {
        screening.limit(i, gradient.reach(begin + first + i) * screening.unit());
      }
      std::vector<double> sq;
      const auto settle = [&](std::int64_t i, std::int64_t) {
        const Hit* hits = screening.hits(i);
        const auto found = static_cast<std::size_t>(screening.found(i));
        at.resize(found);
        sq.resize(found);
        for (std::size_t j = 0; j < found; ++j) {
          at[j] = hits[j].at;
          sq[j] = hits[j].low;
        }
        gradient.add(begin + first + i, at.data(), static_cast<std::int64_t>(found),
                     screening.exact() ? sq.data() : nullptr);
        computed += static_cast<std::int64_t>(found);
        screening.found(i) = 0;
      };
      if (!screening.scan(points, 0, points.rows, settle, [&] { return clock.go_on(); })) return;
      plan.stats->distances += computed;
    };
    if (!run_tasks(ceil_div(rows, block), plan.threads, task, plan.interrupted)) return false;
  }
  return true;
}

}  // namespace genmem::backends
