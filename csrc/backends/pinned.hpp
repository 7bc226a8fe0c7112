// Memory of the host that a card copies by itself. To get and to free it takes a card's driver
// long, and holds up all streams: pieces are kept for the next call.
#pragma once

#include <cstdint>

#include "kernels/device/card.hpp"

namespace genmem::backends {

struct Pinned {
  void* memory = nullptr;
  std::int64_t bytes = 0;
  void* event = nullptr;  // behind which the card is through with it; null: it is
};

// A piece of at least so many bytes; `error` is set where there is none.
Pinned take_pinned(const Card& card, std::int64_t bytes, const char** error);

// Gives it back for whoever comes next, once the queue is through with what it holds. Nobody waits,
// unless there would be too many.
void give_pinned(const Card& card, const Queue& queue, Pinned piece);

}  // namespace genmem::backends
