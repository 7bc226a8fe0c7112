#include "kernels/lanes/amx.hpp"
#include "kernels/grad_dot/tiles.hpp"

namespace genmem::GENMEM_ISA {

TokenKernel float_products() { return TileProducts<3>::kernel(); }
TokenKernel coarse_products() { return TileProducts<1>::kernel(); }

}  // namespace genmem::GENMEM_ISA
