// How the products of all samples with all others are cut, and the tiles of the workers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/token_tile.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

// Samples of y that one tile takes, and their tokens in the layer that has most: a tile of 512 x
// 512 samples is 2 MiB, the scales of so many tokens too.
constexpr int64_t kBlock = 512;
constexpr int64_t kBlockTokens = 1 << 17;

// Samples are grouped so that a group has at most `samples` of them, and `tokens` tokens in the
// layer that has most; a single sample may have more. The bounds of the groups.
inline std::vector<int64_t> sample_groups(const std::vector<LayerPair>& layers, bool x_side,
                                          int64_t count, int64_t samples, int64_t tokens) {
  std::vector<int64_t> bounds{0};
  for (int64_t first = 0; first < count;) {
    int64_t end = std::min(count, first + samples);
    for (const LayerPair& layer : layers) {
      const int64_t* offsets = x_side ? layer.x.offsets : layer.y.offsets;
      const int64_t* past =
          std::upper_bound(offsets + first, offsets + end + 1, offsets[first] + tokens);
      end = std::max(first + 1, std::min(end, static_cast<int64_t>(past - offsets) - 1));
    }
    bounds.push_back(end);
    first = end;
  }
  return bounds;
}

// How the products of all samples are cut: groups of x times blocks of y.
class Cuts {
 public:
  Cuts(const std::vector<LayerPair>& layers, int64_t x_samples, int64_t y_samples)
      : x_(sample_groups(layers, true, x_samples, kTokens, kTokens)),
        y_(sample_groups(layers, false, y_samples, kBlock, kBlockTokens)) {}
  int64_t groups() const { return static_cast<int64_t>(x_.size()) - 1; }
  int64_t blocks() const { return static_cast<int64_t>(y_.size()) - 1; }
  Span group(int64_t i) const { return span(x_, i); }
  Span block(int64_t i) const { return span(y_, i); }

 private:
  static Span span(const std::vector<int64_t>& bounds, int64_t i) {
    return {bounds[static_cast<std::size_t>(i)], bounds[static_cast<std::size_t>(i + 1)]};
  }
  std::vector<int64_t> x_, y_;
};

// One tile for each worker, made when it is first wanted.
class Tiles {
 public:
  Tiles(const Plan& plan, const TokenKernel& floats, const std::vector<LayerPair>& layers,
        int64_t tasks)
      : floats_(floats),
        doubles_(kernels(plan.isa).double_products),
        layers_(layers),
        tiles_(static_cast<std::size_t>(workers(plan.threads, tasks))) {}
  TokenTile& of(int worker) {
    auto& tile = tiles_[static_cast<std::size_t>(worker)];
    if (!tile) tile = std::make_unique<TokenTile>(floats_, doubles_, layers_);
    return *tile;
  }

 private:
  const TokenKernel floats_, doubles_;
  const std::vector<LayerPair>& layers_;
  std::vector<std::unique_ptr<TokenTile>> tiles_;
};

}  // namespace genmem::backends
