// The walk of a block of queries over points by the screen: packs, sets limits, collects hits.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/kernels.hpp"
#include "backends/rows.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

// Points of each of the first two strips.
constexpr std::int64_t kFirstStrip = 32;

// Rows at least this wide are worth a screen, for at least so many queries and points: below,
// computing every distance costs no more than packing.
constexpr std::int64_t kScreenedCols = 17;
constexpr std::int64_t kScreenedPoints = 2048;
constexpr std::int64_t kScreenedQueries = 4;

// Queries packed at a time, and those of one task, at most: 16,384 images of 28 x 28 are 25 MiB in
// bfloat16. Fewer where the memory is short; the answer is the same.
struct QueryBlocks {
  std::int64_t packed = 16384;
  std::int64_t rows = 1024;
};

// The common frame of both sides: a centre near the mean of the points, a power of two near one
// over their spread. Taken from a sample, as any centre and scale are valid.
struct Frame {
  const ScreenKernel* kernel = nullptr;  // null: no screen
  std::vector<float> centre;
  float scale = 1, gamma = 0, slack = 0;
  double unit = 1;  // scale^2: screened squared distance = unit * squared distance
};

// Whether and how to screen; depends on shapes and types alone.
Frame frame(const Kernels& kernels, const Matrix& queries, const Matrix& points);

// Half of the memory for packed queries, half for the hits that all threads hold: `capacity` and
// those of one strip for each query.
QueryBlocks query_blocks(const Frame& frame, std::int64_t cols, std::int64_t capacity, int threads,
                         std::int64_t memory);

// Consecutive queries, packed in panels; shared by all tasks.
class PackedQueries {
 public:
  PackedQueries(const Frame& frame, const Matrix& queries, std::int64_t begin, std::int64_t count);

  // Packs one panel; panels are independent. False where a row is not finite or beyond float32.
  bool pack(std::int64_t panel);
  std::int64_t panels() const { return ceil_div(count_, frame_.kernel->panel); }

 private:
  friend class Screening;
  const Frame& frame_;
  Matrix queries_;
  std::int64_t begin_, count_, panel_bytes_;
  PerWorker<char> packed_;
  std::vector<float> norm_, length_, error_, step_;
  std::vector<std::int32_t> whole_;
};

// Limits and hits of the queries first .. first + count - 1 of a pack; one task's own.
class Screening {
 public:
  // `capacity`: hits a query can hold beyond those of one strip.
  Screening(const Frame& frame, const PackedQueries& packed, std::int64_t first, std::int64_t count,
            std::int64_t capacity, const std::int64_t* exclude);

  std::int64_t strip() const { return frame_.kernel->strip; }
  std::int64_t capacity() const { return capacity_; }
  bool exact() const { return frame_.kernel->bytes; }
  double unit() const { return frame_.unit; }
  // Whether a point that was screened is not finite or beyond float32.
  bool strange() const { return strange_; }

  // Hits of query i (counted from `first`), in the order of the points.
  Hit* hits(std::int64_t i) { return hits_.of(0) + i * capacity_; }
  std::int32_t& found(std::int64_t i) { return found_[static_cast<std::size_t>(i)]; }
  // Pairs whose lower bound is above `low` (a screened squared distance) are no hits from now on.
  void limit(std::int64_t i, double low);
  // Forgets the hits whose lower bound is above `low`.
  void keep_below(std::int64_t i, double low);

  // Screens points begin .. end - 1 strip by strip. After each, `settle(i, points)` is called for
  // every query with hits, with the number of points seen; it must leave room for another strip.
  // `pause()` after each strip: whether to go on.
  template <class Settle, class Pause>
  bool scan(const Matrix& points, std::int64_t begin, std::int64_t end, const Settle& settle,
            const Pause& pause) {
    // Short strips first: without a limit all of the first are hits, and the second tells how much
    // the limit it gave is worth.
    std::int64_t some = 0;
    for (std::int64_t point = begin; point < end; point += some) {
      const std::int64_t size = point < begin + 2 * kFirstStrip ? kFirstStrip : strip();
      some = std::min(size, end - point);
      pack(points, point, some);
      for (std::int64_t panel = 0; panel < panels(); ++panel) {
        find(panel, point, some, points.cols);
        const std::int64_t last = std::min(count_, (panel + 1) * frame_.kernel->panel);
        for (std::int64_t i = panel * frame_.kernel->panel; i < last; ++i) {
          if (found(i) > 0) settle(i, point + some - begin);
        }
      }
      if (!pause()) return false;
    }
    return true;
  }

 private:
  std::int64_t panels() const { return ceil_div(count_, frame_.kernel->panel); }
  void pack(const Matrix& points, std::int64_t point, std::int64_t count);
  void find(std::int64_t panel, std::int64_t point, std::int64_t count, std::int64_t cols);

  const Frame& frame_;
  const PackedQueries& packed_;
  std::int64_t first_, count_, capacity_;
  bool strange_ = false;
  const std::int64_t* exclude_;
  std::vector<float> limit_;
  std::vector<std::int32_t> whole_limit_, found_;
  PerWorker<Hit> hits_;
  PerWorker<char> strip_;
  std::vector<float> norm_, length_, error_, step_, scratch_;
  std::vector<std::int32_t> whole_;
  PerWorker<float> products_;
};

}  // namespace genmem::backends
