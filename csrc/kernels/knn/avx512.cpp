#include "kernels/lanes/avx512.hpp"
#include "kernels/knn/block.hpp"

namespace genmem::GENMEM_ISA {

void knn(KnnBlock& block) { knn_block<F64>(block); }

}  // namespace genmem::GENMEM_ISA
