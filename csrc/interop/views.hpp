// NumPy arrays as the kernels see them, and checks whose message names the argument and the value.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "kernels/matrix.hpp"

namespace genmem::interop {

namespace py = pybind11;

// A two-dimensional float32, float64 or uint8 array of any strides, not copied.
Matrix matrix(const py::array& array, const char* operation, const char* argument);

// The same, or a matrix on a card: any object with __cuda_array_interface__.
Matrix rows(const py::object& array, const char* operation, const char* argument);

// Contiguous memory of a card, by __cuda_array_interface__: the `number`-th of equal parts of so
// many entries, to be written to.
struct Room {
  void* data;
  std::string type;  // as NumPy spells it
};
Room room(const py::object& array, std::int64_t entries, std::int64_t number, const char* operation,
          const char* argument);

// A contiguous int64 / float64 vector of `size` entries.
const std::int64_t* indices(const py::array& array, std::int64_t size, const char* operation,
                            const char* argument);
const double* values(const py::array& array, std::int64_t size, const char* operation,
                     const char* argument);

void same_width(const Matrix& a, const Matrix& b, const char* operation);

// The first of rows begin .. end - 1 with a NaN or an infinity, or -1. Needs no GIL.
std::int64_t first_nonfinite_row(const Matrix& m, std::int64_t begin, std::int64_t end);

}  // namespace genmem::interop
