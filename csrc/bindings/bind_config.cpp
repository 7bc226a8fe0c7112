#include "bindings/plan.hpp"
#include "interop/views.hpp"

namespace genmem::bindings {

namespace {

py::dict backend_states() {
  py::dict states;
  for (const backends::Isa isa : backends::built()) {
    std::string why;
    states[backends::name(isa)] = backends::usable(isa, &why) ? std::string() : why;
  }
  return states;
}

std::string chosen_backend(const std::string& backend) {
  return backends::name(backends::choose(backend));
}

std::int64_t first_nonfinite_row(const py::array& array) {
  return interop::first_nonfinite_row(interop::matrix(array, "first_nonfinite_row", "array"));
}

}  // namespace

void bind_config(py::module_& m) {
  py::register_exception<backends::BackendUnavailable>(m, "BackendUnavailable", PyExc_RuntimeError);
  m.attr("compiler") = GENMEM_COMPILER;
  m.attr("cuda_built") = false;
  m.def("backend_states", &backend_states);
  m.def("chosen_backend", &chosen_backend, py::arg("backend"));
  m.def("default_threads", &backends::default_threads);
  m.def("first_nonfinite_row", &first_nonfinite_row, py::arg("array"));
}

}  // namespace genmem::bindings
