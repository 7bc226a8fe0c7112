#define GENMEM_EMULATE
#include "kernels/grad_dot/cuda.cu"
