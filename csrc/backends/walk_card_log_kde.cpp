#include <algorithm>
#include <memory>
#include <vector>

#include "backends/on_card.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

static_assert(kChunk == kKdeChunk, "a block of distances is one chunk of states");

// Queries whose distances to a chunk are held at a time, at most: 128 MiB.
constexpr std::int64_t kMostRows = 2048;

std::int64_t within(std::int64_t bytes, std::int64_t each, std::int64_t least, std::int64_t most) {
  return std::min(most, std::max(least, bytes / each));
}

// What does not change from query to query, on the card.
class Terms {
 public:
  Terms(const OnCard& on, const Density& density, std::int64_t points)
      : kind_(density.kind),
        bandwidths_(on, static_cast<std::int64_t>(density.sq_bandwidths.size())),
        log_weight_(copied(on, density.log_weight, points)),
        sq_scale_(copied(on, density.sq_scale, points)) {
    bandwidths_.upload(density.sq_bandwidths.data(), bandwidths_.count());
  }

  void put(CardKde& p) const {
    p.kind = kind_;
    p.sq_bandwidths = bandwidths_.data();
    p.bandwidths = bandwidths_.count();
    p.log_weight = log_weight_ ? log_weight_->data() : nullptr;
    p.sq_scale = sq_scale_ ? sq_scale_->data() : nullptr;
  }

 private:
  static std::unique_ptr<CardArray<double>> copied(const OnCard& on, const double* from,
                                                   std::int64_t count) {
    if (!from) return nullptr;
    auto to = std::make_unique<CardArray<double>>(on, count);
    to->upload(from, count);
    return to;
  }

  KernelKind kind_;
  CardArray<double> bandwidths_;
  std::unique_ptr<CardArray<double>> log_weight_, sq_scale_;
};

}  // namespace

bool card_log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, Slots* slots) {
  plan.stats->pairs += queries.rows * points.rows;
  plan.stats->distances += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  const Terms terms(on, density, points.rows);
  const auto bandwidths = static_cast<std::int64_t>(density.sq_bandwidths.size());
  const std::int64_t room = on.room(plan.memory) / 4;
  // A batch of queries stays, with its states, while the points pass by in whole chunks; they stay
  // where all fit.
  const std::int64_t state_bytes = bandwidths * static_cast<std::int64_t>(sizeof(Slots));
  const std::int64_t batch = within(room, row_bytes(queries) + state_bytes + 8, 32, queries.rows);
  const std::int64_t chunks =
      within(room, kChunk * row_bytes(points), 1, ceil_div(points.rows, kChunk));
  const std::int64_t rows = within(room, kChunk * 8, 32, std::min(batch, kMostRows));
  const std::int64_t block_rows = std::min(chunks * kChunk, points.rows);
  const CardArray<char> left(on, batch * upload_bytes(queries)),
      right(on, block_rows * upload_bytes(points));
  const CardArray<double> block(on, rows * std::min(kChunk, points.rows));
  CardArray<std::int64_t> skipped(on, batch);
  const CardArray<Slots> states(on, bandwidths * batch);
  CardArray<int> strange(on, 1);
  strange.fill(0);
  std::vector<Slots> down(static_cast<std::size_t>(bandwidths * batch));
  Matrix there{};
  for (std::int64_t begin = 0; begin < queries.rows; begin += batch) {
    const std::int64_t count = std::min(batch, queries.rows - begin);
    const Matrix here = uploads.rows(queries, nullptr, begin, count, left.data());
    if (exclude) skipped.upload(exclude + begin, count);
    CardKde p{};
    terms.put(p);
    p.sq = block.data();
    p.stride = batch;
    p.strange = strange.data();
    p.states = states.data();
    on.check(on.kernels().kde_clear(on.queue(), p));
    for (std::int64_t point = 0; point < points.rows; point += block_rows) {
      const std::int64_t some = std::min(block_rows, points.rows - point);
      if (begin == 0 || block_rows < points.rows) {
        there = uploads.rows(points, nullptr, point, some, right.data());
      }
      for (std::int64_t row = 0; row < count; row += rows) {
        p.queries = std::min(rows, count - row);
        p.exclude = exclude ? skipped.data() + row : nullptr;
        p.states = states.data() + row;
        for (std::int64_t at = 0; at < some; at += kChunk) {
          p.first = point + at;
          p.count = std::min(kChunk, some - at);
          on.check(on.kernels().distances(
              on.queue(), {part(here, row, p.queries), part(there, at, p.count), block.data()}));
          on.check(on.kernels().kde(on.queue(), p));
          if (plan.interrupted()) return false;
        }
      }
    }
    states.download(down.data(), bandwidths * batch);
    on.wait();
    for (std::int64_t h = 0; h < bandwidths; ++h) {
      std::copy_n(down.begin() + h * batch, count, slots + h * queries.rows + begin);
    }
  }
  int is_strange = 0;
  strange.download(&is_strange, 1);
  on.wait();
  if (is_strange) plan.stats->strange = true;
  return true;
}

}  // namespace genmem::backends
