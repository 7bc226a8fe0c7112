#include "kernels/lanes/vnni.hpp"
#include "kernels/grad_dot/whole.hpp"

namespace genmem::GENMEM_ISA {

TokenKernel coarse_products() { return WholeProducts<F32, PairSums>::kernel(); }

}  // namespace genmem::GENMEM_ISA
