// knn: the neighbours of a full sort, ties to the lower index.
#include <algorithm>
#include <cmath>
#include <utility>

#include "runs.hpp"

namespace genmem::native {

namespace {

using Pair = std::pair<double, std::int64_t>;

// (queries, k), each row ascending in distance, then index.
std::vector<Pair> sorted(const Problem& p, bool exclude, std::int64_t k) {
  std::vector<Pair> nearest, all;
  for (std::int64_t i = 0; i < p.m(); ++i) {
    all.clear();
    const std::int64_t skip = exclude ? p.exclude[static_cast<std::size_t>(i)] : -1;
    const double* sq = p.sq.data() + i * p.n();
    for (std::int64_t j = 0; j < p.n(); ++j) {
      if (j != skip) all.emplace_back(sq[j], j);
    }
    std::partial_sort(all.begin(), all.begin() + k, all.end());
    nearest.insert(nearest.end(), all.begin(), all.begin() + k);
  }
  return nearest;
}

bool equal_rows(const Problem& p, std::int64_t a, std::int64_t b) {
  return std::equal(p.points.row(a), p.points.row(a) + p.d(), p.points.row(b));
}

// One query's answer. Distances nearer to each other than the rounding of either side may change
// places, but for rows that are equal.
void compare(Tally& tally, const Problem& p, std::int64_t query, std::int64_t skip, std::int64_t k,
             const double* sq, const std::int64_t* index, const Pair* want) {
  bool same = true;
  for (std::int64_t j = 0; j < k; ++j) {
    tally.within(sq[j], want[j].first, p.sq_error() * want[j].first, p.name);
    if (index[j] != want[j].second) same = false;
  }
  if (same) return;
  tally.check(!p.exact, "other neighbours where sums are exact", p.name);
  for (std::int64_t j = 0; j < k; ++j) {
    if (index[j] < 0 || index[j] >= p.n() || index[j] == skip) {
      return tally.check(false, "an index that is no neighbour", p.name);
    }
    const double true_sq = p.sq[static_cast<std::size_t>(query * p.n() + index[j])];
    tally.within(sq[j], true_sq, p.sq_error() * true_sq, p.name);
    tally.check(j == 0 || Pair(sq[j - 1], index[j - 1]) < Pair(sq[j], index[j]),
                "neighbours out of order", p.name);
  }
  for (std::int64_t j = 0; j < k; ++j) {
    const std::int64_t wanted = want[j].second;
    if (std::find(index, index + k, wanted) != index + k) continue;
    for (std::int64_t i = 0; i < k; ++i) {
      tally.check(index[i] < wanted || !equal_rows(p, index[i], wanted),
                  "the higher index of equal rows", p.name);
    }
  }
}

void check(const Problem& p, Suite& suite, bool exclude, std::int64_t k, Again again) {
  const std::vector<Pair> want = sorted(p, exclude, k);
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "knn");
    const Rows got = run(tally, p, exclude, again,
                         [&](const backends::Plan& plan, const Part& part, Rows& rows) {
                           rows.numbers.resize(static_cast<std::size_t>(part.queries.rows * k));
                           rows.indices.resize(rows.numbers.size());
                           return backends::knn(plan, part.queries, p.points.matrix(), part.exclude,
                                                k, rows.numbers.data(), rows.indices.data());
                         });
    for (std::int64_t i = 0; i < p.m(); ++i) {
      const std::int64_t skip = exclude ? p.exclude[static_cast<std::size_t>(i)] : -1;
      compare(tally, p, i, skip, k, got.numbers.data() + i * k, got.indices.data() + i * k,
              want.data() + i * k);
    }
  }
}

}  // namespace

void check_knn(const Problem& p, Suite& suite) {
  check(p, suite, false, std::min<std::int64_t>(10, p.n()), Again::threads_and_batches);
  if (p.n() == 1) return;
  check(p, suite, true, 1, Again::no);
  check(p, suite, true, std::min<std::int64_t>(300, p.n() - 1), Again::no);
  if (p.n() <= 300) check(p, suite, false, p.n(), Again::no);
}

}  // namespace genmem::native
