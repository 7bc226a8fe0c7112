#include "backends/kernels.hpp"

namespace genmem {

#define GENMEM_DECLARE(isa)                 \
  namespace isa {                           \
  void panels(const Panels&);               \
  void distances(const DistanceBlock&);     \
  void distances_to(const DistanceList&);   \
  void knn(KnnBlock&);                      \
  Slots log_kde(const KdeChunk&);           \
  void kde_gradient(const KdeGradient&);    \
  void grad_dot(const GradDotBlock&);       \
  double grad_dot_pair(const GradDotPair&); \
  double grad_dot_size(const GradDotPair&); \
  TokenKernel float_products();             \
  TokenKernel double_products();            \
  }

GENMEM_DECLARE(serial)
#if defined(GENMEM_HAVE_X86)
GENMEM_DECLARE(avx2)
GENMEM_DECLARE(avx512)
namespace avx2 {
TokenKernel coarse_products();
ScreenKernel screen();
}  // namespace avx2
namespace vnni {
TokenKernel coarse_products();
ScreenKernel screen();
ScreenKernel screen_bytes();
}  // namespace vnni
namespace amx {
TokenKernel float_products();
TokenKernel coarse_products();
ScreenKernel screen();
ScreenKernel screen_bytes();
}  // namespace amx
#endif
#if defined(GENMEM_HAVE_NEON)
GENMEM_DECLARE(neon)
namespace neon {
ScreenKernel screen();
}
#endif

namespace backends {

namespace {

// `tiles` is the set that multiplies floats.
#define GENMEM_KERNELS(isa, tiles)                                                           \
  isa::panels, isa::distances, isa::distances_to, isa::knn, isa::log_kde, isa::kde_gradient, \
      isa::grad_dot, isa::grad_dot_pair, isa::grad_dot_size, isa::double_products(),         \
      tiles::float_products()

Kernels make(Isa isa) {
  switch (isa) {
#if defined(GENMEM_HAVE_X86)
    // The tiles multiply; all else is AVX-512's.
    case Isa::amx: return {GENMEM_KERNELS(avx512, amx), amx::screen(), amx::screen_bytes()};
    // Without VNNI its products of integers take two instructions, on two ports instead of three.
    case Isa::avx512:
      return has_vnni()
                 ? Kernels{GENMEM_KERNELS(avx512, avx512), vnni::screen(), vnni::screen_bytes()}
                 : Kernels{GENMEM_KERNELS(avx512, avx512), avx2::screen(), {}};
    case Isa::avx2: return {GENMEM_KERNELS(avx2, avx2), avx2::screen(), {}};
#endif
#if defined(GENMEM_HAVE_NEON)
    case Isa::neon: return {GENMEM_KERNELS(neon, neon), neon::screen(), {}};
#endif
    default: return {GENMEM_KERNELS(serial, serial), {}, {}};
  }
}

}  // namespace

CoarseProducts coarse_products(Isa isa, double most) {
#if defined(GENMEM_HAVE_X86)
  if (isa == Isa::amx && most >= kBfloatUnit) return {amx::coarse_products(), kBfloatUnit};
  if (most >= kWholeUnit) {
    const bool wide = isa == Isa::amx || isa == Isa::avx512;
    if (wide && has_vnni()) return {vnni::coarse_products(), kWholeUnit};
    if (isa == Isa::avx2) return {avx2::coarse_products(), kWholeUnit};
  }
#else
  static_cast<void>(most);
#endif
  return {kernels(isa).float_products, kFloatUnit};
}

const Kernels& kernels(Isa isa) {
  if (is_card(isa)) {
    throw BackendUnavailable(std::string("backend '") + name(isa) +
                             "' has no kernels of this operation");
  }
  static const Kernels all[kIsas] = {make(Isa::serial), make(Isa::neon), make(Isa::avx2),
                                     make(Isa::avx512), make(Isa::amx)};
  return all[static_cast<int>(isa)];
}

}  // namespace backends
}  // namespace genmem
