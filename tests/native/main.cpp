// Every walk on every backend that this machine runs, against float64 loops; no Python.
//
//   genmem_native_tests [--small] [--every N] [--seed N] [--backend NAME] [--commit FAULT]
//
//   --small    the smaller shapes alone, for an emulator or a sanitizer
//   --every    one in N of the pairs of a shape and two types; all of both still occur
//   --seed     layouts, contents and bandwidths are drawn: the same for a seed
//   --backend  this one alone
//   --commit   no tests: the fault named (faults.cpp), which this build should notice
//
// Prints a line for each backend and operation; the status is 1 after a fault.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "runs.hpp"

#if defined(__SANITIZE_ADDRESS__)
// Fresh memory is NaN: what is read before it is written shows in the answer.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options();
const char* __asan_default_options() {
  return "malloc_fill_byte=255:max_malloc_fill_size=1073741824:detect_stack_use_after_return=1";
}
#endif

namespace genmem::native {
namespace {

struct Options {
  bool small = false;
  std::uint64_t seed = 1;
  std::size_t every = 1;
  const char* backend = nullptr;
  const char* fault = nullptr;
};

// The screen begins at 17 features, 4 queries and 2,048 points; panels are of 16 and 32 queries,
// strips of some 240 points, tasks of 1,024 queries, chunks of 8,192 points, blocks of 256
// features; from 65 features on a sum is in eight chains.
constexpr Shape kShapes[] = {
    {1, 1, 1},     {1, 3, 4},     {1, 33, 300},   {1, 4, 8200},   {2, 70, 300}, {16, 4, 2100},
    {17, 3, 2050}, {17, 4, 2049}, {17, 33, 2049}, {31, 16, 2300}, {64, 3, 300}, {64, 4, 2049},
    {65, 1, 300},  {65, 33, 300}, {100, 4, 2049}, {300, 4, 2049}, {784, 1, 70}, {784, 4, 70},
};
// Several chunks, that tasks share out and tell each other about: in every run.
constexpr Shape kChunkShapes[] = {{19, 4, 8300}};
constexpr Shape kLargeShapes[] = {
    {2, 33, 17000}, {16, 33, 8300}, {17, 33, 8300},  {20, 1100, 2050}, {31, 20, 17000},
    {64, 33, 8200}, {65, 4, 8200},  {65, 35, 8500},  {100, 4, 17000},  {131, 70, 2049},
    {784, 3, 8200}, {784, 4, 2049}, {784, 33, 2100}, {1025, 5, 2100},
};

constexpr Dtype kTypes[][2] = {
    {Dtype::float32, Dtype::float32}, {Dtype::float64, Dtype::float64},
    {Dtype::uint8, Dtype::uint8},     {Dtype::float32, Dtype::uint8},
    {Dtype::uint8, Dtype::float64},   {Dtype::float64, Dtype::float32},
};

bool read(int count, char** words, Options& options) {
  for (int i = 1; i < count; ++i) {
    const bool more = i + 1 < count;
    if (!std::strcmp(words[i], "--small")) {
      options.small = true;
    } else if (!std::strcmp(words[i], "--seed") && more) {
      options.seed = std::strtoull(words[++i], nullptr, 10);
    } else if (!std::strcmp(words[i], "--every") && more) {
      options.every = std::strtoul(words[++i], nullptr, 10);
    } else if (!std::strcmp(words[i], "--backend") && more) {
      options.backend = words[++i];
    } else if (!std::strcmp(words[i], "--commit") && more) {
      options.fault = words[++i];
    } else {
      std::fprintf(stderr, "%s: %s is no option; the head of main.cpp lists them\n", words[0],
                   words[i]);
      return false;
    }
  }
  return true;
}

int check_all(const Options& options) {
  Suite suite{{}, {}, Random(options.seed)};
  for (const backends::Isa isa : backends::built()) {
    if (options.backend && std::strcmp(options.backend, backends::name(isa))) continue;
    std::string why;
    if (backends::usable(isa, &why)) {
      suite.isas.push_back(isa);
    } else {
      std::printf("%s: %s\n", backends::name(isa), why.c_str());
    }
  }
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  shapes.insert(shapes.end(), std::begin(kChunkShapes), std::end(kChunkShapes));
  if (!options.small) shapes.insert(shapes.end(), std::begin(kLargeShapes), std::end(kLargeShapes));
  for (std::size_t shape = 0; shape < shapes.size(); ++shape) {
    for (std::size_t type = 0; type < std::size(kTypes); ++type) {
      // Other types with each shape.
      if ((shape + type) % options.every != 0) continue;
      const Problem p =
          make_problem(shapes[shape], kTypes[type][0], kTypes[type][1], shape + type, suite.random);
      check_distances(p, suite);
      check_knn(p, suite);
      check_radius_counts(p, suite);
      check_log_kde(p, suite);
      check_kde_gradient(p, suite);
    }
  }
  check_grad_dot(options.small, suite);
  check_calls(suite);
  return suite.report.print() ? 0 : 1;
}

}  // namespace
}  // namespace genmem::native

int main(int count, char** words) {
  genmem::native::Options options;
  if (!genmem::native::read(count, words, options)) return 2;
  if (options.fault) return genmem::native::commit(options.fault);
  return genmem::native::check_all(options);
}
