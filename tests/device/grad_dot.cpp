// The kernels of grad_dot on the emulated card, called as the walk calls them, on arrays of exactly
// their extent, against plain sums: ragged tokens, samples longer than a tile, samples without
// tokens, widths around a stage, a bias or none.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/grad_dot/card.hpp"

namespace genmem {

namespace {

struct Side {
  std::vector<float> inputs, gradients;
  std::vector<double> wide_inputs, wide_gradients;
  std::vector<int64_t> offsets{0}, groups{0};
  std::vector<double> input_scale, gradient_scale, unscale;
  std::vector<char> input_parts, gradient_parts;
  int64_t d, p;

  int64_t samples() const { return static_cast<int64_t>(offsets.size()) - 1; }

  // Of each sample the tokens, and of all a size far from one.
  Side(const std::vector<int64_t>& tokens, int64_t width, int64_t out, std::mt19937& random)
      : d(width), p(out) {
    for (const int64_t count : tokens) offsets.push_back(offsets.back() + count);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < offsets.back(); ++i) {
      const float size = std::exp2(static_cast<float>(i % 40 - 20));
      for (int64_t c = 0; c < d; ++c) inputs.push_back(normal(random) * size);
      for (int64_t c = 0; c < p; ++c) gradients.push_back(normal(random) / size);
    }
    wide_inputs.assign(inputs.begin(), inputs.end());
    wide_gradients.assign(gradients.begin(), gradients.end());
  }

  CardTokens tokens(const CardTokenKernel& kernel, bool wide) {
    const int64_t count = offsets.back();
    const auto matrix = [&](const auto& narrow, const auto& twice, int64_t cols) {
      return wide ? Matrix{twice.data(), count, cols, cols, 1, Dtype::float64}
                  : Matrix{narrow.data(), count, cols, cols, 1, Dtype::float32};
    };
    groups.assign(1, 0);
    for (int64_t first = 0; first < samples();) {
      int64_t end = first + 1;
      while (end < samples() && end - first < kernel.tile &&
             offsets[static_cast<size_t>(end + 1)] - offsets[static_cast<size_t>(first)] <=
                 kernel.tile) {
        ++end;
      }
      groups.push_back(end);
      first = end;
    }
    const auto room = [](auto& v, int64_t size) {
      v.resize(static_cast<size_t>(size));
      return v.data();
    };
    return {{matrix(inputs, wide_inputs, d), matrix(gradients, wide_gradients, p), offsets.data()},
            samples(),
            room(input_scale, count),
            room(gradient_scale, count),
            room(unscale, samples()),
            room(input_parts, count * kernel.part_bytes(d)),
            room(gradient_parts, count * kernel.part_bytes(p)),
            groups.data(),
            static_cast<int64_t>(groups.size()) - 1,
            0};
  }

  // |G_i|^2 and the product with another sample, from the tokens.
  double product(int64_t i, const Side& y, int64_t j, bool bias) const {
    double sum = 0.0;
    for (int64_t t = offsets[static_cast<size_t>(i)]; t < offsets[static_cast<size_t>(i + 1)];
         ++t) {
      for (int64_t s = y.offsets[static_cast<size_t>(j)]; s < y.offsets[static_cast<size_t>(j + 1)];
           ++s) {
        double a = bias ? 1.0 : 0.0, g = 0.0;
        for (int64_t c = 0; c < d; ++c) {
          a += wide_inputs[static_cast<size_t>(t * d + c)] *
               y.wide_inputs[static_cast<size_t>(s * d + c)];
        }
        for (int64_t c = 0; c < p; ++c) {
          g += wide_gradients[static_cast<size_t>(t * p + c)] *
               y.wide_gradients[static_cast<size_t>(s * p + c)];
        }
        sum += a * g;
      }
    }
    return sum;
  }
  double norm(int64_t i, bool bias) const { return std::sqrt(product(i, *this, i, bias)); }
};

bool failed(const char* error) {
  if (error) std::printf("error: %s\n", error);
  return error != nullptr;
}

// Worst error over the bound.
double run(const std::vector<int64_t>& x_tokens, const std::vector<int64_t>& y_tokens, int64_t d,
           int64_t p, bool bias, bool wide) {
  std::mt19937 random(7);
  const Queue queue{};
  Side x(x_tokens, d, p, random), y(y_tokens, d, p, random);
  const CardGradDot& table = emulated::card_grad_dot();
  const CardTokenKernel& kernel = wide ? table.doubles : table.floats;
  const CardTokens left = x.tokens(kernel, wide), right = y.tokens(kernel, wide);
  const int64_t m = x.samples(), n = y.samples();
  std::vector<double> out(static_cast<size_t>(m * n)), listed(static_cast<size_t>(m * n));
  std::vector<int64_t> x_at, y_at;
  for (int64_t i = 0; i < m * n; ++i) {
    x_at.push_back(i / n);
    y_at.push_back(i % n);
  }
  std::vector<double> sizes(static_cast<size_t>(m));
  if (failed(kernel.prepare(queue, left, bias)) || failed(kernel.prepare(queue, right, bias)) ||
      failed(kernel.add(queue, {left, right, bias, false, 0, 0, out.data(), n})) ||
      failed(table.pairs(queue, {left.layer, right.layer, bias, x_at.data(), y_at.data(), m * n,
                                 listed.data()})) ||
      failed(table.sizes(queue, {left.layer, m, bias, 1.0, sizes.data()}))) {
    return HUGE_VAL;
  }
  double worst = 0.0;
  for (int64_t i = 0; i < m; ++i) {
    const double own = x.norm(i, bias);
    // Sizes bound norms.
    if (!(std::sqrt(sizes[static_cast<size_t>(i)]) >= own * (1.0 - 1e-12))) return HUGE_VAL;
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(i * n + j);
      const double want = x.product(i, y, j, bias), scale = own * y.norm(j, bias) + 1e-300;
      worst = std::fmax(worst, std::fabs(out[at] - want) / scale / (wide ? 1e-13 : 2e-7));
      worst = std::fmax(worst, std::fabs(listed[at] - want) / scale / 1e-13);
      if (!(out[at] == out[at])) worst = HUGE_VAL;
    }
  }
  return worst;
}

}  // namespace

}  // namespace genmem

int main() {
  using genmem::run;
  double worst = 0.0;
  for (const bool wide : {false, true}) {
    worst = std::fmax(worst, run({3, 0, 9, 1}, {4, 0, 11}, 33, 5, true, wide));
    worst = std::fmax(worst, run({0, 2, 131}, {2}, 3, 2, false, wide));
  }
  if (worst <= 1.0) {
    std::printf("right\n");
    return 0;
  }
  std::printf("wrong: %.3g of the bound\n", worst);
  return 1;
}
