#include "kernels/screen/vnni.hpp"

namespace genmem::GENMEM_ISA {

ScreenKernel screen_bytes() { return VnniScreen::kernel(); }

}  // namespace genmem::GENMEM_ISA
