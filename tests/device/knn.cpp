// The kernels of knn on the emulated card, called as the walk calls them, on arrays of exactly
// their extent: a sanitizer sees what reads or writes beyond them, or without order.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "kernels/knn/card.hpp"
#include "kernels/pairs/card.hpp"
#include "kernels/screen/card.hpp"

namespace genmem {

namespace {

using Pair = std::pair<double, int64_t>;

struct Case {
  int64_t queries, points, cols, k;
  bool screened;
  int64_t capacity;  // of hits; fewer than points: every query is rescued
};

bool well(const char* error) {
  if (error) std::printf("error: %s\n", error);
  return !error;
}

// Rows of small integers, that every sum is exact, and of each second one a copy.
std::vector<float> drawn(int64_t rows, int64_t cols, std::mt19937& random) {
  std::uniform_int_distribution<int> whole(-9, 9);
  std::vector<float> x(static_cast<size_t>(rows * cols));
  for (float& one : x) one = static_cast<float>(whole(random));
  for (int64_t i = 1; i < rows; i += 2) {
    std::copy_n(x.begin() + (i - 1) * cols, cols, x.begin() + i * cols);
  }
  return x;
}

// A side with what the screen needs of it.
struct Side {
  Side(const std::vector<float>& x, int64_t rows_of_it, int64_t cols)
      : from{x.data(), rows_of_it, cols, cols, 1, Dtype::float32},
        packed(static_cast<size_t>(rows_of_it * packed_depth(cols))),
        norm(static_cast<size_t>(rows_of_it)),
        length(norm.size()),
        error(norm.size()) {}
  CardSide side() { return {from.rows, packed.data(), norm.data(), length.data(), error.data()}; }
  bool pack(bool queries, const std::vector<float>& centre, const CardUnit& unit, float gamma,
            float slack) {
    int strange = 0;
    return well(emulated::card_screens().pack(
               {}, {from, centre.data(), &unit, gamma, slack, queries, side(), &strange})) &&
           strange == 0;
  }

  Matrix from;
  std::vector<uint16_t> packed;
  std::vector<float> norm, length, error;
};

bool right(const Case& c) {
  std::mt19937 random(static_cast<unsigned>(c.points));
  const std::vector<float> q = drawn(c.queries, c.cols, random),
                           x = drawn(c.points, c.cols, random);
  const auto m = static_cast<size_t>(c.queries), k = static_cast<size_t>(c.k);
  Side queries(q, c.queries, c.cols), points(x, c.points, c.cols);
  const float gamma = 1e-3f, slack = 1e-5f;
  std::vector<float> centre(static_cast<size_t>(c.cols));
  std::vector<double> squares(centre.size());
  CardUnit unit{};
  if (!well(emulated::card_screens().centre({}, {points.from, std::min<int64_t>(c.points, 50), true,
                                                 centre.data(), squares.data(), &unit})) ||
      unit.unit != static_cast<double>(unit.scale) * unit.scale || unit.unit <= 0) {
    return false;
  }
  if (c.screened && !(queries.pack(true, centre, unit, gamma, slack) &&
                      points.pack(false, centre, unit, gamma, slack))) {
    return false;
  }
  std::vector<int64_t> exclude(m);
  for (size_t i = 0; i < m; ++i) exclude[i] = static_cast<int64_t>(i % 3 ? i : 0) - 1;
  const int64_t capacity = c.capacity;
  std::vector<CardHit> hits(m * static_cast<size_t>(capacity));
  std::vector<double> exact(hits.size()), sq(m * k), other_sq(m * k);
  std::vector<double> all(m * static_cast<size_t>(c.points));
  std::vector<int64_t> index(m * k), other(m * k);
  std::vector<int> found(m, 0);
  std::vector<float> limit(m, 3.4e38f), threshold(limit);
  const float* norm = c.screened ? queries.norm.data() : nullptr;
  const CardHits into{threshold.data(), exclude.data(), hits.data(), found.data(), capacity};
  const int64_t tile = c.screened ? kCardTile : near_tile(c.cols);
  const int64_t tiles = (c.points + tile - 1) / tile;
  int strange = 0;
  unsigned long long computed = 0;
  for (int64_t at = 0; at < tiles; ++at) {
    const char* error =
        c.screened ? emulated::card_screens().find(
                         {}, {queries.side(), points.side(), c.cols, slack, at, 1, 1, 0, into})
                   : emulated::card_knn().near(
                         {}, {queries.from, points.from, &unit, at, 1, 1, 0, into, &strange});
    if (!well(error) ||
        !well(emulated::card_knn().settle({}, {c.queries, c.k, norm, limit.data(), threshold.data(),
                                               hits.data(), found.data(), capacity}))) {
      return false;
    }
  }
  if (!well(emulated::card_knn().rank(
          {}, {queries.from, points.from, exclude.data(), 0, c.k, &unit, hits.data(), found.data(),
               capacity, &computed, 0, other_sq.data(), other.data(), exact.data(), sq.data(),
               index.data(), norm, limit.data(), threshold.data()})) ||
      !well(emulated::card_pairs().distances({}, {queries.from, points.from, all.data()}))) {
    return false;
  }
  std::vector<float> distances(m * k);
  if (!well(emulated::card_knn().put(
          {}, {c.queries, c.k, sq.data(), index.data(), distances.data(), true, other.data()}))) {
    return false;
  }
  // The last entry of all, and the one that is none of a wider row.
  int odd = 0;
  std::vector<float> row(static_cast<size_t>(2 * c.cols), 1.0f);
  const Matrix wide{row.data(), 1, c.cols, 2 * c.cols, 1, Dtype::float32};
  row.back() = HUGE_VALF;
  if (!well(emulated::card_pairs().finite({}, {wide, &odd})) || odd != 0) return false;
  row[static_cast<size_t>(c.cols - 1)] = NAN;
  if (!well(emulated::card_pairs().finite({}, {wide, &odd})) || odd != 1) return false;
  bool good = strange == 0 && other == index &&
              std::all_of(found.begin(), found.end(), [](int count) { return count == 0; });
  for (size_t i = 0; i < m * k; ++i) {
    good = good && distances[i] == static_cast<float>(std::sqrt(sq[i]));
  }
  good = good && computed >= static_cast<unsigned long long>(c.queries * c.k) &&
         computed <= static_cast<unsigned long long>(c.queries * c.points);
  for (size_t i = 0; i < m; ++i) {
    std::vector<Pair> want;
    for (int64_t j = 0; j < c.points; ++j) {
      double sum = 0.0;
      for (int64_t l = 0; l < c.cols; ++l) {
        const double difference = static_cast<double>(q[i * static_cast<size_t>(c.cols) + l]) -
                                  static_cast<double>(x[j * c.cols + l]);
        sum += difference * difference;
      }
      good = good && all[i * static_cast<size_t>(c.points) + j] == sum;
      if (j != exclude[i]) want.emplace_back(sum, j);
    }
    std::sort(want.begin(), want.end());
    for (size_t j = 0; j < k; ++j) {
      good = good && want[j] == Pair(sq[i * k + j], index[i * k + j]);
    }
  }
  if (!good) {
    std::printf("wrong: %d queries, %d points, %d features\n", static_cast<int>(c.queries),
                static_cast<int>(c.points), static_cast<int>(c.cols));
  }
  return good;
}

// How many lie within radii on which some do.
bool counted(const Case& c) {
  std::mt19937 random(static_cast<unsigned>(c.points));
  const std::vector<float> q = drawn(c.queries, c.cols, random),
                           x = drawn(c.points, c.cols, random);
  const auto m = static_cast<size_t>(c.queries);
  Side queries(q, c.queries, c.cols), points(x, c.points, c.cols);
  const std::vector<float> centre(static_cast<size_t>(c.cols), 0.0f);
  const CardUnit unit{0.0625, 0.25f};
  const float gamma = 1e-3f, slack = 1e-5f;
  if (c.screened && !(queries.pack(true, centre, unit, gamma, slack) &&
                      points.pack(false, centre, unit, gamma, slack))) {
    return false;
  }
  const auto sq_of = [&](size_t i, int64_t j) {
    double sum = 0.0;
    for (int64_t l = 0; l < c.cols; ++l) {
      const double difference = static_cast<double>(q[i * static_cast<size_t>(c.cols) + l]) -
                                static_cast<double>(x[j * c.cols + l]);
      sum += difference * difference;
    }
    return sum;
  };
  std::vector<int64_t> exclude(m);
  std::vector<double> radius(m);
  for (size_t i = 0; i < m; ++i) {
    exclude[i] = static_cast<int64_t>(i % 3 ? i : 0) - 1;
    radius[i] = i == 0 ? HUGE_VAL : sq_of(i, static_cast<int64_t>(i) % c.points);
  }
  std::vector<float> limit(m, 3.4e38f), threshold(limit);
  std::vector<CardHit> hits(m * static_cast<size_t>(c.points));
  std::vector<int> found(m, 0);
  std::vector<unsigned long long> certain(m, 0), counts(m, 0);
  unsigned long long computed = 0;
  int strange = 0;
  const CardRadius p{queries.from,
                     points.from,
                     0,
                     radius.data(),
                     &unit,
                     exclude.data(),
                     c.screened ? queries.norm.data() : nullptr,
                     limit.data(),
                     threshold.data(),
                     hits.data(),
                     found.data(),
                     c.points,
                     certain.data(),
                     &computed,
                     counts.data(),
                     &strange};
  const CardHits into{threshold.data(), exclude.data(), hits.data(), found.data(), c.points};
  const CardScreen tiles{
      queries.side(), points.side(), c.cols, slack, 0, card_tiles(c.points), 1, 0, into};
  if (c.screened ? !(well(emulated::card_knn().limit_radius({}, p)) &&
                     well(emulated::card_screens().count(
                         {}, {tiles, radius.data(), &unit, certain.data()})) &&
                     well(emulated::card_knn().count_hits({}, p)))
                 : !well(emulated::card_knn().count_near({}, p))) {
    return false;
  }
  bool good = strange == 0;
  for (size_t i = 0; i < m; ++i) {
    unsigned long long want = 0;
    for (int64_t j = 0; j < c.points; ++j) want += j != exclude[i] && sq_of(i, j) <= radius[i];
    good = good && counts[i] == want;
  }
  if (!good) std::printf("wrong counts: %d features\n", static_cast<int>(c.cols));
  return good;
}

}  // namespace

}  // namespace genmem

// With "few" every kernel runs, on few blocks: where each thread is one of the system.
int main(int words, char** word) {
  const genmem::Case cases[] = {{5, 130, 40, 4, true, 130}, {3, 140, 70, 3, true, 20},
                                {3, 40, 70, 4, false, 40},  {1, 5, 1, 2, false, 5},
                                {130, 6, 31, 3, true, 6},   {70, 70, 3, 7, false, 70},
                                {3, 300, 3, 2, false, 140}};
  const bool few = words > 1 && std::strcmp(word[1], "few") == 0;
  for (const genmem::Case& one : cases) {
    if (few && &one == cases + 4) break;
    if (!genmem::right(one) || (!(few && &one == cases + 1) && !genmem::counted(one))) return 1;
  }
  std::printf("right\n");
  return 0;
}
