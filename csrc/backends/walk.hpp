// How a walk over M x N pairs is cut, and the scratch of its workers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

#include "backends/rows.hpp"

namespace genmem::backends {

// Points that one task takes at a time.
constexpr std::int64_t kChunk = 8192;

// Tasks wanted: whole queries when there are many, else the chunks are shared out too, in as many
// groups as it takes. The groups change no bit of an answer.
constexpr std::int64_t kTasks = 16;

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// More threads than tasks are never started, and need no scratch.
inline int workers(int threads, std::int64_t tasks) {
  return static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(threads, tasks)));
}

// `count` objects of T for each worker, on lines of their own; not initialised.
template <class T>
class PerWorker {
 public:
  PerWorker(int workers, std::int64_t count)
      : stride_(ceil_div(count * static_cast<std::int64_t>(sizeof(T)), kAlign) * kAlign) {
    const auto total = static_cast<std::size_t>(workers * stride_);
    memory_.reset(static_cast<char*>(::operator new(total, std::align_val_t{kAlign})));
  }
  T* of(int worker) const { return reinterpret_cast<T*>(memory_.get() + worker * stride_); }

 private:
  static constexpr std::int64_t kAlign = 64;
  struct Free {
    void operator()(char* p) const { ::operator delete(p, std::align_val_t{kAlign}); }
  };
  std::int64_t stride_;
  std::unique_ptr<char, Free> memory_;
};

// Blocks of queries times groups of consecutive chunks of points.
struct Cut {
  Cut(std::int64_t query_rows, std::int64_t point_rows, std::int64_t rows_of_a_block,
      std::int64_t most_groups = kTasks)
      : block_rows(rows_of_a_block),
        queries(query_rows),
        points(point_rows),
        blocks(ceil_div(queries, block_rows)),
        chunks(ceil_div(points, kChunk)),
        groups(
            std::min({chunks, most_groups, ceil_div(kTasks, std::max<std::int64_t>(1, blocks))})) {}

  std::int64_t tasks() const { return blocks * groups; }
  std::int64_t block(std::int64_t task) const { return task / groups; }
  std::int64_t group(std::int64_t task) const { return task % groups; }
  std::int64_t query(std::int64_t task) const { return block(task) * block_rows; }
  std::int64_t rows(std::int64_t task) const { return std::min(block_rows, queries - query(task)); }
  std::int64_t first_chunk(std::int64_t group) const { return group * chunks / groups; }
  std::int64_t end_chunk(std::int64_t group) const { return (group + 1) * chunks / groups; }
  std::int64_t first_point(std::int64_t group) const { return first_chunk(group) * kChunk; }
  std::int64_t end_point(std::int64_t group) const {
    return std::min(points, end_chunk(group) * kChunk);
  }

  std::int64_t block_rows, queries, points, blocks, chunks, groups;
};

}  // namespace genmem::backends
