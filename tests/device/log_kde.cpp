// The kernels of log_kde on the emulated card, on arrays of exactly their extent, against sums in
// long double.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/log_kde/card.hpp"
#include "kernels/pairs/card.hpp"

namespace genmem {

namespace emulated {
const char* card_distances(const Queue&, const CardDistances&);
const char* card_kde(const Queue&, const CardKde&);
const char* card_kde_clear(const Queue&, const CardKde&);
}  // namespace emulated

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
  if (!well(emulated::card_kde_clear({}, p))) return false;
  const Matrix all{x.data(), queries, cols, cols, 1, Dtype::float64};
  for (int64_t first = 0; first < points; first += count) {
    p.first = first;
    p.count = first == 0 ? count : rest;
    std::vector<double> sq(static_cast<size_t>(queries * p.count));
    p.sq = sq.data();
    const Matrix some{y.data() + first * cols, p.count, cols, cols, 1, Dtype::float64};
    if (!well(emulated::card_distances({}, {all, some, sq.data()})) ||
        !well(emulated::card_kde({}, p))) {
      return false;
    }
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
      good = good && got.top_index == at && near(got.top, top) &&
             near(got.max + std::log(got.sum), top + std::log(rest_of_it));
    }
  }
  if (!good)
    std::printf("wrong: %d queries, %d points\n", static_cast<int>(queries),
                static_cast<int>(points));
  return good;
}

}  // namespace

}  // namespace genmem

int main() {
  if (!genmem::right(5, 70, 9, 3) || !genmem::right(3, 33, 31, 70)) return 1;
  std::printf("right\n");
  return 0;
}
