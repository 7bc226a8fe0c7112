#include "kernels/lanes/avx512.hpp"
#include "kernels/log_kde/chunk.hpp"

namespace genmem::GENMEM_ISA {

Slots log_kde(const KdeChunk& chunk) { return chunk_slots<F64>(chunk); }

}  // namespace genmem::GENMEM_ISA
