#include "backends/screening.hpp"

#include <cmath>
#include <limits>

#include "backends/sample.hpp"
#include "math/scale.hpp"

namespace genmem::backends {

Frame frame(const Kernels& kernels, const Matrix& queries, const Matrix& points) {
  Frame f;
  if (points.cols < kScreenedCols || queries.rows < kScreenedQueries ||
      points.rows < kScreenedPoints) {
    return f;
  }
  const bool bytes = queries.dtype == Dtype::uint8 && points.dtype == Dtype::uint8;
  if (bytes && kernels.screen_bytes.panel > 0 && points.cols <= kByteDepth) {
    f.kernel = &kernels.screen_bytes;
    return f;
  }
  if (kernels.screen.panel == 0) return f;
  f.kernel = &kernels.screen;
  const std::vector<double> mean = sample_mean(points);
  const double spread = sample_spread(points, mean);
  f.centre.assign(mean.begin(), mean.end());
  for (float& c : f.centre) {
    if (!std::isfinite(c)) c = 0.0f;
  }
  f.scale = GENMEM_ISA::scale_of(spread);
  f.unit = static_cast<double>(f.scale) * static_cast<double>(f.scale);
  // gamma = n u / (1 - n u) for the products; slack for norms summed in at least 16 chains and for
  // the operations of the test.
  const double n = static_cast<double>(points.cols) * static_cast<double>(f.kernel->accumulation);
  f.gamma = static_cast<float>(1.01 * (n / (1.0 - std::min(n, 0.5)) + 32.0 * 0x1p-24));
  f.slack = static_cast<float>((static_cast<double>(points.cols) / 16.0 + 32.0) * 0x1p-24);
  return f;
}

QueryBlocks query_blocks(const Frame& frame, std::int64_t cols, std::int64_t capacity, int threads,
                         std::int64_t memory) {
  QueryBlocks most;
  const std::int64_t hits =
      (capacity + frame.kernel->strip) * static_cast<std::int64_t>(sizeof(Hit));
  const auto fitting = [](std::int64_t bytes, std::int64_t each, std::int64_t step,
                          std::int64_t limit) {
    return std::min(limit, std::max(step, bytes / each / step * step));
  };
  // A quarter, not half, for hits: what workers free stays in stores of their own for a while.
  most.rows = fitting(memory / 4 / threads, hits, 2 * frame.kernel->panel, most.rows);
  const std::int64_t row_bytes = frame.kernel->panel_bytes(cols) / frame.kernel->panel;
  most.packed = fitting(memory / 2, row_bytes, most.rows, most.packed / most.rows * most.rows);
  return most;
}

PackedQueries::PackedQueries(const Frame& frame, const Matrix& queries, std::int64_t begin,
                             std::int64_t count)
    : frame_(frame),
      queries_(queries),
      begin_(begin),
      count_(count),
      panel_bytes_(ceil_div(frame.kernel->panel_bytes(queries.cols), 64) * 64),
      packed_(1, panels() * panel_bytes_) {
  const auto rows = static_cast<std::size_t>(panels() * frame.kernel->panel);
  norm_.resize(rows);
  length_.resize(rows);
  error_.resize(rows);
  step_.resize(rows);
  whole_.resize(rows);
}

bool PackedQueries::pack(std::int64_t panel) {
  const std::int64_t width = frame_.kernel->panel, first = panel * width;
  std::vector<float> scratch(static_cast<std::size_t>(2 * row_floats(queries_.cols)));
  const auto at = static_cast<std::size_t>(first);
  frame_.kernel->pack_queries({queries_, begin_ + first, std::min(width, count_ - first),
                               frame_.centre.data(), frame_.scale, frame_.gamma, frame_.slack,
                               packed_.of(0) + panel * panel_bytes_, norm_.data() + at,
                               length_.data() + at, error_.data() + at, step_.data() + at,
                               whole_.data() + at, scratch.data()});
  return frame_.kernel->bytes || std::none_of(norm_.begin() + first, norm_.begin() + first + width,
                                              [](float norm) { return std::isnan(norm); });
}

Screening::Screening(const Frame& frame, const PackedQueries& packed, std::int64_t first,
                     std::int64_t count, std::int64_t capacity, const std::int64_t* exclude)
    : frame_(frame),
      packed_(packed),
      first_(first),
      count_(count),
      capacity_(capacity + frame.kernel->strip),
      exclude_(exclude),
      limit_(static_cast<std::size_t>(panels() * frame.kernel->panel),
             std::numeric_limits<float>::infinity()),
      whole_limit_(limit_.size(), std::numeric_limits<std::int32_t>::max()),
      found_(limit_.size(), 0),
      hits_(1, count * capacity_),
      strip_(1, frame.kernel->strip_bytes(packed.queries_.cols)),
      norm_(static_cast<std::size_t>(strip())),
      length_(norm_.size()),
      error_(norm_.size()),
      step_(norm_.size()),
      scratch_(static_cast<std::size_t>(2 * row_floats(packed.queries_.cols))),
      whole_(norm_.size()),
      products_(1, strip() * frame.kernel->panel) {}

void Screening::limit(std::int64_t i, double low) {
  const auto to = static_cast<std::size_t>(i);
  const auto from = static_cast<std::size_t>(first_ + i);
  if (exact()) {
    const double room = std::floor(low) - packed_.whole_[from];
    constexpr auto most = std::numeric_limits<std::int32_t>::max();
    constexpr auto least = std::numeric_limits<std::int32_t>::min();
    whole_limit_[to] = room >= most    ? most
                       : room <= least ? least
                                       : static_cast<std::int32_t>(room);
    return;
  }
  const double room = low - static_cast<double>(packed_.norm_[from]);
  // Upwards: a rounded limit may let more pass, never less. A NaN, of a norm beyond float32, lets
  // all pass.
  limit_[to] = std::isnan(room) ? std::numeric_limits<float>::infinity()
                                : std::nextafter(static_cast<float>(room),
                                                 std::numeric_limits<float>::infinity());
}

void Screening::keep_below(std::int64_t i, double low) {
  Hit* all = hits(i);
  std::int32_t kept = 0;
  for (std::int32_t j = 0; j < found(i); ++j) {
    if (all[j].low <= low) all[kept++] = all[j];
  }
  found(i) = kept;
}

void Screening::pack(const Matrix& points, std::int64_t point, std::int64_t count) {
  frame_.kernel->pack_points({points, point, count, frame_.centre.data(), frame_.scale,
                              frame_.gamma, frame_.slack, strip_.of(0), norm_.data(),
                              length_.data(), error_.data(), step_.data(), whole_.data(),
                              scratch_.data()});
  if (exact()) return;
  for (std::int64_t i = 0; i < count; ++i) {
    strange_ |= std::isnan(norm_[static_cast<std::size_t>(i)]);
  }
}

void Screening::find(std::int64_t panel, std::int64_t point, std::int64_t count,
                     std::int64_t cols) {
  const std::int64_t i = panel * frame_.kernel->panel;
  const auto here = static_cast<std::size_t>(i);
  const auto from = static_cast<std::size_t>(first_ + i);
  ScreenStrip s{};
  s.points = strip_.of(0);
  s.norm = norm_.data();
  s.length = length_.data();
  s.error = error_.data();
  s.step = step_.data();
  s.whole = whole_.data();
  s.point = point;
  s.count = count;
  s.queries =
      packed_.packed_.of(0) + (first_ / frame_.kernel->panel + panel) * packed_.panel_bytes_;
  s.query_norm = packed_.norm_.data() + from;
  s.query_length = packed_.length_.data() + from;
  s.query_error = packed_.error_.data() + from;
  s.query_step = packed_.step_.data() + from;
  s.query_whole = packed_.whole_.data() + from;
  s.limit = limit_.data() + here;
  s.whole_limit = whole_limit_.data() + here;
  s.cols = cols;
  s.active = std::min(frame_.kernel->panel, count_ - i);
  s.slack = frame_.slack;
  s.exclude = exclude_ ? exclude_ + packed_.begin_ + first_ + i : nullptr;
  s.hits = hits(i);
  s.found = found_.data() + here;
  s.capacity = capacity_;
  s.products = products_.of(0);
  frame_.kernel->find(s);
}

}  // namespace genmem::backends
