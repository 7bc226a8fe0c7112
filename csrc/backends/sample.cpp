#include "backends/sample.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace genmem::backends {

namespace {

// visit(c, value) for every entry of every sampled row.
template <class T, class Visit>
void visit_rows(const Matrix& m, const Visit& visit) {
  const std::int64_t count = std::min(m.rows, kSample);
  for (std::int64_t i = 0; i < count; ++i) {
    const T* row = static_cast<const T*>(m.data) + i * m.rows / count * m.row_stride;
    for (std::int64_t c = 0; c < m.cols; ++c) {
      visit(static_cast<std::size_t>(c), static_cast<double>(row[c * m.col_stride]));
    }
  }
}

template <class Visit>
void visit_sample(const Matrix& m, const Visit& visit) {
  switch (m.dtype) {
    case Dtype::float32: return visit_rows<float>(m, visit);
    case Dtype::float64: return visit_rows<double>(m, visit);
    case Dtype::uint8: return visit_rows<std::uint8_t>(m, visit);
  }
}

}  // namespace

std::vector<double> sample_mean(const Matrix& m) {
  std::vector<double> mean(static_cast<std::size_t>(m.cols), 0.0);
  visit_sample(m, [&](std::size_t c, double value) { mean[c] += value; });
  const auto count = static_cast<double>(std::min(m.rows, kSample));
  for (double& c : mean) c = static_cast<double>(static_cast<float>(c / count));
  return mean;
}

double sample_spread(const Matrix& m, const std::vector<double>& mean) {
  double squares = 0.0;
  visit_sample(
      m, [&](std::size_t c, double value) { squares += (value - mean[c]) * (value - mean[c]); });
  const auto count = static_cast<double>(std::min(m.rows, kSample) * m.cols);
  return std::sqrt(squares / count);
}

}  // namespace genmem::backends
