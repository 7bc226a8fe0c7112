// Memory, copies and their order of the emulated card; see card.hpp. All is done at once, and all
// memory is the sanitizers' to watch.
#include <stdint.h>
#include <string.h>

#include <new>

#include "kernels/device/card.hpp"
#include "kernels/device/shape.hpp"

namespace genmem::emulated {

namespace {

constexpr std::align_val_t kAlign{256};

const char* devices(int* count) {
  *count = 1;
  return nullptr;
}

const char* current(int* device) {
  *device = 0;
  return nullptr;
}

const char* enter(int device) {
  return device == 0 ? nullptr : "enter: the emulated card is device 0";
}

const char* open(Queue& queue) {
  queue.stream = nullptr;
  return nullptr;
}

void close(const Queue&) {}

const char* free_bytes(int64_t* bytes) {
  *bytes = -1;
  return nullptr;
}

// As much as a card of compute capability 9.0 has.
const char* shared_bytes(int64_t* most) {
  *most = device::kMostShared;
  return nullptr;
}

// What is read before it was written is to be seen: numbers there are none, counts are negative.
// Of the first part alone, as blocks are large and a call has many.
constexpr int64_t kSpoiled = int64_t{1} << 16;

const char* allocate(const Queue&, void** to, int64_t bytes) {
  *to = ::operator new(static_cast<size_t>(bytes), kAlign, std::nothrow);
  if (!*to) return "allocate: out of memory";
  memset(*to, 0xff, static_cast<size_t>(bytes < kSpoiled ? bytes : kSpoiled));
  return nullptr;
}

void release(const Queue&, void* memory) { ::operator delete(memory, kAlign); }

const char* pin(void** to, int64_t bytes) { return allocate({}, to, bytes); }

void unpin(void* memory) { release({}, memory); }

const char* upload(const Queue&, void* card, const void* host, int64_t bytes) {
  memcpy(card, host, static_cast<size_t>(bytes));
  return nullptr;
}

const char* download(const Queue&, void* host, const void* card, int64_t bytes) {
  memcpy(host, card, static_cast<size_t>(bytes));
  return nullptr;
}

const char* download_rows(const Queue&, void* host, const void* card, int64_t pitch, int64_t bytes,
                          int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    memcpy(static_cast<char*>(host) + i * bytes, static_cast<const char*>(card) + i * pitch,
           static_cast<size_t>(bytes));
  }
  return nullptr;
}

const char* fill(const Queue&, void* card, int byte, int64_t bytes) {
  memset(card, byte, static_cast<size_t>(bytes));
  return nullptr;
}

const char* mark(const Queue&, void**) { return nullptr; }

const char* wait_for(void*) { return nullptr; }

const char* passed(void*, bool* done) {
  *done = true;
  return nullptr;
}

void drop(void*) {}

const char* wait(const Queue&) { return nullptr; }

const char* behind(const Queue&, void*) { return nullptr; }

}  // namespace

const Card& card() {
  static const Card table{"cuda-emulated", devices,      current,       enter,   open, close,
                          free_bytes,      shared_bytes, allocate,      release, pin,  unpin,
                          upload,          download,     download_rows, fill,    mark, wait_for,
                          passed,          drop,         wait,          behind};
  return table;
}

}  // namespace genmem::emulated
