// Queries and points of any type, layout and content, and their squared distances the naive way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/matrix.hpp"

namespace genmem::native {

// 2^-53, the unit roundoff of float64.
inline constexpr double kRoundoff = 0x1p-53;

// Splitmix64: the same numbers on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n));
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  // About normal: the sum of four uniform numbers, one draw.
  double normal();

 private:
  std::uint64_t state_;
};

enum class Layout { contiguous, padded, backwards, transposed, spaced };
inline constexpr int kLayouts = 5;

// A matrix in memory of exactly its extent, so that a sanitizer sees what reads beyond it.
class Table {
 public:
  // values (rows, cols) are rounded to the type.
  Table(std::int64_t rows, std::int64_t cols, Dtype dtype, Layout layout,
        const std::vector<double>& values);

  const Matrix& matrix() const { return matrix_; }
  Matrix rows(std::int64_t begin, std::int64_t count) const;
  // Row i as rounded, contiguous.
  const double* row(std::int64_t i) const { return rounded_.data() + i * matrix_.cols; }

 private:
  template <class T>
  void fill(T gap, const std::vector<double>& values);

  std::unique_ptr<char[]> memory_;
  std::int64_t extent_;
  Matrix matrix_;
  std::vector<double> rounded_;
};

struct Shape {
  std::int64_t d, queries, points;
};

struct Problem {
  std::string name;
  Table queries, points;
  bool exact;                         // every sum of squares is an integer below 2^53
  std::vector<double> sq;             // (queries, points)
  std::vector<std::int64_t> exclude;  // (queries,) -1 for none

  std::int64_t m() const { return queries.matrix().rows; }
  std::int64_t n() const { return points.matrix().rows; }
  std::int64_t d() const { return queries.matrix().cols; }
  // Bound of the relative error of a squared distance, this one's and a kernel's together.
  double sq_error() const {
    return exact ? 0.0 : 2.0 * (static_cast<double>(d()) + 3.0) * kRoundoff;
  }
};

// Copies, near-copies and strangers among the queries, and rows that occur twice among the points.
// The turn says what the numbers are like.
Problem make_problem(const Shape& shape, Dtype queries, Dtype points, std::size_t turn,
                     Random& random);

}  // namespace genmem::native
