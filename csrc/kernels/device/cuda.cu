// Memory, copies and their order by the CUDA runtime; see card.hpp.
#include <cuda_runtime.h>

#include "kernels/device/card.hpp"
#include "kernels/device/device.hpp"

namespace genmem::cuda {

namespace {

using device::told;

cudaStream_t stream_of(const Queue& queue) { return static_cast<cudaStream_t>(queue.stream); }

const char* devices(int* count) {
  *count = 0;
  if (const char* error = told("cudaGetDeviceCount", cudaGetDeviceCount(count))) return error;
  for (int device = 0; device < *count; ++device) {
    int major = 0;
    if (const char* error =
            told("cudaDeviceGetAttribute",
                 cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device))) {
      return error;
    }
    if (major >= 8) return nullptr;
  }
  return *count > 0 ? "no device of compute capability 8.0 or more"
                    : "cudaGetDeviceCount: no device";
}

const char* current(int* device) { return told("cudaGetDevice", cudaGetDevice(device)); }

const char* enter(int device) { return told("cudaSetDevice", cudaSetDevice(device)); }

const char* open(Queue& queue) {
  cudaStream_t stream = nullptr;
  const char* error =
      told("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  queue.stream = stream;
  return error;
}

void close(const Queue& queue) {
  cudaStreamSynchronize(stream_of(queue));
  cudaStreamDestroy(stream_of(queue));
}

const char* free_bytes(int64_t* bytes) {
  size_t free = 0, total = 0;
  const char* error = told("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
  *bytes = static_cast<int64_t>(free);
  return error;
}

const char* shared_bytes(int64_t* most) {
  int device = 0, bytes = 0;
  if (const char* error = current(&device)) return error;
  const char* error =
      told("cudaDeviceGetAttribute",
           cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  *most = bytes;
  return error;
}

const char* allocate(const Queue& queue, void** to, int64_t bytes) {
  return told("cudaMallocAsync", cudaMallocAsync(to, static_cast<size_t>(bytes), stream_of(queue)));
}

void release(const Queue& queue, void* memory) { cudaFreeAsync(memory, stream_of(queue)); }

const char* pin(void** to, int64_t bytes) {
  return told("cudaMallocHost", cudaMallocHost(to, static_cast<size_t>(bytes)));
}

void unpin(void* memory) { cudaFreeHost(memory); }

const char* upload(const Queue& queue, void* card, const void* host, int64_t bytes) {
  return told("cudaMemcpyAsync", cudaMemcpyAsync(card, host, static_cast<size_t>(bytes),
                                                 cudaMemcpyHostToDevice, stream_of(queue)));
}

const char* download(const Queue& queue, void* host, const void* card, int64_t bytes) {
  return told("cudaMemcpyAsync", cudaMemcpyAsync(host, card, static_cast<size_t>(bytes),
                                                 cudaMemcpyDeviceToHost, stream_of(queue)));
}

const char* download_rows(const Queue& queue, void* host, const void* card, int64_t pitch,
                          int64_t bytes, int64_t rows) {
  const auto width = static_cast<size_t>(bytes);
  return told("cudaMemcpy2DAsync", cudaMemcpy2DAsync(host, width, card, static_cast<size_t>(pitch),
                                                     width, static_cast<size_t>(rows),
                                                     cudaMemcpyDeviceToHost, stream_of(queue)));
}

const char* fill(const Queue& queue, void* card, int byte, int64_t bytes) {
  return told("cudaMemsetAsync",
              cudaMemsetAsync(card, byte, static_cast<size_t>(bytes), stream_of(queue)));
}

const char* mark(const Queue& queue, void** event) {
  if (!*event) {
    cudaEvent_t made = nullptr;
    const char* error =
        told("cudaEventCreateWithFlags", cudaEventCreateWithFlags(&made, cudaEventDisableTiming));
    if (error) return error;
    *event = made;
  }
  return told("cudaEventRecord",
              cudaEventRecord(static_cast<cudaEvent_t>(*event), stream_of(queue)));
}

const char* wait_for(void* event) {
  return told("cudaEventSynchronize", cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
}

const char* passed(void* event, bool* done) {
  const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(event));
  *done = error == cudaSuccess;
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return nullptr;
  }
  return told("cudaEventQuery", error);
}

void drop(void* event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

const char* wait(const Queue& queue) {
  return told("cudaStreamSynchronize", cudaStreamSynchronize(stream_of(queue)));
}

const char* behind(const Queue& queue, void* event) {
  return told("cudaStreamWaitEvent",
              cudaStreamWaitEvent(stream_of(queue), static_cast<cudaEvent_t>(event), 0));
}

}  // namespace

const Card& card() {
  static const Card table{"cuda",     devices,      current,       enter,   open, close,
                          free_bytes, shared_bytes, allocate,      release, pin,  unpin,
                          upload,     download,     download_rows, fill,    mark, wait_for,
                          passed,     drop,         wait,          behind};
  return table;
}

const char* architectures() { return GENMEM_CUDA_ARCHITECTURES; }
int runtime_version() { return CUDART_VERSION; }

}  // namespace genmem::cuda
