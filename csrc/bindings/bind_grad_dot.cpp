#include <optional>
#include <tuple>
#include <vector>

#include "bindings/plan.hpp"
#include "interop/views.hpp"

namespace genmem::bindings {

namespace {

// inputs (tokens, d), gradients (tokens, p), offsets (samples + 1,), bias
using Layer = std::tuple<py::object, py::object, py::array, bool>;
using Layers = std::vector<Layer>;

TokenLayer view(const Layer& layer, std::int64_t samples) {
  const auto& [inputs, gradients, offsets, bias] = layer;
  const Matrix a = interop::rows(inputs, "grad_dot", "inputs");
  const Matrix g = interop::rows(gradients, "grad_dot", "gradients");
  const std::int64_t* bounds = interop::indices(offsets, samples + 1, "grad_dot", "offsets");
  if (a.rows != g.rows || bounds[0] != 0 || bounds[samples] != a.rows) {
    throw py::value_error("grad_dot: inputs, gradients and offsets count " +
                          std::to_string(a.rows) + ", " + std::to_string(g.rows) + " and " +
                          std::to_string(bounds[samples]) + " tokens; they must agree");
  }
  for (std::int64_t i = 0; i < samples; ++i) {
    if (bounds[i + 1] < bounds[i]) throw py::value_error("grad_dot: offsets must not fall");
  }
  return {a, g, bounds};
}

std::vector<backends::LayerPair> pairs(const Layers& queries, const Layers& points,
                                       std::int64_t x_samples, std::int64_t y_samples) {
  if (queries.size() != points.size()) {
    throw py::value_error("grad_dot: queries have " + std::to_string(queries.size()) +
                          " layers and points " + std::to_string(points.size()));
  }
  std::vector<backends::LayerPair> out;
  for (std::size_t l = 0; l < queries.size(); ++l) {
    const TokenLayer x = view(queries[l], x_samples), y = view(points[l], y_samples);
    const bool bias = std::get<3>(queries[l]);
    if (x.inputs.cols != y.inputs.cols || x.gradients.cols != y.gradients.cols ||
        bias != std::get<3>(points[l])) {
      throw py::value_error("grad_dot: layer " + std::to_string(l) +
                            " differs between queries and points in width or bias");
    }
    out.push_back({x, y, bias});
  }
  return out;
}

std::int64_t samples_of(const Layers& layers) {
  return layers.empty() ? 0 : std::get<2>(layers.front()).size() - 1;
}

py::array_t<double> grad_dot(const Layers& queries, const Layers& points, bool symmetric,
                             double tol, const std::string& backend, int threads,
                             std::int64_t memory, const py::object& place) {
  const std::int64_t m = samples_of(queries), n = samples_of(points);
  const auto layers = pairs(queries, points, m, n);
  py::array_t<double> out({m, n});
  double* to = out.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::grad_dot(how, layers, m, n, symmetric, tol, to); });
  return out;
}

void grad_dot_on_card(const Layers& queries, const Layers& points, bool symmetric, double tol,
                      const std::optional<py::array>& query_scale,
                      const std::optional<py::array>& point_scale, const std::string& backend,
                      int threads, std::int64_t memory, const py::object& place,
                      const py::object& out, std::int64_t number) {
  const std::int64_t m = samples_of(queries), n = samples_of(points);
  const auto layers = pairs(queries, points, m, n);
  const interop::Room room = interop::room(out, m * n, number, "grad_dot", "out");
  const backends::ProductsOnCard to{
      room.data, room.type == "<f4",
      query_scale ? interop::values(*query_scale, m, "grad_dot", "query_scale") : nullptr,
      point_scale ? interop::values(*point_scale, n, "grad_dot", "point_scale") : nullptr};
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::grad_dot_on_card(how, layers, m, n, symmetric, tol, to); });
}

py::tuple grad_dot_top(const Layers& queries, const Layers& points, std::int64_t k, bool largest,
                       const std::optional<py::array>& query_scale,
                       const std::optional<py::array>& point_scale, bool screen,
                       const std::string& backend, int threads, std::int64_t memory,
                       const py::object& place) {
  const std::int64_t m = samples_of(queries), n = samples_of(points);
  const auto layers = pairs(queries, points, m, n);
  if (k < 1 || k > n) throw py::value_error("grad_dot: k is not within 1 .. the number of points");
  if (query_scale.has_value() != point_scale.has_value()) {
    throw py::value_error("grad_dot: one side alone has a scale");
  }
  py::array_t<std::int64_t> index({m, k});
  py::array_t<double> score({m, k});
  const backends::Strongest top{
      k,
      largest,
      query_scale ? interop::values(*query_scale, m, "grad_dot", "query_scale") : nullptr,
      point_scale ? interop::values(*point_scale, n, "grad_dot", "point_scale") : nullptr,
      screen,
      index.mutable_data(),
      score.mutable_data()};
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::grad_dot_top(how, layers, m, n, top); });
  return py::make_tuple(index, score, stats.distances.load());
}

py::array_t<double> grad_dot_listed(
    const Layers& queries, const Layers& points,
    const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>& indices,
    const std::string& backend, int threads, std::int64_t memory, const py::object& place) {
  const std::int64_t m = samples_of(queries), n = samples_of(points);
  const auto layers = pairs(queries, points, m, n);
  if (indices.ndim() != 2 || indices.shape(0) != m) {
    throw py::value_error("grad_dot: indices must have a row for each query");
  }
  const std::int64_t* at = indices.data();
  for (py::ssize_t i = 0; i < indices.size(); ++i) {
    if (at[i] < 0 || at[i] >= n) {
      throw py::value_error("grad_dot: indices holds " + std::to_string(at[i]) + "; 0 .. " +
                            std::to_string(n - 1) + " is wanted");
    }
  }
  const std::int64_t count = indices.shape(1);
  py::array_t<double> out({m, count});
  double* to = out.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::grad_dot_listed(how, layers, m, at, count, to); });
  return out;
}

py::array_t<double> grad_dot_diagonal(const Layers& queries, const Layers& points,
                                      const std::string& backend, int threads, std::int64_t memory,
                                      const py::object& place) {
  const std::int64_t n = samples_of(queries);
  const auto layers = pairs(queries, points, n, n);
  py::array_t<double> out(n);
  double* to = out.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::grad_dot_diagonal(how, layers, n, to); });
  return out;
}

}  // namespace

void bind_grad_dot(py::module_& m) {
  m.def("grad_dot", &grad_dot, py::arg("queries"), py::arg("points"), py::arg("symmetric"),
        py::arg("tol"), py::arg("backend"), py::arg("threads"),
        py::arg("memory") = backends::kMemory, py::arg("place") = py::none());
  m.def("grad_dot_on_card", &grad_dot_on_card, py::arg("queries"), py::arg("points"),
        py::arg("symmetric"), py::arg("tol"), py::arg("query_scale"), py::arg("point_scale"),
        py::arg("backend"), py::arg("threads"), py::arg("memory"), py::arg("place"), py::arg("out"),
        py::arg("number"));
  m.def("grad_dot_top", &grad_dot_top, py::arg("queries"), py::arg("points"), py::arg("k"),
        py::arg("largest"), py::arg("query_scale"), py::arg("point_scale"), py::arg("screen"),
        py::arg("backend"), py::arg("threads"), py::arg("memory") = backends::kMemory,
        py::arg("place") = py::none());
  m.def("grad_dot_listed", &grad_dot_listed, py::arg("queries"), py::arg("points"),
        py::arg("indices"), py::arg("backend"), py::arg("threads"),
        py::arg("memory") = backends::kMemory, py::arg("place") = py::none());
  m.def("grad_dot_diagonal", &grad_dot_diagonal, py::arg("queries"), py::arg("points"),
        py::arg("backend"), py::arg("threads"), py::arg("memory") = backends::kMemory,
        py::arg("place") = py::none());
}

}  // namespace genmem::bindings
