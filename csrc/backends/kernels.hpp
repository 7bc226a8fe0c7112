// (instruction set) -> its kernels.
#pragma once

#include "backends/probe.hpp"
#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/knn/knn.hpp"
#include "kernels/log_kde/log_kde.hpp"
#include "kernels/pairs/pairs.hpp"
#include "kernels/screen/screen.hpp"

namespace genmem::backends {

struct Kernels {
  PanelsKernel panels;
  DistancesKernel distances;
  DistancesToKernel distances_to;
  KnnKernel knn;
  LogKdeKernel log_kde;
  KdeGradientKernel kde_gradient;
  GradDotKernel grad_dot;
  GradDotPairKernel grad_dot_pair;
  GradDotPairKernel grad_dot_size;
  TokenKernel double_products;
  TokenKernel float_products;
  ScreenKernel screen;        // panel 0: none, every distance is computed
  ScreenKernel screen_bytes;  // panel 0: none, bytes are screened as floats
};

// Of a processor; throws BackendUnavailable for a card: there the operation has no kernels.
const Kernels& kernels(Isa isa);

// Products of floats, and the unit roundoff of the factors that they multiply.
struct CoarseProducts {
  TokenKernel products;
  double unit;
};
// The fastest whose unit is at most `most`, at least kFloatUnit.
CoarseProducts coarse_products(Isa isa, double most);

}  // namespace genmem::backends
