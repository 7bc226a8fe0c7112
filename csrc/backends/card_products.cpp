#include "backends/card_products.hpp"

#include <algorithm>
#include <utility>

#include "backends/rows.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// Pairs that are computed at a time: 40 MiB of lists.
constexpr std::size_t kPairsAtATime = std::size_t{1} << 20;

// Sections of y that one of few samples of x is multiplied with at a time.
constexpr std::int64_t kMostSections = 16;

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

// Products of a section of x and one of y, on their way to the host.
class ProductTile {
 public:
  ProductTile(const OnCard& on, std::int64_t count)
      : on_(on), there_(on, count), here_(on, count) {}
  ~ProductTile() {
    if (event_) on_.card().drop(event_);
  }
  ProductTile(const ProductTile&) = delete;
  ProductTile& operator=(const ProductTile&) = delete;

  void begin(const std::vector<LayerPair>& layers, const Sections& sections, bool triangle,
             const Tiers& tiers) {
    put_products(on_, layers, sections, triangle, tiers, there_);
    there_.download(here_.data(), sections.x_span().count() * sections.y_span().count());
    on_.check(on_.card().mark(on_.queue(), &event_));
    pending_ = std::make_unique<Sections>(sections);
  }
  // Hands over the products, once they are here, where there are any.
  bool finish(const TakeTile& take) {
    if (!pending_) return true;
    const std::unique_ptr<Sections> sections = std::move(pending_);
    if (event_) on_.check(on_.card().wait_for(event_));
    return take(*sections, here_.data());
  }

 private:
  const OnCard& on_;
  CardArray<double> there_;
  PinnedArray<double> here_;
  void* event_ = nullptr;
  std::unique_ptr<Sections> pending_;
};

}  // namespace

Sides::Sides(const OnCard& on, const Plan& plan, const std::vector<LayerPair>& layers,
             std::int64_t x_samples, std::int64_t y_samples, SampleUse use, std::int64_t extra)
    : on_(on),
      layers_(layers),
      uploads_(factor_uploads(on, plan, layers)),
      use_(use),
      same_(same_sides(layers) && x_samples == y_samples) {
  // Few queries: a tile of no more points would leave most of a card without work. Nor too many
  // more, as nobody interrupts a tile.
  const std::int64_t x_section = std::min(std::max<std::int64_t>(x_samples, 1), kSection);
  if (!same_) y_section_ = kSection * std::min(kSection / x_section, kMostSections);
  tile_ = x_section * std::min(std::max<std::int64_t>(y_samples, 1), y_section_);
  const std::int64_t bytes = on.room(plan.memory) / 4;
  x_spans_ = sample_spans(layers, true, x_samples, bytes, extra);
  y_spans_ = same_ ? x_spans_ : sample_spans(layers, false, y_samples, bytes);
}

const CardSamples& Sides::y(std::size_t number) {
  const Span span = y_spans_[number];
  return same_ && x_ && x_->span().begin == span.begin ? *x_ : *at(y_, span, false);
}

const Sides::Samples& Sides::at(Samples& held, Span span, bool x_side) {
  if (held && held->span().begin == span.begin) return held;
  held.reset();
  const std::int64_t section = x_side ? kSection : y_section_;
  held = std::make_unique<CardSamples>(on_, *uploads_, layers_, x_side, span, use_, section);
  return held;
}

void put_products(const OnCard& on, const std::vector<LayerPair>& layers, const Sections& sections,
                  bool triangle, const Tiers& tiers, CardArray<double>& out) {
  const CardSamples &x = sections.x, &y = sections.y;
  out.fill(0);
  const int last = tiers.tol > 0.0 ? kCardParts : tiers.first;
  for (int parts = tiers.first; parts <= last; ++parts) {
    const auto with_ratios = [&](const CardSamples& of, CardTokens tokens) {
      tokens.ratio = of.bounds_there(parts);
      if (parts > tiers.first) tokens.before = of.bounds_there(parts - 1);
      return tokens;
    };
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const bool apart = in_parts(layers[l]);
      // What is float64 anyway is all of it in the first one.
      if (parts > tiers.first && !apart) continue;
      CardTokens left = x.tokens_of(sections.x_number, l);
      CardTokens right = y.tokens_of(sections.y_number, l);
      if (tiers.tol > 0.0 && apart) {
        left = with_ratios(x, left);
        right = with_ratios(y, right);
      }
      on.check(token_kernel(on, layers[l])
                   .add(on.queue(),
                        {left, right, layers[l].bias, triangle, x.span().begin, y.span().begin,
                         out.data(), sections.y_span().count(), parts, tiers.tol}));
    }
  }
}

bool each_section(const CardSamples& x, const CardSamples& y, bool triangle,
                  const std::function<bool(const Sections&)>& each) {
  for (std::int64_t s = 0; s < x.sections(); ++s) {
    for (std::int64_t t = 0; t < y.sections(); ++t) {
      if (triangle && y.section(t).end <= x.section(s).begin) continue;
      if (!each({x, s, y, t})) return false;
    }
  }
  return true;
}

bool each_tile(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
               std::int64_t y_samples, bool triangle, SampleUse use, const Tiers& tiers,
               const TakeTile& take) {
  const OnCard on(plan);
  Sides sides(on, plan, layers, x_samples, y_samples, use);
  if (x_samples == 0 || y_samples == 0) return true;
  ProductTile tiles[2] = {{on, sides.tile()}, {on, sides.tile()}};
  int turn = 0;
  const auto one = [&](const Sections& sections) {
    tiles[turn].begin(layers, sections, triangle, tiers);
    turn ^= 1;
    return tiles[turn].finish(take) && !plan.interrupted();
  };
  for (std::size_t i = 0; i < sides.x_spans().size(); ++i) {
    const CardSamples& x = sides.x(i);
    for (std::size_t j = 0; j < sides.y_spans().size(); ++j) {
      if (triangle && sides.y_spans()[j].end <= x.span().begin) continue;
      if (!each_section(x, sides.y(j), triangle, one)) return false;
      for (int last = 0; last < 2; ++last, turn ^= 1) {
        if (!tiles[turn].finish(take)) return false;
      }
    }
  }
  return true;
}

bool products_of(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                 std::int64_t y_samples, const std::vector<Listed>& pairs,
                 const std::function<void(std::size_t, double)>& take) {
  if (pairs.empty()) return true;
  const OnCard on(plan);
  Sides sides(on, plan, layers, x_samples, y_samples, SampleUse::listed);
  std::vector<std::int64_t> x_at, y_at;
  std::vector<std::size_t> number;
  std::vector<double> products;
  const auto inside = [](Span span, std::int64_t i) { return span.begin <= i && i < span.end; };
  for (std::size_t i = 0; i < sides.x_spans().size(); ++i) {
    for (std::size_t j = 0; j < sides.y_spans().size(); ++j) {
      const Span xs = sides.x_spans()[i], ys = sides.y_spans()[j];
      x_at.clear();
      y_at.clear();
      number.clear();
      for (std::size_t n = 0; n < pairs.size(); ++n) {
        if (!inside(xs, pairs[n].x) || !inside(ys, pairs[n].y)) continue;
        x_at.push_back(pairs[n].x - xs.begin);
        y_at.push_back(pairs[n].y - ys.begin);
        number.push_back(n);
      }
      if (number.empty()) continue;
      const CardSamples& x = sides.x(i);
      const CardSamples& y = sides.y(j);
      const auto count = static_cast<std::int64_t>(number.size());
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
      products.resize(number.size());
      out.download(products.data(), count);
      on.wait();
      for (std::size_t n = 0; n < number.size(); ++n) take(number[n], products[n]);
    }
  }
  return true;
}

ListedProducts::ListedProducts(const Plan& plan, const std::vector<LayerPair>& layers,
                               std::int64_t x_samples, std::int64_t y_samples, Take take)
    : plan_(plan),
      layers_(layers),
      x_samples_(x_samples),
      y_samples_(y_samples),
      take_(std::move(take)) {}

bool ListedProducts::add(const Listed& pair) {
  pairs_.push_back(pair);
  return pairs_.size() < kPairsAtATime || finish();
}

bool ListedProducts::finish() {
  plan_.stats->distances += static_cast<std::int64_t>(pairs_.size());
  const bool whole = products_of(plan_, layers_, x_samples_, y_samples_, pairs_,
                                 [&](std::size_t n, double product) { take_(pairs_[n], product); });
  pairs_.clear();
  return whole;
}

bool each_row(const Plan& plan, Span x, const std::function<void(std::int64_t)>& each) {
  constexpr std::int64_t kTileRows = 64;
  const auto task = [&](std::int64_t number, int, Clock&) {
    const std::int64_t end = std::min(x.end, x.begin + (number + 1) * kTileRows);
    for (std::int64_t i = x.begin + number * kTileRows; i < end; ++i) each(i);
  };
  return run_tasks(ceil_div(x.count(), kTileRows), plan.threads, task, plan.interrupted);
}

}  // namespace genmem::backends
