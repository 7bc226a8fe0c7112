#include <algorithm>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// Samples are grouped so that a group has about `tokens` tokens in the layer that has most of them;
// a single sample may have more.
std::vector<int64_t> sample_groups(const std::vector<LayerPair>& layers, bool rows, int64_t samples,
                                   int64_t tokens) {
  std::vector<int64_t> bounds{0};
  for (int64_t first = 0; first < samples;) {
    int64_t end = std::min(samples, first + tokens);
    for (const LayerPair& layer : layers) {
      const int64_t* offsets = rows ? layer.x.offsets : layer.y.offsets;
      const int64_t* past =
          std::upper_bound(offsets + first, offsets + end + 1, offsets[first] + tokens);
      end = std::max(first + 1, std::min(end, static_cast<int64_t>(past - offsets) - 1));
    }
    bounds.push_back(end);
    first = end;
  }
  return bounds;
}

// The sample that holds this token.
int64_t sample_of(const int64_t* offsets, int64_t begin, int64_t end, int64_t token) {
  return std::upper_bound(offsets + begin, offsets + end + 1, token) - offsets - 1;
}

struct Span {
  int64_t begin, end;
};

// Adds all layers of samples x against samples y to out, whose element (0, 0) is theirs. A pair of
// samples of many tokens can take minutes: the clock is asked after every block of tokens.
void add_layers(GradDotKernel kernel, const std::vector<LayerPair>& layers, Span x, Span y,
                double* out, int64_t stride, double* scratch, Clock& clock) {
  for (const LayerPair& layer : layers) {
    GradDotBlock b{layer.x, layer.y, layer.bias ? 1.0 : 0.0, 0, 0, 0, 0, 0, 0, out,
                   stride,  scratch};
    const int64_t x_last = layer.x.offsets[x.end], y_last = layer.y.offsets[y.end];
    for (b.x_token = layer.x.offsets[x.begin]; b.x_token < x_last; b.x_token += kRows) {
      b.rows = std::min(kRows, x_last - b.x_token);
      b.x_sample = sample_of(layer.x.offsets, x.begin, x.end, b.x_token);
      for (b.y_token = layer.y.offsets[y.begin]; b.y_token < y_last; b.y_token += kPoints) {
        b.count = std::min(kPoints, y_last - b.y_token);
        b.y_sample = sample_of(layer.y.offsets, y.begin, y.end, b.y_token);
        b.out = out + (b.x_sample - x.begin) * stride + (b.y_sample - y.begin);
        kernel(b);
        if (!clock.go_on()) return;
      }
    }
  }
}

}  // namespace

bool grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
              int64_t y_samples, bool symmetric, double* out) {
  const GradDotKernel kernel = kernels(plan.isa).grad_dot;
  const auto x_bounds = sample_groups(layers, true, x_samples, kPoints);
  const auto y_bounds = symmetric ? x_bounds : sample_groups(layers, false, y_samples, 4 * kPoints);
  const auto x_groups = static_cast<int64_t>(x_bounds.size()) - 1;
  const auto y_groups = static_cast<int64_t>(y_bounds.size()) - 1;
  const PerWorker<double> scratch(workers(plan.threads, x_groups * y_groups),
                                  kPairScratch + 2 * kPairBlock);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const auto x = static_cast<std::size_t>(number / y_groups);
    const auto y = static_cast<std::size_t>(number % y_groups);
    if (symmetric && y < x) return;
    const Span rows{x_bounds[x], x_bounds[x + 1]}, columns{y_bounds[y], y_bounds[y + 1]};
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      std::fill(out + i * y_samples + columns.begin, out + i * y_samples + columns.end, 0.0);
    }
    add_layers(kernel, layers, rows, columns, out + rows.begin * y_samples + columns.begin,
               y_samples, scratch.of(worker), clock);
    if (!symmetric) return;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = std::max(i + 1, columns.begin); j < columns.end; ++j) {
        out[j * y_samples + i] = out[i * y_samples + j];
      }
    }
  };
  return run_tasks(x_groups * y_groups, plan.threads, task, plan.interrupted);
}

bool grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers, int64_t samples,
                       double* out) {
  const GradDotKernel kernel = kernels(plan.isa).grad_dot;
  // A task takes some samples at a time, else taking the task would cost more than its work.
  constexpr int64_t kSamples = 64;
  const int64_t tasks = ceil_div(samples, kSamples);
  const PerWorker<double> scratch(workers(plan.threads, tasks), kPairScratch + 2 * kPairBlock);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t end = std::min(samples, (number + 1) * kSamples);
    for (int64_t i = number * kSamples; i < end && clock.go_on(); ++i) {
      out[i] = 0.0;
      const Span one{i, i + 1};
      add_layers(kernel, layers, one, one, out + i, 0, scratch.of(worker), clock);
    }
  };
  return run_tasks(tasks, plan.threads, task, plan.interrupted);
}

}  // namespace genmem::backends
