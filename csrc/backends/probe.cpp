#include "backends/probe.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace genmem::backends {

const char* name(Isa isa) {
  switch (isa) {
    case Isa::serial: return "serial";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

std::vector<Isa> built() {
#if defined(GENMEM_HAVE_X86)
  return {Isa::serial, Isa::avx2, Isa::avx512};
#else
  return {Isa::serial};
#endif
}

bool usable(Isa isa, std::string* why) {
  const auto all = built();
  if (std::find(all.begin(), all.end(), isa) == all.end()) {
    if (why) *why = "it is not in this build, made for another processor family";
    return false;
  }
#if defined(GENMEM_HAVE_X86)
  // The builtin also asks the operating system whether it saves the wide registers.
  const char* missing = nullptr;
  if (isa != Isa::serial) {
    if (!__builtin_cpu_supports("fma")) missing = "FMA";
    if (!__builtin_cpu_supports("avx2")) missing = "AVX2";
  }
  if (isa == Isa::avx512) {
    if (!__builtin_cpu_supports("avx512dq")) missing = "AVX-512 DQ";
    if (!__builtin_cpu_supports("avx512f")) missing = "AVX-512 F";
  }
  if (missing) {
    if (why) *why = std::string("this processor has no ") + missing;
    return false;
  }
#endif
  return true;
}

Isa choose(const std::string& backend) {
  const auto all = built();
  if (backend == "auto") {
    return *std::find_if(all.rbegin(), all.rend(), [](Isa isa) { return usable(isa); });
  }
  for (const Isa isa : {Isa::serial, Isa::avx2, Isa::avx512}) {
    if (backend != name(isa)) continue;
    std::string why;
    if (!usable(isa, &why)) throw BackendUnavailable("backend '" + backend + "': " + why);
    return isa;
  }
  throw std::invalid_argument("backend is '" + backend +
                              "'; 'auto', 'serial', 'avx2' or 'avx512' is wanted");
}

namespace {

int affinity() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// cgroup v2: "max 100000" or "200000 100000" (quota and period in microseconds).
int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

}  // namespace

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int wanted = std::atoi(text);
    if (wanted > 0) return wanted;
  }
  const int quota = cgroup_quota();
  return quota > 0 ? std::min(quota, affinity()) : affinity();
}

}  // namespace genmem::backends
