// (card) -> its kernels: the CUDA card, where this build has it, and the emulated one.
#pragma once

#include "backends/probe.hpp"
#include "kernels/device/card.hpp"
#include "kernels/grad_dot/card.hpp"
#include "kernels/knn/card.hpp"
#include "kernels/log_kde/card.hpp"
#include "kernels/pairs/card.hpp"
#include "kernels/screen/card.hpp"

namespace genmem::backends {

struct CardKernels {
  const Card* card;
  const CardPairs* pairs;
  const CardScreens* screen;
  const CardKnn* knn;
  const CardLogKde* log_kde;
  const CardGradDot* grad_dot;
};

// Null for a card that this build has not, and for what is no card.
const CardKernels* card_kernels(Isa isa);

// Throws BackendUnavailable where card_kernels is null.
const CardKernels& kernels_of_card(Isa isa);

}  // namespace genmem::backends
