#include <algorithm>
#include <cmath>

#include "backends/dispatch.hpp"
#include "backends/grad_dot_cuts.hpp"
#include "backends/grad_dot_pairs.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

bool grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
              int64_t y_samples, bool symmetric, double tol, double* out) {
  if (is_card(plan.isa)) {
    return card_grad_dot(plan, layers, x_samples, y_samples, symmetric, tol, out);
  }
  // Of the error of a product, (1 + u)^4 - 1 is 4 u and a little more.
  const double most = gains(layers) ? std::max(tol / 4.5, kFloatUnit) : kFloatUnit;
  const CoarseProducts coarse = coarse_products(plan.isa, most);
  const bool proven = tol > 0.0, two = proven && coarse.unit > kFloatUnit;
  const double fine = finer(coarse.unit, layers);
  std::vector<double> x_ratio, y_own;
  if (proven && !(ratios(plan, layers, coarse.unit, true, x_samples, x_ratio) &&
                  (symmetric || ratios(plan, layers, coarse.unit, false, y_samples, y_own)))) {
    return false;
  }
  const std::vector<double>& y_ratio = symmetric ? x_ratio : y_own;
  // Whether products whose errors are `finer` times those of the coarse ones are good enough.
  const auto certain = [&](int64_t i, int64_t j, double finer_by) {
    return x_ratio[static_cast<std::size_t>(i)] * y_ratio[static_cast<std::size_t>(j)] * finer_by <=
           tol;
  };
  const auto first_of = [&](int64_t i, Span y) {
    return symmetric ? std::max(i, y.begin) : y.begin;
  };
  // Writes the coarse products that are certain; whether these are all.
  const auto write_certain = [&](Span x, Span y, const TokenTile& tile) {
    bool all = true;
    for (int64_t i = x.begin; i < x.end; ++i) {
      const double* row = tile.row(i - x.begin);
      for (int64_t j = first_of(i, y); j < y.end; ++j) {
        const bool good = certain(i, j, 1.0);
        if (good) out[i * y_samples + j] = row[j - y.begin];
        all = all && good;
      }
    }
    return all;
  };
  // Writes the others: which way a product is computed does not depend on its neighbours.
  const auto write_rest = [&](Span x, Span y, const TokenTile& tile, double* scratch,
                              Clock& clock) {
    for (int64_t i = x.begin; i < x.end; ++i) {
      const double* row = tile.row(i - x.begin);
      for (int64_t j = first_of(i, y); j < y.end; ++j) {
        if (two && certain(i, j, 1.0)) continue;
        double& to = out[i * y_samples + j];
        to = row[j - y.begin];
        if (proven && !certain(i, j, fine)) {
          to = pair_product(kernels(plan.isa), layers, i, j, scratch, clock);
          if (!clock.go_on()) return;
        }
      }
    }
  };
  const auto mirror = [&](Span x, Span y) {
    // Mirrored in squares whose lines stay in the first-level cache.
    constexpr int64_t kSquare = 16;
    for (int64_t i0 = x.begin; i0 < x.end; i0 += kSquare) {
      for (int64_t j0 = y.begin; j0 < y.end; j0 += kSquare) {
        for (int64_t j = j0; j < std::min(y.end, j0 + kSquare); ++j) {
          for (int64_t i = i0; i < std::min({x.end, i0 + kSquare, j}); ++i) {
            out[j * y_samples + i] = out[i * y_samples + j];
          }
        }
      }
    }
  };
  const Cuts cuts(layers, x_samples, y_samples);
  const int64_t blocks = cuts.blocks(), tasks = cuts.groups() * blocks;
  Tiles fine_tiles(plan, kernels(plan.isa).float_products, layers, tasks);
  Tiles coarse_tiles(plan, coarse.products, layers, tasks);
  const PerWorker<double> scratch(workers(plan.threads, tasks), kProductScratch);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const Span x = cuts.group(number / blocks);
    Span y = cuts.block(number % blocks);
    if (symmetric) y.begin = std::max(y.begin, x.begin);
    if (y.begin >= y.end) return;
    bool done = false;
    if (two) {
      TokenTile& tile = coarse_tiles.of(worker);
      if (!tile.fill(x, y, symmetric, clock)) return;
      done = write_certain(x, y, tile);
    }
    if (!done) {
      TokenTile& tile = fine_tiles.of(worker);
      if (!tile.fill(x, y, symmetric, clock)) return;
      write_rest(x, y, tile, scratch.of(worker), clock);
    }
    if (symmetric) mirror(x, y);
  };
  return run_tasks(tasks, plan.threads, task, plan.interrupted);
}

bool grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                     const int64_t* index, int64_t count, double* out) {
  if (is_card(plan.isa)) return card_grad_dot_listed(plan, layers, x_samples, index, count, out);
  const PerWorker<double> scratch(workers(plan.threads, x_samples), kProductScratch);
  const auto task = [&](int64_t i, int worker, Clock& clock) {
    for (int64_t n = i * count; n < (i + 1) * count && clock.go_on(); ++n) {
      out[n] = pair_product(kernels(plan.isa), layers, i, index[n], scratch.of(worker), clock);
    }
  };
  return run_tasks(x_samples, plan.threads, task, plan.interrupted);
}

bool grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers, int64_t samples,
                       double* out) {
  if (is_card(plan.isa)) return card_grad_dot_diagonal(plan, layers, samples, out);
  return each_sample(plan, samples, [&](int64_t i, double* scratch, Clock& clock) {
    out[i] = pair_product(kernels(plan.isa), layers, i, i, scratch, clock);
  });
}

}  // namespace genmem::backends
