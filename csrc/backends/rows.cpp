#include "backends/rows.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace genmem::backends {

namespace {

constexpr auto kPoll = std::chrono::milliseconds(100);

struct Job {
  std::int64_t count;
  const Task* task;
  std::atomic<std::int64_t> next{0};
  std::atomic<int> next_worker{1};  // worker 0 is the caller
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable idle;
  int helping = 0;             // helpers at work; guarded by mutex
  std::exception_ptr failure;  // the first; guarded by mutex, read when all have left

  // An exception, of memory that cannot be had, stops all and waits for the caller.
  void work(int worker, Clock& clock) noexcept {
    try {
      for (std::int64_t i; !stopped.load() && (i = next.fetch_add(1)) < count;) {
        (*task)(i, worker, clock);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
      stopped.store(true);
    }
  }
};

class HelperClock final : public Clock {
 public:
  explicit HelperClock(const Job& job) : job_(job) {}
  bool go_on() override { return !job_.stopped.load(); }

 private:
  const Job& job_;
};

class CallerClock final : public Clock {
 public:
  CallerClock(Job& job, const std::function<bool()>& interrupted)
      : job_(job), interrupted_(interrupted), last_(std::chrono::steady_clock::now()) {}

  bool go_on() override {
    if (job_.stopped.load()) return false;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ >= kPoll) {
      last_ = now;
      if (interrupted_()) job_.stopped.store(true);
    }
    return !job_.stopped.load();
  }

 private:
  Job& job_;
  const std::function<bool()>& interrupted_;
  std::chrono::steady_clock::time_point last_;
};

class Pool {
 public:
  // One entry per helper wanted. Helpers that are busy elsewhere come late or find nothing left.
  void ask(const std::shared_ptr<Job>& job, int helpers) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(threads_.size()) < helpers) {
        threads_.emplace_back([this] { serve(); });
      }
      wanted_.insert(wanted_.end(), static_cast<std::size_t>(helpers), job);
    }
    awake_.notify_all();
  }

  // Takes back the requests nobody has answered; then waits for those at work.
  void settle(const std::shared_ptr<Job>& job, Clock& clock) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      wanted_.erase(std::remove(wanted_.begin(), wanted_.end(), job), wanted_.end());
    }
    std::unique_lock<std::mutex> lock(job->mutex);
    while (!job->idle.wait_for(lock, kPoll, [&] { return job->helping == 0; })) {
      lock.unlock();
      clock.go_on();
      lock.lock();
    }
  }

 private:
  [[noreturn]] void serve() {
    for (;;) {
      std::shared_ptr<Job> job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        awake_.wait(lock, [this] { return !wanted_.empty(); });
        job = wanted_.front();
        wanted_.pop_front();
        // Inside the pool's lock, so that settle() sees either the request or the helper.
        const std::lock_guard<std::mutex> counted(job->mutex);
        ++job->helping;
      }
      HelperClock clock(*job);
      job->work(job->next_worker.fetch_add(1), clock);
      {
        const std::lock_guard<std::mutex> counted(job->mutex);
        --job->helping;
      }
      job->idle.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable awake_;
  std::deque<std::shared_ptr<Job>> wanted_;
  std::vector<std::thread> threads_;
};

// Never destroyed: helpers asleep at exit would have to be joined, and a forked child owns none.
Pool* pool = nullptr;

// Held over a fork, so that the child never inherits it locked by a thread that it does not have.
std::mutex pool_mutex;

void before_fork() { pool_mutex.lock(); }
void after_fork_in_parent() { pool_mutex.unlock(); }
void after_fork_in_child() {
  pool = nullptr;
  pool_mutex.unlock();
}

Pool& the_pool() {
  static const int at_fork = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  static_cast<void>(at_fork);
  const std::lock_guard<std::mutex> lock(pool_mutex);
  if (!pool) pool = new Pool;
  return *pool;
}

}  // namespace

bool run_tasks(std::int64_t count, int threads, const Task& task,
               const std::function<bool()>& interrupted) {
  const auto job = std::make_shared<Job>();
  job->count = count;
  job->task = &task;
  CallerClock clock(*job, interrupted);
  const int helpers = static_cast<int>(std::min<std::int64_t>(threads, count)) - 1;
  if (helpers <= 0) {
    job->work(0, clock);
  } else {
    Pool& helping = the_pool();
    helping.ask(job, helpers);
    job->work(0, clock);
    helping.settle(job, clock);
  }
  if (job->failure) std::rethrow_exception(job->failure);
  return !job->stopped.load();
}

}  // namespace genmem::backends
