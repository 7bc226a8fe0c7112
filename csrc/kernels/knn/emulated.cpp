#define GENMEM_EMULATE
#include "kernels/knn/cuda.cu"
