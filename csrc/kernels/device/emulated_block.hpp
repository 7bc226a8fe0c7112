// A block of the emulated card; see emulate.hpp.
#pragma once

#include <stdint.h>
#include <string.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/device/shape.hpp"

#if defined(GENMEM_EMULATE_THREADS) && defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif
#if !defined(GENMEM_EMULATE_THREADS)
#include <setjmp.h>
#include <ucontext.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
// A jump from stack to stack takes a tenth of the time of swapcontext, which asks the system for
// the signals that are held back. The address sanitizer and checked jumps take it for a fault.
#if !defined(__SANITIZE_ADDRESS__) && !defined(_FORTIFY_SOURCE)
#define GENMEM_EMULATE_JUMPS
#endif
#endif

namespace genmem::device {

inline namespace on_processor {

namespace emulated {

class Deadlock : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Where a number of threads wait for each other. Ordered: what each wrote before is seen by all
// behind it. A shuffle promises no such thing, and must not hide a race from the sanitizer.
struct Meeting {
  int wanted = 0;
  bool ordered = true;
  std::atomic<int> arrived{0};
  std::atomic<uint32_t> times{0};
};

// What a lane lays out for the others of its warp.
struct Slot {
  std::atomic<uint32_t> words[6];
  std::atomic<const char*> row;

  void put(const void* from, int first, int count) {
    for (int i = 0; i < count; ++i) {
      uint32_t word;
      memcpy(&word, static_cast<const char*>(from) + 4 * i, 4);
      words[first + i].store(word, std::memory_order_relaxed);
    }
  }
  uint32_t word(int i) const { return words[i].load(std::memory_order_relaxed); }
};

struct Warp {
  Meeting exchange, barrier;
  Slot slots[2][kWarp];
};

struct Copy {
  char* to;
  const char* from;  // null: zeros
};

class Block;

struct Thread {
  Block* block = nullptr;
  int index = 0;
  int turn = 0;                             // which of the slots the last exchange took
  std::atomic<const char*> place{nullptr};  // where it waits, or "ended"
  std::vector<Copy> issued;
  std::vector<std::vector<Copy>> committed;
#if !defined(GENMEM_EMULATE_THREADS)
  const Meeting* at = nullptr;  // where it waits, which had taken place `before` times
  uint32_t before = 0;
  bool ended = false;
  ucontext_t context{};
#if defined(GENMEM_EMULATE_JUMPS)
  bool started = false;
  jmp_buf jump;
#endif
  char* stack = nullptr;
  void* fake_stack = nullptr;
#endif
};

inline thread_local Thread* current = nullptr;

class Block {
 public:
  Block(const Shape& shape, int64_t at_x, int64_t at_y)
      : x(at_x),
        y(at_y),
        blocks_x(shape.blocks_x),
        threads_(static_cast<size_t>(shape.threads)),
        warps_(static_cast<size_t>(shape.threads / kWarp)),
        bytes_(shape.shared),
        shared_(static_cast<char*>(
            ::operator new(static_cast<size_t>(shape.shared), std::align_val_t{128}))) {
    memset(shared_.get(), 0xff, static_cast<size_t>(shape.shared));
    all_.wanted = shape.threads;
    for (Warp& warp : warps_) {
      warp.exchange.wanted = warp.barrier.wanted = kWarp;
      warp.exchange.ordered = false;
    }
    for (size_t i = 0; i < threads_.size(); ++i) {
      threads_[i].block = this;
      threads_[i].index = static_cast<int>(i);
    }
  }

  template <class Params>
  void run(void (*kernel)(Params), const Params& params) {
    const std::function<void(Thread&)> body = [&](Thread& thread) {
      try {
        kernel(params);
        if (!thread.issued.empty() || !thread.committed.empty()) {
          throw std::runtime_error("thread " + std::to_string(thread.index) +
                                   " ended with copies that it did not wait for");
        }
      } catch (const Stopped&) {
      } catch (...) {
        fail(std::current_exception());
      }
      thread.place.store("ended", std::memory_order_relaxed);
      pause(1);
    };
    run_threads(body);
    if (error_) std::rethrow_exception(error_);
  }

  void meet_all() { meet(all_, "wait at the barrier"); }
  void meet_warp() { meet(own_warp().barrier, "wait at the barrier of a warp"); }
  void exchange(const char* what) { meet(own_warp().exchange, what); }
  Slot* slots(int turn) { return own_warp().slots[turn]; }
  char* shared() const { return shared_.get(); }
  int threads() const { return static_cast<int>(threads_.size()); }
  // Throws unless 16 bytes at `p` lie in shared memory, aligned.
  void check_shared(const void* p, const char* what) const {
    const char* at = static_cast<const char*>(p);
    if (at < shared_.get() || at + 16 > shared_.get() + bytes_ ||
        reinterpret_cast<uintptr_t>(at) % 16 != 0) {
      throw std::out_of_range(std::string(what) + ": thread " + std::to_string(current->index) +
                              " names no 16 aligned bytes of shared memory");
    }
  }

  const int64_t x, y, blocks_x;

 private:
  struct Stopped {};
  struct Free {
    void operator()(char* p) const { ::operator delete(p, std::align_val_t{128}); }
  };

  Warp& own_warp() { return warps_[static_cast<size_t>(current->index / kWarp)]; }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  void fail(std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(failing_);
    if (!error_) error_ = error;
    stopped_.store(true, std::memory_order_relaxed);
  }

  void meet(Meeting& m, const char* what) {
    const auto take = m.ordered ? std::memory_order_acquire : std::memory_order_relaxed;
    const auto give = m.ordered ? std::memory_order_acq_rel : std::memory_order_relaxed;
    const uint32_t before = m.times.load(std::memory_order_relaxed);
    if (m.arrived.fetch_add(1, give) + 1 == m.wanted) {
      m.arrived.store(0, std::memory_order_relaxed);
      idle_.fetch_sub(m.wanted - 1, std::memory_order_relaxed);
      m.times.store(before + 1, m.ordered ? std::memory_order_release : std::memory_order_relaxed);
      wake(m);
      return;
    }
    current->place.store(what, std::memory_order_relaxed);
    pause(1);
    while (m.times.load(take) == before) {
      if (stopped()) throw Stopped{};
      wait(m, before);
    }
  }

  // One more thread waits or has ended. With all of them, nobody can arrive any more.
  void pause(int more) {
    if (idle_.fetch_add(more, std::memory_order_relaxed) + more < threads() || stopped()) return;
    std::vector<std::pair<std::string, int>> places;
    bool waiting = false;
    for (const Thread& thread : threads_) {
      const std::string place = thread.place.load(std::memory_order_relaxed);
      waiting = waiting || place != "ended";
      if (places.empty() || places.back().first != place) places.push_back({place, thread.index});
    }
    if (!waiting) return;
    std::string text = "deadlock in block (" + std::to_string(x) + ", " + std::to_string(y) + "):";
    for (size_t i = 0; i < places.size(); ++i) {
      const int last = i + 1 < places.size() ? places[i + 1].second - 1 : threads() - 1;
      text += (i ? ", " : " ") + std::string("threads ") + std::to_string(places[i].second) +
              " to " + std::to_string(last) + " " + places[i].first;
    }
    fail(std::make_exception_ptr(Deadlock(text)));
  }

#if defined(GENMEM_EMULATE_THREADS)
  void run_threads(const std::function<void(Thread&)>& body) {
    std::vector<std::thread> running;
    for (Thread& thread : threads_) {
      running.emplace_back([&] {
        current = &thread;
        body(thread);
      });
    }
    for (std::thread& one : running) one.join();
  }

#if defined(__linux__)
  // Hundreds of threads that yield to each other leave no time for those that work. A call of the
  // system is nothing that the thread sanitizer takes for an order of memory.
  static void wait(const Meeting& m, uint32_t before) {
    const timespec soon{0, 5'000'000};  // then to see whether all were stopped
    syscall(SYS_futex, &m.times, FUTEX_WAIT_PRIVATE, before, &soon, nullptr, 0);
  }
  static void wake(const Meeting& m) {
    syscall(SYS_futex, &m.times, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  }
#else
  static void wait(const Meeting&, uint32_t) { std::this_thread::yield(); }
  static void wake(const Meeting&) {}
#endif
#else
  static constexpr size_t kStack = 256 * 1024;

  // Kept from block to block: getting them from the system takes longer than most blocks. Under the
  // address sanitizer a stack that was left in the middle is no place for another thread.
  char* stack_of(int index) {
#if defined(__SANITIZE_ADDRESS__)
    std::vector<std::unique_ptr<char[]>>& stacks = stacks_;
#else
    static thread_local std::vector<std::unique_ptr<char[]>> stacks;
#endif
    while (stacks.size() <= static_cast<size_t>(index)) stacks.emplace_back(new char[kStack]);
    return stacks[static_cast<size_t>(index)].get();
  }

  // Threads take turns, each until it waits; the first turn is another's in another block.
  void run_threads(const std::function<void(Thread&)>& body) {
    body_ = &body;
    for (Thread& thread : threads_) {
      thread.stack = stack_of(thread.index);
      getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = thread.stack;
      thread.context.uc_stack.ss_size = kStack;
      thread.context.uc_link = nullptr;
      makecontext(&thread.context, &Block::enter, 0);
    }
    const size_t count = threads_.size(), start = static_cast<size_t>(x * 7 + y * 13) % count;
    for (size_t left = count; left > 0 && !stopped();) {
      for (size_t i = 0; i < count && !stopped(); ++i) {
        Thread& thread = threads_[(start + i) % count];
        const bool waits = thread.at && thread.at->times == thread.before;
        if (thread.ended || waits) continue;
        resume(thread);
        left -= thread.ended;
      }
    }
    current = nullptr;
  }

  static void enter() {
    Thread& thread = *current;
    Block& block = *thread.block;
    arrived(nullptr, &block.home_stack_, &block.home_size_);
    (*block.body_)(thread);
    thread.ended = true;
    block.leave(thread, true);
  }

  void resume(Thread& thread) {
    current = &thread;
    void* own = nullptr;
    departs(&own, thread.stack, kStack);
    to_thread(thread);
    arrived(own, nullptr, nullptr);
  }

  // Back to the scheduler; `for_good`: this stack is never used again.
  void leave(Thread& thread, bool for_good) {
    departs(for_good ? nullptr : &thread.fake_stack, home_stack_, home_size_);
    to_home(thread);
    arrived(thread.fake_stack, &home_stack_, &home_size_);
  }

#if defined(GENMEM_EMULATE_JUMPS)
  void to_thread(Thread& thread) {
    if (_setjmp(home_) != 0) return;
    if (thread.started) _longjmp(thread.jump, 1);
    thread.started = true;
    setcontext(&thread.context);
  }
  void to_home(Thread& thread) {
    if (_setjmp(thread.jump) == 0) _longjmp(home_, 1);
  }
  jmp_buf home_;
#else
  void to_thread(Thread& thread) { swapcontext(&home_, &thread.context); }
  void to_home(Thread& thread) { swapcontext(&thread.context, &home_); }
  ucontext_t home_{};
#endif

  static void wake(const Meeting&) {}

  void wait(const Meeting& m, uint32_t before) {
    Thread& thread = *current;
    thread.at = &m;
    thread.before = before;
    leave(thread, false);
    thread.at = nullptr;
  }

  // The address sanitizer follows a change of stacks if it is told.
#if defined(__SANITIZE_ADDRESS__)
  static void departs(void** own, const void* to, size_t size) {
    __sanitizer_start_switch_fiber(own, to, size);
  }
  static void arrived(void* own, const void** from, size_t* size) {
    __sanitizer_finish_switch_fiber(own, from, size);
  }
#else
  static void departs(void**, const void*, size_t) {}
  static void arrived(void*, const void**, size_t*) {}
#endif

#if defined(__SANITIZE_ADDRESS__)
  std::vector<std::unique_ptr<char[]>> stacks_;
#endif
  const std::function<void(Thread&)>* body_ = nullptr;
  const void* home_stack_ = nullptr;
  size_t home_size_ = 0;
#endif

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  Meeting all_;
  int64_t bytes_;
  std::unique_ptr<char, Free> shared_;
  std::atomic<int> idle_{0};  // threads that wait or have ended
  std::atomic<bool> stopped_{false};
  std::mutex failing_;
  std::exception_ptr error_;
};

}  // namespace emulated

}  // namespace on_processor

}  // namespace genmem::device
