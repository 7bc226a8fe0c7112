#include "kernels/lanes/avx512.hpp"
#include "kernels/log_kde/block.hpp"

namespace genmem::GENMEM_ISA {

void log_kde(const LogKdeBlock& block) { log_kde_block<F64>(block); }

}  // namespace genmem::GENMEM_ISA
