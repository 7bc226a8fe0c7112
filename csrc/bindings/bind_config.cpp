#include <algorithm>

#include "backends/cards.hpp"
#include "backends/on_card.hpp"
#include "bindings/plan.hpp"
#include "interop/views.hpp"

namespace genmem::bindings {

namespace {

py::dict states_of(const std::vector<backends::Isa>& isas) {
  py::dict states;
  for (const backends::Isa isa : isas) {
    std::string why;
    states[backends::name(isa)] = backends::usable(isa, &why) ? std::string() : why;
  }
  return states;
}

py::dict backend_states() { return states_of(backends::built()); }
py::dict card_states() { return states_of(backends::cards()); }

// What the CUDA kernels of this build are for, and the runtime in it; or nothing.
std::string cuda_build() {
#if defined(GENMEM_HAVE_CUDA)
  const int version = cuda::runtime_version();
  return std::string(cuda::architectures()) + "; runtime " + std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
#else
  return {};
#endif
}

std::string chosen_backend(const std::string& backend) {
  return backends::name(backends::choose(backend));
}

std::int64_t first_nonfinite_row(const py::array& array) {
  const Matrix m = interop::matrix(array, "first_nonfinite_row", "array");
  // 32 MiB at a time: some ten milliseconds from memory, within which Ctrl-C is answered.
  const std::int64_t step =
      std::max<std::int64_t>(1, (1 << 22) / std::max<std::int64_t>(1, m.cols));
  for (std::int64_t start = 0; start < m.rows; start += step) {
    std::int64_t found;
    {
      const py::gil_scoped_release release;
      found = interop::first_nonfinite_row(m, start, std::min(m.rows, start + step));
    }
    if (found >= 0) return found;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
  return -1;
}

// A matrix of a card as an array: for what is looked at when something is wrong.
py::array on_host(const py::object& array, const std::string& backend, const py::object& place) {
  const Matrix m = interop::rows(array, "on_host", "array");
  backends::Stats stats;
  const backends::Plan how = plan(backend, 1, &stats, backends::kMemory, place);
  std::vector<char> memory;
  if (m.rows > 0) {
    const backends::OnCard on(how);
    backends::some_rows(on, m, m.rows, memory);
  }
  const py::dtype type = m.dtype == Dtype::float32   ? py::dtype::of<float>()
                         : m.dtype == Dtype::float64 ? py::dtype::of<double>()
                                                     : py::dtype::of<std::uint8_t>();
  const std::int64_t rows = static_cast<std::int64_t>(memory.size()) / backends::row_bytes(m);
  return py::array(type, {rows, m.cols}, memory.data());
}

// Whether an entry of any is not finite; (name, array) each.
bool strange(const std::string& operation,
             const std::vector<std::pair<std::string, py::object>>& arrays,
             const std::string& backend, const py::object& place) {
  std::vector<Matrix> matrices;
  for (const auto& [name, array] : arrays) {
    matrices.push_back(interop::rows(array, operation.c_str(), name.c_str()));
  }
  backends::Stats stats;
  const backends::Plan how = plan(backend, 1, &stats, backends::kMemory, place);
  return backends::strange_on_card(how, matrices);
}

}  // namespace

void bind_config(py::module_& m) {
  const py::object base = py::module_::import("genmem.errors").attr("BackendError");
  py::register_exception<backends::BackendUnavailable>(m, "BackendUnavailable", base);
  m.attr("compiler") = GENMEM_COMPILER;
  m.attr("cuda_build") = cuda_build();
  m.def("backend_states", &backend_states);
  m.def("card_states", &card_states);
  m.def("chosen_backend", &chosen_backend, py::arg("backend"));
  m.def("default_threads", &backends::default_threads);
  m.def("on_host", &on_host, py::arg("array"), py::arg("backend"), py::arg("place"));
  m.def("strange", &strange, py::arg("operation"), py::arg("arrays"), py::arg("backend"),
        py::arg("place"));
  m.def("first_nonfinite_row", &first_nonfinite_row, py::arg("array"));
}

}  // namespace genmem::bindings
