// The squared distances of some queries to a chunk of points, all of them or those named.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "backends/expansion.hpp"
#include "backends/kernels.hpp"
#include "backends/screening.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

// Queries whose distances to a whole chunk are held at a time: 2 MiB.
constexpr std::int64_t kDenseRows = 32;

// Not a multiple of 4 KiB: rows at such a distance would share the sets of the cache.
constexpr std::int64_t kDenseStride = kChunk + 40;

// After a chunk in which most of the points mattered, the next few are not screened for the same
// queries, by whichever task: they would tell the same. Only time depends on it.
class Crowd {
 public:
  void met() { left_.store(kChunks, std::memory_order_relaxed); }
  // Whether the chunk at hand is one of the few; counts it.
  bool lasts() {
    const int left = left_.load(std::memory_order_relaxed);
    if (left > 0) left_.store(left - 1, std::memory_order_relaxed);
    return left > 0;
  }

 private:
  static constexpr int kChunks = 15;
  std::atomic<int> left_{0};
};

// Points by index and their squared distances from one query.
struct Named {
  const std::int64_t* at;
  const double* sq;  // whole registers may be read
  std::int64_t count;
};

// One task's own.
class ChunkDistances {
 public:
  ChunkDistances(const Kernels& kernels, const Matrix& queries, const Matrix& points,
                 const std::int64_t* exclude, const Expansion& expansion)
      : kernels_(kernels),
        queries_(queries),
        points_(points),
        exclude_(exclude),
        expansion_(expansion),
        scratch_(1, distance_scratch(queries.cols)) {}

  // Rows of kDenseStride distances, of queries query .. query + rows - 1 (at most kDenseRows) to
  // all points of the chunk; infinite to the point that a query leaves out.
  double* all(std::int64_t query, std::int64_t rows, std::int64_t chunk) {
    if (!block_) block_ = std::make_unique<PerWorker<double>>(1, kDenseRows * kDenseStride);
    double* block = block_->of(0);
    const std::int64_t first = chunk * kChunk, count = std::min(kChunk, points_.rows - first);
    pack(chunk, first, count);
    kernels_.distances({queries_, points_, query, rows, first, count, block, kDenseStride,
                        scratch_.of(0), expansion_.centre(), panels_ ? panels_->of(0) : nullptr});
    strange_ |= strange_distances(block, kDenseStride, rows, count);
    for (std::int64_t i = 0; i < rows; ++i) {
      double* sq = block + i * kDenseStride;
      if (expansion_.centre() && !expansion_.holds(query + i)) {
        kernels_.distances({queries_, points_, query + i, 1, first, count, sq, kDenseStride,
                            scratch_.of(0), nullptr, nullptr});
      }
      if (!exclude_) continue;
      const std::int64_t skip = exclude_[query + i] - first;
      if (skip >= 0 && skip < count) sq[skip] = std::numeric_limits<double>::infinity();
    }
    computed_ += rows * count;
    return block;
  }

  // The same numbers, of one query and the points that a screen let through: its i-th query's hits.
  Named named(Screening& screen, std::int64_t i, std::int64_t query) {
    const Hit* hits = screen.hits(i);
    const auto found = static_cast<std::size_t>(screen.found(i));
    at_.resize(found);
    sq_.resize(found + 8);
    for (std::size_t j = 0; j < found; ++j) {
      at_[j] = hits[j].at;
      sq_[j] = hits[j].low;
    }
    const auto count = static_cast<std::int64_t>(found);
    if (!screen.exact()) {
      kernels_.distances_to({queries_, points_, query, at_.data(), count, sq_.data(),
                             scratch_.of(0),
                             expansion_.holds(query) ? expansion_.centre() : nullptr});
      computed_ += count;
    }
    return {at_.data(), sq_.data(), count};
  }

  std::int64_t computed() const { return computed_; }
  // Whether a distance showed that a row is not finite.
  bool strange() const { return strange_; }

 private:
  void pack(std::int64_t chunk, std::int64_t first, std::int64_t count) {
    if (!expansion_.centre() || chunk == packed_) return;
    if (!panels_) {
      panels_ = std::make_unique<PerWorker<double>>(1, expanded_panels(kChunk, points_.cols));
    }
    kernels_.panels({points_, first, count, expansion_.centre(), panels_->of(0)});
    packed_ = chunk;
  }

  const Kernels& kernels_;
  Matrix queries_, points_;
  const std::int64_t* exclude_;
  const Expansion& expansion_;
  PerWorker<double> scratch_;
  std::unique_ptr<PerWorker<double>> block_, panels_;
  std::vector<std::int64_t> at_;
  std::vector<double> sq_;
  std::int64_t packed_ = -1;
  std::int64_t computed_ = 0;
  bool strange_ = false;
};

}  // namespace genmem::backends
