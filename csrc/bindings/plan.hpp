// What every binding does: choose the backend, release the GIL, call, answer Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "backends/dispatch.hpp"

namespace genmem::bindings {

namespace py = pybind11;

inline backends::Plan plan(const std::string& backend, int threads, backends::Stats* stats,
                           std::int64_t memory = backends::kMemory) {
  return {backends::choose(backend), threads,
          [] {
            const py::gil_scoped_acquire gil;
            return PyErr_CheckSignals() != 0;
          },
          stats, memory};
}

// (screened, pairs, distances, strange)
inline py::tuple as_tuple(const backends::Stats& stats) {
  return py::make_tuple(stats.screened.load(), stats.pairs.load(), stats.distances.load(),
                        stats.strange.load());
}

// Runs a walk without the GIL; the signal that stopped it is raised as Python's exception.
template <class Walk>
void run(const Walk& walk) {
  bool finished;
  {
    const py::gil_scoped_release release;
    finished = walk();
  }
  if (!finished) throw py::error_already_set();
}

void bind_config(py::module_& m);
void bind_knn(py::module_& m);
void bind_log_kde(py::module_& m);
void bind_grad_dot(py::module_& m);

}  // namespace genmem::bindings
