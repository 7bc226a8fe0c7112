#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/card_chunks.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

bool card_kde_gradient(const Plan& plan, const Matrix& queries, const Matrix& points,
                       const std::int64_t* exclude, const Density& density, const double* log_sum,
                       double* out) {
  plan.stats->pairs += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  const CardTerms terms(on, density, points.rows);
  const CardFrame frame(on, queries, points);
  plan.stats->screened = frame.screened();
  const Extremes most = extremes(density, points.rows);
  const ChunkCut cut(frame, queries, points, 8 * queries.cols + 24, on.room(plan.memory));
  CardRows here(on, frame, queries, cut.batch), block(on, frame, points, cut.block);
  CardChunks chunks(on, frame, density, cut.rows, points.rows);
  CardArray<std::int64_t> skipped(on, cut.batch);
  // Of each query: logsumexp, the least exponent that is kept, and how far such points may lie.
  CardArray<double> sums(on, cut.batch), cuts(on, cut.batch), reaches(on, cut.batch);
  CardArray<double> gradients(on, cut.batch * queries.cols);
  CardArray<int> strange(on, 1);
  strange.fill(0);
  const double all = kNegligible + std::log(static_cast<double>(points.rows));
  std::vector<double> least, reach;
  for (std::int64_t begin = 0; begin < queries.rows; begin += cut.batch) {
    const std::int64_t count = std::min(cut.batch, queries.rows - begin);
    here.put(uploads, queries, begin, count, true, strange.data());
    if (exclude) skipped.upload(exclude + begin, count);
    least.clear();
    reach.clear();
    for (std::int64_t i = begin; i < begin + count; ++i) {
      least.push_back(log_sum[i] - all);
      const double drop = std::max(0.0, most.log_weight - least.back());
      reach.push_back(2.0 * drop * density.sq_bandwidths[0] * most.sq_scale * (1.0 + 1e-9));
    }
    sums.upload(log_sum + begin, count);
    cuts.upload(least.data(), count);
    reaches.upload(reach.data(), count);
    gradients.fill(0);
    CardKde p{};
    terms.put(p);
    for (std::int64_t point = 0; point < points.rows; point += cut.block) {
      const std::int64_t some = std::min(cut.block, points.rows - point);
      if (begin == 0 || cut.block < points.rows) {
        block.put(uploads, points, point, some, false, strange.data());
      }
      for (std::int64_t row = 0; row < count; row += cut.rows) {
        p.queries = std::min(cut.rows, count - row);
        p.exclude = exclude ? skipped.data() + row : nullptr;
        for (std::int64_t at = 0; at < some; at += kChunk) {
          p.first = point + at;
          p.count = std::min(kChunk, some - at);
          chunks.compute(here, row, block, at, reaches.data(), p);
          on.check(on.kernels().log_kde->add_gradient(
              on.queue(),
              {p, part(here.rows(), row, p.queries), part(block.rows(), at, p.count),
               sums.data() + row, cuts.data() + row, gradients.data() + row * queries.cols}));
          if (begin == 0 && point == 0 && row == 0 && at == 0) chunks.decide();
          if (plan.interrupted()) return false;
        }
      }
    }
    chunks.decide();
    gradients.download(out + begin * queries.cols, count * queries.cols);
    on.wait();
  }
  plan.stats->distances += chunks.computed();
  return true;
}

}  // namespace genmem::backends
