#include "backends/card_side.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backends/sample.hpp"
#include "backends/screening.hpp"
#include "math/scale.hpp"

namespace genmem::backends {

CardFrame::CardFrame(const OnCard& on, const Matrix& queries, const Matrix& points)
    : screened_(points.cols >= kScreenedCols && queries.rows >= kScreenedQueries &&
                points.rows >= kScreenedPoints),
      centre_(on, points.cols),
      unit_(on, 1),
      squares_(on, points.on_card ? points.cols : 0) {
  // Differences of bytes are integers of at most 8 bits: bfloat16 holds them all.
  const bool whole = queries.dtype == Dtype::uint8 && points.dtype == Dtype::uint8;
  if (points.on_card) {
    on.check(
        on.kernels().screen->centre(on.queue(), {points, std::min(points.rows, kSample), whole,
                                                 centre_.data(), squares_.data(), unit_.data()}));
  } else {
    const std::vector<double> mean = sample_mean(points);
    const float scale = GENMEM_ISA::scale_of(sample_spread(points, mean));
    std::vector<float> centre(mean.begin(), mean.end());
    for (float& c : centre) {
      if (!std::isfinite(c)) c = 0.0f;
      if (whole) c = std::nearbyint(c);
    }
    const CardUnit unit{static_cast<double>(scale) * static_cast<double>(scale), scale};
    centre_.upload(centre.data(), points.cols);
    unit_.upload(&unit, 1);
  }
  const auto cols = static_cast<double>(points.cols);
  const double n = cols * kCardAccumulation;
  gamma_ = static_cast<float>(1.01 * (n / (1.0 - std::min(n, 0.5)) + 32.0 * 0x1p-24));
  slack_ = static_cast<float>((cols / 16.0 + 32.0) * 0x1p-24);
}

std::int64_t spread_step(std::int64_t tiles) {
  auto step = static_cast<std::int64_t>(0.6180339887498949 * static_cast<double>(tiles)) + 1;
  while (std::gcd(step, tiles) > 1) ++step;
  return step;
}

CardRows::CardRows(const OnCard& on, const CardFrame& frame, const Matrix& from, std::int64_t rows)
    : on_(on),
      frame_(frame),
      raw_(on, rows * upload_bytes(from)),
      packed_(on, frame.screened() ? rows * packed_depth(from.cols) : 0),
      numbers_(on, frame.screened() ? 3 * rows : 0) {}

void CardRows::put(Uploads& uploads, const Matrix& from, std::int64_t begin, std::int64_t count,
                   bool queries, int* strange) {
  rows_ = uploads.rows(from, begin, count, raw_.data());
  if (!frame_.screened()) return;
  float* const numbers = numbers_.data();
  side_ = {count, packed_.data(), numbers, numbers + count, numbers + 2 * count};
  on_.check(on_.kernels().screen->pack(
      on_.queue(), {rows_, frame_.centre(), frame_.unit(), frame_.gamma(), frame_.slack(), queries,
                    side_, strange}));
}

CardSide CardRows::side(std::int64_t first, std::int64_t count) const {
  return {count, side_.packed + first * packed_depth(rows_.cols), side_.norm + first,
          side_.length + first, side_.error + first};
}

std::int64_t CardRows::bytes(const CardFrame& frame, const Matrix& from) {
  return upload_bytes(from) + (frame.screened() ? 2 * packed_depth(from.cols) + 12 : 0);
}

}  // namespace genmem::backends
