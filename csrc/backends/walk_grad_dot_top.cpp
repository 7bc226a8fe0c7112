#include <algorithm>
#include <cmath>

#include "backends/dispatch.hpp"
#include "backends/grad_dot_cuts.hpp"
#include "backends/grad_dot_pairs.hpp"
#include "backends/strongest.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// A screen that lets more than one pair in so many through saves nothing: what follows is computed
// by products in float32. Gradients in disorder are like that, those of a model are not.
constexpr int64_t kUseless = 16;

}  // namespace

bool grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                  int64_t y_samples, const Strongest& top) {
  if (is_card(plan.isa)) return card_grad_dot_top(plan, layers, x_samples, y_samples, top);
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
    kept.write(top.k, stronger, top.index + i * top.k, top.score + i * top.k);
  };
  return run_tasks(x_samples, plan.threads, finish, plan.interrupted);
}

}  // namespace genmem::backends
