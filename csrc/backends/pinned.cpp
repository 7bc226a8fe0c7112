#include "backends/pinned.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

namespace genmem::backends {

namespace {

// Pieces beyond these are freed when they come back.
constexpr std::int64_t kKept = std::int64_t{1} << 28;
constexpr std::int64_t kSmallest = std::int64_t{1} << 16;

struct Pool {
  std::mutex mutex;
  std::vector<Pinned> pieces;
  std::int64_t bytes = 0;
};

// One for each table of functions. Never freed: at the end of a process the driver may be gone.
Pool& pool_of(const Card& card) {
  static std::mutex mutex;
  static auto& pools = *new std::vector<std::pair<const Card*, Pool*>>();
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& [of, pool] : pools) {
    if (of == &card) return *pool;
  }
  pools.emplace_back(&card, new Pool());
  return *pools.back().second;
}

bool free_now(const Card& card, Pinned& piece) {
  if (!piece.event) return true;
  bool done = false;
  if (card.passed(piece.event, &done) || !done) return false;
  card.drop(piece.event);
  piece.event = nullptr;
  return true;
}

}  // namespace

Pinned take_pinned(const Card& card, std::int64_t bytes, const char** error) {
  Pool& pool = pool_of(card);
  std::int64_t size = kSmallest;
  while (size < bytes) size *= 2;
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    const auto fits = [&](Pinned& piece) { return piece.bytes == size && free_now(card, piece); };
    const auto found = std::find_if(pool.pieces.begin(), pool.pieces.end(), fits);
    if (found != pool.pieces.end()) {
      const Pinned piece = *found;
      pool.bytes -= piece.bytes;
      pool.pieces.erase(found);
      return piece;
    }
  }
  Pinned made{nullptr, size, nullptr};
  *error = card.pin(&made.memory, size);
  return made;
}

void give_pinned(const Card& card, const Queue& queue, Pinned piece) {
  if (!piece.memory) return;
  // Without a mark nobody knows when: then wait.
  if (card.mark(queue, &piece.event)) card.wait(queue);
  Pool& pool = pool_of(card);
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    if (pool.bytes + piece.bytes <= kKept) {
      pool.bytes += piece.bytes;
      pool.pieces.push_back(piece);
      return;
    }
  }
  if (piece.event) {
    card.wait_for(piece.event);
    card.drop(piece.event);
  }
  card.unpin(piece.memory);
}

}  // namespace genmem::backends
