#include "backends/card_products.hpp"
#include "backends/strongest.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Parts of a screen: half of the products, and bounds six times as wide.
constexpr int kScreenParts = 2;

}  // namespace

bool card_grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers,
                       std::int64_t x_samples, std::int64_t y_samples, const Strongest& top) {
  const Stronger stronger{top.largest};
  const double sign = top.largest ? 1.0 : -1.0;
  const auto scale = [&](std::int64_t i, std::int64_t j) {
    return top.x_scale ? top.x_scale[i] * top.y_scale[j] : 1.0;
  };
  std::vector<Kept> lists(static_cast<std::size_t>(x_samples));
  const auto take = [&](const Sections& sections, const double* products) {
    const Span x = sections.x_span(), y = sections.y_span();
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      Kept& kept = lists[static_cast<std::size_t>(i)];
      for (std::int64_t j = y.begin; j < y.end; ++j) {
        const double by = scale(i, j), score = row[j - y.begin] * by;
        if (!top.screen) {
          kept.offer({score, j}, top.k, stronger);
        } else {
          const auto at = [](const CardSamples& samples, std::int64_t sample) {
            return samples.bounds()[static_cast<std::size_t>(sample - samples.span().begin)];
          };
          kept.consider(sign * score, at(sections.x, i) * at(sections.y, j) * by, j, top.k);
        }
      }
      kept.prune(top.k);
    });
  };
  const SampleUse use =
      top.screen ? SampleUse{SampleUse::screened, kScreenParts} : SampleUse{SampleUse::products};
  const std::vector<Tier> tiers{Tier{use.parts}};
  if (!each_tile(plan, layers, x_samples, y_samples, false, use, tiers, take)) return false;
  ListedProducts maybe(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    lists[static_cast<std::size_t>(pair.x)].offer({product * scale(pair.x, pair.y), pair.y}, top.k,
                                                  stronger);
  });
  for (std::int64_t i = 0; i < x_samples; ++i) {
    for (const Scored& one : lists[static_cast<std::size_t>(i)].maybe()) {
      if (!maybe.add({i, one.index})) return false;
    }
  }
  if (!maybe.finish()) return false;
  for (std::int64_t i = 0; i < x_samples; ++i) {
    lists[static_cast<std::size_t>(i)].write(top.k, stronger, top.index + i * top.k,
                                             top.score + i * top.k);
  }
  return true;
}

}  // namespace genmem::backends
