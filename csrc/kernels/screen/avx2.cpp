#include "kernels/lanes/avx2.hpp"

#include "kernels/screen/int16.hpp"

namespace genmem::GENMEM_ISA {

ScreenKernel screen() { return Int16Screen<F32, PairSums>::kernel(); }

}  // namespace genmem::GENMEM_ISA
