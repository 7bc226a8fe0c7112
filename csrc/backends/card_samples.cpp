#include "backends/card_samples.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

bool single(const TokenLayer& side) {
  return side.inputs.dtype != Dtype::float64 && side.gradients.dtype != Dtype::float64;
}

const TokenLayer& side_of(const LayerPair& layer, bool x_side) {
  return x_side ? layer.x : layer.y;
}

// Rows of a matrix: of the host's, contiguous at `to`.
Matrix put_rows(Uploads& uploads, const Matrix& from, std::int64_t begin, std::int64_t count,
                char* to) {
  if (from.cols == 0 || count == 0) return {to, count, from.cols, from.cols, 1, from.dtype, true};
  return uploads.rows(from, begin, count, to);
}

constexpr std::int64_t aligned(std::int64_t bytes) { return (bytes + 15) / 16 * 16; }

// Appends the bounds of groups of samples for the tiles of a kernel, none of them across sections;
// the first group of each section, and past the last one.
std::vector<std::int64_t> append_groups(std::vector<std::int64_t>& bounds, std::int64_t samples,
                                        std::int64_t tile, std::int64_t section) {
  const auto at = [&](std::int64_t i) { return bounds[static_cast<std::size_t>(i)]; };
  std::vector<std::int64_t> first_group;
  std::int64_t groups = 0;
  for (std::int64_t first = 0; first < samples; ++groups) {
    if (first % section == 0) first_group.push_back(groups);
    bounds.push_back(first);
    std::int64_t end = first + 1;
    while (end < samples && end % section != 0 && end - first < tile &&
           at(end + 1) - at(first) <= tile) {
      ++end;
    }
    first = end;
  }
  bounds.push_back(samples);
  first_group.push_back(groups);
  return first_group;
}

// Of a layer whose factors are multiplied as parts, the roundings of both inner products: see
// card.hpp.
double rounding_of(const LayerPair& layer) {
  const std::int64_t a = card_stages(layer.x.inputs.cols), g = card_stages(layer.x.gradients.cols);
  const std::int64_t wide = std::max(a, g);
  const std::int64_t sums =
      std::min(wide, kCardChain) + ceil_div(wide, kCardChain) + std::min(a, g);
  return 2.0 * kCardCut + static_cast<double>(sums + 32) * 0x1p-24;
}

// eps of a layer that is multiplied in float64.
double wide_error_of(const LayerPair& layer) {
  const std::int64_t cols = std::max(layer.x.inputs.cols, layer.x.gradients.cols);
  return static_cast<double>(2 * (cols + 64)) * 0x1p-52;
}

}  // namespace

CardSamples::CardSamples(const OnCard& on, Uploads& uploads, const std::vector<LayerPair>& layers,
                         bool x_side, Span span, SampleUse use, std::int64_t section)
    : on_(on), span_(span), section_(section) {
  const CardGradDot& table = *on.kernels().grad_dot;
  const std::int64_t samples = span.count();
  std::unique_ptr<CardArray<double>> errors, squares;
  std::unique_ptr<CardArray<std::int64_t>> own;
  std::vector<std::int64_t> own_read(static_cast<std::size_t>(samples));
  const bool bounded = use == SampleUse::bounded;
  if (bounded || use == SampleUse::screened) {
    errors = std::make_unique<CardArray<double>>(on, kCardParts * samples);
    errors->fill(0);
    bounds_there_ = std::make_unique<CardArray<double>>(on, kCardParts * samples);
  }
  if (bounded) {
    squares = std::make_unique<CardArray<double>>(on, samples);
    squares->fill(0);
    own = std::make_unique<CardArray<std::int64_t>>(on, samples);
    std::iota(own_read.begin(), own_read.end(), 0);
    own->upload(own_read.data(), samples);
  }
  for (const LayerPair& pair : layers) {
    layers_.push_back(std::make_unique<Layer>());
    Layer& layer = *layers_.back();
    const TokenLayer& side = side_of(pair, x_side);
    const std::int64_t begin = side.offsets[span.begin];
    const std::int64_t tokens = side.offsets[span.end] - begin;
    std::vector<std::int64_t> bounds;
    for (std::int64_t i = span.begin; i <= span.end; ++i) bounds.push_back(side.offsets[i] - begin);
    const CardTokenKernel& kernel = token_kernel(on, pair);
    layer.first_group = append_groups(bounds, samples, kernel.tile, section);
    const auto count = static_cast<std::int64_t>(bounds.size());
    layer.bounds = std::make_unique<CardArray<std::int64_t>>(on, count);
    layer.bounds->upload(bounds.data(), count);

    const std::int64_t input_bytes = aligned(tokens * upload_bytes(side.inputs));
    layer.rows =
        std::make_unique<CardArray<char>>(on, input_bytes + tokens * upload_bytes(side.gradients));
    char* const rows = layer.rows->data();
    layer.tokens.layer = {put_rows(uploads, side.inputs, begin, tokens, rows),
                          put_rows(uploads, side.gradients, begin, tokens, rows + input_bytes),
                          layer.bounds->data()};
    layer.tokens.samples = samples;
    layer.tokens.groups = layer.bounds->data() + samples + 1;
    layer.tokens.group_count = layer.first_group.back();
    if (use == SampleUse::listed) continue;

    layer.scales = std::make_unique<CardArray<double>>(on, 2 * tokens + samples);
    layer.tokens.input_scale = layer.scales->data();
    layer.tokens.gradient_scale = layer.scales->data() + tokens;
    layer.tokens.unscale = layer.scales->data() + 2 * tokens;
    const std::int64_t input_parts = tokens * kernel.part_bytes(side.inputs.cols);
    layer.parts = std::make_unique<CardArray<char>>(
        on, input_parts + tokens * kernel.part_bytes(side.gradients.cols));
    layer.tokens.input_parts = layer.parts->data();
    layer.tokens.gradient_parts = layer.parts->data() + input_parts;
    on.check(kernel.prepare(on.queue(), layer.tokens, pair.bias));
    if (errors && in_parts(pair)) {
      on.check(
          table.bounds(on.queue(), {layer.tokens, pair.bias, rounding_of(pair), errors->data()}));
    } else if (errors && !bounded) {
      // To a tolerance the rounding of float64 is taken for none.
      for (int parts = 0; parts < kCardParts; ++parts) {
        on.check(table.sizes(on.queue(), {layer.tokens.layer, samples, pair.bias,
                                          wide_error_of(pair), errors->data() + parts * samples}));
      }
    }
    if (bounded) {
      on.check(table.pairs(on.queue(), {layer.tokens.layer, layer.tokens.layer, pair.bias,
                                        own->data(), own->data(), samples, squares->data()}));
    }
    // What was packed is not read again.
    if (kernel.part_bytes(1) > 0) layer.rows.reset();
  }
  if (errors) find_bounds(*errors, squares.get());
}

void CardSamples::find_bounds(const CardArray<double>& errors, const CardArray<double>* squares) {
  const std::int64_t samples = span_.count();
  bounds_.resize(static_cast<std::size_t>(kCardParts * samples));
  errors.download(bounds_.data(), kCardParts * samples);
  std::vector<double> square;
  if (squares) {
    square.resize(static_cast<std::size_t>(samples));
    squares->download(square.data(), samples);
  }
  on_.wait();
  for (double& bound : bounds_) bound = std::sqrt(bound) * (1.0 + 1e-9);
  for (std::size_t i = 0; i < square.size(); ++i) {
    double least = 0.0;
    for (int parts = kCardParts; parts > 0; --parts) {
      double& bound = bounds_[static_cast<std::size_t>((parts - 1) * samples) + i];
      if (bound != 0.0) {
        bound /= std::sqrt(square[i]);
        // Of a gradient that is zero, or is not finite, no product is proven.
        if (!(square[i] > 0.0) || !(bound < HUGE_VAL)) bound = HUGE_VAL;
      }
      bound = least = std::max(least, bound);
    }
  }
  bounds_there_->upload(bounds_.data(), kCardParts * samples);
}

std::int64_t CardSamples::sections() const { return ceil_div(span_.count(), section_); }

Span CardSamples::section(std::int64_t number) const {
  const std::int64_t begin = span_.begin + number * section_;
  return {begin, std::min(span_.end, begin + section_)};
}

CardTokens CardSamples::tokens_of(std::int64_t section, std::size_t number) const {
  const Layer& layer = *layers_[number];
  const std::int64_t first = layer.first_group[static_cast<std::size_t>(section)];
  CardTokens out = layer.tokens;
  out.groups += first;
  out.group_count = layer.first_group[static_cast<std::size_t>(section + 1)] - first;
  out.origin = section * section_;
  return out;
}

std::int64_t CardSamples::bytes(const std::vector<LayerPair>& layers, bool x_side,
                                std::int64_t sample) {
  std::int64_t sum = 0;
  for (const LayerPair& layer : layers) {
    const TokenLayer& side = side_of(layer, x_side);
    // A float takes three times two bytes when packed, in whole stages.
    const auto packed = [](const Matrix& m) {
      return upload_bytes(m) + 2 * kCardParts * kCardStage * card_stages(m.cols);
    };
    const std::int64_t tokens = side.offsets[sample + 1] - side.offsets[sample];
    sum += 24 + tokens * (16 + packed(side.inputs) + packed(side.gradients));
  }
  return sum;
}

std::vector<LayerPair> fitting(const OnCard& on, std::vector<LayerPair> layers) {
  std::int64_t most = 0;
  on.check(on.card().shared_bytes(&most));
  for (LayerPair& layer : layers) layer.wide = on.kernels().grad_dot->floats.shared > most;
  return layers;
}

bool in_parts(const LayerPair& layer) {
  if (layer.wide) return false;
  const bool narrow = std::min(layer.x.inputs.cols, layer.x.gradients.cols) <= kCardWidth;
  return single(layer.x) && single(layer.y) && narrow;
}

const CardTokenKernel& token_kernel(const OnCard& on, const LayerPair& layer) {
  const CardGradDot& table = *on.kernels().grad_dot;
  return in_parts(layer) ? table.floats : table.doubles;
}

std::unique_ptr<Uploads> factor_uploads(const OnCard& on, const Plan& plan,
                                        const std::vector<LayerPair>& layers) {
  Matrix widest{}, longest{};
  for (const LayerPair& layer : layers) {
    for (const Matrix* m :
         {&layer.x.inputs, &layer.x.gradients, &layer.y.inputs, &layer.y.gradients}) {
      if (upload_bytes(*m) > upload_bytes(widest)) widest = *m;
      if (m->rows * upload_bytes(*m) > longest.rows * upload_bytes(longest)) longest = *m;
    }
  }
  return std::make_unique<Uploads>(on, plan, widest, longest);
}

std::vector<Span> sample_spans(const std::vector<LayerPair>& layers, bool x_side,
                               std::int64_t samples, std::int64_t bytes, std::int64_t extra) {
  std::vector<Span> spans;
  for (std::int64_t first = 0; first < samples;) {
    std::int64_t end = first, held = 0;
    for (; end < samples; ++end) {
      held += CardSamples::bytes(layers, x_side, end) + extra;
      if (held > bytes && end > first) break;
    }
    spans.push_back({first, end});
    first = end;
  }
  return spans;
}

}  // namespace genmem::backends
