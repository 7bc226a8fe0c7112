#include <optional>
#include <vector>

#include "bindings/plan.hpp"
#include "interop/views.hpp"
#include "math/logsumexp.hpp"

namespace genmem::bindings {

namespace {

py::tuple log_kde(const py::array& queries, const py::array& points,
                  const std::optional<py::array>& log_weights, double scale,
                  const std::optional<py::array>& exclude, const std::string& backend,
                  int threads) {
  const Matrix q = interop::matrix(queries, "log_kde", "queries");
  const Matrix x = interop::matrix(points, "log_kde", "points");
  interop::same_width(q, x, "log_kde");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "log_kde", "exclude") : nullptr;
  const double* weights =
      log_weights ? interop::values(*log_weights, x.rows, "log_kde", "log_weights") : nullptr;
  std::vector<Slots> slots(static_cast<std::size_t>(q.rows));
  const backends::Plan how = plan(backend, threads);
  run([&] { return backends::log_kde(how, q, x, skip, weights, scale, slots.data()); });
  py::array_t<double> top(q.rows), rest(q.rows);
  py::array_t<std::int64_t> index(q.rows);
  for (std::int64_t i = 0; i < q.rows; ++i) {
    const Slots& s = slots[static_cast<std::size_t>(i)];
    top.mutable_at(i) = s.top;
    index.mutable_at(i) = s.top_index;
    rest.mutable_at(i) = GENMEM_ISA::rest_of(s);
  }
  return py::make_tuple(top, index, rest);
}

}  // namespace

void bind_log_kde(py::module_& m) {
  m.def("log_kde", &log_kde, py::arg("queries"), py::arg("points"), py::arg("log_weights"),
        py::arg("scale"), py::arg("exclude"), py::arg("backend"), py::arg("threads"));
}

}  // namespace genmem::bindings
