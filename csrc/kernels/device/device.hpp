// device: what a CUDA kernel may ask of the machine, in two forms of one meaning.
//
// A kernel file (cuda.cu) is written over these names alone. nvcc compiles it for the card; any C++
// compiler compiles it with GENMEM_EMULATE for the CPU, where each block runs as threads of its own
// that meet where the card's would: the tests run what is shipped, without a card.
//
//   GENMEM_KERNEL void name(Params p)     a kernel; Params is one plain struct
//   GENMEM_BLOCKS(threads, blocks)        behind it: threads of a block, and blocks that shall
//   share a
//                                         multiprocessor, which limits their registers
//   GENMEM_UNROLL                         before a loop that shall be laid out in full
//   launch(name, shape, stream, p)        see Shape; returns an error as text, or null
//   thread(), threads()                   of the block, one axis;  lane(), warp()  of the thread
//   block_x(), block_y(), blocks_x()      place in the grid
//   shared_memory()                       the block's, shape.shared bytes, 16-byte aligned
//   barrier(), warp_barrier()             every thread of the block, every lane of the warp: what
//                                         each wrote before is seen by all behind it
//   shuffle_xor(x, mask), votes(b)       every lane of the warp;  count_bits(x)  of a vote
//   copy_async(to, from, inside)          16 bytes to shared memory, zeros where not inside;
//   commit_copies(), wait_copies<n>()     groups of copies; wait until at most n are on their way
//   load_matrix(r, row)                   four 8 x 8 matrices of 16-bit numbers, a row per lane
//   multiply_bf16(d, a, b)                d += a b of 16 x 16 and 16 x 8 bfloat16, float32 sums
//   atomic_add, atomic_min, atomic_max    on global memory; return the value before
//
// A copy that is read before it was waited for, a barrier that some threads do not reach, a lane
// that misses a shuffle: undefined on the card, an error in the emulator.
#pragma once

#include "kernels/device/shape.hpp"

#if defined(GENMEM_EMULATE)
#include "kernels/device/emulate.hpp"
#else
#include "kernels/device/cuda.hpp"
#endif
