#include <optional>

#include "bindings/plan.hpp"
#include "interop/views.hpp"

namespace genmem::bindings {

namespace {

py::tuple knn(const py::object& queries, const py::object& points, std::int64_t k,
              const std::optional<py::array>& exclude, const std::string& backend, int threads,
              std::int64_t memory, const py::object& place) {
  const Matrix q = interop::rows(queries, "knn", "queries");
  const Matrix x = interop::rows(points, "knn", "points");
  interop::same_width(q, x, "knn");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "knn", "exclude") : nullptr;
  py::array_t<double> sq({q.rows, k});
  py::array_t<std::int64_t> index({q.rows, k});
  double* sq_out = sq.mutable_data();
  std::int64_t* index_out = index.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::knn(how, q, x, skip, k, sq_out, index_out); });
  return py::make_tuple(sq, index, as_tuple(stats));
}

py::tuple knn_on_card(const py::object& queries, const py::object& points, std::int64_t k,
                      const std::optional<py::array>& exclude, const std::string& backend,
                      int threads, std::int64_t memory, const py::object& place,
                      const py::object& distances, const py::object& indices) {
  const Matrix q = interop::rows(queries, "knn", "queries");
  const Matrix x = interop::rows(points, "knn", "points");
  interop::same_width(q, x, "knn");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "knn", "exclude") : nullptr;
  const auto to = interop::room(distances, q.rows * k, 0, "knn", "distances");
  const backends::NearestOnCard there{
      to.data, to.type == "<f4",
      static_cast<std::int64_t*>(interop::room(indices, q.rows * k, 0, "knn", "indices").data)};
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::knn_on_card(how, q, x, skip, k, there); });
  return as_tuple(stats);
}

py::tuple radius_counts(const py::object& queries, const py::object& points,
                        const py::array& sq_radius, const std::optional<py::array>& exclude,
                        const std::string& backend, int threads, std::int64_t memory,
                        const py::object& place) {
  const Matrix q = interop::rows(queries, "radius_counts", "queries");
  const Matrix x = interop::rows(points, "radius_counts", "points");
  interop::same_width(q, x, "radius_counts");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "radius_counts", "exclude") : nullptr;
  const double* most = interop::values(sq_radius, q.rows, "radius_counts", "sq_radius");
  py::array_t<std::int64_t> counts(q.rows);
  std::int64_t* out = counts.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::radius_counts(how, q, x, skip, most, out); });
  return py::make_tuple(counts, as_tuple(stats));
}

py::array_t<double> sq_distances(const py::object& queries, const py::object& points,
                                 const std::string& backend, int threads, const py::object& place) {
  const Matrix q = interop::rows(queries, "sq_distances", "queries");
  const Matrix x = interop::rows(points, "sq_distances", "points");
  interop::same_width(q, x, "sq_distances");
  py::array_t<double> sq({q.rows, x.rows});
  double* out = sq.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, backends::kMemory, place);
  run([&] { return backends::sq_distances(how, q, x, out); });
  return sq;
}

}  // namespace

void bind_knn(py::module_& m) {
  m.def("knn", &knn, py::arg("queries"), py::arg("points"), py::arg("k"), py::arg("exclude"),
        py::arg("backend"), py::arg("threads"), py::arg("memory"), py::arg("place"));
  m.def("radius_counts", &radius_counts, py::arg("queries"), py::arg("points"),
        py::arg("sq_radius"), py::arg("exclude"), py::arg("backend"), py::arg("threads"),
        py::arg("memory"), py::arg("place"));
  m.def("knn_on_card", &knn_on_card, py::arg("queries"), py::arg("points"), py::arg("k"),
        py::arg("exclude"), py::arg("backend"), py::arg("threads"), py::arg("memory"),
        py::arg("place"), py::arg("distances"), py::arg("indices"));
  m.def("sq_distances", &sq_distances, py::arg("queries"), py::arg("points"), py::arg("backend"),
        py::arg("threads"), py::arg("place"));
}

}  // namespace genmem::bindings
