// What this machine can run.
#pragma once

#include <string>
#include <vector>

namespace genmem::backends {

// Instruction sets of processors, then cards.
enum class Isa { serial, neon, avx2, avx512, amx, emulated, cuda };
inline constexpr int kIsas = 5;  // of processors

inline bool is_card(Isa isa) { return isa == Isa::emulated || isa == Isa::cuda; }

const char* name(Isa isa);

// Processors' in this build, from the plainest to the widest, whether this machine runs them or
// not.
std::vector<Isa> built();

// The emulated card, then the CUDA card, whether this build has kernels for it or not.
std::vector<Isa> cards();

// Whether the processor (or a card) and the operating system run it; else `why` says what is
// missing.
bool usable(Isa isa, std::string* why = nullptr);

// "auto": the widest usable one of the processor; a name: that one. Throws std::invalid_argument
// for a name that is none, BackendUnavailable for one that cannot run here: never another one in
// its place.
Isa choose(const std::string& backend);

class BackendUnavailable : public std::exception {
 public:
  explicit BackendUnavailable(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// Whether AVX-512 has dot products of integers; without, AVX2 screens, and bytes as floats. The
// environment variable GENMEM_NO_VNNI hides them, for tests of that path where they are.
bool has_vnni();

// CPUs this process may use: affinity and cgroup quota, or OMP_NUM_THREADS when it is set. Throws
// std::invalid_argument where that holds no number of threads.
int default_threads();

}  // namespace genmem::backends
