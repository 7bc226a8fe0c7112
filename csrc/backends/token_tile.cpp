#include "backends/token_tile.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace genmem::backends {

namespace {

// Packed rows of both operands that stay while all columns pass by. Beyond, the rows are packed
// again for every chunk, and the chunks are wider.
constexpr std::int64_t kResidentBytes = std::int64_t{8} << 20;
constexpr std::int64_t kWideChunk = 4 * kVectors;

constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b * b; }

bool single(const Matrix& m) { return m.dtype != Dtype::float64; }

bool single(const LayerPair& layer) {
  return single(layer.x.inputs) && single(layer.x.gradients) && single(layer.y.inputs) &&
         single(layer.y.gradients);
}

const Matrix& part(const TokenLayer& layer, int operand) {
  return operand == 0 ? layer.inputs : layer.gradients;
}

// Grows and never shrinks: no block writes the same memory anew.
template <class T>
T* room(std::vector<T>& v, std::int64_t count) {
  if (static_cast<std::int64_t>(v.size()) < count) v.resize(static_cast<std::size_t>(count));
  return v.data();
}

char* aligned(std::vector<char>& v, std::int64_t bytes) {
  char* p = room(v, bytes + 64);
  return p + (64 - static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p) % 64)) % 64;
}

}  // namespace

TokenTile::TokenTile(const TokenKernel& floats, const TokenKernel& doubles,
                     const std::vector<LayerPair>& layers)
    : floats_(floats), doubles_(doubles), layers_(layers) {}

bool TokenTile::fill(Span x, Span y, bool triangle, Clock& clock) {
  stride_ = round_up(y.count(), 16);  // whole groups of any width
  out_.assign(static_cast<std::size_t>(x.count() * stride_), 0.0);
  for (const LayerPair& layer : layers_) {
    if (!add_layer(layer, x, y, triangle, clock)) return false;
  }
  return true;
}

bool TokenTile::add_layer(const LayerPair& layer, Span x, Span y, bool triangle, Clock& clock) {
  const TokenKernel& kernel = single(layer) ? floats_ : doubles_;
  const std::int64_t* offsets = layer.x.offsets;
  scale(kernel, layer.x, layer.bias, x, x_);
  scale(kernel, layer.y, layer.bias, y, y_);
  for (std::int64_t sample = x.begin; sample < x.end;) {
    std::int64_t end = sample + 1;
    while (end < x.end && offsets[end + 1] - offsets[sample] <= kTokens) ++end;
    const std::int64_t last = offsets[end];
    for (std::int64_t token = offsets[sample]; token < last; token += kTokens) {
      const Strip strip{{sample, end}, {token, std::min(last, token + kTokens)}};
      if (!add_strip(kernel, layer, strip, x, y, triangle, clock)) return false;
    }
    sample = end;
  }
  return true;
}

bool TokenTile::add_strip(const TokenKernel& kernel, const LayerPair& layer, const Strip& strip,
                          Span x, Span y, bool triangle, Clock& clock) {
  const std::int64_t rows = strip.tokens.count();
  if (rows == 0) return true;
  list_rows(kernel, layer, strip);
  const std::int64_t d = layer.x.inputs.cols, p = layer.x.gradients.cols;
  const bool resident =
      std::max(d, p) <= kTokenDepth &&
      round_up(rows, kernel.tile_rows) * (kernel.row_bytes(d) + kernel.row_bytes(p)) <=
          kResidentBytes;
  if (resident) {
    pack(kernel, layer.x.inputs, 0, 0, d, rows);
    pack(kernel, layer.x.gradients, 1, 0, p, rows);
  }
  std::int64_t token = 0;
  for (std::int64_t sample = y.begin; sample < y.end;) {
    const Chunk chunk =
        next_chunk(kernel, layer.y, y, sample, token, resident ? kernel.chunk : kWideChunk);
    if (vectors_.back() > 0) {
      list_columns(kernel, layer, chunk);
      // Of a triangle, the samples before the last column are wanted, and they come first.
      const std::int64_t samples =
          triangle ? std::min(strip.samples.count(), chunk.samples.end - strip.samples.begin)
                   : strip.samples.count();
      if (samples > 0) {
        const std::int64_t used = row_bounds_[static_cast<std::size_t>(samples)];
        multiply(kernel, layer, 0, used, resident);
        multiply(kernel, layer, 1, used, resident);
        kernel.sum({aligned(operands_[0].products, 0), aligned(operands_[1].products, 0),
                    kWideChunk * kernel.width, samples, row_bounds_.data(), x_bias_.data(),
                    x_.unscale.data() + (strip.samples.begin - x.begin),
                    static_cast<std::int64_t>(vectors_.size()) - 1, vectors_.data(), y_bias_.data(),
                    y_unscale_.data(),
                    out_.data() + (strip.samples.begin - x.begin) * stride_ +
                        (chunk.samples.begin - y.begin),
                    stride_});
      }
      if (!clock.go_on()) return false;
    }
    sample = chunk.last ? chunk.samples.end : sample;
    token = chunk.last ? 0 : token + vectors_.back();
  }
  return true;
}

void TokenTile::scale(const TokenKernel& kernel, const TokenLayer& layer, bool bias, Span samples,
                      Scales& scales) {
  const std::int64_t origin = layer.offsets[samples.begin];
  const std::int64_t tokens = layer.offsets[samples.end] - origin;
  scales.sample = samples.begin;
  scales.origin = origin;
  kernel.scales({layer, samples.begin, samples.count(), bias, room(scales.token[0], tokens),
                 room(scales.token[1], tokens), room(scales.unscale, samples.count())});
}

void TokenTile::list_rows(const TokenKernel& kernel, const LayerPair& layer, const Strip& strip) {
  const std::int64_t rows = strip.tokens.count();
  row_at_.resize(static_cast<std::size_t>(rows));
  std::iota(row_at_.begin(), row_at_.end(), strip.tokens.begin);
  row_bounds_.assign(1, 0);
  for (std::int64_t sample = strip.samples.begin; sample < strip.samples.end; ++sample) {
    row_bounds_.push_back(std::min(strip.tokens.end, layer.x.offsets[sample + 1]) -
                          strip.tokens.begin);
  }
  const double* scales = x_.token[0].data() + (strip.tokens.begin - x_.origin);
  x_bias_.assign(static_cast<std::size_t>(rows), 0.0);
  if (layer.bias) std::copy(scales, scales + rows, x_bias_.begin());
  for (Operand& operand : operands_) {
    aligned(operand.products,
            round_up(rows, kernel.tile_rows) * kWideChunk * kernel.width * kernel.item);
  }
}

// Groups from `sample` on, at most `most` vectors of them, but at least a part of one; the tokens
// before `token` of the first group are done.
TokenTile::Chunk TokenTile::next_chunk(const TokenKernel& kernel, const TokenLayer& y_layer, Span y,
                                       std::int64_t sample, std::int64_t token, std::int64_t most) {
  vectors_.assign(1, 0);
  std::int64_t at = sample;
  while (at < y.end) {
    const std::int64_t end = std::min(y.end, at + kernel.width);
    std::int64_t tokens = 0;
    for (std::int64_t i = at; i < end; ++i) {
      tokens = std::max(tokens, y_layer.offsets[i + 1] - y_layer.offsets[i]);
    }
    const std::int64_t left = tokens - token;
    if (at == sample && left > most) {
      vectors_.push_back(most);
      return {{sample, end}, token, false};
    }
    if (vectors_.back() + left > most) break;
    vectors_.push_back(vectors_.back() + left);
    at = end;
    // What is left of a long group goes alone: its first token is not that of the others.
    if (token > 0) break;
  }
  return {{sample, at}, token, true};
}

void TokenTile::list_columns(const TokenKernel& kernel, const LayerPair& layer,
                             const Chunk& chunk) {
  const std::int64_t samples = chunk.samples.count(), width = kernel.width;
  const auto groups = static_cast<std::int64_t>(vectors_.size()) - 1;
  const std::int64_t columns = vectors_.back() * width;
  column_at_.assign(static_cast<std::size_t>(columns), -1);
  for (Operand& operand : operands_) {
    operand.column_scale.assign(static_cast<std::size_t>(columns), 0.0);
  }
  y_bias_.assign(static_cast<std::size_t>(columns), 0.0);
  y_unscale_.assign(static_cast<std::size_t>(groups * width), 0.0);
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::int64_t group = i / width, lane = i % width, sample = chunk.samples.begin + i;
    const std::int64_t first = layer.y.offsets[sample] + chunk.first_token;
    const std::int64_t begin = vectors_[static_cast<std::size_t>(group)];
    const std::int64_t most = vectors_[static_cast<std::size_t>(group + 1)] - begin;
    const std::int64_t tokens = std::min(most, layer.y.offsets[sample + 1] - first);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const auto column = static_cast<std::size_t>((begin + t) * width + lane);
      const auto token = static_cast<std::size_t>(first + t - y_.origin);
      column_at_[column] = first + t;
      operands_[0].column_scale[column] = y_.token[0][token];
      operands_[1].column_scale[column] = y_.token[1][token];
      y_bias_[column] = layer.bias ? y_.token[0][token] : 0.0;
    }
    y_unscale_[static_cast<std::size_t>(i)] =
        y_.unscale[static_cast<std::size_t>(sample - y_.sample)];
  }
}

void TokenTile::pack(const TokenKernel& kernel, const Matrix& from, int operand, std::int64_t col,
                     std::int64_t depth, std::int64_t rows) {
  Operand& o = operands_[operand];
  kernel.pack_rows({from, row_at_.data(), x_.token[operand].data() + (row_at_[0] - x_.origin), rows,
                    col, depth,
                    aligned(o.rows, round_up(rows, kernel.tile_rows) * kernel.row_bytes(depth))});
}

void TokenTile::multiply(const TokenKernel& kernel, const LayerPair& layer, int operand,
                         std::int64_t rows, bool resident) {
  Operand& o = operands_[operand];
  const Matrix& x = part(layer.x, operand);
  const Matrix& y = part(layer.y, operand);
  const std::int64_t stride = kWideChunk * kernel.width, all = vectors_.back();
  char* products = aligned(o.products, 0);
  if (x.cols == 0) std::memset(products, 0, static_cast<std::size_t>(rows * stride * kernel.item));
  for (std::int64_t col = 0; col < x.cols; col += kTokenDepth) {
    const std::int64_t depth = std::min(kTokenDepth, x.cols - col);
    if (!resident) pack(kernel, x, operand, col, depth, rows);
    for (std::int64_t v = 0; v < all; v += kernel.chunk) {
      const std::int64_t vectors = std::min(kernel.chunk, all - v);
      char* columns = aligned(
          columns_, round_up(vectors, kernel.panel) * kernel.width * kernel.column_bytes(depth));
      kernel.pack_columns({y, column_at_.data() + v * kernel.width,
                           o.column_scale.data() + v * kernel.width, vectors * kernel.width, col,
                           depth, columns});
      kernel.multiply({aligned(o.rows, 0), columns, rows, vectors, depth, col == 0,
                       products + v * kernel.width * kernel.item, stride});
    }
  }
}

}  // namespace genmem::backends
