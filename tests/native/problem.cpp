#include "problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace genmem::native {

namespace {

enum class Kind { normal, offset, clusters, integers, huge, tiny };

const char* name(Kind kind) {
  constexpr const char* names[] = {"normal", "offset", "clusters", "integers", "huge", "tiny"};
  return names[static_cast<int>(kind)];
}
const char* name(Dtype dtype) {
  constexpr const char* names[] = {"float32", "float64", "uint8"};
  return names[static_cast<int>(dtype)];
}
const char* name(Layout layout) {
  constexpr const char* names[] = {"contiguous", "padded", "backwards", "transposed", "spaced"};
  return names[static_cast<int>(layout)];
}

std::int64_t size(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 1;
}

double rounded(double value, Dtype dtype) {
  switch (dtype) {
    case Dtype::float32: return static_cast<double>(static_cast<float>(value));
    case Dtype::float64: return value;
    case Dtype::uint8: return std::floor(std::min(255.0, std::max(0.0, value)));
  }
  return value;
}

// By turns. Numbers far from 1 only where every element holds them: beyond float32 the screen's
// products are NaN, and every pair must pass.
Kind kind_of(Dtype queries, Dtype points, std::size_t turn) {
  constexpr Kind bytes[] = {Kind::normal, Kind::clusters, Kind::integers, Kind::normal,
                            Kind::integers};
  constexpr Kind floats[] = {Kind::normal, Kind::clusters, Kind::offset, Kind::normal,
                             Kind::integers};
  constexpr Kind doubles[] = {Kind::normal,   Kind::huge,   Kind::clusters, Kind::tiny,
                              Kind::integers, Kind::offset, Kind::normal};
  if (queries == Dtype::uint8 || points == Dtype::uint8) return bytes[turn % 5];
  if (queries == Dtype::float64 && points == Dtype::float64) return doubles[turn % 7];
  return floats[turn % 5];
}

double value_of(Kind kind, bool bytes, Random& random) {
  if (kind == Kind::integers)
    return static_cast<double>(random.below(bytes ? 3 : 7)) - !bytes * 3.0;
  if (bytes) return static_cast<double>(random.below(256));
  const double x = random.normal();
  switch (kind) {
    case Kind::offset: return x + 1e4;
    case Kind::huge: return x * 1e140;
    case Kind::tiny: return x * 1e-140;
    default: return x;
  }
}

std::vector<double> points_of(Kind kind, const Shape& s, Dtype dtype, bool bytes, Random& random) {
  std::vector<double> x(static_cast<std::size_t>(s.points * s.d));
  for (double& value : x) value = rounded(value_of(kind, bytes, random), dtype);
  const auto row = [&](std::int64_t i) { return x.begin() + i * s.d; };
  if (kind == Kind::clusters) {
    for (std::int64_t i = 0; i < s.points; ++i) {
      if (i % 20 != 0) std::copy_n(row(i / 20 * 20), s.d, row(i));
      const auto c = static_cast<std::size_t>(i * s.d + random.below(s.d));
      x[c] = rounded(x[c] + (bytes ? 1.0 : 1e-3 * random.normal()), dtype);
    }
  }
  for (std::int64_t i = 0; i < s.points / 8; ++i) {
    std::copy_n(row(random.below(s.points)), s.d, row(random.below(s.points)));
  }
  return x;
}

std::vector<double> queries_of(Kind kind, const Shape& s, Dtype dtype, bool bytes,
                               const std::vector<double>& points, Random& random) {
  std::vector<double> q(static_cast<std::size_t>(s.queries * s.d));
  for (std::int64_t i = 0; i < s.queries; ++i) {
    const bool stranger = i % 4 == 3, near = i % 4 == 1;
    const std::int64_t of = random.below(s.points);
    for (std::int64_t c = 0; c < s.d; ++c) {
      double value =
          stranger ? value_of(kind, bytes, random) : points[static_cast<std::size_t>(of * s.d + c)];
      if (near && !bytes && kind != Kind::integers) value *= 1.0 + 1e-4 * random.normal();
      q[static_cast<std::size_t>(i * s.d + c)] = rounded(value, dtype);
    }
  }
  return q;
}

std::vector<double> naive_sq(const Table& queries, const Table& points) {
  const std::int64_t m = queries.matrix().rows, n = points.matrix().rows, d = points.matrix().cols;
  std::vector<double> sq(static_cast<std::size_t>(m * n));
  double* to = sq.data();
  for (std::int64_t i = 0; i < m; ++i) {
    const double* q = queries.row(i);
    for (std::int64_t j = 0; j < n; ++j) {
      const double* x = points.row(j);
      double sum = 0.0;
      for (std::int64_t c = 0; c < d; ++c) sum += (q[c] - x[c]) * (q[c] - x[c]);
      *to++ = sum;
    }
  }
  return sq;
}

}  // namespace

std::uint64_t Random::bits() {
  std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

double Random::normal() {
  const std::uint64_t x = bits();
  const std::uint64_t sum = (x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48);
  // Of four uniform numbers: mean 2, variance 1 / 3.
  return (static_cast<double>(sum) * 0x1p-16 - 2.0) * 1.7320508;
}

template <class T>
void Table::fill(T gap, const std::vector<double>& values) {
  T* all = reinterpret_cast<T*>(memory_.get());
  std::fill_n(all, extent_, gap);
  T* first = const_cast<T*>(static_cast<const T*>(matrix_.data));
  for (std::int64_t i = 0; i < matrix_.rows; ++i) {
    for (std::int64_t c = 0; c < matrix_.cols; ++c) {
      const auto at = static_cast<std::size_t>(i * matrix_.cols + c);
      const T value = static_cast<T>(values[at]);
      first[i * matrix_.row_stride + c * matrix_.col_stride] = value;
      rounded_[at] = static_cast<double>(value);
    }
  }
}

Table::Table(std::int64_t rows, std::int64_t cols, Dtype dtype, Layout layout,
             const std::vector<double>& values)
    : matrix_{nullptr, rows, cols, cols, 1, dtype}, rounded_(values.size()) {
  switch (layout) {
    case Layout::contiguous: break;
    case Layout::padded: matrix_.row_stride = cols + 3; break;
    case Layout::backwards:
      matrix_.row_stride = -cols - 1;
      matrix_.col_stride = -1;
      break;
    case Layout::transposed:
      matrix_.row_stride = 1;
      matrix_.col_stride = rows;
      break;
    case Layout::spaced:
      matrix_.row_stride = 4 * cols;
      matrix_.col_stride = 2;
      break;
  }
  const std::int64_t last =
      std::max<std::int64_t>(0, rows - 1) * matrix_.row_stride + (cols - 1) * matrix_.col_stride;
  extent_ = std::abs(last) + 1;
  const std::int64_t item = size(dtype);
  memory_ = std::make_unique<char[]>(static_cast<std::size_t>(extent_ * item));
  matrix_.data = memory_.get() - std::min<std::int64_t>(0, last) * item;
  // What lies between the elements must not be read as if it were one.
  switch (dtype) {
    case Dtype::float32: fill(std::numeric_limits<float>::quiet_NaN(), values); break;
    case Dtype::float64: fill(std::numeric_limits<double>::quiet_NaN(), values); break;
    case Dtype::uint8: fill(std::uint8_t{255}, values); break;
  }
}

Matrix Table::rows(std::int64_t begin, std::int64_t count) const {
  Matrix part = matrix_;
  part.data =
      static_cast<const char*>(matrix_.data) + begin * matrix_.row_stride * size(matrix_.dtype);
  part.rows = count;
  return part;
}

Problem make_problem(const Shape& s, Dtype queries, Dtype points, std::size_t turn,
                     Random& random) {
  const bool bytes = queries == Dtype::uint8 || points == Dtype::uint8;
  const Kind kind = kind_of(queries, points, turn);
  const auto x_layout = static_cast<Layout>(random.below(kLayouts));
  const auto q_layout = static_cast<Layout>(random.below(kLayouts));
  const std::vector<double> x = points_of(kind, s, points, bytes, random);
  const std::vector<double> q = queries_of(kind, s, queries, bytes, x, random);
  Problem p{std::string(name(kind)) + ", " + name(queries) + ' ' + name(q_layout) + " x " +
                name(points) + ' ' + name(x_layout) + ", M " + std::to_string(s.queries) + ", N " +
                std::to_string(s.points) + ", d " + std::to_string(s.d),
            Table(s.queries, s.d, queries, q_layout, q),
            Table(s.points, s.d, points, x_layout, x),
            bytes || kind == Kind::integers,
            {},
            {}};
  p.sq = naive_sq(p.queries, p.points);
  for (std::int64_t i = 0; i < s.queries; ++i) {
    // Now the nearest, where leaving it out tells, now any, now none.
    const double* sq = p.sq.data() + i * s.points;
    const std::int64_t nearest = std::min_element(sq, sq + s.points) - sq;
    p.exclude.push_back(i % 3 == 0 ? nearest : i % 3 == 1 ? random.below(s.points) : -1);
  }
  return p;
}

}  // namespace genmem::native
