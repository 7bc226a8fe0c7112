#include "backends/cards.hpp"

namespace genmem {

#define GENMEM_DECLARE_CARD(isa)                                                 \
  namespace isa {                                                                \
  const char* card_distances(const Queue&, const CardDistances&);                \
  const char* card_pack(const Queue&, const CardPack&);                          \
  const char* card_screen(const Queue&, const CardScreen&);                      \
  const char* card_near(const Queue&, const CardNear&);                          \
  const char* card_settle(const Queue&, const CardSettle&);                      \
  const char* card_rank(const Queue&, const CardRank&);                          \
  const char* card_kde_clear(const Queue&, const CardKde&);                      \
  const char* card_kde(const Queue&, const CardKde&);                            \
  const char* card_kde_narrow(const Queue&, const CardKde&, const CardKdeHits&); \
  const char* card_kde_spread(const Queue&, const CardKde&, const CardKdeHits&); \
  const CardGradDot& card_grad_dot();                                            \
  }

GENMEM_DECLARE_CARD(emulated)
#if defined(GENMEM_HAVE_CUDA)
GENMEM_DECLARE_CARD(cuda)
#endif

namespace backends {

namespace {

#define GENMEM_CARD_KERNELS(isa)                                                                  \
  &isa::card(), isa::card_distances, isa::card_pack, isa::card_screen, isa::card_near,            \
      isa::card_settle, isa::card_rank, isa::card_kde_clear, isa::card_kde, isa::card_kde_narrow, \
      isa::card_kde_spread, &isa::card_grad_dot()

}  // namespace

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

bool runs(Isa isa, const std::string& operation) {
  return !is_card(isa) || operation == "knn" || operation == "sq_distances" ||
         operation == "log_kde" || operation == "kde_slots" || operation == "grad_dot" ||
         operation == "grad_dot_diagonal" || operation == "retrieve";
}

}  // namespace backends
}  // namespace genmem
