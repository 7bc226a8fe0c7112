#include <algorithm>
#include <memory>

#include "backends/card_products.hpp"
#include "backends/strongest.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Parts of a screen: half of the products, and bounds twice as wide.
constexpr int kScreenParts = 2;

double scale_of(const Strongest& top, std::int64_t i, std::int64_t j) {
  return top.x_scale ? top.x_scale[i] * top.y_scale[j] : 1.0;
}

SampleUse use_of(const Strongest& top) {
  return top.screen ? SampleUse::screened : SampleUse::products;
}
Tiers tiers_of(const Strongest& top) { return Tiers{top.screen ? kScreenParts : kCardParts}; }

// The strongest of what was offered to each row and of the products of `maybe` in float64, (row,
// index) in turn.
bool answer(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
            std::int64_t y_samples, const Strongest& top, std::vector<Kept>& lists,
            const std::function<bool(ListedProducts&)>& add_maybe) {
  const Stronger stronger{top.largest};
  ListedProducts maybe(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    const double score = product * scale_of(top, pair.x, pair.y);
    lists[static_cast<std::size_t>(pair.x)].offer({score, pair.y}, top.k, stronger);
  });
  if (!add_maybe(maybe) || !maybe.finish()) return false;
  return each_row(plan, {0, x_samples}, [&](std::int64_t i) {
    lists[static_cast<std::size_t>(i)].write(top.k, stronger, top.index + i * top.k,
                                             top.score + i * top.k);
  });
}

// Every product comes to the host: for more than the card selects.
bool top_on_host(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                 std::int64_t y_samples, const Strongest& top) {
  const Stronger stronger{top.largest};
  const double sign = top.largest ? 1.0 : -1.0;
  std::vector<Kept> lists(static_cast<std::size_t>(x_samples));
  const auto take = [&](const Sections& sections, const double* products) {
    const Span x = sections.x_span(), y = sections.y_span();
    const auto bound_of = [](const CardSamples& samples, std::int64_t sample) {
      return samples.bounds(kScreenParts)[sample - samples.span().begin];
    };
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      Kept& kept = lists[static_cast<std::size_t>(i)];
      for (std::int64_t j = y.begin; j < y.end; ++j) {
        const double by = scale_of(top, i, j), score = row[j - y.begin] * by;
        if (!top.screen) {
          kept.offer({score, j}, top.k, stronger);
        } else {
          const double bound = bound_of(sections.x, i) * bound_of(sections.y, j) * by;
          kept.consider(sign * score, bound, j, top.k);
        }
      }
      kept.prune(top.k);
    });
  };
  if (!each_tile(plan, layers, x_samples, y_samples, false, use_of(top), tiers_of(top), take)) {
    return false;
  }
  return answer(plan, layers, x_samples, y_samples, top, lists, [&](ListedProducts& maybe) {
    for (std::int64_t i = 0; i < x_samples; ++i) {
      for (const Scored& one : lists[static_cast<std::size_t>(i)].maybe()) {
        if (!maybe.add({i, one.index})) return false;
      }
    }
    return true;
  });
}

// Entries that a row's list on the card has.
std::int64_t capacity_of(const Strongest& top) {
  return top.screen ? 2 * top.k + kCardMaybe : top.k + std::max(top.k, kCardSpare);
}
std::int64_t entry_bytes(const Strongest& top) { return top.screen ? 24 : 16; }

// The lists of a span of x.
class CardLists {
 public:
  CardLists(const OnCard& on, const Strongest& top, std::int64_t rows)
      : rows_(rows),
        capacity_(capacity_of(top)),
        low_(on, rows * capacity_),
        high_(on, top.screen ? rows * capacity_ : 1),
        at_(on, rows * capacity_),
        found_(on, rows),
        limit_(on, rows),
        screen_(top.screen) {
    found_.fill(0);
    limit_.fill(0);
  }
  // From a row on.
  CardKept from(std::int64_t row) const {
    const std::int64_t entry = row * capacity_;
    return {low_.data() + entry, screen_ ? high_.data() + entry : nullptr,
            at_.data() + entry,  found_.data() + row,
            limit_.data() + row, capacity_};
  }
  std::int64_t capacity() const { return capacity_; }
  std::vector<int> found(const OnCard& on) const {
    std::vector<int> out(static_cast<std::size_t>(rows_));
    found_.download(out.data(), rows_);
    on.wait();
    return out;
  }

 private:
  std::int64_t rows_, capacity_;
  CardArray<std::uint64_t> low_, high_;
  CardArray<std::int64_t> at_;
  CardArray<int> found_;
  CardArray<std::uint64_t> limit_;
  bool screen_;
};

// Factors of one side that lie on the card, where there are any.
class Scales {
 public:
  Scales(const OnCard& on, const double* from, std::int64_t count)
      : there_(copied(on, from, count)) {}
  const double* of(std::int64_t sample) const { return there_ ? there_->data() + sample : nullptr; }

 private:
  std::unique_ptr<CardArray<double>> there_;
};

// What the screen lets through: of each row its indices, or that they were too many.
struct Maybe {
  std::vector<int> found;
  std::vector<std::int64_t> bounds{0}, index;
};

void gather(const OnCard& on, const CardLists& lists, std::int64_t rows, Maybe& maybe) {
  std::vector<std::int64_t> bounds{0};
  for (const int count : lists.found(on)) {
    maybe.found.push_back(count);
    const std::int64_t some = count > lists.capacity() ? 0 : count;
    bounds.push_back(bounds.back() + some);
    maybe.bounds.push_back(maybe.bounds.back() + some);
  }
  if (bounds.back() == 0) return;
  const std::size_t before = maybe.index.size();
  CardArray<std::int64_t> ends(on, rows + 1), out(on, bounds.back());
  ends.upload(bounds.data(), rows + 1);
  on.check(
      on.kernels().grad_dot->gather(on.queue(), {lists.from(0), rows, ends.data(), out.data()}));
  maybe.index.resize(before + static_cast<std::size_t>(bounds.back()));
  out.download(maybe.index.data() + before, bounds.back());
  on.wait();
}

// Tiles stay on the card, and the lists with them. False where it was interrupted.
bool each_list(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
               std::int64_t y_samples, const Strongest& top, Maybe& maybe) {
  const OnCard on(plan);
  const CardGradDot& table = *on.kernels().grad_dot;
  const std::int64_t held = capacity_of(top) * entry_bytes(top) + 16 * top.k;
  Sides sides(on, plan, layers, x_samples, y_samples, use_of(top), held);
  CardArray<double> products(on, sides.tile());
  const Scales x_scale(on, top.x_scale, x_samples), y_scale(on, top.y_scale, y_samples);
  // The host is one tile ahead at most: whoever interrupts does not wait for all.
  struct Marks {
    ~Marks() {
      on.card().wait(on.queue());
      for (void* event : events) {
        if (event) on.card().drop(event);
      }
    }
    const OnCard& on;
    void* events[2] = {nullptr, nullptr};
  } marks{on};
  int turn = 0;
  for (std::size_t number = 0; number < sides.x_spans().size(); ++number) {
    const CardSamples& x = sides.x(number);
    const std::int64_t begin = x.span().begin, rows = x.span().count();
    const CardLists lists(on, top, rows);
    const auto one = [&](const Sections& sections) {
      put_products(on, layers, sections, false, tiers_of(top), products);
      const Span xs = sections.x_span(), ys = sections.y_span();
      const auto bounds = [](const CardSamples& of, Span span) {
        return of.bounds_there(kScreenParts) + (span.begin - of.span().begin);
      };
      on.check(table.keep(on.queue(),
                          {products.data(), xs.count(), ys.count(), ys.begin, x_scale.of(xs.begin),
                           y_scale.of(ys.begin), top.screen ? bounds(sections.x, xs) : nullptr,
                           top.screen ? bounds(sections.y, ys) : nullptr, top.largest,
                           ys.end == y_samples, top.k, lists.from(xs.begin - begin)}));
      on.check(on.card().mark(on.queue(), &marks.events[turn]));
      turn ^= 1;
      if (marks.events[turn]) on.check(on.card().wait_for(marks.events[turn]));
      return !plan.interrupted();
    };
    for (std::size_t other = 0; other < sides.y_spans().size(); ++other) {
      if (!each_section(x, sides.y(other), false, one)) return false;
    }
    if (top.screen) {
      gather(on, lists, rows, maybe);
      continue;
    }
    CardArray<std::int64_t> index(on, rows * top.k);
    CardArray<double> score(on, rows * top.k);
    on.check(table.rank(on.queue(),
                        {lists.from(0), rows, top.k, top.largest, index.data(), score.data()}));
    index.download(top.index + begin * top.k, rows * top.k);
    score.download(top.score + begin * top.k, rows * top.k);
    on.wait();
  }
  return true;
}

}  // namespace

bool card_grad_dot_top(const Plan& plan, const std::vector<LayerPair>& given,
                       std::int64_t x_samples, std::int64_t y_samples, const Strongest& top) {
  const std::vector<LayerPair> layers = fitting(OnCard(plan), given);
  if (top.k > kCardStrongest) return top_on_host(plan, layers, x_samples, y_samples, top);
  Maybe maybe;
  if (x_samples == 0) return true;
  if (!each_list(plan, layers, x_samples, y_samples, top, maybe)) return false;
  if (!top.screen) return true;
  std::vector<Kept> lists(static_cast<std::size_t>(x_samples));
  return answer(plan, layers, x_samples, y_samples, top, lists, [&](ListedProducts& listed) {
    const std::int64_t capacity = capacity_of(top);
    for (std::int64_t i = 0; i < x_samples; ++i) {
      const auto row = static_cast<std::size_t>(i);
      const bool lost = maybe.found[row] > capacity;
      const std::int64_t count = lost ? y_samples : maybe.bounds[row + 1] - maybe.bounds[row];
      for (std::int64_t n = 0; n < count; ++n) {
        const auto at = static_cast<std::size_t>(maybe.bounds[row] + n);
        if (!listed.add({i, lost ? n : maybe.index[at]})) return false;
      }
    }
    return true;
  });
}

}  // namespace genmem::backends
