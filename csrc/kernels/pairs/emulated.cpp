#define GENMEM_EMULATE
#include "kernels/pairs/cuda.cu"
