#include "backends/dispatch.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "backends/rows.hpp"
#include "math/logsumexp.hpp"
#include "math/nearest.hpp"

namespace genmem {

#define GENMEM_DECLARE(isa)                   \
  namespace isa {                             \
  void knn(const KnnBlock&);                  \
  void sq_distances(const SqDistancesBlock&); \
  void log_kde(const LogKdeBlock&);           \
  void grad_dot(const GradDotBlock&);         \
  }

GENMEM_DECLARE(serial)
#if defined(GENMEM_HAVE_X86)
GENMEM_DECLARE(avx2)
GENMEM_DECLARE(avx512)
#endif

namespace backends {

namespace {

struct Kernels {
  KnnKernel knn;
  SqDistancesKernel sq_distances;
  LogKdeKernel log_kde;
  GradDotKernel grad_dot;
};

Kernels kernels(Isa isa) {
  switch (isa) {
#if defined(GENMEM_HAVE_X86)
    case Isa::avx512: return {avx512::knn, avx512::sq_distances, avx512::log_kde, avx512::grad_dot};
    case Isa::avx2: return {avx2::knn, avx2::sq_distances, avx2::log_kde, avx2::grad_dot};
#endif
    default: return {serial::knn, serial::sq_distances, serial::log_kde, serial::grad_dot};
  }
}

// Points that one task takes at a time. Sums are carried per chunk and merged in the order of the
// chunks, whoever computed them.
constexpr int64_t kChunk = 32 * kPoints;

// Tasks wanted: whole queries when there are many, else the chunks are shared out too, in as many
// groups as it takes. The groups change no bit of the answer.
constexpr int64_t kTasks = 16;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// More threads than tasks are never started, and need no scratch.
int workers(const Plan& plan, int64_t tasks) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(plan.threads, tasks)));
}

class Scratch {
 public:
  Scratch(int workers, int64_t doubles) : doubles_(ceil_div(doubles, 8) * 8) {
    const auto total = static_cast<std::size_t>(workers * doubles_) * sizeof(double);
    memory_.reset(static_cast<double*>(::operator new(total, kAlign)));
  }
  double* of(int worker) const { return memory_.get() + worker * doubles_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(double* p) const { ::operator delete(p, kAlign); }
  };
  int64_t doubles_;
  std::unique_ptr<double, Free> memory_;
};

// The cut of M x N pairs: blocks of queries times groups of consecutive chunks of points.
struct Cut {
  Cut(int64_t queries, int64_t points)
      : blocks(ceil_div(queries, kRows)),
        chunks(ceil_div(points, kChunk)),
        groups(std::min(chunks, ceil_div(kTasks, std::max<int64_t>(1, blocks)))) {}

  int64_t tasks() const { return blocks * groups; }
  int64_t block(int64_t task) const { return task / groups; }
  int64_t group(int64_t task) const { return task % groups; }
  int64_t first_chunk(int64_t group) const { return group * chunks / groups; }
  int64_t end_chunk(int64_t group) const { return (group + 1) * chunks / groups; }

  int64_t blocks, chunks, groups;
};

}  // namespace

bool knn(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
         int64_t k, double* sq, int64_t* index) {
  const KnnKernel kernel = kernels(plan.isa).knn;
  const Cut cut(queries.rows, points.rows);
  const Scratch scratch(workers(plan, cut.tasks()), kPairScratch + kPairBlock);
  // Heaps of each group; the first group's are the answer.
  const int64_t answer = queries.rows * k;
  std::vector<double> other_sq(static_cast<std::size_t>((cut.groups - 1) * answer));
  std::vector<int64_t> other_index(other_sq.size());
  const auto heap = [&](int64_t group, int64_t row, auto* first, auto& others) {
    return (group == 0 ? first : others.data() + (group - 1) * answer) + row * k;
  };
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t group = cut.group(number);
    KnnBlock b{queries, points,  cut.block(number) * kRows, 0, 0, 0, exclude, k,
               nullptr, nullptr, scratch.of(worker)};
    b.rows = std::min(kRows, queries.rows - b.query);
    b.sq = heap(group, b.query, sq, other_sq);
    b.index = heap(group, b.query, index, other_index);
    for (int64_t i = 0; i < b.rows; ++i) GENMEM_ISA::clear(b.sq + i * k, b.index + i * k, k);
    const int64_t end = std::min(points.rows, cut.end_chunk(group) * kChunk);
    for (b.point = cut.first_chunk(group) * kChunk; b.point < end; b.point += kPoints) {
      b.count = std::min(kPoints, end - b.point);
      kernel(b);
      if (!clock.go_on()) return;
    }
  };
  if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
  for (int64_t i = 0; i < queries.rows; ++i) {
    for (int64_t group = 1; group < cut.groups; ++group) {
      const double* from_sq = heap(group, i, sq, other_sq);
      const int64_t* from = heap(group, i, index, other_index);
      for (int64_t j = 0; j < k; ++j) {
        GENMEM_ISA::keep_nearest(sq + i * k, index + i * k, k, from_sq[j], from[j]);
      }
    }
    GENMEM_ISA::sort_nearest(sq + i * k, index + i * k, k);
  }
  return true;
}

bool sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out) {
  const SqDistancesKernel kernel = kernels(plan.isa).sq_distances;
  const Cut cut(queries.rows, points.rows);
  const Scratch scratch(workers(plan, cut.tasks()), kPairScratch + kPairBlock);
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t group = cut.group(number);
    SqDistancesBlock b{queries, points,      cut.block(number) * kRows, 0, 0, 0,
                       nullptr, points.rows, scratch.of(worker)};
    b.rows = std::min(kRows, queries.rows - b.query);
    const int64_t end = std::min(points.rows, cut.end_chunk(group) * kChunk);
    for (b.point = cut.first_chunk(group) * kChunk; b.point < end; b.point += kPoints) {
      b.count = std::min(kPoints, end - b.point);
      b.out = out + b.query * points.rows + b.point;
      kernel(b);
      if (!clock.go_on()) return;
    }
  };
  return run_tasks(cut.tasks(), plan.threads, task, plan.interrupted);
}

bool log_kde(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
             const double* log_weights, double scale, Slots* slots) {
  const LogKdeKernel kernel = kernels(plan.isa).log_kde;
  const Cut cut(queries.rows, points.rows);
  const Scratch scratch(workers(plan, cut.tasks()), kPairScratch + kPairBlock);
  std::vector<Slots> partial(
      static_cast<std::size_t>(cut.groups == 1 ? 0 : cut.chunks * queries.rows));
  const auto task = [&](int64_t number, int worker, Clock& clock) {
    const int64_t group = cut.group(number);
    Slots chunk_slots[kRows];
    LogKdeBlock b{queries, points,      cut.block(number) * kRows, 0, 0, 0, exclude, log_weights,
                  scale,   chunk_slots, scratch.of(worker)};
    b.rows = std::min(kRows, queries.rows - b.query);
    for (int64_t chunk = cut.first_chunk(group); chunk < cut.end_chunk(group); ++chunk) {
      for (int64_t i = 0; i < b.rows; ++i) GENMEM_ISA::clear(chunk_slots[i]);
      const int64_t end = std::min(points.rows, (chunk + 1) * kChunk);
      for (b.point = chunk * kChunk; b.point < end; b.point += kPoints) {
        b.count = std::min(kPoints, end - b.point);
        kernel(b);
        if (!clock.go_on()) return;
      }
      for (int64_t i = 0; i < b.rows; ++i) {
        const int64_t row = b.query + i;
        if (cut.groups > 1) {
          partial[static_cast<std::size_t>(chunk * queries.rows + row)] = chunk_slots[i];
        } else {
          if (chunk == 0) GENMEM_ISA::clear(slots[row]);
          GENMEM_ISA::merge(slots[row], chunk_slots[i]);
        }
      }
    }
  };
  if (!run_tasks(cut.tasks(), plan.threads, task, plan.interrupted)) return false;
  if (cut.groups == 1) return true;
  for (int64_t row = 0; row < queries.rows; ++row) {
    GENMEM_ISA::clear(slots[row]);
    for (int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
      GENMEM_ISA::merge(slots[row], partial[static_cast<std::size_t>(chunk * queries.rows + row)]);
    }
  }
  return true;
}

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
  const Scratch scratch(workers(plan, x_groups * y_groups), kPairScratch + 2 * kPairBlock);
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
  const Scratch scratch(workers(plan, tasks), kPairScratch + 2 * kPairBlock);
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

}  // namespace backends
}  // namespace genmem
