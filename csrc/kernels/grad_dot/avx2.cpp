#include "kernels/lanes/avx2.hpp"
#include "kernels/grad_dot/block.hpp"
#include "kernels/grad_dot/pair.hpp"
#include "kernels/grad_dot/products.hpp"
#include "kernels/grad_dot/whole.hpp"

namespace genmem::GENMEM_ISA {

void grad_dot(const GradDotBlock& block) { grad_dot_block<F64>(block); }
double grad_dot_pair(const GradDotPair& pair) { return grad_dot_pair_of<F64>(pair); }
double grad_dot_size(const GradDotPair& pair) { return grad_dot_size_of<F64>(pair); }
TokenKernel float_products() { return FloatProducts<F32, 6, 2>::kernel(); }
TokenKernel double_products() { return DoubleProducts<F64, 6, 2>::kernel(); }
TokenKernel coarse_products() { return WholeProducts<F32, PairSums>::kernel(); }

}  // namespace genmem::GENMEM_ISA
