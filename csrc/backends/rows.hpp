// The only threads of genmem: a small persistent pool that works off numbered tasks.
//
// The caller works too; helpers sleep on a condition variable between calls. Work is cut into tasks
// by shape, so the answer does not depend on how many threads take part. After a fork the child
// starts a pool of its own.
#pragma once

#include <cstdint>
#include <functional>

namespace genmem::backends {

// Handed to a task; a long task asks between its steps whether to go on.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual bool go_on() = 0;
};

using Task = std::function<void(std::int64_t task, int worker, Clock& clock)>;

// Runs tasks 0 .. count - 1 on at most `threads` threads; `worker` is in 0 .. threads - 1, and no
// two running tasks share one. `interrupted` is called on the caller's thread, some ten times a
// second; once it returns true no task goes on, and the answer is false. What a task throws is
// thrown again here, once no task runs.
bool run_tasks(std::int64_t count, int threads, const Task& task,
               const std::function<bool()>& interrupted);

}  // namespace genmem::backends
