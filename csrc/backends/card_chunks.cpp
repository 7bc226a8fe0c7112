#include "backends/card_chunks.hpp"

#include <algorithm>

#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

static_assert(kChunk == kKdeChunk, "a block of distances is one chunk of states");

// Queries whose distances to a chunk are held at a time, at most: 128 MiB.
constexpr std::int64_t kMostRows = 2048;

}  // namespace

CardTerms::CardTerms(const OnCard& on, const Density& density, std::int64_t points)
    : kind_(density.kind),
      bandwidths_(on, static_cast<std::int64_t>(density.sq_bandwidths.size())),
      log_weight_(copied(on, density.log_weight, points)),
      sq_scale_(copied(on, density.sq_scale, points)) {
  bandwidths_.upload(density.sq_bandwidths.data(), bandwidths_.count());
}

void CardTerms::put(CardKde& p) const {
  p.kind = kind_;
  p.sq_bandwidths = bandwidths_.data();
  p.bandwidths = bandwidths_.count();
  p.log_weight = log_weight_ ? log_weight_->data() : nullptr;
  p.sq_scale = sq_scale_ ? sq_scale_->data() : nullptr;
}

ChunkCut::ChunkCut(const CardFrame& frame, const Matrix& queries, const Matrix& points,
                   std::int64_t state_bytes, std::int64_t room) {
  const std::int64_t some = room / 4;
  batch = within(some, CardRows::bytes(frame, queries) + state_bytes + 8, 32, queries.rows);
  const std::int64_t chunks =
      within(some, kChunk * std::max<std::int64_t>(1, CardRows::bytes(frame, points)), 1,
             ceil_div(points.rows, kChunk));
  block = std::min(chunks * kChunk, points.rows);
  rows = within(some, kChunk * 8, 32, std::min(batch, kMostRows));
}

CardChunks::CardChunks(const OnCard& on, const CardFrame& frame, const Density& density,
                       std::int64_t rows, std::int64_t points)
    : on_(on),
      frame_(frame),
      most_(extremes(density, points)),
      sq_(on, rows * std::min(kChunk, points)),
      limit_(on, frame.screened() ? rows : 0),
      threshold_(on, frame.screened() ? rows : 0),
      hits_(on, frame.screened() ? rows * kCapacity : 0),
      found_(on, frame.screened() ? rows : 0),
      lost_(on, 1),
      off_(on, 1),
      computed_(on, 1) {
  lost_.fill(0);
  off_.fill(0);
  computed_.fill(0);
}

void CardChunks::compute(const CardRows& queries, std::int64_t row, const CardRows& points,
                         std::int64_t at, const double* sq_reach, CardKde& p) {
  const Matrix x = part(queries.rows(), row, p.queries), y = part(points.rows(), at, p.count);
  p.sq = sq_.data();
  // Behind a screen that pays nothing is done.
  const int* const only = frame_.screened() ? off_.data() : nullptr;
  on_.check(on_.kernels().pairs->distances(on_.queue(), {x, y, sq_.data(), only}));
  if (!frame_.screened()) {
    all_of_them_ += p.queries * p.count;
    return;
  }
  const CardSide x_side = queries.side(row, p.queries), y_side = points.side(at, p.count);
  if (sq_reach) {
    CardRadius reach{};
    reach.queries = x;
    reach.sq_radius = sq_reach + row;
    reach.unit = frame_.unit();
    reach.norm = x_side.norm;
    reach.limit = limit_.data();
    reach.threshold = threshold_.data();
    on_.check(on_.kernels().knn->limit_radius(on_.queue(), reach));
  } else {
    // 3.4e38: no bound of a pair is above it (hits.hpp).
    limit_.fill(0x7f);
    threshold_.fill(0x7f);
  }
  found_.fill(0);
  const CardKdeHits of{x,
                       y,
                       sq_.data(),
                       frame_.unit(),
                       most_.log_weight,
                       most_.sq_scale,
                       x_side.norm,
                       limit_.data(),
                       threshold_.data(),
                       hits_.data(),
                       found_.data(),
                       kCapacity,
                       lost_.data(),
                       computed_.data(),
                       off_.data()};
  const CardHits into{threshold_.data(), p.exclude, hits_.data(), found_.data(), kCapacity};
  const std::int64_t tiles = card_tiles(p.count), step = spread_step(tiles);
  const std::int64_t first = sq_reach ? tiles : std::min(tiles, kFirstTiles);
  for (std::int64_t tile = 0; tile < tiles; tile = tile == 0 ? first : tiles) {
    const std::int64_t some = tile == 0 ? first : tiles - first;
    on_.check(on_.kernels().screen->find(on_.queue(), {x_side, y_side, x.cols, frame_.slack(), tile,
                                                       some, step, p.first, into, off_.data()}));
    if (!sq_reach) on_.check(on_.kernels().log_kde->narrow(on_.queue(), p, of));
  }
  on_.check(on_.kernels().log_kde->spread(on_.queue(), p, of));
  asked_ += p.queries;
}

void CardChunks::decide() {
  if (!frame_.screened()) return;
  on_.check(on_.kernels().log_kde->decide(on_.queue(), {lost_.data(), asked_, off_.data()}));
}

std::int64_t CardChunks::computed() const {
  unsigned long long count = 0;
  computed_.download(&count, 1);
  on_.wait();
  return all_of_them_ + static_cast<std::int64_t>(count);
}

}  // namespace genmem::backends
