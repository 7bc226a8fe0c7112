#include <algorithm>

#include "backends/card_products.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Products of more and more parts, each of the pairs that those before do not prove: as few as a
// tolerance allows to gradients of a single token, whose size is their norm, and as a screen of a
// third of the products costs where it proves nothing.
std::vector<Tier> tiers_of(const std::vector<LayerPair>& layers, double tol) {
  const auto most = [&](const auto& of) {
    double worst = 0.0;
    for (const LayerPair& layer : layers) {
      if (in_parts(layer)) worst = std::max(worst, of(layer));
    }
    return worst;
  };
  const double one = most([](const LayerPair& layer) { return card_error_of(1, layer); });
  if (tol == 0.0 || one == 0.0) return {Tier{}};
  const int first = one <= tol ? 1 : 2;
  std::vector<Tier> tiers;
  for (int parts = first; parts <= kCardParts; ++parts) {
    const double finer = most([&](const LayerPair& layer) {
      return card_error_of(parts, layer) / card_error_of(first, layer);
    });
    tiers.push_back({parts, tiers.empty() ? -1.0 : tiers.back().upto, tol / finer});
  }
  return tiers;
}

}  // namespace

bool card_grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                   std::int64_t y_samples, bool symmetric, double tol, double* out) {
  const std::vector<Tier> tiers = tiers_of(layers, tol);
  const bool bounded = tiers.size() > 1;
  const SampleUse use{bounded ? SampleUse::bounded : SampleUse::products, tiers.front().parts};
  std::vector<double> x_ratio(static_cast<std::size_t>(bounded ? x_samples : 0));
  std::vector<double> y_ratio(static_cast<std::size_t>(bounded ? y_samples : 0));
  const auto take = [&](const Sections& sections, const double* products) {
    const Span x = sections.x_span(), y = sections.y_span();
    if (bounded) {
      const std::vector<double>&xs = sections.x.bounds(), &ys = sections.y.bounds();
      std::copy(xs.begin(), xs.end(), x_ratio.begin() + sections.x.span().begin);
      std::copy(ys.begin(), ys.end(), y_ratio.begin() + sections.y.span().begin);
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
  // What no tier proves.
  const double upto = tiers.back().upto;
  const double most = y_ratio.empty() ? 0.0 : *std::max_element(y_ratio.begin(), y_ratio.end());
  ListedProducts rest(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    out[pair.x * y_samples + pair.y] = product;
    if (symmetric) out[pair.y * y_samples + pair.x] = product;
  });
  for (std::int64_t i = 0; i < x_samples; ++i) {
    const double ratio = x_ratio[static_cast<std::size_t>(i)];
    if (ratio * most <= upto) continue;
    for (std::int64_t j = symmetric ? i : 0; j < y_samples; ++j) {
      const bool proven = ratio * y_ratio[static_cast<std::size_t>(j)] <= upto;
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
