#include "kernels/screen/tiles.hpp"

namespace genmem::GENMEM_ISA {

ScreenKernel screen() { return Bfloat16Screen::kernel(); }
ScreenKernel screen_bytes() { return ByteScreen::kernel(); }

}  // namespace genmem::GENMEM_ISA
