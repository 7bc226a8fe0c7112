#define GENMEM_EMULATE
#include "kernels/screen/cuda.cu"
