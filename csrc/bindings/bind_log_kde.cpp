#include <optional>
#include <vector>

#include "bindings/plan.hpp"
#include "interop/views.hpp"
#include "math/logsumexp.hpp"

namespace genmem::bindings {

namespace {

KernelKind kernel_kind(const std::string& name) {
  if (name == "gaussian") return KernelKind::gaussian;
  if (name == "epanechnikov") return KernelKind::epanechnikov;
  if (name == "biweight") return KernelKind::biweight;
  if (name == "tophat") return KernelKind::tophat;
  if (name == "exponential") return KernelKind::exponential;
  if (name == "linear") return KernelKind::linear;
  if (name == "cosine") return KernelKind::cosine;
  throw py::value_error("log_kde: kernel is '" + name +
                        "'; 'gaussian', 'epanechnikov', 'biweight', 'tophat', 'exponential', "
                        "'linear' or 'cosine' is wanted");
}

backends::Density density_of(const std::string& kernel, const std::vector<double>& sq_bandwidths,
                             const std::optional<py::array>& log_weights,
                             const std::optional<py::array>& sq_scales, std::int64_t points,
                             const char* operation) {
  const auto numbers = [&](const std::optional<py::array>& array, const char* name) {
    return array ? interop::values(*array, points, operation, name) : nullptr;
  };
  return {kernel_kind(kernel), sq_bandwidths, numbers(log_weights, "log_weights"),
          numbers(sq_scales, "sq_scales")};
}

py::tuple log_kde(const py::object& queries, const py::object& points, const std::string& kernel,
                  const std::vector<double>& sq_bandwidths,
                  const std::optional<py::array>& log_weights,
                  const std::optional<py::array>& sq_scales,
                  const std::optional<py::array>& exclude, const std::string& backend, int threads,
                  std::int64_t memory, const py::object& place) {
  const Matrix q = interop::rows(queries, "log_kde", "queries");
  const Matrix x = interop::rows(points, "log_kde", "points");
  interop::same_width(q, x, "log_kde");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "log_kde", "exclude") : nullptr;
  const backends::Density density =
      density_of(kernel, sq_bandwidths, log_weights, sq_scales, x.rows, "log_kde");
  const auto bandwidths = static_cast<std::int64_t>(sq_bandwidths.size());
  std::vector<Slots> slots(static_cast<std::size_t>(bandwidths * q.rows));
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::log_kde(how, q, x, skip, density, slots.data()); });
  py::array_t<double> top({bandwidths, q.rows}), rest({bandwidths, q.rows});
  py::array_t<std::int64_t> index({bandwidths, q.rows});
  for (std::size_t i = 0; i < slots.size(); ++i) {
    top.mutable_data()[i] = slots[i].top;
    index.mutable_data()[i] = slots[i].top_index;
    rest.mutable_data()[i] = GENMEM_ISA::rest_of(slots[i]);
  }
  return py::make_tuple(top, index, rest, as_tuple(stats));
}

py::tuple log_kde_on_card(const py::object& queries, const py::object& points,
                          const std::string& kernel, const std::vector<double>& sq_bandwidths,
                          const std::optional<py::array>& log_weights,
                          const std::optional<py::array>& sq_scales,
                          const std::optional<py::array>& exclude, const std::string& backend,
                          int threads, std::int64_t memory, const py::object& place,
                          double log_mass, const std::optional<py::array>& log_masses,
                          const std::vector<double>& norms, const py::object& out) {
  const Matrix q = interop::rows(queries, "log_kde", "queries");
  const Matrix x = interop::rows(points, "log_kde", "points");
  interop::same_width(q, x, "log_kde");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "log_kde", "exclude") : nullptr;
  const backends::Density density =
      density_of(kernel, sq_bandwidths, log_weights, sq_scales, x.rows, "log_kde");
  const auto bandwidths = static_cast<std::int64_t>(sq_bandwidths.size());
  const backends::LogDensityOnCard to{
      log_mass,
      log_masses ? interop::values(*log_masses, q.rows, "log_kde", "log_masses") : nullptr, norms,
      static_cast<double*>(interop::room(out, bandwidths * q.rows, 0, "log_kde", "out").data)};
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::log_kde_on_card(how, q, x, skip, density, to); });
  return as_tuple(stats);
}

py::tuple kde_gradient(const py::object& queries, const py::object& points, double sq_bandwidth,
                       const std::optional<py::array>& log_weights,
                       const std::optional<py::array>& sq_scales, const py::array& log_sum,
                       const std::optional<py::array>& exclude, const std::string& backend,
                       int threads, std::int64_t memory, const py::object& place) {
  const Matrix q = interop::rows(queries, "kde_gradient", "queries");
  const Matrix x = interop::rows(points, "kde_gradient", "points");
  interop::same_width(q, x, "kde_gradient");
  const std::int64_t* skip =
      exclude ? interop::indices(*exclude, q.rows, "kde_gradient", "exclude") : nullptr;
  const backends::Density density =
      density_of("gaussian", {sq_bandwidth}, log_weights, sq_scales, x.rows, "kde_gradient");
  const double* sums = interop::values(log_sum, q.rows, "kde_gradient", "log_sum");
  py::array_t<double> out({q.rows, q.cols});
  double* to = out.mutable_data();
  backends::Stats stats;
  const backends::Plan how = plan(backend, threads, &stats, memory, place);
  run([&] { return backends::kde_gradient(how, q, x, skip, density, sums, to); });
  return py::make_tuple(out, as_tuple(stats));
}

}  // namespace

void bind_log_kde(py::module_& m) {
  m.def("log_kde", &log_kde, py::arg("queries"), py::arg("points"), py::arg("kernel"),
        py::arg("sq_bandwidths"), py::arg("log_weights"), py::arg("sq_scales"), py::arg("exclude"),
        py::arg("backend"), py::arg("threads"), py::arg("memory"), py::arg("place"));
  m.def("kde_gradient", &kde_gradient, py::arg("queries"), py::arg("points"),
        py::arg("sq_bandwidth"), py::arg("log_weights"), py::arg("sq_scales"), py::arg("log_sum"),
        py::arg("exclude"), py::arg("backend"), py::arg("threads"), py::arg("memory"),
        py::arg("place"));
  m.def("log_kde_on_card", &log_kde_on_card, py::arg("queries"), py::arg("points"),
        py::arg("kernel"), py::arg("sq_bandwidths"), py::arg("log_weights"), py::arg("sq_scales"),
        py::arg("exclude"), py::arg("backend"), py::arg("threads"), py::arg("memory"),
        py::arg("place"), py::arg("log_mass"), py::arg("log_masses"), py::arg("norms"),
        py::arg("out"));
}

}  // namespace genmem::bindings
