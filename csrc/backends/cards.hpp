// (card) -> its kernels: the CUDA card, where this build has it, and the emulated one.
#pragma once

#include <string>

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
  CardDistancesKernel distances;
  CardPackKernel pack;
  CardScreenKernel screen;
  CardNearKernel near;
  CardSettleKernel settle;
  CardRankKernel rank;
  CardKdeKernel kde_clear;
  CardKdeKernel kde;
  CardKdeHitsKernel kde_narrow;
  CardKdeHitsKernel kde_spread;
  const CardGradDot* grad_dot;
};

// Null for a card that this build has not, and for what is no card.
const CardKernels* card_kernels(Isa isa);

// Throws BackendUnavailable where card_kernels is null.
const CardKernels& kernels_of_card(Isa isa);

// Whether an operation, by the name of its door, has kernels there. Processors run all.
bool runs(Isa isa, const std::string& operation);

}  // namespace genmem::backends
