#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"
#include "math/nearest.hpp"

namespace genmem::backends {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Neighbours up to which a query's hits wait for all groups of points: some 5 KiB a query and
// group.
constexpr std::int64_t kPendingNeighbours = 128;

// Queries whose last distances one task computes.
constexpr std::int64_t kFinishedRows = 64;

// Heaps of each group of chunks; those of the first group become the answer.
class Heaps {
 public:
  Heaps(std::int64_t groups, std::int64_t queries, std::int64_t k, double* sq, std::int64_t* index)
      : groups_(groups), queries_(queries), k_(k), sq_(sq), index_(index) {
    others_sq_.resize(static_cast<std::size_t>((groups - 1) * queries * k));
    others_index_.resize(others_sq_.size());
  }

  double* sq(std::int64_t group, std::int64_t query) {
    return (group == 0 ? sq_ : others_sq_.data() + (group - 1) * queries_ * k_) + query * k_;
  }
  std::int64_t* index(std::int64_t group, std::int64_t query) {
    return (group == 0 ? index_ : others_index_.data() + (group - 1) * queries_ * k_) + query * k_;
  }
  void clear(std::int64_t group, std::int64_t query) {
    GENMEM_ISA::clear(sq(group, query), index(group, query), k_);
  }
  void finish() {
    for (std::int64_t i = 0; i < queries_; ++i) {
      for (std::int64_t group = 1; group < groups_; ++group) {
        const double* from_sq = sq(group, i);
        const std::int64_t* from = index(group, i);
        for (std::int64_t j = 0; j < k_; ++j) {
          GENMEM_ISA::keep_nearest(sq(0, i), index(0, i), k_, from_sq[j], from[j]);
        }
      }
      GENMEM_ISA::sort_nearest(sq(0, i), index(0, i), k_);
    }
  }

 private:
  std::int64_t groups_, queries_, k_;
  double* sq_;
  std::int64_t* index_;
  std::vector<double> others_sq_;
  std::vector<std::int64_t> others_index_;
};

// Limits of queries, lowered by whichever task sees more: a k-th distance within some of the points
// bounds that within all. They change how much is computed, never the answer.
class SharedLimits {
 public:
  explicit SharedLimits(std::int64_t queries) : limits_(static_cast<std::size_t>(queries)) {
    for (auto& limit : limits_) limit.store(kInfinity, std::memory_order_relaxed);
  }
  double lowered(std::int64_t query, double limit) {
    auto& shared = limits_[static_cast<std::size_t>(query)];
    double seen = shared.load(std::memory_order_relaxed);
    while (limit < seen && !shared.compare_exchange_weak(seen, limit, std::memory_order_relaxed)) {
    }
    return std::min(limit, seen);
  }

 private:
  std::vector<std::atomic<double>> limits_;
};

// The k-th smallest upper bound among the hits: no more than the k-th smallest distance.
double kth_high(const Hit* hits, std::int64_t count, std::int64_t k, std::vector<double>& highs) {
  highs.resize(static_cast<std::size_t>(count));
  for (std::size_t j = 0; j < highs.size(); ++j) highs[j] = hits[j].high;
  const auto place = highs.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(highs.begin(), place, highs.end());
  return *place;
}

// The answer's heaps: tasks that see different points may meet at one.
class Answer {
 public:
  Answer(const Kernels& kernels, const Matrix& queries, const Matrix& points, std::int64_t k,
         double* sq, std::int64_t* index)
      : kernels_(kernels), queries_(queries), points_(points), k_(k), sq_(sq), index_(index) {
    for (std::int64_t i = 0; i < queries.rows; ++i) {
      GENMEM_ISA::clear(sq + i * k, index + i * k, k);
    }
  }

  // Computes the distances of `hits` (or takes them, where they are exact) and keeps the nearest;
  // returns the k-th distance so far.
  double keep(std::int64_t query, const Hit* hits, std::int64_t count, bool exact,
              double* scratch) {
    std::vector<std::int64_t> at(static_cast<std::size_t>(count));
    std::vector<double> sq(at.size());
    for (std::size_t j = 0; j < at.size(); ++j) {
      at[j] = hits[j].at;
      sq[j] = hits[j].low;
    }
    if (!exact && count > 0) {
      kernels_.distances_to(
          {queries_, points_, query, at.data(), count, sq.data(), scratch, nullptr});
    }
    double* heap = sq_ + query * k_;
    const std::lock_guard<std::mutex> lock(mutexes_[query % kMutexes]);
    for (std::size_t j = 0; j < at.size(); ++j) {
      GENMEM_ISA::keep_nearest(heap, index_ + query * k_, k_, sq[j], at[j]);
    }
    return heap[0];
  }

  void sort(std::int64_t query) {
    GENMEM_ISA::sort_nearest(sq_ + query * k_, index_ + query * k_, k_);
  }

 private:
  static constexpr std::int64_t kMutexes = 64;
  const Kernels& kernels_;
  Matrix queries_, points_;
  std::int64_t k_;
  double* sq_;
  std::int64_t* index_;
  std::mutex mutexes_[kMutexes];
};

// Hits that may be among the k nearest, of the queries of one task.
struct Pending {
  std::vector<Hit> hits;
  std::vector<std::int64_t> offsets{0};
};

// One task: narrows the limits of its queries as hits come in.
class Nearest {
 public:
  Nearest(Answer& answer, SharedLimits& shared, Screening& screen, std::int64_t k,
          std::int64_t first, std::int64_t rows, double* scratch)
      : answer_(answer),
        shared_(shared),
        screen_(screen),
        k_(k),
        first_(first),
        scratch_(scratch),
        limits_(static_cast<std::size_t>(rows)),
        next_(limits_.size(), k) {
    for (std::int64_t i = 0; i < rows; ++i) lower(i, kInfinity);
  }

  void settle(std::int64_t i) {
    const auto row = static_cast<std::size_t>(i);
    if (screen_.exact()) return compute(i);
    if (screen_.found(i) < next_[row]) return;
    narrow(i);
    const std::int64_t room = screen_.capacity() - screen_.strip();
    // Where the bound cannot tell so many apart, their distances can.
    if (screen_.found(i) > room / 2) compute(i);
    next_[row] =
        std::min<std::int64_t>(room, std::max<std::int64_t>(2 * screen_.found(i), k_ + 64));
  }

  // What is left to compute once all tasks have narrowed the limits.
  void leave(Pending& pending) {
    std::int64_t total = 0;
    for (std::size_t row = 0; row < limits_.size(); ++row) {
      narrow(static_cast<std::int64_t>(row));
      total += screen_.found(static_cast<std::int64_t>(row));
    }
    pending.hits.reserve(static_cast<std::size_t>(total));
    pending.offsets.reserve(limits_.size() + 1);
    for (std::size_t row = 0; row < limits_.size(); ++row) {
      const auto i = static_cast<std::int64_t>(row);
      const Hit* hits = screen_.hits(i);
      pending.hits.insert(pending.hits.end(), hits, hits + screen_.found(i));
      pending.offsets.push_back(static_cast<std::int64_t>(pending.hits.size()));
    }
  }

  // The answer, where no other task sees these queries. False where it was interrupted.
  bool finish(Clock& clock) {
    for (std::size_t row = 0; row < limits_.size(); ++row) {
      const auto i = static_cast<std::int64_t>(row);
      narrow(i);
      compute(i);
      answer_.sort(first_ + i);
      if (!clock.go_on()) return false;
    }
    return true;
  }

  std::int64_t distances() const { return distances_; }

 private:
  void lower(std::int64_t i, double limit) {
    limits_[static_cast<std::size_t>(i)] = shared_.lowered(first_ + i, limit);
    screen_.limit(i, limits_[static_cast<std::size_t>(i)]);
  }

  // The limit comes down to the k-th smallest upper bound.
  void narrow(std::int64_t i) {
    double limit = limits_[static_cast<std::size_t>(i)];
    const Hit* hits = screen_.hits(i);
    const std::int32_t found = screen_.found(i);
    if (found >= k_) limit = std::min(limit, kth_high(hits, found, k_, highs_));
    lower(i, limit);
    screen_.keep_below(i, limits_[static_cast<std::size_t>(i)]);
  }

  void compute(std::int64_t i) {
    const double kth =
        answer_.keep(first_ + i, screen_.hits(i), screen_.found(i), screen_.exact(), scratch_);
    distances_ += screen_.found(i);
    screen_.found(i) = 0;
    lower(i, std::min(limits_[static_cast<std::size_t>(i)], kth * screen_.unit()));
  }

  Answer& answer_;
  SharedLimits& shared_;
  Screening& screen_;
  std::int64_t k_, first_;
  double* scratch_;
  std::vector<double> limits_, highs_;
  std::vector<std::int64_t> next_;
  std::int64_t distances_ = 0;
};

// Every distance of the queries begin .. begin + count - 1.
bool knn_straight(const Plan& plan, const Kernels& kernels, const Matrix& queries,
                  const Matrix& points, const std::int64_t* exclude, std::int64_t k, double* sq,
                  std::int64_t* index) {
  const Cut cut(queries.rows, points.rows, kRows);
  const PerWorker<double> scratch(workers(plan.threads, cut.tasks()),
                                  distance_scratch(queries.cols) + kPairBlock);
  Heaps heaps(cut.groups, queries.rows, k, sq, index);
  const auto task = [&](std::int64_t number, int worker, Clock& clock) {
    const std::int64_t group = cut.group(number);
    KnnBlock b{queries, points,  cut.query(number), cut.rows(number),  0, 0, exclude, k,
               false,   nullptr, nullptr,           scratch.of(worker)};
    b.sq = heaps.sq(group, b.query);
    b.index = heaps.index(group, b.query);
    for (std::int64_t i = 0; i < b.rows; ++i) heaps.clear(group, b.query + i);
    const std::int64_t end = cut.end_point(group);
    for (b.point = cut.first_point(group); b.point < end; b.point += kPoints) {
      b.count = std::min(kPoints, end - b.point);
      kernels.knn(b);
      if (!clock.go_on()) return;
    }
    if (b.strange) plan.stats->strange = true;
  };
  if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
  plan.stats->distances += queries.rows * points.rows;
  heaps.finish();
  return true;
}

}  // namespace

bool knn(const Plan& plan, const Matrix& queries, const Matrix& points, const std::int64_t* exclude,
         std::int64_t k, double* sq, std::int64_t* index) {
  if (is_card(plan.isa)) return card_knn(plan, queries, points, exclude, k, sq, index);
  const Kernels& table = kernels(plan.isa);
  const Frame common = frame(table, queries, points);
  plan.stats->pairs += queries.rows * points.rows;
  // For many neighbours lists of hits would be longer than the distances are dear.
  if (!common.kernel || 8 * k > points.rows) {
    return knn_straight(plan, table, queries, points, exclude, k, sq, index);
  }
  plan.stats->screened = true;
  const std::int64_t capacity = 2 * k + 256;
  const QueryBlocks blocks =
      query_blocks(common, queries.cols, capacity, plan.threads, plan.memory);
  SharedLimits shared(queries.rows);
  Answer answer(table, queries, points, k, sq, index);
  for (std::int64_t begin = 0; begin < queries.rows; begin += blocks.packed) {
    const std::int64_t rows = std::min(blocks.packed, queries.rows - begin);
    PackedQueries packed(common, queries, begin, rows);
    const auto pack = [&](std::int64_t panel, int, Clock&) {
      if (!packed.pack(panel)) plan.stats->strange = true;
    };
    if (!run_tasks(packed.panels(), plan.threads, pack, plan.interrupted)) return false;
    // Hits of few neighbours wait for all groups of points; of many, a task sees all points, and
    // the queries alone are shared out.
    const bool few = k <= kPendingNeighbours;
    const std::int64_t panel = common.kernel->panel;
    const std::int64_t shared_out = ceil_div(ceil_div(rows, kTasks), panel) * panel;
    const Cut cut(rows, points.rows, few ? blocks.rows : std::min(blocks.rows, shared_out),
                  few ? kTasks : 1);
    std::vector<Pending> pending(static_cast<std::size_t>(cut.tasks()));
    const auto screen = [&](std::int64_t number, int, Clock& clock) {
      const std::int64_t group = cut.group(number), first = cut.query(number);
      const PerWorker<double> scratch(1, distance_scratch(queries.cols));
      Screening screening(common, packed, first, cut.rows(number), capacity, exclude);
      Nearest nearest(answer, shared, screening, k, begin + first, cut.rows(number), scratch.of(0));
      if (!screening.scan(
              points, cut.first_point(group), cut.end_point(group),
              [&](std::int64_t i, std::int64_t) { nearest.settle(i); },
              [&] { return clock.go_on(); })) {
        return;
      }
      if (screening.strange()) plan.stats->strange = true;
      if (cut.groups > 1) {
        nearest.leave(pending[static_cast<std::size_t>(number)]);
      } else if (!nearest.finish(clock)) {
        return;
      }
      plan.stats->distances += nearest.distances();
    };
    if (!run_tasks(cut.tasks(), plan.threads, screen, plan.interrupted)) return false;
    if (cut.groups == 1) continue;
    const auto finish = [&](std::int64_t number, int, Clock& clock) {
      const PerWorker<double> scratch(1, distance_scratch(queries.cols));
      std::vector<Hit> hits;
      std::vector<double> highs;
      std::int64_t computed = 0;
      const std::int64_t end = std::min(rows, (number + 1) * kFinishedRows);
      for (std::int64_t row = number * kFinishedRows; row < end; ++row) {
        hits.clear();
        for (std::int64_t group = 0; group < cut.groups; ++group) {
          const Pending& from =
              pending[static_cast<std::size_t>(row / cut.block_rows * cut.groups + group)];
          const auto i = static_cast<std::size_t>(row % cut.block_rows);
          hits.insert(hits.end(), from.hits.begin() + from.offsets[i],
                      from.hits.begin() + from.offsets[i + 1]);
        }
        const auto count = static_cast<std::int64_t>(hits.size());
        const double kth = count < k ? kInfinity : kth_high(hits.data(), count, k, highs);
        const double limit = shared.lowered(begin + row, kth);
        const auto far =
            std::remove_if(hits.begin(), hits.end(), [&](const Hit& h) { return h.low > limit; });
        hits.erase(far, hits.end());
        answer.keep(begin + row, hits.data(), static_cast<std::int64_t>(hits.size()),
                    common.kernel->bytes, scratch.of(0));
        answer.sort(begin + row);
        computed += static_cast<std::int64_t>(hits.size());
        if (!clock.go_on()) return;
      }
      plan.stats->distances += computed;
    };
    if (!run_tasks(ceil_div(rows, kFinishedRows), plan.threads, finish, plan.interrupted)) {
      return false;
    }
  }
  return true;
}

}  // namespace genmem::backends
