// The device layer on the CPU; see device.hpp. Threads of a block are fibers of one thread, or with
// GENMEM_EMULATE_THREADS threads of the system, which the thread sanitizer can watch. They meet as
// the card's would, and what the card leaves undefined is an error here:
//
//   a meeting that not all can reach, as some have ended or wait elsewhere: "deadlock", with places
//   a copy that is read before it was waited for: it holds NaN until then
//   shared memory that was never written: NaN; beyond its end: the address sanitizer's
//
// Blocks run one after another in an order of no meaning, and the threads of each start at another
// one of them: what depends on either shows.
#pragma once

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "kernels/device/emulated_block.hpp"

#define GENMEM_KERNEL inline
#define GENMEM_DEVICE inline
#define GENMEM_BLOCKS(threads, blocks)
#define GENMEM_UNROLL

namespace genmem::device {

// Not the names of the other form: both may be in one library.
inline namespace on_processor {

using Stream = void*;

inline int thread() { return emulated::current->index; }
inline int threads() { return emulated::current->block->threads(); }
inline int lane() { return thread() % kWarp; }
inline int warp() { return thread() / kWarp; }
inline int64_t block_x() { return emulated::current->block->x; }
inline int64_t block_y() { return emulated::current->block->y; }
inline int64_t blocks_x() { return emulated::current->block->blocks_x; }
inline char* shared_memory() { return emulated::current->block->shared(); }
inline void barrier() { emulated::current->block->meet_all(); }
inline void warp_barrier() { emulated::current->block->meet_warp(); }

namespace emulated {

// Every lane lays out, then reads. Slots by turns: who lays out in the same ones again has met all
// others once more in between, so all have read.
template <class LayOut, class Read>
inline void exchange(const char* what, const LayOut& lay_out, const Read& read) {
  Block& block = *current->block;
  current->turn ^= 1;
  Slot* slots = block.slots(current->turn);
  lay_out(slots[current->index % kWarp]);
  block.exchange(what);
  read(static_cast<const Slot*>(slots));
}

}  // namespace emulated

template <class T>
inline T shuffle_xor(T x, int mask) {
  static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 24);
  T found;
  emulated::exchange(
      "wait at a shuffle", [&](emulated::Slot& own) { own.put(&x, 0, sizeof x / 4); },
      [&](const emulated::Slot* of) {
        for (size_t i = 0; i < sizeof x / 4; ++i) {
          const uint32_t word = of[lane() ^ mask].word(static_cast<int>(i));
          memcpy(reinterpret_cast<char*>(&found) + 4 * i, &word, 4);
        }
      });
  return found;
}

inline uint32_t votes(bool b) {
  uint32_t found = 0;
  emulated::exchange(
      "wait at a vote",
      [&](emulated::Slot& own) { own.words[0].store(b, std::memory_order_relaxed); },
      [&](const emulated::Slot* of) {
        for (int i = 0; i < kWarp; ++i) found |= of[i].word(0) << i;
      });
  return found;
}

inline int count_bits(uint32_t bits) { return __builtin_popcount(bits); }

inline void copy_async(void* to, const void* from, bool inside) {
  emulated::current->block->check_shared(to, "copy_async");
  if (inside && reinterpret_cast<uintptr_t>(from) % 16 != 0) {
    throw std::invalid_argument("copy_async: a source that is not aligned to 16 bytes");
  }
  memset(to, 0xff, 16);
  emulated::current->issued.push_back(
      {static_cast<char*>(to), inside ? static_cast<const char*>(from) : nullptr});
}

inline void commit_copies() {
  emulated::Thread& own = *emulated::current;
  own.committed.push_back(std::move(own.issued));
  own.issued.clear();
}

template <int kPending>
inline void wait_copies() {
  auto& groups = emulated::current->committed;
  while (groups.size() > kPending) {
    for (const emulated::Copy& one : groups.front()) {
      if (one.from) {
        memcpy(one.to, one.from, 16);
      } else {
        memset(one.to, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

// Lane i names row i % 8 of matrix i / 8, and gets of each matrix the two numbers 2 (i % 4) of row
// i / 4.
inline void load_matrix(uint32_t (&r)[4], const void* row) {
  emulated::current->block->check_shared(row, "load_matrix");
  emulated::exchange(
      "wait at load_matrix",
      [&](emulated::Slot& own) {
        own.row.store(static_cast<const char*>(row), std::memory_order_relaxed);
      },
      [&](const emulated::Slot* of) {
        for (int m = 0; m < 4; ++m)
          memcpy(&r[m], of[m * 8 + lane() / 4].row.load(std::memory_order_relaxed) + lane() % 4 * 4,
                 4);
      });
}

// Of a, lane i holds in register r, half h the number of row i / 4 + 8 (r % 2) and column
// 2 (i % 4) + h + 8 (r / 2); of b, that of row 2 (i % 4) + h + 8 r and column i / 4; of d, in
// register r that of row i / 4 + 8 (r / 2) and column 2 (i % 4) + r % 2.
inline void multiply_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const auto widened = [](uint32_t two, int half) {
    const uint32_t bits = half ? two & 0xffff0000u : two << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
  };
  emulated::exchange(
      "wait at multiply_bf16",
      [&](emulated::Slot& own) {
        own.put(a, 0, 4);
        own.put(b, 4, 2);
      },
      [&](const emulated::Slot* of) {
        for (int r = 0; r < 4; ++r) {
          const int column = lane() % 4 * 2 + r % 2;
          for (int k = 0; k < 16; ++k) {
            const int at = k % 8 / 2, half = k % 2, upper = k / 8;
            const float x = widened(of[lane() / 4 * 4 + at].word(r / 2 + 2 * upper), half);
            const float y = widened(of[column * 4 + at].word(4 + upper), half);
            d[r] += x * y;
          }
        }
      });
}

namespace emulated {

template <class T, class Change>
inline T atomically(T* at, const Change& change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  Word* word = reinterpret_cast<Word*>(at);
  Word before = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T old;
    memcpy(&old, &before, sizeof old);
    const T fresh = change(old);
    Word after;
    memcpy(&after, &fresh, sizeof after);
    if (__atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
      return old;
    }
  }
}

}  // namespace emulated

template <class T>
inline T atomic_add(T* at, T x) {
  return emulated::atomically(at, [x](T old) { return static_cast<T>(old + x); });
}
template <class T>
inline T atomic_min(T* at, T x) {
  return emulated::atomically(at, [x](T old) { return std::min(old, x); });
}
template <class T>
inline T atomic_max(T* at, T x) {
  return emulated::atomically(at, [x](T old) { return std::max(old, x); });
}

// Runs the grid to its end; null, or what went wrong.
template <class Params>
const char* launch(void (*kernel)(Params), const Shape& shape, Stream, const Params& params) {
  static thread_local std::string said;
  if (shape.threads < kWarp || shape.threads > 1024 || shape.threads % kWarp != 0) {
    said = "a block of " + std::to_string(shape.threads) + " threads: whole warps are wanted";
    return said.c_str();
  }
  if (shape.shared > kMostShared || shape.blocks_y > kMostBlocksY) {
    said = std::to_string(shape.shared) + " bytes of shared memory, " +
           std::to_string(shape.blocks_y) + " blocks along y: a card has fewer";
    return said.c_str();
  }
  const int64_t blocks = shape.blocks_x * shape.blocks_y;
  // A step that shares no factor with the number of blocks comes by each of them once.
  int64_t step = blocks / 2 + 1;
  while (std::gcd(step, blocks) > 1) ++step;
  try {
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t at = i * step % blocks;
      emulated::Block block(shape, at % shape.blocks_x, at / shape.blocks_x);
      block.run(kernel, params);
    }
  } catch (const std::exception& error) {
    said = error.what();
    return said.c_str();
  }
  return nullptr;
}

}  // namespace on_processor

}  // namespace genmem::device
