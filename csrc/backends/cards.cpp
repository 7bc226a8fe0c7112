#include "backends/cards.hpp"

namespace genmem::backends {

#define GENMEM_CARD_KERNELS(isa)                                                                  \
  &isa::card(), &isa::card_pairs(), &isa::card_screens(), &isa::card_knn(), &isa::card_log_kde(), \
      &isa::card_grad_dot()

const CardKernels* card_kernels(Isa isa) {
  if (isa == Isa::emulated) {
    static const CardKernels table{GENMEM_CARD_KERNELS(emulated)};
    return &table;
  }
#if defined(GENMEM_HAVE_CUDA)
  if (isa == Isa::cuda) {
    static const CardKernels table{GENMEM_CARD_KERNELS(cuda)};
    return &table;
  }
#endif
  return nullptr;
}

const CardKernels& kernels_of_card(Isa isa) {
  if (const CardKernels* table = card_kernels(isa)) return *table;
  throw BackendUnavailable(std::string("backend '") + name(isa) + "' is no card of this build");
}

}  // namespace genmem::backends
