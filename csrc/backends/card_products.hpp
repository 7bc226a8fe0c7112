// Products of samples on a card: all of one side with all of the other, section by section, and
// some with some.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backends/card_samples.hpp"
#include "backends/on_card.hpp"

namespace genmem::backends {

// The samples of both sides, one span of either on the card at a time.
class Sides {
 public:
  // extra: bytes that the caller holds for each sample of x.
  Sides(const OnCard& on, const Plan& plan, const std::vector<LayerPair>& layers,
        std::int64_t x_samples, std::int64_t y_samples, SampleUse use, std::int64_t extra = 0);

  const std::vector<Span>& x_spans() const { return x_spans_; }
  const std::vector<Span>& y_spans() const { return y_spans_; }
  const CardSamples& x(std::size_t number) { return *at(x_, x_spans_[number], true); }
  // Behind x.
  const CardSamples& y(std::size_t number);
  // Products of the largest tile.
  std::int64_t tile() const { return tile_; }

 private:
  using Samples = std::unique_ptr<CardSamples>;
  const Samples& at(Samples& held, Span span, bool x_side);

  const OnCard& on_;
  const std::vector<LayerPair>& layers_;
  std::unique_ptr<Uploads> uploads_;
  SampleUse use_;
  bool same_;
  std::int64_t y_section_ = kSection, tile_;
  std::vector<Span> x_spans_, y_spans_;
  Samples x_, y_;
};

// Products of so many parts; to a tolerance, of more and more of them, each of the pairs that those
// before do not prove, and zeros for what none does.
struct Tiers {
  int first = kCardParts;
  double tol = 0.0;
};

// A section of x and one of y, in their spans.
struct Sections {
  const CardSamples& x;
  std::int64_t x_number;
  const CardSamples& y;
  std::int64_t y_number;

  Span x_span() const { return x.section(x_number); }
  Span y_span() const { return y.section(y_number); }
};

// out (x, y): writes the products of two sections.
void put_products(const OnCard& on, const std::vector<LayerPair>& layers, const Sections& sections,
                  bool triangle, const Tiers& tiers, CardArray<double>& out);

// Calls each(sections) for those of the two spans, or those that hold pairs i <= j alone. False
// where that was.
bool each_section(const CardSamples& x, const CardSamples& y, bool triangle,
                  const std::function<bool(const Sections&)>& each);

// The section's products, (x, y), on the host.
using TakeTile = std::function<bool(const Sections& sections, const double* products)>;

// The products of all samples of x with all of y, section by section, or of pairs i <= j alone and
// some others. While the host takes a tile, the card works on the next one. False where it was
// interrupted.
bool each_tile(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
               std::int64_t y_samples, bool triangle, SampleUse use, const Tiers& tiers,
               const TakeTile& take);

// A pair whose product is wanted.
struct Listed {
  std::int64_t x, y;
};

// In float64: take(number, product) for each of the pairs, in any order.
bool products_of(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                 std::int64_t y_samples, const std::vector<Listed>& pairs,
                 const std::function<void(std::size_t, double)>& take);

// The same of pairs that come one by one, a million at a time.
class ListedProducts {
 public:
  using Take = std::function<void(const Listed&, double)>;
  ListedProducts(const Plan& plan, const std::vector<LayerPair>& layers, std::int64_t x_samples,
                 std::int64_t y_samples, Take take);

  // False where it was interrupted.
  bool add(const Listed& pair);
  bool finish();

 private:
  const Plan& plan_;
  const std::vector<LayerPair>& layers_;
  std::int64_t x_samples_, y_samples_;
  Take take_;
  std::vector<Listed> pairs_;
};

// Calls each(i) for the samples of x, on the threads of the plan.
bool each_row(const Plan& plan, Span x, const std::function<void(std::int64_t)>& each);

}  // namespace genmem::backends
