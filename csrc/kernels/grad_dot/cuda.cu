#include "kernels/grad_dot/card.hpp"
#include "kernels/grad_dot/card_placed.hpp"
#include "kernels/grad_dot/card_strongest.hpp"
#include "kernels/grad_dot/card_tensor.hpp"
#include "kernels/grad_dot/card_wide.hpp"

namespace genmem::GENMEM_ISA {

namespace {

// Exponents that scales may have: they, and of float64 the product of two, are within the type.
constexpr int kFloatLimit = 126, kDoubleLimit = 500;

device::Stream stream_of(const Queue& queue) { return static_cast<device::Stream>(queue.stream); }

device::Shape streams(int64_t rows) {
  return {(rows + kStreamWarps - 1) / kStreamWarps, 1, kStreamWarps * device::kWarp, 0};
}

int64_t part_bytes(int64_t depth) { return card_stages(depth) * kStageBytes; }
int64_t no_parts(int64_t) { return 0; }

const char* prepare_floats(const Queue& queue, const CardTokens& tokens, bool bias) {
  const ScaleParams p{tokens, bias, kFloatLimit};
  if (const char* error =
          device::launch(scale_tokens, streams(tokens.samples), stream_of(queue), p)) {
    return error;
  }
  return device::launch(split_tokens, streams(tokens.layer.inputs.rows), stream_of(queue), p);
}

const char* prepare_doubles(const Queue& queue, const CardTokens& tokens, bool bias) {
  return device::launch(scale_tokens, streams(tokens.samples), stream_of(queue),
                        ScaleParams{tokens, bias, kDoubleLimit});
}

template <int kOf>
const char* add_parts(const Queue& queue, const CardTokenProducts& p) {
  const device::Shape shape{p.y.group_count, p.x.group_count, Tensor::kThreads, kTensorShared<kOf>};
  return device::launch(add_tensor_products<kOf>, shape, stream_of(queue), p);
}

const char* add_floats(const Queue& queue, const CardTokenProducts& p) {
  switch (p.parts) {
    case 1: return add_parts<1>(queue, p);
    case 2: return add_parts<2>(queue, p);
    default: return add_parts<kCardParts>(queue, p);
  }
}

const char* add_doubles(const Queue& queue, const CardTokenProducts& p) {
  const device::Shape shape{p.y.group_count, p.x.group_count, Wide::kThreads, Wide::kShared};
  return device::launch(add_wide_products, shape, stream_of(queue), p);
}

const char* pairs(const Queue& queue, const CardTokenPairs& p) {
  const device::Shape shape{p.count, 1, kPairWarps * device::kWarp, kPairWarps * 8};
  return device::launch(add_pairs, shape, stream_of(queue), p);
}

const char* bounds(const Queue& queue, const CardTokenBounds& p) {
  return device::launch(add_bounds, streams(p.tokens.samples), stream_of(queue), p);
}

const char* sizes(const Queue& queue, const CardTokenSizes& p) {
  return device::launch(add_sizes, streams(p.samples), stream_of(queue), p);
}

device::Shape row_warps(int64_t rows) {
  return {(rows + kRowWarps - 1) / kRowWarps, 1, kRowWarps * device::kWarp, 0};
}

const char* keep(const Queue& queue, const CardStrongest& p) {
  return device::launch(p.kept.high ? keep_strongest<true> : keep_strongest<false>,
                        row_warps(p.rows), stream_of(queue), p);
}

const char* rank(const Queue& queue, const CardRanked& p) {
  return device::launch(rank_strongest, row_warps(p.rows), stream_of(queue), p);
}

const char* gather(const Queue& queue, const CardGathered& p) {
  return device::launch(gather_kept, row_warps(p.rows), stream_of(queue), p);
}

const char* place(const Queue& queue, const CardPlaced& p) {
  const device::Shape shape{(p.columns + kPlaceThreads - 1) / kPlaceThreads, p.rows, kPlaceThreads,
                            0};
  return device::launch(place_products, shape, stream_of(queue), p);
}

const char* scatter(const Queue& queue, const CardScattered& p) {
  const device::Shape shape{(p.count + kPlaceThreads - 1) / kPlaceThreads, 1, kPlaceThreads, 0};
  return device::launch(scatter_products, shape, stream_of(queue), p);
}

}  // namespace

const CardGradDot& card_grad_dot() {
  static const CardGradDot table{
      {Tensor::kSide, kTensorShared<kCardParts>, part_bytes, prepare_floats, add_floats},
      {Wide::kSide, Wide::kShared, no_parts, prepare_doubles, add_doubles},
      pairs,
      bounds,
      sizes,
      keep,
      rank,
      gather,
      place,
      scatter};
  return table;
}

}  // namespace genmem::GENMEM_ISA
