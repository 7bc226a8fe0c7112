// The device layer on the card; see device.hpp.
#pragma once

#include <cuda_runtime.h>
#include <stdio.h>

#define GENMEM_KERNEL __global__
#define GENMEM_DEVICE __device__ __forceinline__
#define GENMEM_BLOCKS(threads, blocks) __launch_bounds__(threads, blocks)
#define GENMEM_UNROLL _Pragma("unroll")

namespace genmem::device {

// Not the names of the other form: both may be in one library.
inline namespace on_card {

using Stream = cudaStream_t;

GENMEM_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
GENMEM_DEVICE int threads() { return static_cast<int>(blockDim.x); }
GENMEM_DEVICE int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
GENMEM_DEVICE int warp() { return static_cast<int>(threadIdx.x) / kWarp; }
GENMEM_DEVICE int64_t block_x() { return blockIdx.x; }
GENMEM_DEVICE int64_t block_y() { return blockIdx.y; }
GENMEM_DEVICE int64_t blocks_x() { return gridDim.x; }

GENMEM_DEVICE char* shared_memory() {
  extern __shared__ __align__(16) char genmem_shared[];
  return genmem_shared;
}

GENMEM_DEVICE void barrier() { __syncthreads(); }
GENMEM_DEVICE void warp_barrier() { __syncwarp(); }

template <class T>
GENMEM_DEVICE T shuffle_xor(T x, int mask) {
  return __shfl_xor_sync(0xffffffffu, x, mask);
}
GENMEM_DEVICE uint32_t votes(bool b) { return __ballot_sync(0xffffffffu, b); }

GENMEM_DEVICE int count_bits(uint32_t bits) { return __popc(bits); }

GENMEM_DEVICE void copy_async(void* to, const void* from, bool inside) {
  const uint32_t place = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = inside ? 16 : 0;  // the rest of the 16 is filled with zeros
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(place), "l"(from), "r"(bytes)
               : "memory");
}
GENMEM_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int kPending>
GENMEM_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

GENMEM_DEVICE void load_matrix(uint32_t (&r)[4], const void* row) {
  const uint32_t place = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(place)
               : "memory");
}

GENMEM_DEVICE void multiply_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <class T>
GENMEM_DEVICE T atomic_add(T* at, T x) {
  return atomicAdd(at, x);
}
template <class T>
GENMEM_DEVICE T atomic_min(T* at, T x) {
  return atomicMin(at, x);
}
template <class T>
GENMEM_DEVICE T atomic_max(T* at, T x) {
  return atomicMax(at, x);
}

// Null, or what failed: a failed call also leaves a mark in the runtime, which is taken away.
inline const char* told(const char* call, cudaError_t error) {
  if (error == cudaSuccess) return nullptr;
  static thread_local char text[256];
  cudaGetLastError();
  snprintf(text, sizeof text, "%s: %s", call, cudaGetErrorString(error));
  return text;
}

// Asynchronous, on the stream; null, or what the runtime says.
template <class Params>
const char* launch(void (*kernel)(Params), const Shape& shape, Stream stream,
                   const Params& params) {
  if (shape.blocks_x == 0 || shape.blocks_y == 0) return nullptr;
  if (shape.shared > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shape.shared));
    if (error != cudaSuccess) return told("cudaFuncSetAttribute", error);
  }
  cudaGetLastError();  // an earlier failure is not this launch's
  const dim3 grid(static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y));
  kernel<<<grid, shape.threads, static_cast<size_t>(shape.shared), stream>>>(params);
  return told("cudaLaunchKernel", cudaGetLastError());
}

}  // namespace on_card

}  // namespace genmem::device
