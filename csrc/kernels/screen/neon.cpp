#include "kernels/lanes/neon.hpp"
#include "kernels/screen/float32.hpp"

namespace genmem::GENMEM_ISA {

ScreenKernel screen() { return Float32Screen<F32>::kernel(); }

}  // namespace genmem::GENMEM_ISA
