#include "kernels/screen/vnni.hpp"

#include "kernels/lanes/vnni.hpp"
#include "kernels/screen/int16.hpp"

namespace genmem::GENMEM_ISA {

ScreenKernel screen() { return Int16Screen<F32, PairSums>::kernel(); }
ScreenKernel screen_bytes() { return VnniScreen::kernel(); }

}  // namespace genmem::GENMEM_ISA
