// The kernels of log_kde on the emulated card, on arrays of exactly their extent, against sums in
// long double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/log_kde/card.hpp"
#include "kernels/pairs/card.hpp"
#include "kernels/screen/card.hpp"

namespace genmem {

namespace {

bool well(const char* error) {
  if (error) std::printf("error: %s\n", error);
  return !error;
}

bool near(double got, long double want) {
  return std::fabs(got - want) <= 1e-11L * (1 + std::fabs(want));
}

// Points in two blocks, as chunks come, of `count` and `rest`.
bool right(int64_t queries, int64_t count, int64_t rest, int64_t cols) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<double> normal;
  const int64_t points = count + rest;
  const auto drawn = [&](int64_t size) {
    std::vector<double> x(static_cast<size_t>(size));
    for (double& one : x) one = normal(random);
    return x;
  };
  const std::vector<double> x = drawn(queries * cols), y = drawn(points * cols);
  const std::vector<double> bandwidths{0.25, 4.0};
  std::vector<double> weight = drawn(points), scale(weight);
  for (double& one : scale) one = std::exp(0.1 * one);
  std::vector<int64_t> exclude(static_cast<size_t>(queries));
  for (int64_t i = 0; i < queries; ++i) exclude[static_cast<size_t>(i)] = i % 2 ? points - 1 : -1;
  std::vector<Slots> states(static_cast<size_t>(2 * queries));
  int strange = 0;
  CardKde p{nullptr,
            queries,
            0,
            0,
            exclude.data(),
            KernelKind::gaussian,
            bandwidths.data(),
            2,
            weight.data(),
            scale.data(),
            states.data(),
            queries,
            &strange};
  if (!well(emulated::card_log_kde().clear({}, p))) return false;
  const Matrix all{x.data(), queries, cols, cols, 1, Dtype::float64};
  for (int64_t first = 0; first < points; first += count) {
    p.first = first;
    p.count = first == 0 ? count : rest;
    std::vector<double> sq(static_cast<size_t>(queries * p.count));
    p.sq = sq.data();
    const Matrix some{y.data() + first * cols, p.count, cols, cols, 1, Dtype::float64};
    if (!well(emulated::card_pairs().distances({}, {all, some, sq.data()})) ||
        !well(emulated::card_log_kde().add({}, p))) {
      return false;
    }
  }
  std::vector<double> density(states.size());
  const std::vector<double> norms{0.5, -1.0}, masses(static_cast<size_t>(queries), 2.0);
  if (!well(
          emulated::card_log_kde().put({}, {states.data(), queries, queries, 2, 0.0, masses.data(),
                                            norms.data(), density.data(), queries}))) {
    return false;
  }
  bool good = strange == 0;
  for (size_t h = 0; h < 2; ++h) {
    for (int64_t i = 0; i < queries; ++i) {
      const Slots& got = states[h * static_cast<size_t>(queries) + static_cast<size_t>(i)];
      std::vector<long double> a(static_cast<size_t>(points));
      long double top = -HUGE_VALL, rest_of_it = 0;
      int64_t at = -1;
      for (int64_t j = 0; j < points; ++j) {
        long double sum = 0;
        for (int64_t c = 0; c < cols; ++c) {
          const long double difference =
              static_cast<long double>(x[static_cast<size_t>(i * cols + c)]) -
              y[static_cast<size_t>(j * cols + c)];
          sum += difference * difference;
        }
        const auto point = static_cast<size_t>(j);
        a[point] = weight[point] - sum / (2.0L * bandwidths[h] * scale[point]);
        if (j == exclude[static_cast<size_t>(i)]) a[point] = -HUGE_VALL;
        if (a[point] > top) top = a[point], at = j;
      }
      for (int64_t j = 0; j < points; ++j) {
        if (j != at) rest_of_it += std::exp(a[static_cast<size_t>(j)] - top);
      }
      const auto place = h * static_cast<size_t>(queries) + static_cast<size_t>(i);
      good = good && got.top_index == at && near(got.top, top) &&
             near(got.max + std::log(got.sum), top + std::log(rest_of_it)) &&
             near(density[place], top + std::log1p(rest_of_it) - 2.0L - norms[h]);
    }
  }
  if (!good)
    std::printf("wrong: %d queries, %d points\n", static_cast<int>(queries),
                static_cast<int>(points));
  return good;
}

// Behind a screen with room for `capacity` hits, and once it is off: the distances of all that
// matters, and the gradient from them.
bool screened(int64_t queries, int64_t points, int64_t cols, int64_t capacity, bool decided) {
  std::mt19937 random(static_cast<unsigned>(points));
  std::normal_distribution<float> normal;
  const auto drawn = [&](int64_t rows) {
    std::vector<float> x(static_cast<size_t>(rows * cols));
    for (float& one : x) one = normal(random);
    return x;
  };
  const std::vector<float> x = drawn(queries), y = drawn(points);
  const Matrix q{x.data(), queries, cols, cols, 1, Dtype::float32},
      p{y.data(), points, cols, cols, 1, Dtype::float32};
  const float gamma = 1e-3f, slack = 1e-5f;
  const std::vector<float> centre(static_cast<size_t>(cols), 0.0f);
  const CardUnit unit{1.0, 1.0f};
  const auto m = static_cast<size_t>(queries), n = static_cast<size_t>(points);
  std::vector<uint16_t> x_packed(m * static_cast<size_t>(packed_depth(cols)));
  std::vector<uint16_t> y_packed(n * static_cast<size_t>(packed_depth(cols)));
  std::vector<float> x_numbers(3 * m), y_numbers(3 * n);
  const CardSide left{queries, x_packed.data(), x_numbers.data(), x_numbers.data() + m,
                      x_numbers.data() + 2 * m};
  const CardSide right{points, y_packed.data(), y_numbers.data(), y_numbers.data() + n,
                       y_numbers.data() + 2 * n};
  int strange = 0, lost = 0, off = 0;
  unsigned long long computed = 0;
  const CardScreens& screens = emulated::card_screens();
  const CardLogKde& kde = emulated::card_log_kde();
  if (!well(screens.pack({}, {q, centre.data(), &unit, gamma, slack, true, left, &strange})) ||
      !well(screens.pack({}, {p, centre.data(), &unit, gamma, slack, false, right, &strange}))) {
    return false;
  }
  const double h = 0.04;
  std::vector<double> sq(m * n), dense(m * n);
  std::vector<float> limit(m, 3.4e38f), threshold(limit);
  std::vector<CardHit> hits(m * static_cast<size_t>(capacity));
  std::vector<int> found(m, 0);
  std::vector<Slots> states(m), other(m);
  CardKde of{sq.data(), queries, 0,       points,  nullptr,       KernelKind::gaussian,
             &h,        1,       nullptr, nullptr, states.data(), queries,
             nullptr};
  const CardKdeHits narrow{q,
                           p,
                           sq.data(),
                           &unit,
                           0.0,
                           1.0,
                           left.norm,
                           limit.data(),
                           threshold.data(),
                           hits.data(),
                           found.data(),
                           capacity,
                           &lost,
                           &computed,
                           &off};
  const CardHits into{threshold.data(), nullptr, hits.data(), found.data(), capacity};
  const CardScreen tiles{left, right, cols, slack, 0, card_tiles(points), 1, 0, into, &off};
  if (!well(screens.find({}, tiles)) || !well(kde.narrow({}, of, narrow)) ||
      !well(kde.spread({}, of, narrow)) || !well(kde.decide({}, {&lost, queries, &off}))) {
    return false;
  }
  if ((off != 0) != decided) {
    std::printf("wrong: %d lost of %d queries\n", lost, static_cast<int>(queries));
    return false;
  }
  // Off, none of these does anything, and all distances are computed.
  std::vector<double> before = sq;
  if (off) {
    std::fill(before.begin(), before.end(), -1.0);
    sq = before;
    if (!well(screens.find({}, tiles)) || !well(kde.narrow({}, of, narrow)) ||
        !well(kde.spread({}, of, narrow)) || sq != before) {
      return false;
    }
  }
  if (!well(emulated::card_pairs().distances({}, {q, p, sq.data(), &off})) ||
      !well(emulated::card_pairs().distances({}, {q, p, dense.data()}))) {
    return false;
  }
  bool good = off ? sq == dense : sq == before;
  if (!well(kde.clear({}, of)) || !well(kde.add({}, of))) return false;
  of.sq = dense.data();
  of.states = other.data();
  if (!well(kde.clear({}, of)) || !well(kde.add({}, of))) return false;
  std::vector<double> sums(m), cuts(m), gradient(m * static_cast<size_t>(cols), 0.0);
  for (size_t i = 0; i < m; ++i) {
    good = good && states[i].top == other[i].top && states[i].sum == other[i].sum;
    sums[i] = other[i].top + std::log1p(std::exp(other[i].max - other[i].top) * other[i].sum);
    cuts[i] = sums[i] - 40.0;
  }
  if (!well(kde.add_gradient({}, {of, q, p, sums.data(), cuts.data(), gradient.data()}))) {
    return false;
  }
  for (size_t i = 0; i < m; ++i) {
    for (size_t c = 0; c < static_cast<size_t>(cols); ++c) {
      long double want = 0, size = 0;
      for (size_t j = 0; j < n; ++j) {
        const long double share = std::exp(-dense[i * n + j] / (2.0L * h) - sums[i]) / h;
        const auto width = static_cast<size_t>(cols);
        want += share * (static_cast<long double>(y[j * width + c]) - x[i * width + c]);
        size += share;
      }
      const double got = gradient[i * static_cast<size_t>(cols) + c];
      good = good && std::fabs(got - want) <= 1e-11L * (1 + size);
    }
  }
  if (!good) std::printf("wrong behind a screen: %d points\n", static_cast<int>(points));
  return good && strange == 0;
}

}  // namespace

}  // namespace genmem

// With "few" every kernel runs, on few blocks: where each thread is one of the system.
int main(int words, char** word) {
  const bool few = words > 1 && std::strcmp(word[1], "few") == 0;
  if (!genmem::right(3, 33, 31, 70) || !genmem::screened(3, 40, 70, 6, true)) return 1;
  if (!genmem::screened(5, few ? 60 : 300, 20, 300, false)) return 1;
  if (!few && !genmem::right(5, 70, 9, 3)) return 1;
  std::printf("right\n");
  return 0;
}
