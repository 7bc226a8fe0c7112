#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backends/chunk_distances.hpp"
#include "backends/dispatch.hpp"
#include "backends/expansion.hpp"
#include "backends/extremes.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"
#include "math/kernel_function.hpp"
#include "math/logsumexp.hpp"

namespace genmem::backends {

namespace {

static_assert(kChunk == kKdeChunk, "a task merges whole states");

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// States of the queries of one call: merged at once where one task sees all chunks in order, else
// kept by chunk and merged at the end, in the same order.
class States {
 public:
  States(const Cut& cut, std::int64_t bandwidths, std::int64_t queries, std::int64_t begin,
         Slots* answer)
      : cut_(cut), bandwidths_(bandwidths), queries_(queries), begin_(begin), answer_(answer) {
    if (cut.groups > 1)
      partial_.resize(static_cast<std::size_t>(cut.chunks * bandwidths * cut.queries));
  }

  void put(std::int64_t chunk, std::int64_t h, std::int64_t row, const Slots& state) {
    if (cut_.groups > 1) {
      partial_[static_cast<std::size_t>((chunk * bandwidths_ + h) * cut_.queries + row)] = state;
      return;
    }
    Slots& into = of(h, row);
    if (chunk == 0) GENMEM_ISA::clear(into);
    GENMEM_ISA::merge(into, state);
  }

  void finish() {
    if (cut_.groups == 1) return;
    for (std::int64_t h = 0; h < bandwidths_; ++h) {
      for (std::int64_t row = 0; row < cut_.queries; ++row) {
        Slots& into = of(h, row);
        GENMEM_ISA::clear(into);
        for (std::int64_t chunk = 0; chunk < cut_.chunks; ++chunk) {
          GENMEM_ISA::merge(
              into,
              partial_[static_cast<std::size_t>((chunk * bandwidths_ + h) * cut_.queries + row)]);
        }
      }
    }
  }

 private:
  Slots& of(std::int64_t h, std::int64_t row) { return answer_[h * queries_ + begin_ + row]; }

  const Cut& cut_;
  std::int64_t bandwidths_, queries_, begin_;
  Slots* answer_;
  std::vector<Slots> partial_;
};

// One task's states of a chunk, from all distances or from those that may matter.
class Chunks {
 public:
  Chunks(const Plan& plan, const Matrix& queries, const Matrix& points, const std::int64_t* exclude,
         const Density& density, const Extremes& most, const Expansion& expansion, States& states,
         Crowd& crowd)
      : table_(kernels(plan.isa)),
        points_(points),
        density_(density),
        most_(most),
        states_(states),
        crowd_(crowd),
        distances_(table_, queries, points, exclude, expansion),
        exponents_(1, kKdeChunk) {}

  // Every distance of queries query .. query + rows - 1 (counted from `begin`) to a chunk.
  bool dense(std::int64_t begin, std::int64_t query, std::int64_t rows, std::int64_t chunk,
             Clock& clock) {
    const std::int64_t count = std::min(kChunk, points_.rows - chunk * kChunk);
    for (std::int64_t row = query; row < query + rows; row += kDenseRows) {
      const std::int64_t some = std::min(kDenseRows, query + rows - row);
      const double* sq = distances_.all(begin + row, some, chunk);
      if (!clock.go_on()) return false;
      for (std::int64_t i = 0; i < some; ++i) {
        put(chunk, row + i, sq + i * kDenseStride, nullptr, count);
      }
    }
    return true;
  }

  // The chunk by the screen. Returns false where it was interrupted.
  bool screened(Screening& screen, std::int64_t begin, std::int64_t query, std::int64_t rows,
                std::int64_t chunk, Clock& clock) {
    const std::size_t bandwidths = density_.sq_bandwidths.size();
    tops_.assign(static_cast<std::size_t>(rows) * bandwidths, {-kInfinity, -kInfinity});
    crowded_.assign(static_cast<std::size_t>(rows), 0);
    seen_.assign(static_cast<std::size_t>(rows), 0);
    limits_.assign(static_cast<std::size_t>(rows), reach(nullptr, screen.unit()));
    for (std::int64_t i = 0; i < rows; ++i) {
      screen.found(i) = 0;
      screen.limit(i, limits_[static_cast<std::size_t>(i)]);
    }
    const std::int64_t first = chunk * kChunk, end = std::min(points_.rows, first + kChunk);
    const auto settle = [&](std::int64_t i, std::int64_t points) { narrow(screen, i, points); };
    crowded_queries_ = 0;
    bool stopped = false;
    const auto pause = [&] {
      stopped = !clock.go_on();
      return !stopped && 4 * crowded_queries_ <= rows;
    };
    if (!screen.scan(points_, first, end, settle, pause)) {
      if (stopped) return false;
      crowd_.met();
      return dense(begin, query, rows, chunk, clock);
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      if (crowded_[static_cast<std::size_t>(i)]) {
        if (!dense(begin, query + i, 1, chunk, clock)) return false;
        continue;
      }
      screen.keep_below(i, limits_[static_cast<std::size_t>(i)]);
      sparse(screen, i, begin, query + i, chunk);
      if (!clock.go_on()) return false;
    }
    return true;
  }

  bool crowded() { return crowd_.lasts(); }
  const ChunkDistances& distances() const { return distances_; }

 private:
  struct Top {
    double first, second;  // lower bounds of the two largest exponents of the chunk
  };

  // The screened squared distance beyond which no term is kept, for any of the bandwidths.
  double reach(const Top* tops, double unit) const {
    double most = 0.0;
    for (std::size_t h = 0; h < density_.sq_bandwidths.size(); ++h) {
      const double second = tops ? tops[h].second : -kInfinity;
      const double drop = most_.log_weight - second + kNegligible;
      const double sq = GENMEM_ISA::kernel_reach(density_.kind, drop) * density_.sq_bandwidths[h] *
                        most_.sq_scale;
      most = std::max(most, sq);
    }
    // Upwards by more than the roundings of these few operations.
    return most * unit * (1.0 + 1e-9);
  }

  double exponent(std::size_t h, double sq, std::int64_t at) const {
    const double scale = density_.sq_scale ? density_.sq_scale[at] : 1.0;
    const double a = GENMEM_ISA::log_kernel(
        density_.kind, sq * (1.0 + 1e-12) / (density_.sq_bandwidths[h] * scale));
    return density_.log_weight ? a + density_.log_weight[at] : a;
  }

  // New hits raise the two largest lower bounds, which lower the limit.
  void narrow(Screening& screen, std::int64_t i, std::int64_t points) {
    const auto row = static_cast<std::size_t>(i);
    const std::size_t bandwidths = density_.sq_bandwidths.size();
    Top* tops = tops_.data() + row * bandwidths;
    const Hit* hits = screen.hits(i);
    bool raised = false;
    for (std::int32_t j = seen_[row]; j < screen.found(i); ++j) {
      for (std::size_t h = 0; h < bandwidths; ++h) {
        const double a = exponent(h, std::max(0.0, hits[j].high) / screen.unit(), hits[j].at);
        if (!(a > tops[h].second)) continue;
        raised = true;
        tops[h].second = std::min(a, tops[h].first);
        tops[h].first = std::max(a, tops[h].first);
      }
    }
    if (raised) {
      limits_[row] = reach(tops, screen.unit());
      screen.limit(i, limits_[row]);
    }
    const std::int64_t room = screen.capacity() - screen.strip();
    const bool early = points == 2 * kFirstStrip;
    if (early || screen.found(i) > room) {
      screen.keep_below(i, limits_[row]);
      if (screen.found(i) > (early ? kFirstStrip : room)) {
        crowded_[row] = 1;
        ++crowded_queries_;
        screen.found(i) = 0;
        screen.limit(i, -kInfinity);
      }
    }
    seen_[row] = screen.found(i);
  }

  void sparse(Screening& screen, std::int64_t i, std::int64_t begin, std::int64_t query,
              std::int64_t chunk) {
    const Named found = distances_.named(screen, i, begin + query);
    put(chunk, query, found.sq, found.at, found.count);
  }

  void put(std::int64_t chunk, std::int64_t query, const double* sq, const std::int64_t* at,
           std::int64_t count) {
    for (std::size_t h = 0; h < density_.sq_bandwidths.size(); ++h) {
      const KdeTerms terms{density_.kind, density_.sq_bandwidths[h], density_.log_weight,
                           density_.sq_scale};
      states_.put(chunk, static_cast<std::int64_t>(h), query,
                  table_.log_kde({terms, sq, at, chunk * kChunk, count, exponents_.of(0)}));
    }
  }

  const Kernels& table_;
  Matrix points_;
  const Density& density_;
  const Extremes& most_;
  States& states_;
  Crowd& crowd_;
  ChunkDistances distances_;
  PerWorker<double> exponents_;
  std::vector<Top> tops_;
  std::vector<double> limits_;
  std::vector<std::int32_t> seen_;
  std::vector<char> crowded_;
  std::int64_t crowded_queries_ = 0;
};

// Hits of a query in a chunk, beyond those of a strip, from which on all its distances are
// computed.
constexpr std::int64_t kHits = 512;

}  // namespace

bool log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
             const std::int64_t* exclude, const Density& density, Slots* slots) {
  if (is_card(plan.isa)) {
    return card_log_kde(plan, queries, points, exclude, density, slots);
  }
  const Frame common = frame(kernels(plan.isa), queries, points);
  const Extremes most = extremes(density, points.rows);
  Expansion expansion;
  if (!expansion.prepare(plan, queries, points, density)) return false;
  const auto bandwidths = static_cast<std::int64_t>(density.sq_bandwidths.size());
  plan.stats->pairs += queries.rows * points.rows;
  if (common.kernel) plan.stats->screened = true;
  QueryBlocks blocks;
  if (common.kernel) {
    blocks = query_blocks(common, queries.cols, kHits, plan.threads, plan.memory);
  }
  for (std::int64_t begin = 0; begin < queries.rows; begin += blocks.packed) {
    const std::int64_t rows = std::min(blocks.packed, queries.rows - begin);
    std::unique_ptr<PackedQueries> packed;
    if (common.kernel) {
      packed = std::make_unique<PackedQueries>(common, queries, begin, rows);
      const auto pack = [&](std::int64_t panel, int, Clock&) {
        if (!packed->pack(panel)) plan.stats->strange = true;
      };
      if (!run_tasks(packed->panels(), plan.threads, pack, plan.interrupted)) return false;
    }
    // Where the states of all chunks would take too much room, a task sees all points.
    Cut cut(rows, points.rows, common.kernel ? blocks.rows : kRows);
    const std::int64_t states_bytes =
        cut.chunks * bandwidths * rows * static_cast<std::int64_t>(sizeof(Slots));
    if (states_bytes > plan.memory / 2) cut.groups = 1;
    std::vector<Crowd> crowds(static_cast<std::size_t>(cut.blocks));
    States states(cut, bandwidths, queries.rows, begin, slots);
    const auto task = [&](std::int64_t number, int, Clock& clock) {
      const std::int64_t group = cut.group(number), first = cut.query(number);
      Chunks chunks(plan, queries, points, exclude, density, most, expansion, states,
                    crowds[static_cast<std::size_t>(cut.block(number))]);
      std::unique_ptr<Screening> screen;
      if (packed) {
        screen =
            std::make_unique<Screening>(common, *packed, first, cut.rows(number), kHits, exclude);
      }
      for (std::int64_t chunk = cut.first_chunk(group); chunk < cut.end_chunk(group); ++chunk) {
        const bool all = !screen || chunks.crowded();
        if (!(all ? chunks.dense(begin, first, cut.rows(number), chunk, clock)
                  : chunks.screened(*screen, begin, first, cut.rows(number), chunk, clock))) {
          return;
        }
      }
      if (chunks.distances().strange() || (screen && screen->strange())) {
        plan.stats->strange = true;
      }
      plan.stats->distances += chunks.distances().computed();
    };
    if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
    states.finish();
  }
  return true;
}

}  // namespace genmem::backends
