#include <algorithm>
#include <memory>
#include <vector>

#include "backends/card_side.hpp"
#include "backends/extremes.hpp"
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

// The screen of a chunk: hits in two strips, then a row of distances for each query.
class Screen {
 public:
  Screen(const OnCard& on, const CardFrame& frame, const Density& density, std::int64_t rows,
         std::int64_t points)
      : on_(on),
        frame_(frame),
        most_(extremes(density, points)),
        limit_(on, frame.screened ? rows : 0),
        threshold_(on, frame.screened ? rows : 0),
        hits_(on, frame.screened ? rows * kCapacity : 0),
        found_(on, frame.screened ? rows : 0),
        lost_(on, 1),
        computed_(on, 1) {
    lost_.fill(0);
    computed_.fill(0);
  }

  // Distances of rows row .. row + p.queries - 1 of a batch to a chunk, `at` rows into its block,
  // where they may matter.
  void distances(const CardRows& queries, std::int64_t row, const CardRows& points, std::int64_t at,
                 const CardKde& p, double* sq) {
    // 3.4e38: no bound of a pair is above it (hits.hpp).
    limit_.fill(0x7f);
    threshold_.fill(0x7f);
    found_.fill(0);
    const std::int64_t cols = points.rows().cols;
    const CardSide x = part(queries.side(), row, p.queries, cols),
                   y = part(points.side(), at, p.count, cols);
    const CardKdeHits of{part(queries.rows(), row, p.queries),
                         part(points.rows(), at, p.count),
                         sq,
                         frame_.unit,
                         most_.log_weight,
                         most_.sq_scale,
                         x.norm,
                         limit_.data(),
                         threshold_.data(),
                         hits_.data(),
                         found_.data(),
                         kCapacity,
                         lost_.data(),
                         computed_.data()};
    const CardHits into{threshold_.data(), p.exclude, hits_.data(), found_.data(), kCapacity};
    const std::int64_t tiles = card_tiles(p.count), first = std::min(tiles, kFirstTiles);
    const std::int64_t step = spread_step(tiles);
    for (std::int64_t tile = 0; tile < tiles; tile = tile == 0 ? first : tiles) {
      const std::int64_t some = tile == 0 ? first : tiles - first;
      on_.check(on_.kernels().screen(on_.queue(),
                                     {x, y, cols, frame_.slack, tile, some, step, p.first, into}));
      on_.check(on_.kernels().kde_narrow(on_.queue(), p, of));
    }
    on_.check(on_.kernels().kde_spread(on_.queue(), p, of));
    asked_ += p.queries;
  }

  // Whether so many queries lost hits that computing all distances is faster; waits for the card.
  bool crowded() const {
    int lost = 0;
    lost_.download(&lost, 1);
    on_.wait();
    return 4 * std::int64_t{lost} > asked_;
  }

  std::int64_t computed() const {
    unsigned long long count = 0;
    computed_.download(&count, 1);
    on_.wait();
    return static_cast<std::int64_t>(count);
  }

 private:
  // All pairs of the first strip are hits; of the rest of a chunk about as many fit twice.
  static constexpr std::int64_t kFirstTiles = kCardFirst / kCardTile;
  static constexpr std::int64_t kCapacity = 3 * kCardFirst;

  static CardSide part(const CardSide& side, std::int64_t first, std::int64_t count,
                       std::int64_t cols) {
    return {count, side.packed + first * packed_depth(cols), side.norm + first, side.length + first,
            side.error + first};
  }
  static Matrix part(const Matrix& m, std::int64_t first, std::int64_t count) {
    return backends::part(m, first, count);
  }

  const OnCard& on_;
  const CardFrame& frame_;
  Extremes most_;
  CardArray<float> limit_, threshold_;
  CardArray<CardHit> hits_;
  CardArray<int> found_;
  CardArray<int> lost_;
  CardArray<unsigned long long> computed_;
  std::int64_t asked_ = 0;
};

}  // namespace

bool card_log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, Slots* slots) {
  plan.stats->pairs += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  const Terms terms(on, density, points.rows);
  const CardFrame frame = card_frame(on, queries, points);
  plan.stats->screened = frame.screened;
  CardArray<float> centre(on, points.cols);
  centre.upload(frame.centre.data(), points.cols);
  const auto bandwidths = static_cast<std::int64_t>(density.sq_bandwidths.size());
  const std::int64_t room = on.room(plan.memory) / 4;
  // A batch of queries stays, with its states, while the points pass by in whole chunks; they stay
  // where all fit.
  const std::int64_t state_bytes = bandwidths * static_cast<std::int64_t>(sizeof(Slots));
  const std::int64_t batch =
      within(room, CardRows::bytes(frame, queries) + state_bytes + 8, 32, queries.rows);
  const std::int64_t chunks =
      within(room, kChunk * std::max<std::int64_t>(1, CardRows::bytes(frame, points)), 1,
             ceil_div(points.rows, kChunk));
  const std::int64_t rows = within(room, kChunk * 8, 32, std::min(batch, kMostRows));
  const std::int64_t block_rows = std::min(chunks * kChunk, points.rows);
  CardRows here(on, frame, queries, batch), there(on, frame, points, block_rows);
  Screen screen(on, frame, density, rows, points.rows);
  const CardArray<double> block(on, rows * std::min(kChunk, points.rows));
  CardArray<std::int64_t> skipped(on, batch);
  const CardArray<Slots> states(on, bandwidths * batch);
  CardArray<int> strange(on, 1);
  strange.fill(0);
  std::vector<Slots> down(static_cast<std::size_t>(bandwidths * batch));
  bool screened = frame.screened;
  std::int64_t all_of_them = 0;  // distances computed without a screen
  for (std::int64_t begin = 0; begin < queries.rows; begin += batch) {
    const std::int64_t count = std::min(batch, queries.rows - begin);
    here.put(uploads, queries, begin, count, true, centre.data(), strange.data());
    if (exclude) skipped.upload(exclude + begin, count);
    CardKde p{};
    terms.put(p);
    p.sq = block.data();
    p.stride = batch;
    p.states = states.data();
    on.check(on.kernels().kde_clear(on.queue(), p));
    for (std::int64_t point = 0; point < points.rows; point += block_rows) {
      const std::int64_t some = std::min(block_rows, points.rows - point);
      if (begin == 0 || block_rows < points.rows) {
        there.put(uploads, points, point, some, false, centre.data(), strange.data());
      }
      for (std::int64_t row = 0; row < count; row += rows) {
        p.queries = std::min(rows, count - row);
        p.exclude = exclude ? skipped.data() + row : nullptr;
        p.states = states.data() + row;
        for (std::int64_t at = 0; at < some; at += kChunk) {
          p.first = point + at;
          p.count = std::min(kChunk, some - at);
          p.strange = screened ? nullptr : strange.data();
          if (screened) {
            screen.distances(here, row, there, at, p, block.data());
          } else {
            on.check(on.kernels().distances(
                on.queue(), {part(here.rows(), row, p.queries), part(there.rows(), at, p.count),
                             block.data()}));
            all_of_them += p.queries * p.count;
          }
          on.check(on.kernels().kde(on.queue(), p));
          // The first chunk tells what the others will be like, and so does each batch.
          const bool first = begin == 0 && point == 0 && row == 0 && at == 0;
          if (screened && first && screen.crowded()) screened = false;
          if (plan.interrupted()) return false;
        }
      }
    }
    if (screened && screen.crowded()) screened = false;
    states.download(down.data(), bandwidths * batch);
    on.wait();
    for (std::int64_t h = 0; h < bandwidths; ++h) {
      std::copy_n(down.begin() + h * batch, count, slots + h * queries.rows + begin);
    }
  }
  int is_strange = 0;
  strange.download(&is_strange, 1);
  plan.stats->distances += all_of_them + screen.computed();
  if (is_strange) plan.stats->strange = true;
  return true;
}

}  // namespace genmem::backends
