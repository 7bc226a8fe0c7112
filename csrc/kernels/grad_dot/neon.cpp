#include "kernels/lanes/neon.hpp"
#include "kernels/grad_dot/block.hpp"

namespace genmem::GENMEM_ISA {

void grad_dot(const GradDotBlock& block) { grad_dot_block<F64>(block); }

}  // namespace genmem::GENMEM_ISA
