// A formula that the card evaluates as well as the processor.
#pragma once

#if defined(__CUDACC__)
#define GENMEM_FORMULA __host__ __device__ inline
#else
#define GENMEM_FORMULA inline
#endif
