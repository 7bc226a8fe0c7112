#include "kernels/lanes/neon.hpp"
#include "kernels/log_kde/chunk.hpp"
#include "kernels/log_kde/gradient.hpp"

namespace genmem::GENMEM_ISA {

Slots log_kde(const KdeChunk& chunk) { return chunk_slots<F64>(chunk); }
void kde_gradient(const KdeGradient& gradient) { kde_gradient_block<F64>(gradient); }

}  // namespace genmem::GENMEM_ISA
