#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "backends/card_distances.hpp"
#include "backends/card_side.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"
#include "math/nearest.hpp"

namespace genmem::backends {

namespace {

// Queries of a batch, at most: with so many, reading the points anew for each batch takes no longer
// than comparing them.
constexpr std::int64_t kMostQueries = 65536;

// How a call is cut: batches of queries times blocks of points, each once on the card.
struct CardCut {
  CardCut(const CardFrame& frame, const Matrix& queries, const Matrix& points, std::int64_t k,
          std::int64_t room) {
    first = std::min(points.rows, ceil_div(k + kCardFirst, kCardTile) * kCardTile);
    capacity = first + k + kCardFirst;
    const std::int64_t point_bytes = CardRows::bytes(frame, points);
    const std::int64_t query_bytes = CardRows::bytes(frame, queries) + 24 * capacity + 32 * k + 32;
    const auto fitting = [](std::int64_t bytes, std::int64_t each, std::int64_t least,
                            std::int64_t all) {
      const std::int64_t fit = bytes / std::max<std::int64_t>(1, each) / kCardTile * kCardTile;
      return std::min(all, std::max(least, fit));
    };
    points_of_a_block =
        fitting(room / 2, point_bytes, std::max(kScreenedPoints, first), points.rows);
    queries_of_a_batch =
        fitting(room / 4, query_bytes, kCardTile, std::min(kMostQueries, queries.rows));
  }

  std::int64_t first, capacity, points_of_a_block, queries_of_a_batch;
};

// Where the neighbours of all queries go: on the host, or on the card.
struct Answer {
  std::int64_t k;
  double* sq;
  std::int64_t* index;
  const NearestOnCard* there;

  // Those of queries begin .. begin + count - 1, which lie on the card.
  void put(const OnCard& on, std::int64_t begin, std::int64_t count, const double* from_sq,
           const std::int64_t* from_index) const {
    if (there) {
      char* const distances = static_cast<char*>(there->distances);
      const std::int64_t at = begin * k, item = there->single ? 4 : 8;
      on.check(
          on.kernels().knn->put(on.queue(), {count, k, from_sq, from_index, distances + at * item,
                                             there->single, there->indices + at}));
      return;
    }
    const std::int64_t bytes = count * k * 8;
    on.check(on.card().download(on.queue(), sq + begin * k, from_sq, bytes));
    on.check(on.card().download(on.queue(), index + begin * k, from_index, bytes));
    on.wait();
  }

  // All of them, which lie on the host.
  void put(const OnCard& on, std::int64_t queries, const std::vector<double>& from_sq,
           const std::vector<std::int64_t>& from_index) const {
    if (!there) {
      std::copy(from_sq.begin(), from_sq.end(), sq);
      std::copy(from_index.begin(), from_index.end(), index);
      return;
    }
    CardArray<double> up(on, queries * k);
    CardArray<std::int64_t> up_index(on, queries * k);
    up.upload(from_sq.data(), queries * k);
    up_index.upload(from_index.data(), queries * k);
    put(on, 0, queries, up.data(), up_index.data());
    on.wait();
  }
};

// What the card holds of a batch of queries.
class Batch {
 public:
  Batch(const OnCard& on, const CardFrame& frame, const CardCut& cut, std::int64_t k,
        const Matrix& queries)
      : on_(on),
        frame_(frame),
        cut_(cut),
        k_(k),
        rows_(on, frame, queries, cut.queries_of_a_batch),
        exclude_(on, cut.queries_of_a_batch),
        limit_(on, cut.queries_of_a_batch),
        threshold_(on, cut.queries_of_a_batch),
        hits_(on, cut.queries_of_a_batch * cut.capacity),
        exact_(on, cut.queries_of_a_batch * cut.capacity),
        found_(on, cut.queries_of_a_batch),
        sq_{{on, cut.queries_of_a_batch * k}, {on, cut.queries_of_a_batch * k}},
        index_{{on, cut.queries_of_a_batch * k}, {on, cut.queries_of_a_batch * k}} {}

  void begin(Uploads& uploads, const Matrix& queries, std::int64_t begin, std::int64_t count,
             const std::int64_t* exclude, int* strange) {
    count_ = count;
    seen_ = 0;
    rows_.put(uploads, queries, begin, count, true, strange);
    excluded_ = exclude != nullptr;
    if (exclude) exclude_.upload(exclude + begin, count);
    // 3.4e38: no bound of a pair is above it (hits.hpp).
    limit_.fill(0x7f);
    threshold_.fill(0x7f);
    found_.fill(0);
  }

  // Points of a block, of which the first has the index `point`: strips of as many as were seen.
  // False where it was interrupted.
  bool take(const Plan& plan, const CardRows& points, std::int64_t point, int* strange,
            unsigned long long* computed) {
    const std::int64_t rows = points.rows().rows;
    const std::int64_t tile = frame_.screened() ? kCardTile : near_tile(points.rows().cols);
    const std::int64_t tiles = ceil_div(rows, tile), step = spread_step(tiles);
    const std::int64_t* const exclude = excluded_ ? exclude_.data() : nullptr;
    const CardHits into{threshold_.data(), exclude, hits_.data(), found_.data(), cut_.capacity};
    for (std::int64_t at = 0; at < tiles;) {
      const std::int64_t some =
          std::min(tiles - at, std::max<std::int64_t>(1, std::max(cut_.first, seen_) / tile));
      if (frame_.screened()) {
        on_.check(on_.kernels().screen->find(
            on_.queue(), {rows_.side(), points.side(), points.rows().cols, frame_.slack(), at, some,
                          step, point, into}));
      } else {
        on_.check(on_.kernels().knn->near(on_.queue(), {rows_.rows(), points.rows(), frame_.unit(),
                                                        at, some, step, point, into, strange}));
      }
      on_.check(on_.kernels().knn->settle(
          on_.queue(), {count_, k_, rows_.norm(), limit_.data(), threshold_.data(), hits_.data(),
                        found_.data(), cut_.capacity}));
      at += some;
      seen_ += some * tile;
      if (plan.interrupted()) return false;
    }
    on_.check(on_.kernels().knn->rank(
        on_.queue(), {rows_.rows(), points.rows(), exclude, point, k_, frame_.unit(), hits_.data(),
                      found_.data(), cut_.capacity, computed, point == 0 ? 0 : k_,
                      sq_[turn_].data(), index_[turn_].data(), exact_.data(), sq_[turn_ ^ 1].data(),
                      index_[turn_ ^ 1].data(), rows_.norm(), limit_.data(), threshold_.data()}));
    turn_ ^= 1;
    return true;
  }

  void finish(std::int64_t begin, const Answer& to) {
    to.put(on_, begin, count_, sq_[turn_].data(), index_[turn_].data());
    turn_ = 0;
  }

 private:
  const OnCard& on_;
  const CardFrame& frame_;
  const CardCut& cut_;
  std::int64_t k_, count_ = 0, seen_ = 0;
  bool excluded_ = false;
  int turn_ = 0;
  CardRows rows_;
  CardArray<std::int64_t> exclude_;
  CardArray<float> limit_, threshold_;
  CardArray<CardHit> hits_;
  CardArray<double> exact_;
  CardArray<int> found_;
  CardArray<double> sq_[2];
  CardArray<std::int64_t> index_[2];
};

// All distances of all queries, by heaps on the host.
bool by_all_distances(const OnCard& on, Uploads& uploads, const Plan& plan, const Matrix& queries,
                      const Matrix& points, const std::int64_t* exclude, std::int64_t k, double* sq,
                      std::int64_t* index) {
  const auto take = [&](std::int64_t query, std::int64_t point, std::int64_t some,
                        const double* from) {
    double* const heap = sq + query * k;
    std::int64_t* const at = index + query * k;
    if (point == 0) GENMEM_ISA::clear(heap, at, k);
    bool strange = false;
    for (std::int64_t j = 0; j < some; ++j) {
      strange |= !(from[j] < std::numeric_limits<double>::infinity());
      if (!exclude || exclude[query] != point + j) {
        GENMEM_ISA::keep_nearest(heap, at, k, from[j], point + j);
      }
    }
    if (strange) plan.stats->strange = true;
    if (point + some == points.rows) GENMEM_ISA::sort_nearest(heap, at, k);
  };
  plan.stats->distances += queries.rows * points.rows;
  return each_card_distance(on, uploads, plan, queries, points, take);
}

bool nearest(const Plan& plan, const Matrix& queries, const Matrix& points,
             const std::int64_t* exclude, const Answer& to) {
  const std::int64_t k = to.k;
  plan.stats->pairs += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  if (k > kCardNeighbours) {
    std::vector<double> sq(static_cast<std::size_t>(queries.rows * k));
    std::vector<std::int64_t> index(sq.size());
    if (!by_all_distances(on, uploads, plan, queries, points, exclude, k, sq.data(),
                          index.data())) {
      return false;
    }
    to.put(on, queries.rows, sq, index);
    return true;
  }
  const CardFrame frame(on, queries, points);
  plan.stats->screened = frame.screened();
  const CardCut cut(frame, queries, points, k, on.room(plan.memory));
  const CardTally tally(on);
  Batch batch(on, frame, cut, k, queries);
  CardRows block(on, frame, points, cut.points_of_a_block);
  const bool stays = cut.points_of_a_block == points.rows;
  for (std::int64_t begin = 0; begin < queries.rows; begin += cut.queries_of_a_batch) {
    const std::int64_t count = std::min(cut.queries_of_a_batch, queries.rows - begin);
    batch.begin(uploads, queries, begin, count, exclude, tally.strange());
    for (std::int64_t point = 0; point < points.rows; point += cut.points_of_a_block) {
      const std::int64_t some = std::min(cut.points_of_a_block, points.rows - point);
      if (begin == 0 || !stays) block.put(uploads, points, point, some, false, tally.strange());
      if (!batch.take(plan, block, point, tally.strange(), tally.computed())) return false;
    }
    batch.finish(begin, to);
  }
  tally.tell(plan, frame.screened(), queries.rows * points.rows);
  return true;
}

}  // namespace

bool card_knn(const Plan& plan, const Matrix& queries, const Matrix& points,
              const std::int64_t* exclude, std::int64_t k, double* sq, std::int64_t* index) {
  return nearest(plan, queries, points, exclude, {k, sq, index, nullptr});
}

bool knn_on_card(const Plan& plan, const Matrix& queries, const Matrix& points,
                 const std::int64_t* exclude, std::int64_t k, const NearestOnCard& to) {
  return nearest(plan, queries, points, exclude, {k, nullptr, nullptr, &to});
}

}  // namespace genmem::backends
