// What the card holds of some samples of one side of grad_dot: their tokens in all layers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/on_card.hpp"
#include "backends/token_tile.hpp"
#include "kernels/grad_dot/card.hpp"

namespace genmem::backends {

enum class SampleUse {
  products,  // packed, for products of all with all
  screened,  // the same, and what bounds the errors of products
  bounded,   // the same, relative to the norms
  listed     // as they are, for products of some with some
};

// Products come in tiles of a section by a section, of so many samples each, or of more of y where
// those of x are fewer: 32 MiB.
constexpr std::int64_t kSection = 2048;

class CardSamples {
 public:
  CardSamples(const OnCard& on, Uploads& uploads, const std::vector<LayerPair>& layers, bool x_side,
              Span span, SampleUse use, std::int64_t section = kSection);
  CardSamples(const CardSamples&) = delete;
  CardSamples& operator=(const CardSamples&) = delete;

  Span span() const { return span_; }
  const CardTokens& tokens(std::size_t layer) const { return layers_[layer]->tokens; }
  // Samples come in sections of `section`; the last one may have fewer.
  std::int64_t sections() const;
  Span section(std::int64_t number) const;
  CardTokens tokens_of(std::int64_t section, std::size_t layer) const;
  // Of each sample sqrt(sum over layers of u^2), the product of two of which bounds the error of a
  // product of so many parts; or bounded, that over |G|, 0 where nothing is off, and no less of
  // fewer parts. Here and on the card.
  const double* bounds(int parts) const { return bounds_.data() + (parts - 1) * span_.count(); }
  const double* bounds_there(int parts) const {
    return bounds_there_->data() + (parts - 1) * span_.count();
  }

  // Bytes of the tokens of a sample, about.
  static std::int64_t bytes(const std::vector<LayerPair>& layers, bool x_side, std::int64_t sample);

 private:
  struct Layer {
    std::vector<std::int64_t> first_group;  // of each section, and past the last one
    std::unique_ptr<CardArray<std::int64_t>> bounds;
    std::unique_ptr<CardArray<double>> scales;
    std::unique_ptr<CardArray<char>> rows, parts;
    CardTokens tokens;
  };

  const OnCard& on_;
  Span span_;
  std::int64_t section_;
  std::vector<std::unique_ptr<Layer>> layers_;
  // Behind the layers: sums of u^2 and of |G|^2, then their roots.
  void find_bounds(const CardArray<double>& errors, const CardArray<double>* squares);

  std::vector<double> bounds_;
  std::unique_ptr<CardArray<double>> bounds_there_;
};

// The layers, wide where the tiles of the tensor cores need more shared memory than this card has.
std::vector<LayerPair> fitting(const OnCard& on, std::vector<LayerPair> layers);

// Whether the factors of a layer are multiplied as parts of bfloat16, and not in float64.
bool in_parts(const LayerPair& layer);

// The kernel that multiplies a layer.
const CardTokenKernel& token_kernel(const OnCard& on, const LayerPair& layer);

// Buffers wide enough for the factors of every layer.
std::unique_ptr<Uploads> factor_uploads(const OnCard& on, const Plan& plan,
                                        const std::vector<LayerPair>& layers);

// Samples cut into spans of at most so many bytes, `extra` of each its own, or of a single one.
std::vector<Span> sample_spans(const std::vector<LayerPair>& layers, bool x_side,
                               std::int64_t samples, std::int64_t bytes, std::int64_t extra = 0);

}  // namespace genmem::backends
