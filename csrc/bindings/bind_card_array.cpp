// An answer on a card for a caller that is not torch: memory that other libraries read in place, by
// __cuda_array_interface__ or DLPack.
#include <cstring>
#include <memory>
#include <numeric>

#include "backends/on_card.hpp"
#include "bindings/plan.hpp"

namespace genmem::bindings {

namespace {

// As dlpack.h of version 0.8 lays them out, the plain form that every reader takes.
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr std::int32_t kProcessor = 1, kCuda = 2;

class CardArray {
 public:
  CardArray(const std::string& backend, const py::object& place, std::vector<std::int64_t> shape,
            std::string type)
      : isa_(backends::choose(backend)),
        kernels_(backends::kernels_of_card(isa_)),
        shape_(std::move(shape)),
        type_(std::move(type)),
        item_(type_.back() - '0') {
    const backends::CardPlace at = card_place(place);
    queue_ = {at.device, at.stream};
    inside([&] {
      check(kernels_.card->allocate(queue_, &data_, std::max<std::int64_t>(1, bytes())));
    });
  }
  ~CardArray() {
    int before = 0;
    kernels_.card->current(&before);
    if (before != queue_.device) kernels_.card->enter(queue_.device);
    // The stream that it was made in may be gone.
    if (event_) kernels_.card->behind(own(), event_);
    kernels_.card->release(sealed_ ? own() : queue_, data_);
    if (event_) kernels_.card->drop(event_);
    if (before != queue_.device) kernels_.card->enter(before);
  }
  CardArray(const CardArray&) = delete;
  CardArray& operator=(const CardArray&) = delete;

  py::dict interface() const {
    py::dict out;
    out["shape"] = py::tuple(py::cast(shape_));
    out["typestr"] = type_;
    out["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(data_), false);
    out["strides"] = py::none();
    out["version"] = 3;
    // 1 is the default stream there, 0 none at all.
    const auto stream = reinterpret_cast<std::uintptr_t>(queue_.stream);
    out["stream"] = stream == 0 ? 1 : stream;
    return out;
  }

  // To be called when the work that fills it is in the stream: from then on the stream is not
  // needed, which its owner may end.
  void seal() {
    inside([&] { check(kernels_.card->mark(queue_, &event_)); });
    sealed_ = true;
  }

  // On the host, when the stream has come so far.
  py::array array() const {
    py::array out(py::dtype(type_), shape_);
    void* const to = out.mutable_data();
    const py::gil_scoped_release release;
    inside([&] {
      const Queue from = sealed_ ? own() : queue_;
      if (event_) check(kernels_.card->behind(from, event_));
      check(kernels_.card->download(from, to, data_, bytes()));
      check(kernels_.card->wait(from));
    });
    return out;
  }

  // From the host: as many bytes, contiguous.
  void put(const py::array& from) {
    if (!(from.flags() & py::array::c_style) || from.nbytes() != bytes()) {
      throw py::value_error("CardArray: what is put there is no contiguous array of its size");
    }
    const void* const at = from.data();
    const py::gil_scoped_release release;
    inside([&] {
      const char* error = nullptr;
      const backends::Pinned piece = backends::take_pinned(*kernels_.card, bytes(), &error);
      check(error);
      std::memcpy(piece.memory, at, static_cast<std::size_t>(bytes()));
      error = kernels_.card->upload(queue_, data_, piece.memory, bytes());
      backends::give_pinned(*kernels_.card, queue_, piece);
      check(error);
    });
  }

  std::pair<std::int32_t, std::int32_t> device() const {
    return {isa_ == backends::Isa::cuda ? kCuda : kProcessor, queue_.device};
  }

  const std::vector<std::int64_t>& shape() const { return shape_; }
  const std::string& type() const { return type_; }

  // What a stream gets from now on finds the answer there.
  void lead(std::int64_t stream) const {
    void* const reader = reinterpret_cast<void*>(static_cast<std::uintptr_t>(stream));
    if (reader == queue_.stream) return;
    inside([&] {
      const Queue later{queue_.device, reader};
      if (event_) {
        check(kernels_.card->behind(later, event_));
      } else if (!sealed_) {
        check(backends::follow(*kernels_.card, later, queue_));
      }
    });
  }

  DLTensor tensor() {
    return {data_,
            device().first,
            device().second,
            static_cast<std::int32_t>(shape_.size()),
            static_cast<std::uint8_t>(type_[1] == 'f' ? 2 : 0),  // a float, or an integer
            static_cast<std::uint8_t>(8 * item_),
            1,
            shape_.data(),
            nullptr,
            0};
  }

 private:
  std::int64_t bytes() const {
    return std::accumulate(shape_.begin(), shape_.end(), static_cast<std::int64_t>(item_),
                           std::multiplies<>());
  }
  void check(const char* error) const {
    if (error) throw backends::CardError(std::string(kernels_.card->name) + ": " + error);
  }
  // With its device the thread's current one.
  template <class Work>
  void inside(const Work& work) const {
    struct Back {
      ~Back() {
        if (device >= 0) card.enter(device);
      }
      const Card& card;
      int device = -1;
    } before{*kernels_.card};
    int device = 0;
    check(kernels_.card->current(&device));
    if (device != queue_.device) {
      check(kernels_.card->enter(queue_.device));
      before.device = device;
    }
    work();
  }

  backends::Isa isa_;
  const backends::CardKernels& kernels_;
  // The default stream.
  Queue own() const { return {queue_.device, nullptr}; }

  Queue queue_{};
  void* event_ = nullptr;
  bool sealed_ = false;
  std::vector<std::int64_t> shape_;
  std::string type_;
  int item_;
  void* data_ = nullptr;
};

using Shared = std::shared_ptr<CardArray>;

void release(DLManagedTensor* managed) {
  delete static_cast<Shared*>(managed->context);
  delete managed;
}

// A capsule that nobody took frees what it holds.
void drop(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor") == 0) return;
  auto* const managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

[[noreturn]] void refuse(const char* why) {
  PyErr_SetString(PyExc_BufferError, why);
  throw py::error_already_set();
}

py::object dlpack(const Shared& array, const py::object& stream, const py::kwargs& more) {
  const auto asked = [&](const char* name) {
    return more.contains(name) ? py::object(more[name]) : py::none();
  };
  if (!asked("copy").is_none() && asked("copy").cast<bool>()) {
    refuse("a copy is wanted: np.asarray makes one on the host");
  }
  const py::object device = asked("dl_device");
  if (!device.is_none() &&
      device.cast<std::pair<std::int32_t, std::int32_t>>() != array->device()) {
    refuse("another device is wanted: np.asarray makes a copy on the host");
  }
  // -1: the reader sees to the order itself; none: it reads in the default stream.
  const std::int64_t reader = stream.is_none() ? 1 : stream.cast<std::int64_t>();
  if (reader == 0) refuse("stream is 0, which is none of CUDA's; 1 is the default stream");
  if (reader >= 0) array->lead(reader);
  auto managed = std::make_unique<DLManagedTensor>();
  *managed = {array->tensor(), new Shared(array), release};
  PyObject* const capsule = PyCapsule_New(managed.get(), "dltensor", drop);
  if (!capsule) {
    release(managed.release());
    throw py::error_already_set();
  }
  managed.release();
  return py::reinterpret_steal<py::object>(capsule);
}

}  // namespace

void bind_card_array(py::module_& m) {
  py::class_<CardArray, Shared>(m, "CardArray")
      .def(
          py::init<const std::string&, const py::object&, std::vector<std::int64_t>, std::string>(),
          py::arg("backend"), py::arg("place"), py::arg("shape"), py::arg("typestr"))
      .def_property_readonly("__cuda_array_interface__", &CardArray::interface)
      .def("__dlpack__", &dlpack, py::kw_only(), py::arg("stream") = py::none())
      .def("__dlpack_device__", &CardArray::device)
      .def(
          "__array__",
          [](const CardArray& self, const py::object& dtype, const py::object& copy) {
            if (!copy.is_none() && !copy.cast<bool>()) {
              throw py::value_error("an array on a card comes to the host as a copy");
            }
            const py::array out = self.array();
            return dtype.is_none() ? py::object(out) : out.attr("astype")(dtype);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def("put", &CardArray::put, py::arg("array"))
      .def("seal", &CardArray::seal)
      .def("__len__", [](const CardArray& self) { return self.shape().front(); })
      .def("__repr__",
           [](const CardArray& self) {
             return "CardArray(shape=" +
                    py::str(py::tuple(py::cast(self.shape()))).cast<std::string>() + ", typestr='" +
                    self.type() + "', device=" + std::to_string(self.device().second) + ")";
           })
      .def_property_readonly(
          "shape", [](const CardArray& self) { return py::tuple(py::cast(self.shape())); })
      .def_property_readonly("dtype", [](const CardArray& self) { return py::dtype(self.type()); });
}

}  // namespace genmem::bindings
