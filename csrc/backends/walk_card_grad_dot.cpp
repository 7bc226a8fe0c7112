#include <algorithm>

#include "backends/card_products.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// From this tolerance on, gradients of a single token may be proven with one part.
constexpr double kOnePart = 4e-3;

}  // namespace

bool card_grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                   std::int64_t y_samples, bool symmetric, double tol, double* out) {
  const bool bounded = tol > 0.0 && std::any_of(layers.begin(), layers.end(), in_parts);
  const SampleUse use = bounded ? SampleUse::bounded : SampleUse::products;
  const Tiers tiers = bounded ? Tiers{tol < kOnePart ? 2 : 1, tol} : Tiers{};
  std::vector<double> x_ratio(static_cast<std::size_t>(bounded ? x_samples : 0));
  std::vector<double> y_ratio(static_cast<std::size_t>(bounded ? y_samples : 0));
  const auto note = [](const CardSamples& of, std::vector<double>& ratios) {
    const double* from = of.bounds(kCardParts);
    std::copy(from, from + of.span().count(), ratios.begin() + of.span().begin);
  };
  const auto take = [&](const Sections& sections, const double* products) {
    const Span x = sections.x_span(), y = sections.y_span();
    if (bounded) {
      note(sections.x, x_ratio);
      note(sections.y, y_ratio);
    }
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      for (std::int64_t j = symmetric ? std::max(i, y.begin) : y.begin; j < y.end; ++j) {
        out[i * y_samples + j] = row[j - y.begin];
        if (symmetric) out[j * y_samples + i] = row[j - y.begin];
      }
    });
  };
  if (!each_tile(plan, layers, x_samples, y_samples, symmetric, use, tiers, take)) return false;
  if (!bounded) return true;
  // What no number of parts proves.
  const double most = y_ratio.empty() ? 0.0 : *std::max_element(y_ratio.begin(), y_ratio.end());
  ListedProducts rest(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    out[pair.x * y_samples + pair.y] = product;
    if (symmetric) out[pair.y * y_samples + pair.x] = product;
  });
  for (std::int64_t i = 0; i < x_samples; ++i) {
    const double ratio = x_ratio[static_cast<std::size_t>(i)];
    if (ratio * most <= tol) continue;
    for (std::int64_t j = symmetric ? i : 0; j < y_samples; ++j) {
      const bool proven = ratio * y_ratio[static_cast<std::size_t>(j)] <= tol;
      if (!proven && !rest.add({i, j})) return false;
    }
  }
  return rest.finish();
}

bool card_grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers,
                          std::int64_t x_samples, const std::int64_t* index, std::int64_t count,
                          double* out) {
  std::int64_t y_samples = 0;
  std::vector<Listed> pairs;
  for (std::int64_t n = 0; n < x_samples * count; ++n) {
    pairs.push_back({n / count, index[n]});
    y_samples = std::max(y_samples, index[n] + 1);
  }
  return products_of(plan, layers, x_samples, y_samples, pairs,
                     [out](std::size_t n, double product) { out[n] = product; });
}

bool card_grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers,
                            std::int64_t samples, double* out) {
  std::vector<Listed> pairs;
  for (std::int64_t i = 0; i < samples; ++i) pairs.push_back({i, i});
  return products_of(plan, layers, samples, samples, pairs,
                     [out](std::size_t n, double product) { out[n] = product; });
}

}  // namespace genmem::backends
