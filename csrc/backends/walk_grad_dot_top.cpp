#include <algorithm>
#include <cmath>

#include "backends/dispatch.hpp"
#include "backends/grad_dot_cuts.hpp"
#include "backends/grad_dot_pairs.hpp"

namespace genmem::backends {

namespace {

struct Scored {
  double score;
  int64_t index;
};

// The strongest come first.
struct Stronger {
  bool largest;
  bool operator()(const Scored& a, const Scored& b) const {
    const bool strange = std::isnan(a.score), other = std::isnan(b.score);
    if (strange != other) return strange;
    if (!strange && a.score != b.score) return largest ? a.score > b.score : a.score < b.score;
    return a.index < b.index;
  }
};

// Keeps the k strongest of all that were offered, as a heap whose root is the weakest of them.
void offer(std::vector<Scored>& kept, int64_t k, const Scored& one, const Stronger& stronger) {
  if (static_cast<int64_t>(kept.size()) == k) {
    if (!stronger(one, kept.front())) return;
    std::pop_heap(kept.begin(), kept.end(), stronger);
    kept.back() = one;
  } else {
    kept.push_back(one);
  }
  std::push_heap(kept.begin(), kept.end(), stronger);
}

// A screen that lets more than one pair in so many through saves nothing: what follows is computed
// by products in float32. Gradients in disorder are like that, those of a model are not.
constexpr int64_t kUseless = 16;

// What one row and part keeps: lists of the strongest, as heaps whose root is the weakest.
//
//   without a screen  the k strongest scores
//   with one          every index whose score may be among the k strongest: |score - K~| <= bound,
//                     and fewer than k others are certain to be stronger
class Kept {
 public:
  void offer(const Scored& one, int64_t k, const Stronger& stronger) {
    backends::offer(scores_, k, one, stronger);
  }

  // `score` the larger, the stronger, to within `bound`. A score without a value may be any.
  void consider(double score, double bound, int64_t index, int64_t k) {
    const bool known = score - bound <= score + bound;
    if (known && score + bound < least(k)) return;
    maybe_.push_back({known ? score + bound : HUGE_VAL, index});
    backends::offer(certain_, k, {known ? score - bound : -HUGE_VAL, index}, Stronger{true});
  }

  // Those that turned out to be too weak go.
  void prune(int64_t k) {
    const double limit = least(k);
    const auto weak = [limit](const Scored& one) { return one.score < limit; };
    maybe_.erase(std::remove_if(maybe_.begin(), maybe_.end(), weak), maybe_.end());
  }

  // Takes over what another part of the row kept.
  void join(Kept& other, int64_t k, const Stronger& stronger) {
    for (const Scored& one : other.scores_) offer(one, k, stronger);
    for (const Scored& one : other.certain_) backends::offer(certain_, k, one, Stronger{true});
    maybe_.insert(maybe_.end(), other.maybe_.begin(), other.maybe_.end());
    other = Kept();
  }

  const std::vector<Scored>& maybe() const { return maybe_; }
  int64_t maybe_since(int64_t index) const {
    return std::count_if(maybe_.begin(), maybe_.end(),
                         [index](const Scored& one) { return one.index >= index; });
  }
  std::vector<Scored>& scores() { return scores_; }

 private:
  // What k others are certain to reach.
  double least(int64_t k) const {
    return static_cast<int64_t>(certain_.size()) < k ? -HUGE_VAL : certain_.front().score;
  }

  std::vector<Scored> scores_, certain_, maybe_;
};

}  // namespace

bool grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                  int64_t y_samples, const Strongest& top) {
  const Stronger stronger{top.largest};
  const double sign = top.largest ? 1.0 : -1.0;
  const auto scale = [&](int64_t i, int64_t j) {
    return top.x_scale ? top.x_scale[i] * top.y_scale[j] : 1.0;
  };
  const CoarseProducts screen = coarse_products(plan.isa, top.screen ? 1.0 : kFloatUnit);
  std::vector<double> x_size, y_size;
  if (top.screen && !(sizes(plan, layers, screen.unit, true, x_samples, x_size) &&
                      sizes(plan, layers, screen.unit, false, y_samples, y_size))) {
    return false;
  }
  const Cuts cuts(layers, x_samples, y_samples);
  const int64_t groups = cuts.groups(), blocks = cuts.blocks();
  // Few queries: the blocks are shared out too, each part with lists of its own.
  const int64_t parts =
      std::min(blocks, ceil_div(kTasks, std::max(groups, static_cast<int64_t>(1))));
  std::vector<Kept> lists(static_cast<std::size_t>(x_samples * parts));
  const auto list = [&](int64_t i, int64_t part) -> Kept& {
    return lists[static_cast<std::size_t>(i * parts + part)];
  };
  const double fine = finer(screen.unit, layers);
  Tiles coarse_tiles(plan, screen.products, layers, groups * parts);
  Tiles fine_tiles(plan, kernels(plan.isa).float_products, layers, groups * parts);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t part = number % parts;
    const Span x = cuts.group(number / parts);
    bool coarse = top.screen && screen.unit > kFloatUnit;
    for (int64_t block = part * blocks / parts; block < (part + 1) * blocks / parts; ++block) {
      const Span y = cuts.block(block);
      TokenTile& tile = coarse ? coarse_tiles.of(worker) : fine_tiles.of(worker);
      int64_t through = 0;
      if (!tile.fill(x, y, false, clock)) return;
      for (int64_t i = x.begin; i < x.end; ++i) {
        const double* row = tile.row(i - x.begin);
        Kept& kept = list(i, part);
        for (int64_t j = y.begin; j < y.end; ++j) {
          const double by = scale(i, j), score = row[j - y.begin] * by;
          if (!top.screen) {
            kept.offer({score, j}, top.k, stronger);
          } else {
            const double bound =
                x_size[static_cast<std::size_t>(i)] * y_size[static_cast<std::size_t>(j)] * by;
            kept.consider(sign * score, coarse ? bound : bound * fine, j, top.k);
          }
        }
        kept.prune(top.k);
        through += kept.maybe_since(y.begin);
      }
      if (!coarse || through <= x.count() * (top.k + y.count() / kUseless)) continue;
      coarse = false;
      for (int64_t i = x.begin; i < x.end; ++i) list(i, part) = Kept();
      block = part * blocks / parts - 1;
    }
  };
  if (!run_tasks(groups * parts, plan.threads, task, plan.interrupted)) return false;
  const PerWorker<double> scratch(workers(plan.threads, x_samples), kProductScratch);
  const auto finish = [&](int64_t i, int worker, Clock& clock) {
    Kept& kept = list(i, 0);
    for (int64_t part = 1; part < parts; ++part) kept.join(list(i, part), top.k, stronger);
    kept.prune(top.k);
    for (const Scored& one : kept.maybe()) {
      const double product =
          pair_product(kernels(plan.isa), layers, i, one.index, scratch.of(worker), clock);
      if (!clock.go_on()) return;
      kept.offer({product * scale(i, one.index), one.index}, top.k, stronger);
      plan.stats->distances += 1;
    }
    std::vector<Scored>& all = kept.scores();
    std::sort(all.begin(), all.end(), stronger);
    for (int64_t n = 0; n < top.k; ++n) {
      top.index[i * top.k + n] = all[static_cast<std::size_t>(n)].index;
      top.score[i * top.k + n] = all[static_cast<std::size_t>(n)].score;
    }
  };
  return run_tasks(x_samples, plan.threads, finish, plan.interrupted);
}

}  // namespace genmem::backends
