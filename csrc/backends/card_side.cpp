#include "backends/card_side.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backends/sample.hpp"
#include "backends/screening.hpp"

namespace genmem::backends {

CardFrame card_frame(const OnCard& on, const Matrix& queries, const Matrix& points) {
  CardFrame f;
  f.screened = points.cols >= kScreenedCols && queries.rows >= kScreenedQueries &&
               points.rows >= kScreenedPoints;
  std::vector<char> memory;
  const Matrix sample = points.on_card ? some_rows(on, points, kSample, memory) : points;
  const std::vector<double> mean = sample_mean(sample);
  f.scale = scale_of(sample_spread(sample, mean));
  f.unit = static_cast<double>(f.scale) * static_cast<double>(f.scale);
  f.centre.assign(mean.begin(), mean.end());
  // Differences of bytes are integers of at most 8 bits: bfloat16 holds them all.
  const bool bytes = queries.dtype == Dtype::uint8 && points.dtype == Dtype::uint8;
  for (float& c : f.centre) {
    if (!std::isfinite(c)) c = 0.0f;
    if (bytes) c = std::nearbyint(c);
  }
  const auto cols = static_cast<double>(points.cols);
  const double n = cols * kCardAccumulation;
  f.gamma = static_cast<float>(1.01 * (n / (1.0 - std::min(n, 0.5)) + 32.0 * 0x1p-24));
  f.slack = static_cast<float>((cols / 16.0 + 32.0) * 0x1p-24);
  return f;
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
      packed_(on, frame.screened ? rows * packed_depth(from.cols) : 0),
      numbers_(on, frame.screened ? 3 * rows : 0) {}

void CardRows::put(Uploads& uploads, const Matrix& from, std::int64_t begin, std::int64_t count,
                   bool queries, const float* centre, int* strange) {
  rows_ = uploads.rows(from, nullptr, begin, count, raw_.data());
  if (!frame_.screened) return;
  float* const numbers = numbers_.data();
  side_ = {count, packed_.data(), numbers, numbers + count, numbers + 2 * count};
  on_.check(on_.kernels().pack(on_.queue(), {rows_, centre, frame_.scale, frame_.gamma,
                                             frame_.slack, queries, side_, strange}));
}

std::int64_t CardRows::bytes(const CardFrame& frame, const Matrix& from) {
  return upload_bytes(from) + (frame.screened ? 2 * packed_depth(from.cols) + 12 : 0);
}

}  // namespace genmem::backends
