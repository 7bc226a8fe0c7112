#include "backends/grad_dot_pairs.hpp"

#include <algorithm>
#include <cmath>

#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// Whether the rows may be read as they lie, and are wide enough, or few enough, for lanes of
// features. A pair of samples of many tokens can take minutes, and is worked on in blocks.
bool plain(const LayerPair& layer, int64_t token_pairs) {
  for (int operand = 0; operand < 2; ++operand) {
    const Matrix& x = operand == 0 ? layer.x.inputs : layer.x.gradients;
    const Matrix& y = operand == 0 ? layer.y.inputs : layer.y.gradients;
    if (x.dtype != y.dtype || x.dtype == Dtype::uint8) return false;
    if (x.col_stride != 1 || y.col_stride != 1) return false;
    if (x.cols < 16 && token_pairs > 64) return false;
  }
  return token_pairs <= 1 << 20;
}

// The part of one layer, added to `sum`; false: the clock said to stop.
bool add_layer_product(const Kernels& kernels, const LayerPair& layer, int64_t i, int64_t j,
                       double* scratch, Clock& clock, double& sum) {
  const double bias = layer.bias ? 1.0 : 0.0;
  const int64_t x_first = layer.x.offsets[i], x_last = layer.x.offsets[i + 1];
  const int64_t y_first = layer.y.offsets[j], y_last = layer.y.offsets[j + 1];
  if (plain(layer, (x_last - x_first) * (y_last - y_first))) {
    sum += kernels.grad_dot_pair({layer.x, layer.y, bias, i, j});
    return clock.go_on();
  }
  GradDotBlock b{layer.x, layer.y, bias, 0, 0, 0, 0, i, j, &sum, 0, scratch};
  for (b.x_token = x_first; b.x_token < x_last; b.x_token += kRows) {
    b.rows = std::min(kRows, x_last - b.x_token);
    for (b.y_token = y_first; b.y_token < y_last; b.y_token += kPoints) {
      b.count = std::min(kPoints, y_last - b.y_token);
      kernels.grad_dot(b);
      if (!clock.go_on()) return false;
    }
  }
  return true;
}

}  // namespace

double pair_product(const Kernels& kernels, const std::vector<LayerPair>& layers, int64_t i,
                    int64_t j, double* scratch, Clock& clock) {
  double sum = 0.0;
  for (const LayerPair& layer : layers) {
    if (!add_layer_product(kernels, layer, i, j, scratch, clock, sum)) break;
  }
  return sum;
}

bool each_sample(const Plan& plan, int64_t samples, const EachSample& each) {
  constexpr int64_t kSamples = 64;
  const int64_t tasks = ceil_div(samples, kSamples);
  const PerWorker<double> scratch(workers(plan.threads, tasks), kProductScratch);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t end = std::min(samples, (number + 1) * kSamples);
    for (int64_t i = number * kSamples; i < end && clock.go_on(); ++i) {
      each(i, scratch.of(worker), clock);
    }
  };
  return run_tasks(tasks, plan.threads, task, plan.interrupted);
}

double error_of(double unit, const LayerPair& layer) {
  const int64_t cols = std::max(layer.x.inputs.cols, layer.x.gradients.cols);
  const double gamma = static_cast<double>(2 * kChain + cols / kChain + 64) * 0x1p-23;
  const double e = (1.0 + unit) * (1.0 + unit) * (1.0 + gamma) - 1.0;
  return (1.0 + e) * (1.0 + e) - 1.0;
}

double finer(double unit, const std::vector<LayerPair>& layers) {
  double ratio = 0.0;
  for (const LayerPair& layer : layers) {
    ratio = std::max(ratio, error_of(kFloatUnit, layer) / error_of(unit, layer));
  }
  return ratio;
}

bool sizes(const Plan& plan, const std::vector<LayerPair>& layers, double unit, bool x_side,
           int64_t samples, std::vector<double>& out) {
  const GradDotPairKernel size = kernels(plan.isa).grad_dot_size;
  out.assign(static_cast<std::size_t>(samples), 0.0);
  return each_sample(plan, samples, [&](int64_t i, double*, Clock&) {
    double sum = 0.0;
    for (const LayerPair& layer : layers) {
      const TokenLayer& side = x_side ? layer.x : layer.y;
      const double nu = size({side, side, layer.bias ? 1.0 : 0.0, i, i});
      sum += error_of(unit, layer) * nu * nu;
    }
    out[static_cast<std::size_t>(i)] = std::sqrt(sum) * (1.0 + 1e-9);
  });
}

bool gains(const std::vector<LayerPair>& layers) {
  double tokens = 0.0, all = 0.0;
  for (const LayerPair& layer : layers) {
    const double d = static_cast<double>(layer.x.inputs.cols);
    const double p = static_cast<double>(layer.x.gradients.cols);
    const double work = static_cast<double>(layer.x.inputs.rows) *
                        static_cast<double>(layer.y.inputs.rows) * (d + p);
    all += work;
    if (p > 1.0) tokens += work;
  }
  return tokens > 0.6 * all;
}

bool ratios(const Plan& plan, const std::vector<LayerPair>& layers, double unit, bool x_side,
            int64_t samples, std::vector<double>& out) {
  const Kernels& with = kernels(plan.isa);
  out.assign(static_cast<std::size_t>(samples), 0.0);
  return each_sample(plan, samples, [&](int64_t i, double* scratch, Clock& clock) {
    double error = 0.0, square = 0.0;
    for (const LayerPair& layer : layers) {
      const TokenLayer& side = x_side ? layer.x : layer.y;
      const double nu = with.grad_dot_size({side, side, layer.bias ? 1.0 : 0.0, i, i});
      error += error_of(unit, layer) * nu * nu;
      // The gradient of a single token is as long as its size.
      if (side.offsets[i + 1] - side.offsets[i] <= 1) {
        square += nu * nu;
      } else if (!add_layer_product(with, {side, side, layer.bias}, i, i, scratch, clock, square)) {
        return;
      }
    }
    if (error > 0.0) {
      out[static_cast<std::size_t>(i)] =
          square > 0.0 ? std::sqrt(error / square) * (1.0 + 1e-9) : HUGE_VAL;
    }
  });
}

}  // namespace genmem::backends
