#include <algorithm>
#include <memory>

#include "backends/card_products.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// From this tolerance on, gradients of a single token may be proven with one part.
constexpr double kOnePart = 4e-3;

// To a tolerance: which products are multiplied in how many parts, and which none of them proves.
class Proofs {
 public:
  Proofs(const std::vector<LayerPair>& layers, std::int64_t x_samples, std::int64_t y_samples,
         double tol)
      : bounded_(tol > 0.0 && std::any_of(layers.begin(), layers.end(), in_parts)),
        tol_(tol),
        x_ratio_(static_cast<std::size_t>(bounded_ ? x_samples : 0)),
        y_ratio_(static_cast<std::size_t>(bounded_ ? y_samples : 0)) {}

  SampleUse use() const { return bounded_ ? SampleUse::bounded : SampleUse::products; }
  Tiers tiers() const { return bounded_ ? Tiers{tol_ < kOnePart ? 2 : 1, tol_} : Tiers{}; }

  void note(const Sections& sections) {
    if (!bounded_) return;
    note(sections.x, x_ratio_);
    note(sections.y, y_ratio_);
  }

  // Adds the pairs that were not proven. False where it was interrupted.
  bool add_rest(bool symmetric, ListedProducts& rest) const {
    if (!bounded_ || y_ratio_.empty()) return true;
    const double most = *std::max_element(y_ratio_.begin(), y_ratio_.end());
    for (std::size_t i = 0; i < x_ratio_.size(); ++i) {
      if (x_ratio_[i] * most <= tol_) continue;
      for (std::size_t j = symmetric ? i : 0; j < y_ratio_.size(); ++j) {
        if (x_ratio_[i] * y_ratio_[j] <= tol_) continue;
        if (!rest.add({static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)})) return false;
      }
    }
    return rest.finish();
  }

 private:
  static void note(const CardSamples& of, std::vector<double>& ratios) {
    const double* from = of.bounds(kCardParts);
    std::copy(from, from + of.span().count(), ratios.begin() + of.span().begin);
  }

  bool bounded_;
  double tol_;
  std::vector<double> x_ratio_, y_ratio_;
};

}  // namespace

bool card_grad_dot(const Plan& plan, const std::vector<LayerPair>& given, std::int64_t x_samples,
                   std::int64_t y_samples, bool symmetric, double tol, double* out) {
  const std::vector<LayerPair> layers = fitting(OnCard(plan), given);
  Proofs proofs(layers, x_samples, y_samples, tol);
  const auto take = [&](const Sections& sections, const double* products) {
    const Span x = sections.x_span(), y = sections.y_span();
    proofs.note(sections);
    return each_row(plan, x, [&](std::int64_t i) {
      const double* row = products + (i - x.begin) * y.count();
      for (std::int64_t j = symmetric ? std::max(i, y.begin) : y.begin; j < y.end; ++j) {
        out[i * y_samples + j] = row[j - y.begin];
        if (symmetric) out[j * y_samples + i] = row[j - y.begin];
      }
    });
  };
  if (!each_tile(plan, layers, x_samples, y_samples, symmetric, proofs.use(), proofs.tiers(),
                 take)) {
    return false;
  }
  ListedProducts rest(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    out[pair.x * y_samples + pair.y] = product;
    if (symmetric) out[pair.y * y_samples + pair.x] = product;
  });
  return proofs.add_rest(symmetric, rest);
}

bool grad_dot_on_card(const Plan& plan, const std::vector<LayerPair>& given, std::int64_t x_samples,
                      std::int64_t y_samples, bool symmetric, double tol,
                      const ProductsOnCard& to) {
  if (x_samples == 0 || y_samples == 0) return true;
  const OnCard on(plan);
  const std::vector<LayerPair> layers = fitting(on, given);
  Proofs proofs(layers, x_samples, y_samples, tol);
  const CardGradDot& table = *on.kernels().grad_dot;
  const auto x_scale = copied(on, to.x_scale, x_samples),
             y_scale = copied(on, to.y_scale, y_samples);
  const double* const left = x_scale ? x_scale->data() : nullptr;
  const double* const right = y_scale ? y_scale->data() : nullptr;
  {
    Sides sides(on, plan, layers, x_samples, y_samples, proofs.use());
    CardArray<double> tile(on, sides.tile());
    const auto one = [&](const Sections& sections) {
      const Span x = sections.x_span(), y = sections.y_span();
      put_products(on, layers, sections, symmetric, proofs.tiers(), tile);
      on.check(table.place(on.queue(), {tile.data(), x.count(), y.count(), x.begin, y.begin, left,
                                        right, symmetric, to.single, to.out, y_samples}));
      proofs.note(sections);
      return !plan.interrupted();
    };
    for (std::size_t i = 0; i < sides.x_spans().size(); ++i) {
      const CardSamples& x = sides.x(i);
      for (std::size_t j = 0; j < sides.y_spans().size(); ++j) {
        if (symmetric && sides.y_spans()[j].end <= x.span().begin) continue;
        if (!each_section(x, sides.y(j), symmetric, one)) return false;
      }
    }
  }
  std::vector<std::int64_t> x_at, y_at;
  std::vector<double> products;
  ListedProducts rest(plan, layers, x_samples, y_samples, [&](const Listed& pair, double product) {
    x_at.push_back(pair.x);
    y_at.push_back(pair.y);
    products.push_back(product);
  });
  if (!proofs.add_rest(symmetric, rest)) return false;
  if (products.empty()) return true;
  const auto count = static_cast<std::int64_t>(products.size());
  CardArray<std::int64_t> x_there(on, count), y_there(on, count);
  CardArray<double> there(on, count);
  x_there.upload(x_at.data(), count);
  y_there.upload(y_at.data(), count);
  there.upload(products.data(), count);
  on.check(table.scatter(on.queue(), {there.data(), x_there.data(), y_there.data(), count, left,
                                      right, symmetric, to.single, to.out, y_samples}));
  return true;
}

bool strange_on_card(const Plan& plan, const std::vector<Matrix>& matrices) {
  const OnCard on(plan);
  CardArray<int> strange(on, 1);
  strange.fill(0);
  for (const Matrix& matrix : matrices) {
    on.check(on.kernels().pairs->finite(on.queue(), {matrix, strange.data()}));
  }
  int found = 0;
  strange.download(&found, 1);
  on.wait();
  return found != 0;
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
