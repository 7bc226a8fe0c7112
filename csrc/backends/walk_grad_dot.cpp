#include <algorithm>
#include <cmath>
#include <memory>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/token_tile.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// Samples of y that one tile takes, and their tokens in the layer that has most: a tile of 512 x
// 512 samples is 2 MiB, the scales of so many tokens too.
constexpr int64_t kBlock = 512;
constexpr int64_t kBlockTokens = 1 << 17;

// Samples are grouped so that a group has at most `samples` of them, and `tokens` tokens in the
// layer that has most; a single sample may have more. The bounds of the groups.
std::vector<int64_t> sample_groups(const std::vector<LayerPair>& layers, bool x_side, int64_t count,
                                   int64_t samples, int64_t tokens) {
  std::vector<int64_t> bounds{0};
  for (int64_t first = 0; first < count;) {
    int64_t end = std::min(count, first + samples);
    for (const LayerPair& layer : layers) {
      const int64_t* offsets = x_side ? layer.x.offsets : layer.y.offsets;
      const int64_t* past =
          std::upper_bound(offsets + first, offsets + end + 1, offsets[first] + tokens);
      end = std::max(first + 1, std::min(end, static_cast<int64_t>(past - offsets) - 1));
    }
    bounds.push_back(end);
    first = end;
  }
  return bounds;
}

// How the products of all samples are cut: groups of x times blocks of y.
class Cuts {
 public:
  Cuts(const std::vector<LayerPair>& layers, int64_t x_samples, int64_t y_samples)
      : x_(sample_groups(layers, true, x_samples, kTokens, kTokens)),
        y_(sample_groups(layers, false, y_samples, kBlock, kBlockTokens)) {}
  int64_t groups() const { return static_cast<int64_t>(x_.size()) - 1; }
  int64_t blocks() const { return static_cast<int64_t>(y_.size()) - 1; }
  Span group(int64_t i) const { return span(x_, i); }
  Span block(int64_t i) const { return span(y_, i); }

 private:
  static Span span(const std::vector<int64_t>& bounds, int64_t i) {
    return {bounds[static_cast<std::size_t>(i)], bounds[static_cast<std::size_t>(i + 1)]};
  }
  std::vector<int64_t> x_, y_;
};

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

// One tile for each worker, made when it is first wanted.
class Tiles {
 public:
  Tiles(const Plan& plan, const TokenKernel& floats, const std::vector<LayerPair>& layers,
        int64_t tasks)
      : floats_(floats),
        doubles_(kernels(plan.isa).double_products),
        layers_(layers),
        tiles_(static_cast<std::size_t>(workers(plan.threads, tasks))) {}
  TokenTile& of(int worker) {
    auto& tile = tiles_[static_cast<std::size_t>(worker)];
    if (!tile) tile = std::make_unique<TokenTile>(floats_, doubles_, layers_);
    return *tile;
  }

 private:
  const TokenKernel floats_, doubles_;
  const std::vector<LayerPair>& layers_;
  std::vector<std::unique_ptr<TokenTile>> tiles_;
};

// Whether the rows may be read as they lie, and are wide enough, or few enough, for lanes of
// features. A pair of samples of many tokens can take minutes, and is worked on in blocks.
bool plain(const LayerPair& layer, int64_t token_pairs) {
  for (int operand = 0; operand < 2; ++operand) {
    const Matrix& x = operand == 0 ? layer.x.inputs : layer.x.gradients;
    const Matrix& y = operand == 0 ? layer.y.inputs : layer.y.gradients;
    if (x.dtype != y.dtype || x.dtype == Dtype::uint8) return false;
    if (x.col_stride != 1 || y.col_stride != 1) return false;
    if (x.cols < 16 && token_pairs > 64) return false;
  }
  return token_pairs <= 1 << 20;
}

// The product of samples i of x and j of y; the clock is asked after every layer, and within one
// after every block of tokens.
double pair_product(const Kernels& kernels, const std::vector<LayerPair>& layers, int64_t i,
                    int64_t j, double* scratch, Clock& clock) {
  double sum = 0.0;
  for (const LayerPair& layer : layers) {
    const double bias = layer.bias ? 1.0 : 0.0;
    const int64_t x_first = layer.x.offsets[i], x_last = layer.x.offsets[i + 1];
    const int64_t y_first = layer.y.offsets[j], y_last = layer.y.offsets[j + 1];
    if (plain(layer, (x_last - x_first) * (y_last - y_first))) {
      sum += kernels.grad_dot_pair({layer.x, layer.y, bias, i, j});
      if (!clock.go_on()) return sum;
      continue;
    }
    GradDotBlock b{layer.x, layer.y, bias, 0, 0, 0, 0, i, j, &sum, 0, scratch};
    for (b.x_token = x_first; b.x_token < x_last; b.x_token += kRows) {
      b.rows = std::min(kRows, x_last - b.x_token);
      for (b.y_token = y_first; b.y_token < y_last; b.y_token += kPoints) {
        b.count = std::min(kPoints, y_last - b.y_token);
        kernels.grad_dot(b);
        if (!clock.go_on()) return sum;
      }
    }
  }
  return sum;
}

}  // namespace

bool grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
              int64_t y_samples, bool symmetric, double* out) {
  const auto copy = [&](Span x, Span y, const TokenTile& tile) {
    for (int64_t i = x.begin; i < x.end; ++i) {
      const double* row = tile.row(i - x.begin);
      for (int64_t j = symmetric ? std::max(i, y.begin) : y.begin; j < y.end; ++j) {
        out[i * y_samples + j] = row[j - y.begin];
      }
    }
    if (!symmetric) return;
    // Mirrored in squares whose lines stay in the first-level cache.
    constexpr int64_t kSquare = 16;
    for (int64_t i0 = x.begin; i0 < x.end; i0 += kSquare) {
      for (int64_t j0 = y.begin; j0 < y.end; j0 += kSquare) {
        for (int64_t j = j0; j < std::min(y.end, j0 + kSquare); ++j) {
          for (int64_t i = i0; i < std::min({x.end, i0 + kSquare, j}); ++i) {
            out[j * y_samples + i] = tile.row(i - x.begin)[j - y.begin];
          }
        }
      }
    }
  };
  const Cuts cuts(layers, x_samples, y_samples);
  const int64_t blocks = cuts.blocks(), tasks = cuts.groups() * blocks;
  Tiles tiles(plan, kernels(plan.isa).float_products, layers, tasks);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const Span x = cuts.group(number / blocks);
    Span y = cuts.block(number % blocks);
    if (symmetric) y.begin = std::max(y.begin, x.begin);
    if (y.begin >= y.end) return;
    TokenTile& tile = tiles.of(worker);
    if (tile.fill(x, y, symmetric, clock)) copy(x, y, tile);
  };
  return run_tasks(tasks, plan.threads, task, plan.interrupted);
}

namespace {

// Factors in float32, or split into parts that hold as much.
constexpr double kFloatUnit = 0x1p-22;

// A screen that lets more than one pair in so many through saves nothing: what follows is screened
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

// eps of a layer: see GradDotPairKernel. Chains of at most 2 kChain products, the sums of chains,
// then of tokens.
double error_of(double unit, const LayerPair& layer) {
  const int64_t cols = std::max(layer.x.inputs.cols, layer.x.gradients.cols);
  const double gamma = static_cast<double>(2 * kChain + cols / kChain + 64) * 0x1p-23;
  const double e = (1.0 + unit) * (1.0 + unit) * (1.0 + gamma) - 1.0;
  return (1.0 + e) * (1.0 + e) - 1.0;
}

// How much smaller the errors of products in float32 are than those of the screen.
double finer(double unit, const std::vector<LayerPair>& layers) {
  double ratio = 0.0;
  for (const LayerPair& layer : layers) {
    ratio = std::max(ratio, error_of(kFloatUnit, layer) / error_of(unit, layer));
  }
  return ratio;
}

// Of each sample, sqrt(sum over layers of eps nu^2): by Cauchy-Schwarz the product of two of them
// bounds the error of a product of the screen.
bool sizes(const Plan& plan, const std::vector<LayerPair>& layers, bool x_side, int64_t samples,
           std::vector<double>& out) {
  const GradDotPairKernel size = kernels(plan.isa).grad_dot_size;
  const double unit = grad_dot_screen(plan.isa).unit;
  out.assign(static_cast<std::size_t>(samples), 0.0);
  constexpr int64_t kSamples = 64;
  const auto task = [&](int64_t number, int, Clock& clock) {
    const int64_t end = std::min(samples, (number + 1) * kSamples);
    for (int64_t i = number * kSamples; i < end && clock.go_on(); ++i) {
      double sum = 0.0;
      for (const LayerPair& layer : layers) {
        const TokenLayer& side = x_side ? layer.x : layer.y;
        const double nu = size({side, side, layer.bias ? 1.0 : 0.0, i, i});
        sum += error_of(unit, layer) * nu * nu;
      }
      out[static_cast<std::size_t>(i)] = std::sqrt(sum) * (1.0 + 1e-9);
    }
  };
  return run_tasks(ceil_div(samples, kSamples), plan.threads, task, plan.interrupted);
}

}  // namespace

bool grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                  int64_t y_samples, const Strongest& top) {
  const Stronger stronger{top.largest};
  const double sign = top.largest ? 1.0 : -1.0;
  const auto scale = [&](int64_t i, int64_t j) {
    return top.x_scale ? top.x_scale[i] * top.y_scale[j] : 1.0;
  };
  std::vector<double> x_size, y_size;
  if (top.screen && !(sizes(plan, layers, true, x_samples, x_size) &&
                      sizes(plan, layers, false, y_samples, y_size))) {
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
  const GradDotScreen screen = grad_dot_screen(plan.isa);
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
  const PerWorker<double> scratch(workers(plan.threads, x_samples), kPairScratch + 2 * kPairBlock);
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

bool grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                     const int64_t* index, int64_t count, double* out) {
  const PerWorker<double> scratch(workers(plan.threads, x_samples), kPairScratch + 2 * kPairBlock);
  const auto task = [&](int64_t i, int worker, Clock& clock) {
    for (int64_t n = i * count; n < (i + 1) * count && clock.go_on(); ++n) {
      out[n] = pair_product(kernels(plan.isa), layers, i, index[n], scratch.of(worker), clock);
    }
  };
  return run_tasks(x_samples, plan.threads, task, plan.interrupted);
}

bool grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers, int64_t samples,
                       double* out) {
  // A task takes some samples at a time, else taking the task would cost more than its work.
  constexpr int64_t kSamples = 64;
  const int64_t tasks = ceil_div(samples, kSamples);
  const PerWorker<double> scratch(workers(plan.threads, tasks), kPairScratch + 2 * kPairBlock);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t end = std::min(samples, (number + 1) * kSamples);
    for (int64_t i = number * kSamples; i < end && clock.go_on(); ++i) {
      out[i] = pair_product(kernels(plan.isa), layers, i, i, scratch.of(worker), clock);
    }
  };
  return run_tasks(tasks, plan.threads, task, plan.interrupted);
}

}  // namespace genmem::backends
