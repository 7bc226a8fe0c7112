#include "backends/probe.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "backends/cards.hpp"

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(GENMEM_HAVE_X86)
#include <cpuid.h>
#endif

namespace genmem::backends {

#if defined(GENMEM_HAVE_X86)
namespace {

// Leaf 7: which of the newer instructions the processor has.
struct Leaf7 {
  unsigned ebx = 0, ecx = 0, edx = 0, eax1 = 0;
  Leaf7() {
    unsigned eax = 0, unused[3];
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return;
    if (eax >= 1) __get_cpuid_count(7, 1, &eax1, &unused[0], &unused[1], &unused[2]);
  }
};

const Leaf7& leaf7() {
  static const Leaf7 leaf;
  return leaf;
}

// The tiles are state of the process: Linux gives them to those who ask.
bool tiles_granted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

const char* missing_for_amx() {
  const unsigned edx = leaf7().edx;
  if (!(edx >> 24 & 1)) return "AMX tiles";
  if (!(edx >> 22 & 1)) return "AMX BF16";
  if (!(edx >> 25 & 1)) return "AMX INT8";
  if (!(leaf7().eax1 >> 5 & 1)) return "AVX-512 BF16";
  if (!__builtin_cpu_supports("avx512bw")) return "AVX-512 BW";
  if (!__builtin_cpu_supports("avx512vl")) return "AVX-512 VL";
  if (!tiles_granted()) return "AMX tiles that the operating system lets this process use";
  return nullptr;
}

}  // namespace

bool has_vnni() {
  static const bool hidden = std::getenv("GENMEM_NO_VNNI") != nullptr;
  return !hidden && (leaf7().ecx >> 11 & 1);
}
#else
bool has_vnni() { return false; }
#endif

const char* name(Isa isa) {
  switch (isa) {
    case Isa::serial: return "serial";
    case Isa::neon: return "neon";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::amx: return "amx";
    case Isa::emulated: return "cuda-emulated";
    case Isa::cuda: return "cuda";
  }
  return "?";
}

std::vector<Isa> built() {
#if defined(GENMEM_HAVE_X86)
  return {Isa::serial, Isa::avx2, Isa::avx512, Isa::amx};
#elif defined(GENMEM_HAVE_NEON)
  return {Isa::serial, Isa::neon};
#else
  return {Isa::serial};
#endif
}

std::vector<Isa> cards() { return {Isa::emulated, Isa::cuda}; }

namespace {

bool usable_card(Isa isa, std::string* why) {
  const CardKernels* table = card_kernels(isa);
  int count = 0;
  const char* error = table ? table->card->devices(&count) : nullptr;
  if (table && !error) return true;
  if (why) {
    *why = table ? std::string("no CUDA device: ") + error
                 : "this build has no CUDA kernels (built without nvcc, or with GENMEM_CUDA=OFF)";
  }
  return false;
}

}  // namespace

bool usable(Isa isa, std::string* why) {
  if (is_card(isa)) return usable_card(isa, why);
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
  if (isa == Isa::avx512 || isa == Isa::amx) {
    if (!__builtin_cpu_supports("avx512dq")) missing = "AVX-512 DQ";
    if (!__builtin_cpu_supports("avx512f")) missing = "AVX-512 F";
  }
  if (isa == Isa::amx && !missing) missing = missing_for_amx();
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
  for (const Isa isa :
       {Isa::serial, Isa::neon, Isa::avx2, Isa::avx512, Isa::amx, Isa::emulated, Isa::cuda}) {
    if (backend != name(isa)) continue;
    std::string why;
    if (!usable(isa, &why)) throw BackendUnavailable("backend '" + backend + "': " + why);
    return isa;
  }
  throw std::invalid_argument("backend is '" + backend +
                              "'; 'auto', 'serial', 'neon', 'avx2', 'avx512', 'amx', 'cuda' or "
                              "'cuda-emulated' is wanted");
}

namespace {

int affinity() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

const char* after_blanks(const char* at) {
  while (*at == ' ' || *at == '\t') ++at;
  return at;
}

// OpenMP's list of threads by depth of nesting, "4" or "4,2": the first, as nothing nests here; 0
// where an entry is no number from 1 to the largest int.
int first_of_list(const char* text) {
  const char* end = text + std::strlen(text);
  for (int first = 0;;) {
    int entry = 0;
    const auto read = std::from_chars(after_blanks(text), end, entry);
    if (read.ec != std::errc() || entry < 1) return 0;
    if (first == 0) first = entry;
    text = after_blanks(read.ptr);
    if (text == end) return first;
    if (*text++ != ',') return 0;
  }
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
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text && *after_blanks(text)) {
    const int wanted = first_of_list(text);
    if (wanted > 0) return wanted;
    throw std::invalid_argument("OMP_NUM_THREADS is '" + std::string(text) +
                                "'; a number of threads >= 1 is wanted, or several, as in '4,2', "
                                "of which the first counts");
  }
  const int quota = cgroup_quota();
  return quota > 0 ? std::min(quota, affinity()) : affinity();
}

}  // namespace genmem::backends
