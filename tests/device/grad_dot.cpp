// The kernels of grad_dot on the emulated card, called as the walk calls them, on arrays of exactly
// their extent, against plain sums: ragged tokens, samples longer than a tile, samples without
// tokens, widths around a stage, a bias or none; products of fewer parts, of some pairs alone; and
// the strongest of rows, against sorting.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
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

// Pairs that one call takes in one part, the next in two, then in three, and nobody: untouched.
// Each is right, and within the bound that a kernel finds for so many parts.
bool runs_by_ratio() {
  std::mt19937 random(3);
  const Queue queue{};
  Side x({2, 1, 0, 130, 1}, 40, 3, random), y({1, 3, 1}, 40, 3, random);
  const CardGradDot& table = emulated::card_grad_dot();
  CardTokens left = x.tokens(table.floats, false), right = y.tokens(table.floats, false);
  const int64_t m = x.samples(), n = y.samples();
  const auto size = [](int64_t count) { return static_cast<size_t>(count); };
  // Of 1, 2 and 3 parts: products of ratios up to 2 are proven.
  const double none = HUGE_VAL,
               x_ratio[3][5] = {{4, 2, 0, 4, none}, {2, 1, 0, 1, none}, {1, 1, 0, 1, none}},
               y_ratio[3][3] = {{1, 4, 0}, {1, 2, 0}, {1, 2, 0}};
  std::vector<double> out(size(m * n), 0.0), x_bound(size(kCardParts * m), 0.0),
      y_bound(size(kCardParts * n), 0.0);
  if (failed(table.floats.prepare(queue, left, true)) ||
      failed(table.floats.prepare(queue, right, true)) ||
      failed(table.bounds(queue, {left, true, 1.6e-5, x_bound.data()})) ||
      failed(table.bounds(queue, {right, true, 1.6e-5, y_bound.data()}))) {
    return false;
  }
  for (int parts = 1; parts <= kCardParts; ++parts) {
    left.ratio = x_ratio[parts - 1];
    right.ratio = y_ratio[parts - 1];
    if (parts > 1) {
      left.before = x_ratio[parts - 2];
      right.before = y_ratio[parts - 2];
    }
    if (failed(
            table.floats.add(queue, {left, right, true, false, 0, 0, out.data(), n, parts, 2.0}))) {
      return false;
    }
  }
  int taken[kCardParts + 1] = {};
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int parts = 1;
      while (parts <= kCardParts && !(x_ratio[parts - 1][i] * y_ratio[parts - 1][j] <= 2.0)) {
        ++parts;
      }
      ++taken[parts - 1];
      const double got = out[size(i * n + j)], want = x.product(i, y, j, true);
      double most = 0.0;
      if (parts <= kCardParts) {
        most = std::sqrt(x_bound[size((parts - 1) * m + i)] * y_bound[size((parts - 1) * n + j)]);
      }
      const double far = x.norm(i, true) * y.norm(j, true) * (parts == 1 ? 5e-3 : 3e-5);
      if (parts > kCardParts ? got != 0.0
                             : !(std::fabs(got - want) <= std::fmin(most, far) + 1e-300)) {
        std::printf("error: pair %d, %d\n", static_cast<int>(i), static_cast<int>(j));
        return false;
      }
    }
  }
  return taken[0] && taken[1] && taken[2] && taken[3];
}

// Rows that rise, fall, are one number all over, or hold what is none, in tiles; of small lists.
bool selects(bool screen, bool largest, int64_t k) {
  const Queue queue{};
  const CardGradDot& table = emulated::card_grad_dot();
  const int64_t rows = 9, columns = 150, tile = 61, spare = screen ? 60 : 33;
  const auto size = [](int64_t count) { return static_cast<size_t>(count); };
  std::mt19937 random(11);
  std::vector<double> score(size(rows * columns)), x_scale(size(rows)), y_scale(size(columns));
  for (int64_t i = 0; i < rows; ++i) {
    x_scale[size(i)] = i == 6 ? 0.0 : 0.5 + static_cast<double>(i % 2);
    for (int64_t j = 0; j < columns; ++j) {
      const double kinds[] = {static_cast<double>(j / 2), static_cast<double>(-j / 2), 1.0,
                              static_cast<double>(random() % 9) - 4.0,
                              j % 20 == 3 ? std::nan("")
                              : j == 77   ? HUGE_VAL
                                          : -1.0 - j % 5};
      score[size(i * columns + j)] = kinds[i % 5];
    }
  }
  for (double& by : y_scale) by = static_cast<double>(random() % 3);
  const int64_t capacity = k + spare;
  std::vector<uint64_t> low(size(rows * capacity)), high(size(screen ? rows * capacity : 0)),
      limit(size(rows), 0);
  std::vector<int64_t> at(size(rows * capacity)), index(size(rows * k));
  std::vector<int> found(size(rows), 0);
  std::vector<double> got(size(rows * k));
  const std::vector<double> x_bound(size(rows), 0.25), y_bound(size(columns), 2.0);
  const CardKept kept{
      low.data(), screen ? high.data() : nullptr, at.data(), found.data(), limit.data(), capacity};
  std::vector<double> part;
  for (int64_t first = 0; first < columns; first += tile) {
    const int64_t count = std::min(tile, columns - first);
    part.clear();
    for (int64_t i = 0; i < rows; ++i) {
      const auto from = score.begin() + static_cast<std::ptrdiff_t>(i * columns + first);
      part.insert(part.end(), from, from + static_cast<std::ptrdiff_t>(count));
    }
    if (failed(table.keep(
            queue, {part.data(), rows, count, first, x_scale.data(), y_scale.data() + first,
                    screen ? x_bound.data() : nullptr, screen ? y_bound.data() + first : nullptr,
                    largest, first + tile >= columns, k, kept}))) {
      return false;
    }
  }
  std::vector<int64_t> bounds{0};
  for (const int count : found) bounds.push_back(bounds.back() + (count > capacity ? 0 : count));
  std::vector<int64_t> gathered(size(bounds.back()));
  if (failed(table.gather(queue, {kept, rows, bounds.data(), gathered.data()})) ||
      (!screen && failed(table.rank(queue, {kept, rows, k, largest, index.data(), got.data()})))) {
    return false;
  }
  for (int64_t i = 0; i < rows; ++i) {
    const auto scaled = [&](int64_t j) {
      return score[size(i * columns + j)] * (x_scale[size(i)] * y_scale[size(j)]);
    };
    std::vector<int64_t> order(size(columns));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      const bool strange = std::isnan(scaled(a)), other = std::isnan(scaled(b));
      if (strange || other) return strange && !other;
      return largest ? scaled(a) > scaled(b) : scaled(a) < scaled(b);
    });
    const auto mine = gathered.begin() + static_cast<std::ptrdiff_t>(bounds[size(i)]);
    const auto last = gathered.begin() + static_cast<std::ptrdiff_t>(bounds[size(i + 1)]);
    for (int64_t n = 0; n < k; ++n) {
      const int64_t want = order[size(n)];
      if (screen) {
        if (found[size(i)] <= capacity && std::find(mine, last, want) == last) return false;
        continue;
      }
      const double one = got[size(i * k + n)], other = scaled(want);
      if (index[size(i * k + n)] != want) return false;
      if (one != other && !(std::isnan(one) && std::isnan(other))) return false;
    }
  }
  // Scores far apart are told apart, and those that are one are too many.
  const auto lost = [&](int64_t row) { return found[size(row)] > capacity; };
  return !screen || (lost(6) && !lost(largest ? 0 : 1));
}

// A tile of a symmetric answer and some pairs of it, to their places.
template <class T>
bool places(bool symmetric) {
  const int64_t n = 300, x_first = 4, y_first = 2, rows = 7, columns = 290;
  std::vector<double> tile(static_cast<size_t>(rows * columns)), scale(static_cast<size_t>(n));
  for (size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<double>(i % 97) - 40.0;
  for (size_t i = 0; i < scale.size(); ++i) scale[i] = 1.0 + static_cast<double>(i % 3);
  const bool single = sizeof(T) == 4;
  std::vector<T> out(static_cast<size_t>(n * n), T{-1000});
  const CardGradDot& table = emulated::card_grad_dot();
  if (failed(table.place({}, {tile.data(), rows, columns, x_first, y_first, scale.data(),
                              scale.data(), symmetric, single, out.data(), n}))) {
    return false;
  }
  const auto at = [&](int64_t i, int64_t j) { return out[static_cast<size_t>(i * n + j)]; };
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = x_first + r, j = y_first + c;
      const T want =
          static_cast<T>(tile[static_cast<size_t>(r * columns + c)] *
                         (scale[static_cast<size_t>(i)] * scale[static_cast<size_t>(j)]));
      if (symmetric && j < i) continue;
      if (at(i, j) != want || (symmetric && at(j, i) != want)) return false;
    }
  }
  const std::vector<int64_t> x_at{0, 299, 3}, y_at{0, 299, 298};
  const double listed[3] = {1.5, 2.5, 3.5};
  if (failed(table.scatter({}, {listed, x_at.data(), y_at.data(), 3, nullptr, nullptr, symmetric,
                                single, out.data(), n}))) {
    return false;
  }
  return at(0, 0) == T{1.5} && at(299, 299) == T{2.5} && at(3, 298) == T{3.5} &&
         (at(298, 3) == T{3.5}) == symmetric;
}

}  // namespace

}  // namespace genmem

// With "few" every kernel runs, on few blocks: where each thread is one of the system.
int main(int words, char** word) {
  const bool few = words > 1 && std::strcmp(word[1], "few") == 0;
  for (const bool symmetric : {false, true}) {
    if (genmem::places<float>(symmetric) && genmem::places<double>(symmetric)) continue;
    std::printf("wrong: places\n");
    return 1;
  }
  using genmem::run;
  for (const bool largest : {false, true}) {
    for (const int64_t k : {1, 40}) {
      for (const bool screen : {false, true}) {
        if ((few && largest) || genmem::selects(screen, largest, k)) continue;
        std::printf("wrong: %d strongest, largest %d, screen %d\n", static_cast<int>(k), largest,
                    screen);
        return 1;
      }
    }
  }
  if (!genmem::runs_by_ratio()) {
    std::printf("wrong: products of some pairs\n");
    return 1;
  }
  double worst = 0.0;
  for (const bool wide : {false, true}) {
    worst = std::fmax(worst, run({3, 0, 9, 1}, {4, 0, 11}, 33, 5, true, wide));
    if (!few) worst = std::fmax(worst, run({0, 2, 131}, {2}, 3, 2, false, wide));
  }
  if (worst <= 1.0) {
    std::printf("right\n");
    return 0;
  }
  std::printf("wrong: %.3g of the bound\n", worst);
  return 1;
}
