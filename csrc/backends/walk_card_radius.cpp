#include <algorithm>
#include <vector>

#include "backends/card_side.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Queries and points that meet at a time: all of their pairs may be hits, in 128 MiB.
constexpr std::int64_t kMostQueries = 2048, kStrip = 4096;

}  // namespace

bool card_radius_counts(const Plan& plan, const Matrix& queries, const Matrix& points,
                        const std::int64_t* exclude, const double* sq_radius,
                        std::int64_t* counts) {
  plan.stats->pairs += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  const CardFrame frame(on, queries, points);
  plan.stats->screened = frame.screened();
  const std::int64_t room = on.room(plan.memory) / 4;
  const std::int64_t strip = std::min(points.rows, kStrip);
  const std::int64_t query_bytes =
      CardRows::bytes(frame, queries) + (frame.screened() ? 16 * strip : 0) + 64;
  const std::int64_t batch =
      std::min({queries.rows, kMostQueries, std::max<std::int64_t>(32, room / query_bytes)});
  // Points stay where all of them fit; whole strips else.
  const std::int64_t fit = room / std::max<std::int64_t>(1, CardRows::bytes(frame, points));
  const std::int64_t block = std::min(points.rows, std::max(strip, fit / strip * strip));
  CardRows here(on, frame, queries, batch), there(on, frame, points, block);
  const std::int64_t screened = frame.screened() ? batch : 0;
  const CardArray<float> limit(on, screened), threshold(on, screened);
  const CardArray<CardHit> hits(on, screened * strip);
  CardArray<int> found(on, batch);
  CardArray<double> radius(on, batch);
  CardArray<std::int64_t> skipped(on, batch);
  CardArray<unsigned long long> certain(on, batch), count_of(on, batch);
  const CardTally tally(on);
  for (std::int64_t begin = 0; begin < queries.rows; begin += batch) {
    const std::int64_t count = std::min(batch, queries.rows - begin);
    here.put(uploads, queries, begin, count, true, tally.strange());
    if (exclude) skipped.upload(exclude + begin, count);
    radius.upload(sq_radius + begin, count);
    found.fill(0);
    certain.fill(0);
    count_of.fill(0);
    CardRadius p{here.rows(),
                 {},
                 0,
                 radius.data(),
                 frame.unit(),
                 exclude ? skipped.data() : nullptr,
                 here.norm(),
                 limit.data(),
                 threshold.data(),
                 hits.data(),
                 found.data(),
                 strip,
                 certain.data(),
                 tally.computed(),
                 count_of.data(),
                 tally.strange()};
    if (frame.screened()) on.check(on.kernels().knn->limit_radius(on.queue(), p));
    for (std::int64_t point = 0; point < points.rows; point += block) {
      const std::int64_t some = std::min(block, points.rows - point);
      if (begin == 0 || block < points.rows) {
        there.put(uploads, points, point, some, false, tally.strange());
      }
      if (!frame.screened()) {
        p.points = there.rows();
        p.first_point = point;
        on.check(on.kernels().knn->count_near(on.queue(), p));
      }
      for (std::int64_t at = 0; frame.screened() && at < some; at += strip) {
        const std::int64_t taken = std::min(strip, some - at);
        p.points = part(there.rows(), at, taken);
        p.first_point = point + at;
        const CardHits into{p.threshold, p.exclude, hits.data(), p.found, strip};
        const CardScreen tiles{here.side(), there.side(at, taken), points.cols, frame.slack(),
                               0,           card_tiles(taken),     1,           p.first_point,
                               into};
        on.check(on.kernels().screen->count(on.queue(), {tiles, p.sq_radius, p.unit, p.certain}));
        on.check(on.kernels().knn->count_hits(on.queue(), p));
        if (plan.interrupted()) return false;
      }
      if (plan.interrupted()) return false;
    }
    count_of.download(reinterpret_cast<unsigned long long*>(counts + begin), count);
    on.wait();
  }
  tally.tell(plan, frame.screened(), queries.rows * points.rows);
  return true;
}

}  // namespace genmem::backends
