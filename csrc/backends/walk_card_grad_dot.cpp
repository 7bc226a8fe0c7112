#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "backends/card_samples.hpp"
#include "backends/strongest.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Whether both sides are the same factors.
bool same_sides(const std::vector<LayerPair>& layers) {
  const auto same = [](const Matrix& a, const Matrix& b) {
    return a.data == b.data && a.rows == b.rows && a.row_stride == b.row_stride &&
           a.col_stride == b.col_stride && a.dtype == b.dtype;
  };
  return std::all_of(layers.begin(), layers.end(), [&](const LayerPair& layer) {
    return same(layer.x.inputs, layer.y.inputs) && same(layer.x.gradients, layer.y.gradients) &&
           layer.x.offsets == layer.y.offsets;
  });
}

// The samples of one side, one span of them on the card at a time.
class Sides {
 public:
  Sides(const OnCard& on, const Plan& plan, const std::vector<LayerPair>& layers,
        std::int64_t x_samples, std::int64_t y_samples, SampleUse use)
      : on_(on),
        layers_(layers),
        uploads_(factor_uploads(on, plan, layers)),
        use_(use),
        same_(same_sides(layers) && x_samples == y_samples) {
    const std::int64_t bytes = on.room(plan.memory) / 4;
    x_spans_ = sample_spans(layers, true, x_samples, bytes);
    y_spans_ = same_ ? x_spans_ : sample_spans(layers, false, y_samples, bytes);
  }

  const std::vector<Span>& x_spans() const { return x_spans_; }
  const std::vector<Span>& y_spans() const { return y_spans_; }
  CardSamples& x(std::size_t number) { return *at(x_, x_spans_[number], true); }
  // Behind x.
  CardSamples& y(std::size_t number) {
    const Span span = y_spans_[number];
    return same_ && x_ && x_->span().begin == span.begin ? *x_ : *at(y_, span, false);
  }

 private:
  using Samples = std::unique_ptr<CardSamples>;
  const Samples& at(Samples& held, Span span, bool x_side) {
    if (held && held->span().begin == span.begin) return held;
    held.reset();
    held = std::make_unique<CardSamples>(on_, *uploads_, layers_, x_side, span, use_);
    return held;
  }

  const OnCard& on_;
  const std::vector<LayerPair>& layers_;
  std::unique_ptr<Uploads> uploads_;
  SampleUse use_;
  bool same_;
  std::vector<Span> x_spans_, y_spans_;
  Samples x_, y_;
};

// Products of a section of x and one of y, on their way to the host.
class ProductTile {
 public:
  ProductTile(const OnCard& on, std::int64_t count)
      : on_(on), there_(on, count), here_(on, count) {}
  ~ProductTile() {
    on_.card().wait(on_.queue());
    if (event_) on_.card().drop(event_);
  }
  ProductTile(const ProductTile&) = delete;
  ProductTile& operator=(const ProductTile&) = delete;

  void begin(const std::vector<LayerPair>& layers, const CardSamples& x, std::int64_t x_section,
             const CardSamples& y, std::int64_t y_section, bool triangle) {
    x_ = x.section(x_section);
    y_ = y.section(y_section);
    const std::int64_t count = x_.count() * y_.count();
    there_.fill(0);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      on_.check(token_kernel(on_, layers[l])
                    .add(on_.queue(),
                         {x.tokens_of(x_section, l), y.tokens_of(y_section, l), layers[l].bias,
                          triangle, x.span().begin, y.span().begin, there_.data(), y_.count()}));
    }
    there_.download(here_.data(), count);
    on_.check(on_.card().mark(on_.queue(), &event_));
    pending_ = true;
  }
  bool pending() const { return pending_; }
  // The products, (x, y), once they are here.
  const double* finish() {
    pending_ = false;
    if (event_) on_.check(on_.card().wait_for(event_));
    return here_.data();
  }
  Span x() const { return x_; }
  Span y() const { return y_; }

 private:
  const OnCard& on_;
  CardArray<double> there_;
  PinnedArray<double> here_;
  void* event_ = nullptr;
  bool pending_ = false;
  Span x_{}, y_{};
};

// The spans that the two samples lie in, the tile, and its products.
using Take = std::function<bool(const CardSamples& x, const CardSamples& y, const ProductTile& tile,
                                const double* products)>;

// The products of all samples of x with all of y, section by section, or of pairs i <= j alone and
// some others. While the host takes a tile, the card works on the next one. False where it was
// interrupted.
bool each_tile(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
               std::int64_t y_samples, bool triangle, SampleUse use, const Take& take) {
  const OnCard on(plan);
  Sides sides(on, plan, layers, x_samples, y_samples, use);
  const std::int64_t count = std::min(x_samples, kSection) * std::min(y_samples, kSection);
  if (count == 0) return true;
  ProductTile tiles[2] = {{on, count}, {on, count}};
  int turn = 0;
  for (std::size_t i = 0; i < sides.x_spans().size(); ++i) {
    const CardSamples& x = sides.x(i);
    for (std::size_t j = 0; j < sides.y_spans().size(); ++j) {
      if (triangle && sides.y_spans()[j].end <= x.span().begin) continue;
      const CardSamples& y = sides.y(j);
      for (std::int64_t s = 0; s < x.sections(); ++s) {
        for (std::int64_t t = 0; t < y.sections(); ++t) {
          if (triangle && y.section(t).end <= x.section(s).begin) continue;
          tiles[turn].begin(layers, x, s, y, t, triangle);
          turn ^= 1;
          if (tiles[turn].pending() && !take(x, y, tiles[turn], tiles[turn].finish())) return false;
          if (plan.interrupted()) return false;
        }
      }
      for (int last = 0; last < 2; ++last, turn ^= 1) {
        if (tiles[turn].pending() && !take(x, y, tiles[turn], tiles[turn].finish())) return false;
      }
    }
  }
  return true;
}

// Pairs whose product is wanted, and where it goes.
struct Listed {
  std::int64_t x, y;
  double* out;
};

// In float64.
bool products_of(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                 std::int64_t y_samples, const std::vector<Listed>& pairs) {
  if (pairs.empty()) return true;
  const OnCard on(plan);
  Sides sides(on, plan, layers, x_samples, y_samples, SampleUse::listed);
  std::vector<std::int64_t> x_at, y_at;
  std::vector<double*> to;
  std::vector<double> products;
  const auto inside = [](Span span, std::int64_t i) { return span.begin <= i && i < span.end; };
  for (std::size_t i = 0; i < sides.x_spans().size(); ++i) {
    for (std::size_t j = 0; j < sides.y_spans().size(); ++j) {
      const Span xs = sides.x_spans()[i], ys = sides.y_spans()[j];
      x_at.clear();
      y_at.clear();
      to.clear();
      for (const Listed& pair : pairs) {
        if (!inside(xs, pair.x) || !inside(ys, pair.y)) continue;
        x_at.push_back(pair.x - xs.begin);
        y_at.push_back(pair.y - ys.begin);
        to.push_back(pair.out);
      }
      if (to.empty()) continue;
      const CardSamples& x = sides.x(i);
      const CardSamples& y = sides.y(j);
      const auto count = static_cast<std::int64_t>(to.size());
      CardArray<std::int64_t> left(on, count), right(on, count);
      CardArray<double> out(on, count);
      left.upload(x_at.data(), count);
      right.upload(y_at.data(), count);
      out.fill(0);
      for (std::size_t l = 0; l < layers.size(); ++l) {
        on.check(on.kernels().grad_dot->pairs(
            on.queue(), {x.tokens(l).layer, y.tokens(l).layer, layers[l].bias, left.data(),
                         right.data(), count, out.data()}));
        if (plan.interrupted()) return false;
      }
      products.resize(to.size());
      out.download(products.data(), count);
      on.wait();
      for (std::size_t n = 0; n < to.size(); ++n) *to[n] = products[n];
    }
  }
  return true;
}

// Calls each(i) for the samples of x, on the threads of the plan.
bool each_row(const Plan& plan, Span x, const std::function<void(std::int64_t)>& each) {
  constexpr std::int64_t kTileRows = 64;
  const auto task = [&](std::int64_t number, int, Clock&) {
    const std::int64_t end = std::min(x.end, x.begin + (number + 1) * kTileRows);
    for (std::int64_t i = x.begin + number * kTileRows; i < end; ++i) each(i);
  };
  return run_tasks(ceil_div(x.count(), kTileRows), plan.threads, task, plan.interrupted);
}

}  // namespace

bool card_grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                   std::int64_t y_samples, bool symmetric, double tol, double* out) {
  if (tol > 0.0) {
    throw BackendUnavailable(std::string("grad_dot: backend '") + name(plan.isa) +
                             "' proves no tol= yet; leave it out");
  }
  const auto take = [&](const CardSamples&, const CardSamples&, const ProductTile& tile,
                        const double* products) {
    const Span x = tile.x(), y = tile.y();
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      for (std::int64_t j = symmetric ? std::max(i, y.begin) : y.begin; j < y.end; ++j) {
        out[i * y_samples + j] = row[j - y.begin];
        if (symmetric) out[j * y_samples + i] = row[j - y.begin];
      }
    });
  };
  return each_tile(plan, layers, x_samples, y_samples, symmetric, SampleUse::products, take);
}

bool card_grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers,
                       std::int64_t x_samples, std::int64_t y_samples, const Strongest& top) {
  const Stronger stronger{top.largest};
  const double sign = top.largest ? 1.0 : -1.0;
  const auto scale = [&](std::int64_t i, std::int64_t j) {
    return top.x_scale ? top.x_scale[i] * top.y_scale[j] : 1.0;
  };
  std::vector<Kept> lists(static_cast<std::size_t>(x_samples));
  const auto take = [&](const CardSamples& xs, const CardSamples& ys, const ProductTile& tile,
                        const double* products) {
    const Span x = tile.x(), y = tile.y();
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      Kept& kept = lists[static_cast<std::size_t>(i)];
      for (std::int64_t j = y.begin; j < y.end; ++j) {
        const double by = scale(i, j), score = row[j - y.begin] * by;
        if (!top.screen) {
          kept.offer({score, j}, top.k, stronger);
        } else {
          const double bound = xs.sizes()[static_cast<std::size_t>(i - xs.span().begin)] *
                               ys.sizes()[static_cast<std::size_t>(j - ys.span().begin)] * by;
          kept.consider(sign * score, bound, j, top.k);
        }
      }
      kept.prune(top.k);
    });
  };
  const SampleUse use = top.screen ? SampleUse::screened : SampleUse::products;
  if (!each_tile(plan, layers, x_samples, y_samples, false, use, take)) return false;
  if (top.screen) {
    std::vector<Listed> pairs;
    std::vector<double> products;
    for (const Kept& kept : lists) products.resize(products.size() + kept.maybe().size());
    double* to = products.data();
    for (std::int64_t i = 0; i < x_samples; ++i) {
      for (const Scored& one : lists[static_cast<std::size_t>(i)].maybe()) {
        pairs.push_back({i, one.index, to++});
      }
    }
    if (!products_of(plan, layers, x_samples, y_samples, pairs)) return false;
    plan.stats->distances += static_cast<std::int64_t>(pairs.size());
    for (const Listed& pair : pairs) {
      lists[static_cast<std::size_t>(pair.x)].offer({*pair.out * scale(pair.x, pair.y), pair.y},
                                                    top.k, stronger);
    }
  }
  for (std::int64_t i = 0; i < x_samples; ++i) {
    lists[static_cast<std::size_t>(i)].write(top.k, stronger, top.index + i * top.k,
                                             top.score + i * top.k);
  }
  return true;
}

bool card_grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers,
                          std::int64_t x_samples, const std::int64_t* index, std::int64_t count,
                          double* out) {
  std::int64_t y_samples = 0;
  std::vector<Listed> pairs;
  for (std::int64_t n = 0; n < x_samples * count; ++n) {
    pairs.push_back({n / count, index[n], out + n});
    y_samples = std::max(y_samples, index[n] + 1);
  }
  return products_of(plan, layers, x_samples, y_samples, pairs);
}

bool card_grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers,
                            std::int64_t samples, double* out) {
  std::vector<Listed> pairs;
  for (std::int64_t i = 0; i < samples; ++i) pairs.push_back({i, i, out + i});
  return products_of(plan, layers, samples, samples, pairs);
}

}  // namespace genmem::backends
