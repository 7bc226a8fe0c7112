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
  screened,  // the same, and the sizes that bound the errors of products in float32
  listed     // as they are, for products of some with some
};

// Products come to the host in tiles of a section by a section: 32 MiB.
constexpr std::int64_t kSection = 2048;

class CardSamples {
 public:
  CardSamples(const OnCard& on, Uploads& uploads, const std::vector<LayerPair>& layers, bool x_side,
              Span span, SampleUse use);
  // Waits until the queue has read what the host holds for it.
  ~CardSamples();
  CardSamples(const CardSamples&) = delete;
  CardSamples& operator=(const CardSamples&) = delete;

  Span span() const { return span_; }
  const CardTokens& tokens(std::size_t layer) const { return layers_[layer]->tokens; }
  // Samples come in sections of kSection; the last one may have fewer.
  std::int64_t sections() const;
  Span section(std::int64_t number) const;
  CardTokens tokens_of(std::int64_t section, std::size_t layer) const;
  // Of each sample, sqrt(sum over layers of eps nu^2): the product of two of them bounds the error
  // of a product. Behind `wait` alone.
  const std::vector<double>& sizes() const { return sizes_; }

  // Bytes of the tokens of a sample, about.
  static std::int64_t bytes(const std::vector<LayerPair>& layers, bool x_side, std::int64_t sample);

 private:
  struct Layer {
    std::vector<std::int64_t> bounds_read;  // until the queue has read them
    std::vector<std::int64_t> first_group;  // of each section, and past the last one
    std::unique_ptr<CardArray<std::int64_t>> bounds;
    std::unique_ptr<CardArray<double>> scales;
    std::unique_ptr<CardArray<char>> rows, parts;
    CardTokens tokens;
  };

  const OnCard& on_;
  Span span_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<double> sizes_;
};

// The kernel that multiplies a layer.
const CardTokenKernel& token_kernel(const OnCard& on, const LayerPair& layer);

// Buffers wide enough for the factors of every layer.
std::unique_ptr<Uploads> factor_uploads(const OnCard& on, const Plan& plan,
                                        const std::vector<LayerPair>& layers);

// Samples cut into spans of at most so many bytes, or of a single one.
std::vector<Span> sample_spans(const std::vector<LayerPair>& layers, bool x_side,
                               std::int64_t samples, std::int64_t bytes);

}  // namespace genmem::backends
