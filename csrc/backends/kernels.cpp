#include "backends/kernels.hpp"

namespace genmem {

#define GENMEM_DECLARE(isa)               \
  namespace isa {                         \
  void panels(const Panels&);             \
  void distances(const DistanceBlock&);   \
  void distances_to(const DistanceList&); \
  void knn(KnnBlock&);                    \
  Slots log_kde(const KdeChunk&);         \
  void kde_gradient(const KdeGradient&);  \
  void grad_dot(const GradDotBlock&);     \
  }

GENMEM_DECLARE(serial)
#if defined(GENMEM_HAVE_X86)
GENMEM_DECLARE(avx2)
GENMEM_DECLARE(avx512)
namespace avx2 {
ScreenKernel screen();
}
namespace avx512 {
ScreenKernel screen();
}
namespace vnni {
ScreenKernel screen_bytes();
}
namespace amx {
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

constexpr float kUnit = 0x1p-24f;

#define GENMEM_KERNELS(isa)                                                                  \
  isa::panels, isa::distances, isa::distances_to, isa::knn, isa::log_kde, isa::kde_gradient, \
      isa::grad_dot

Kernels make(Isa isa) {
  switch (isa) {
#if defined(GENMEM_HAVE_X86)
    // The tiles multiply; all else is AVX-512's. Twice the unit roundoff: a tile adds two products
    // at a time, in an order that no document promises.
    case Isa::amx: return {GENMEM_KERNELS(avx512), amx::screen(), amx::screen_bytes(), 2 * kUnit};
    case Isa::avx512:
      return {GENMEM_KERNELS(avx512), avx512::screen(),
              has_vnni() ? vnni::screen_bytes() : ScreenKernel{}, kUnit};
    case Isa::avx2: return {GENMEM_KERNELS(avx2), avx2::screen(), {}, kUnit};
#endif
#if defined(GENMEM_HAVE_NEON)
    case Isa::neon: return {GENMEM_KERNELS(neon), neon::screen(), {}, kUnit};
#endif
    default: return {GENMEM_KERNELS(serial), {}, {}, kUnit};
  }
}

}  // namespace

const Kernels& kernels(Isa isa) {
  static const Kernels all[kIsas] = {make(Isa::serial), make(Isa::neon), make(Isa::avx2),
                                     make(Isa::avx512), make(Isa::amx)};
  return all[static_cast<int>(isa)];
}

}  // namespace backends
}  // namespace genmem
