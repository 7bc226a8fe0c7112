#include "backends/expansion.hpp"

#include <algorithm>
#include <cmath>

#include "backends/sample.hpp"
#include "backends/walk.hpp"
#include "kernels/pairs/pairs.hpp"

namespace genmem::backends {

namespace {

// Rows of which one task takes the norms.
constexpr std::int64_t kNormRows = 4096;

template <class T>
double norm(const Matrix& m, std::int64_t row, const std::vector<double>& centre) {
  const T* from = static_cast<const T*>(m.data) + row * m.row_stride;
  // Four chains: one would wait for each of its sums.
  double sum[4] = {};
  for (std::int64_t c = 0; c < m.cols; ++c) {
    const double t =
        static_cast<double>(from[c * m.col_stride]) - centre[static_cast<std::size_t>(c)];
    sum[c % 4] += t * t;
  }
  return std::sqrt((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// |row - centre| of all rows.
bool norms(const Plan& plan, const Matrix& m, const std::vector<double>& centre,
           std::vector<double>& out) {
  out.resize(static_cast<std::size_t>(m.rows));
  const auto task = [&](std::int64_t number, int, Clock&) {
    const std::int64_t end = std::min(m.rows, (number + 1) * kNormRows);
    for (std::int64_t i = number * kNormRows; i < end; ++i) {
      double& to = out[static_cast<std::size_t>(i)];
      switch (m.dtype) {
        case Dtype::float32: to = norm<float>(m, i, centre); break;
        case Dtype::float64: to = norm<double>(m, i, centre); break;
        case Dtype::uint8: to = norm<std::uint8_t>(m, i, centre); break;
      }
    }
  };
  return run_tasks(ceil_div(m.rows, kNormRows), plan.threads, task, plan.interrupted);
}

}  // namespace

bool Expansion::prepare(const Plan& plan, const Matrix& queries, const Matrix& points,
                        const Density& density) {
  if (density.kind != KernelKind::gaussian || points.cols < kExpandedCols ||
      points.cols > kChainDepth) {
    return true;
  }
  double narrowest = *std::min_element(density.sq_bandwidths.begin(), density.sq_bandwidths.end());
  if (density.sq_scale) {
    narrowest *= *std::min_element(density.sq_scale, density.sq_scale + points.rows);
  }
  std::vector<double> centre = sample_mean(points), lengths;
  if (!norms(plan, points, centre, lengths)) return false;
  double longest = 0.0;
  for (const double length : lengths) {
    // A NaN or an overflow leaves differences, which tell it again.
    if (!(length < HUGE_VAL)) return true;
    longest = std::max(longest, length);
  }
  // 2 (d + 4) u (|x - c| + |y - c|)^2 / (2 h^2) <= kExpansionError
  const double most =
      std::sqrt(kExpansionError * narrowest / (static_cast<double>(points.cols + 4) * 0x1p-53));
  if (longest > most) return true;
  if (!norms(plan, queries, centre, lengths)) return false;
  holds_.resize(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) holds_[i] = lengths[i] + longest <= most;
  centre_ = std::move(centre);
  return true;
}

}  // namespace genmem::backends
