#include "interop/views.hpp"

#include <pybind11/stl.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace genmem::interop {

namespace {

std::string shape_of(const py::array& array) {
  return py::str(py::tuple(array.attr("shape"))).cast<std::string>();
}

[[noreturn]] void refuse(const char* operation, const char* argument, const std::string& what) {
  throw py::value_error(std::string(operation) + ": " + argument + " " + what);
}

template <class T>
const T* vector(const py::array& array, std::int64_t size, const char* operation,
                const char* argument) {
  if (!py::isinstance<py::array_t<T, py::array::c_style>>(array)) {
    refuse(operation, argument,
           "has type " + py::str(array.dtype()).cast<std::string>() + "; a contiguous vector of " +
               py::str(py::dtype::of<T>()).cast<std::string>() + " is wanted");
  }
  if (array.ndim() != 1 || array.shape(0) != size) {
    refuse(operation, argument,
           "has shape " + shape_of(array) + "; (" + std::to_string(size) + ",) is wanted");
  }
  return static_cast<const T*>(array.data());
}

// The bits of a number that is not finite: all of the exponent.
template <class T>
struct Bits;
template <>
struct Bits<float> {
  using Word = std::uint32_t;
  static constexpr Word exponent = 0x7f800000u;
};
template <>
struct Bits<double> {
  using Word = std::uint64_t;
  static constexpr Word exponent = 0x7ff0000000000000u;
};

// Integers, as a sum of floats may not be reordered: the compiler makes registers of them, and the
// scan runs at the speed of memory.
template <class T>
bool finite(const T* row, std::int64_t cols, std::int64_t step) {
  using Word = typename Bits<T>::Word;
  Word found = 0;
  for (std::int64_t c = 0; c < cols; ++c) {
    Word word;
    std::memcpy(&word, row + c * step, sizeof word);
    found |= static_cast<Word>((word & Bits<T>::exponent) == Bits<T>::exponent);
  }
  return found == 0;
}

template <class T>
std::int64_t first_nonfinite(const Matrix& m, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    const T* row = static_cast<const T*>(m.data) + i * m.row_stride;
    if (!(m.col_stride == 1 ? finite(row, m.cols, 1) : finite(row, m.cols, m.col_stride))) return i;
  }
  return -1;
}

}  // namespace

Matrix matrix(const py::array& array, const char* operation, const char* argument) {
  if (array.ndim() != 2) {
    refuse(operation, argument, "has shape " + shape_of(array) + "; two axes (rows, d) are wanted");
  }
  Dtype dtype{};
  if (py::isinstance<py::array_t<float>>(array)) {
    dtype = Dtype::float32;
  } else if (py::isinstance<py::array_t<double>>(array)) {
    dtype = Dtype::float64;
  } else if (py::isinstance<py::array_t<std::uint8_t>>(array)) {
    dtype = Dtype::uint8;
  } else {
    refuse(operation, argument,
           "has type " + py::str(array.dtype()).cast<std::string>() +
               "; float32, float64 or uint8 is wanted");
  }
  const auto item = array.itemsize();
  if (array.strides(0) % item != 0 || array.strides(1) % item != 0) {
    refuse(operation, argument, "has strides that are no multiple of its item size");
  }
  return {array.data(),
          array.shape(0),
          array.shape(1),
          array.strides(0) / item,
          array.strides(1) / item,
          dtype};
}

Matrix rows(const py::object& array, const char* operation, const char* argument) {
  if (py::isinstance<py::array>(array)) {
    return matrix(py::reinterpret_borrow<py::array>(array), operation, argument);
  }
  const py::dict interface = array.attr("__cuda_array_interface__");
  const auto shape = interface["shape"].cast<std::vector<std::int64_t>>();
  if (shape.size() != 2) refuse(operation, argument, "has no two axes (rows, d)");
  const auto type = interface["typestr"].cast<std::string>();
  const auto dtype = type == "<f4"   ? Dtype::float32
                     : type == "<f8" ? Dtype::float64
                     : type == "|u1" ? Dtype::uint8
                                     : static_cast<Dtype>(-1);
  if (dtype == static_cast<Dtype>(-1)) {
    refuse(operation, argument, "has type " + type + "; float32, float64 or uint8 is wanted");
  }
  const std::int64_t item = dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 1;
  std::vector<std::int64_t> strides{shape[1] * item, item};
  if (interface.contains("strides") && !interface["strides"].is_none()) {
    strides = interface["strides"].cast<std::vector<std::int64_t>>();
  }
  const bool whole =
      strides[0] % item == 0 && strides[0] >= 0 && (strides[1] == item || shape[1] <= 1);
  if (!whole && shape[0] > 0) {
    refuse(operation, argument, "has rows that do not lie in one piece, one behind another");
  }
  const auto address = interface["data"].cast<py::tuple>()[0].cast<std::uintptr_t>();
  if (address % static_cast<std::uintptr_t>(item) != 0) {
    refuse(operation, argument, "lies at an address that is no multiple of its item size");
  }
  if (interface.contains("mask") && !interface["mask"].is_none()) {
    refuse(operation, argument, "has a mask");
  }
  return {reinterpret_cast<const void*>(address),
          shape[0],
          shape[1],
          strides[0] / item,
          1,
          dtype,
          true};
}

Room room(const py::object& array, std::int64_t entries, std::int64_t number, const char* operation,
          const char* argument) {
  const py::dict interface = array.attr("__cuda_array_interface__");
  std::int64_t found = 1;
  for (const auto& axis : interface["shape"]) found *= axis.cast<std::int64_t>();
  const bool fits = entries == 0 ? found == 0 : found % entries == 0 && number < found / entries;
  if (!fits || (interface.contains("strides") && !interface["strides"].is_none())) {
    refuse(operation, argument, "is no contiguous memory of the size of the answer");
  }
  const auto address = interface["data"].cast<py::tuple>()[0].cast<std::uintptr_t>();
  const auto type = interface["typestr"].cast<std::string>();
  return {reinterpret_cast<char*>(address) + number * entries * (type.back() - '0'), type};
}

const std::int64_t* indices(const py::array& array, std::int64_t size, const char* operation,
                            const char* argument) {
  return vector<std::int64_t>(array, size, operation, argument);
}

const double* values(const py::array& array, std::int64_t size, const char* operation,
                     const char* argument) {
  return vector<double>(array, size, operation, argument);
}

void same_width(const Matrix& a, const Matrix& b, const char* operation) {
  if (a.cols == b.cols) return;
  refuse(operation, "queries and points",
         "have " + std::to_string(a.cols) + " and " + std::to_string(b.cols) +
             " features; the last axis (d) must agree");
}

std::int64_t first_nonfinite_row(const Matrix& m, std::int64_t begin, std::int64_t end) {
  switch (m.dtype) {
    case Dtype::float32: return first_nonfinite<float>(m, begin, end);
    case Dtype::float64: return first_nonfinite<double>(m, begin, end);
    case Dtype::uint8: return -1;
  }
  return -1;
}

}  // namespace genmem::interop
