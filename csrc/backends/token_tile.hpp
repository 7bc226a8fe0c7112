// The products of some samples with some others, all layers of them, in one tile of float64.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/rows.hpp"

namespace genmem::backends {

struct Span {
  std::int64_t begin, end;
  std::int64_t count() const { return end - begin; }
};

// Scratch of one worker, some 16 MiB when all of it is used.
class TokenTile {
 public:
  // floats: what multiplies layers without float64.
  TokenTile(const TokenKernel& floats, const TokenKernel& doubles,
            const std::vector<LayerPair>& layers);

  // Adds all layers of x against y; at(i, j) is then the product of samples x.begin + i and
  // y.begin + j. triangle: y begins within x or after it, both are the same samples, and what lies
  // below the diagonal may be left out. False: the clock said to stop.
  bool fill(Span x, Span y, bool triangle, Clock& clock);

  const double* row(std::int64_t i) const { return out_.data() + i * stride_; }

 private:
  // Rows of x in one layer: whole samples, or a part of a long one.
  struct Strip {
    Span samples;
    Span tokens;
  };
  // Groups of samples of y side by side: whole groups, or a part of a long one.
  struct Chunk {
    Span samples;
    std::int64_t first_token;  // of each sample
    bool last;                 // no tokens of these samples are left
  };
  // The scales of the samples of a span, and of their tokens from `origin` on.
  struct Scales {
    std::int64_t sample, origin;
    std::vector<double> token[2], unscale;
  };
  // Of either operand: what is packed, and the products.
  struct Operand {
    std::vector<double> column_scale;
    std::vector<char> rows;
    std::vector<char> products;
  };

  bool add_layer(const LayerPair& layer, Span x, Span y, bool triangle, Clock& clock);
  bool add_strip(const TokenKernel& kernel, const LayerPair& layer, const Strip& strip, Span x,
                 Span y, bool triangle, Clock& clock);
  void scale(const TokenKernel& kernel, const TokenLayer& layer, bool bias, Span samples,
             Scales& scales);
  void list_rows(const TokenKernel& kernel, const LayerPair& layer, const Strip& strip);
  Chunk next_chunk(const TokenKernel& kernel, const TokenLayer& y_layer, Span y,
                   std::int64_t sample, std::int64_t token, std::int64_t most);
  void list_columns(const TokenKernel& kernel, const LayerPair& layer, const Chunk& chunk);
  void multiply(const TokenKernel& kernel, const LayerPair& layer, int operand, std::int64_t rows,
                bool resident);
  void pack(const TokenKernel& kernel, const Matrix& from, int operand, std::int64_t col,
            std::int64_t depth, std::int64_t rows);

  const TokenKernel floats_, doubles_;
  const std::vector<LayerPair>& layers_;
  std::vector<double> out_;
  std::int64_t stride_ = 0;
  Operand operands_[2];  // inputs, gradients
  std::vector<char> columns_;
  std::vector<std::int64_t> row_at_, row_bounds_, column_at_, vectors_;
  Scales x_, y_;
  std::vector<double> x_bias_, y_bias_, y_unscale_;
};

}  // namespace genmem::backends
