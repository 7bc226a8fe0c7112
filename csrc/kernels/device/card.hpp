// card: what a walk on the host asks of a card beside kernels: memory, copies and their order. Two
// tables of one meaning, for the card (cuda.cu) and for the emulated one (emulated.cpp).
//
// Everything is put into a queue and done in its order; only `wait`, `wait_for` and `download` into
// memory that is not pinned hold up the caller. `upload` is from pinned memory. A function returns
// null, or the name of the call that failed and why, in a text that lives until the thread's next
// one.
#pragma once

#include <stdint.h>

namespace genmem {

// One stream of one device; a null stream is the device's default one.
struct Queue {
  int device;
  void* stream;
};

struct Card {
  const char* name;                            // of the backend
  const char* (*devices)(int* count);          // an error where there is none
  const char* (*current)(int* device);         // the thread's
  const char* (*enter)(int device);            // makes it the thread's
  const char* (*open)(Queue&);                 // a stream of its own
  void (*close)(const Queue&);                 // waits, then gives it back
  const char* (*free_bytes)(int64_t* bytes);   // of the current device; -1: as much as wanted
  const char* (*shared_bytes)(int64_t* most);  // of a block, on the current device
  const char* (*allocate)(const Queue&, void** to, int64_t bytes);  // aligned to 256
  void (*release)(const Queue&, void* memory);
  const char* (*pin)(void** to, int64_t bytes);  // memory of the host that copies itself
  void (*unpin)(void* memory);
  const char* (*upload)(const Queue&, void* card, const void* host, int64_t bytes);
  const char* (*download)(const Queue&, void* host, const void* card, int64_t bytes);
  // `rows` rows of `bytes`, `pitch` bytes apart on the card, one behind another on the host.
  const char* (*download_rows)(const Queue&, void* host, const void* card, int64_t pitch,
                               int64_t bytes, int64_t rows);
  const char* (*fill)(const Queue&, void* card, int byte, int64_t bytes);
  const char* (*mark)(const Queue&, void** event);  // a new event where null
  const char* (*wait_for)(void* event);
  const char* (*passed)(void* event, bool* done);  // without a wait
  void (*drop)(void* event);
  const char* (*wait)(const Queue&);
  // What the queue gets from now on is done behind the event; nobody waits.
  const char* (*behind)(const Queue&, void* event);
};

namespace emulated {
const Card& card();
}
namespace cuda {
const Card& card();
// "sm_80, ...": what the kernels were compiled for; and the runtime's version, 13000 for 13.0.
const char* architectures();
int runtime_version();
}  // namespace cuda

}  // namespace genmem
