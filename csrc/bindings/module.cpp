#include "bindings/plan.hpp"

PYBIND11_MODULE(_core, m) {
  namespace bindings = genmem::bindings;
  m.doc() = "Native kernels of genmem; genmem.kernels holds the typed doors.";
  bindings::bind_config(m);
  bindings::bind_knn(m);
  bindings::bind_log_kde(m);
  bindings::bind_grad_dot(m);
  bindings::bind_card_array(m);
}
