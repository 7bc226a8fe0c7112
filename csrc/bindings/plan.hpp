// What every binding does: choose the backend, release the GIL, call, answer Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "backends/dispatch.hpp"

namespace genmem::bindings {

namespace py = pybind11;

// Where on a card: None, or (device, stream, streams to wait for, memory or None, whether the
// caller looks at the statistics), memory with allocate(bytes) -> address and release(address).
inline backends::CardPlace card_place(const py::object& place) {
  backends::CardPlace to;
  if (place.is_none()) return to;
  const auto [device, stream, before, memory, told] =
      place.cast<std::tuple<int, std::uintptr_t, std::vector<std::uintptr_t>, py::object, bool>>();
  to.given = true;
  to.told = told;
  to.device = device;
  to.stream = reinterpret_cast<void*>(stream);
  for (const std::uintptr_t one : before) to.before.push_back(reinterpret_cast<void*>(one));
  if (memory.is_none()) return to;
  // `place` outlives the call, so the object is not kept: a walk copies and drops functions without
  // the GIL.
  PyObject* const store = memory.ptr();
  to.allocate = [store](std::int64_t bytes) {
    const py::gil_scoped_acquire gil;
    const py::object address = py::handle(store).attr("allocate")(bytes);
    return reinterpret_cast<void*>(address.cast<std::uintptr_t>());
  };
  to.release = [store](void* address) {
    const py::gil_scoped_acquire gil;
    // A release that fails is told, but cannot be thrown: memory is given back on the way out.
    try {
      py::handle(store).attr("release")(reinterpret_cast<std::uintptr_t>(address));
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("genmem: memory of a card");
    }
  };
  if (py::hasattr(memory, "spare")) {
    to.spare = [store] {
      const py::gil_scoped_acquire gil;
      return py::handle(store).attr("spare")().cast<std::int64_t>();
    };
  }
  return to;
}

inline backends::Plan plan(const std::string& backend, int threads, backends::Stats* stats,
                           std::int64_t memory = backends::kMemory,
                           const py::object& place = py::none()) {
  return {backends::choose(backend),
          threads,
          [] {
            const py::gil_scoped_acquire gil;
            return PyErr_CheckSignals() != 0;
          },
          stats,
          memory,
          card_place(place)};
}

// (screened, pairs, distances, waits, strange)
inline py::tuple as_tuple(const backends::Stats& stats) {
  return py::make_tuple(stats.screened.load(), stats.pairs.load(), stats.distances.load(),
                        stats.waits.load(), stats.strange.load());
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
void bind_card_array(py::module_& m);

}  // namespace genmem::bindings
