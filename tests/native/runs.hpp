// Calls of a walk: alone first, then on several threads and in batches, which must not change a
// bit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backends/dispatch.hpp"
#include "problem.hpp"
#include "tally.hpp"

namespace genmem::native {

// What runs: on which backends, and where the answers are written down.
struct Suite {
  std::vector<backends::Isa> isas;
  Report report;
  Random random;
};

// An answer by query, as many numbers and indices for each.
struct Rows {
  std::vector<double> numbers;
  std::vector<std::int64_t> indices;
};

// The queries of one call; `begin` is the first of them among all.
struct Part {
  Matrix queries;
  std::int64_t begin;
  const std::int64_t* exclude;  // of the first, or null
};

using Walk = std::function<bool(const backends::Plan&, const Part&, Rows&)>;

enum class Again { no, threads_and_batches };

// The answer for all queries by one thread. Again: 2, 3 and 8 threads with little memory, and some
// of the queries at a time.
Rows run(Tally& tally, const Problem& p, bool exclude, Again again, const Walk& walk);

// One call of anything on `threads` threads, which nobody interrupts.
void call(Tally& tally, const std::string& where, int threads,
          const std::function<bool(const backends::Plan&)>& walk);

void check_distances(const Problem& p, Suite& suite);
void check_knn(const Problem& p, Suite& suite);
void check_radius_counts(const Problem& p, Suite& suite);
void check_log_kde(const Problem& p, Suite& suite);
void check_kde_gradient(const Problem& p, Suite& suite);
void check_grad_dot(bool small, Suite& suite);
void check_calls(Suite& suite);

// Commits the fault of that name; 0 where nothing ended the program.
int commit(const std::string& fault);

}  // namespace genmem::native
