#define GENMEM_EMULATE
#include "kernels/log_kde/cuda.cu"
