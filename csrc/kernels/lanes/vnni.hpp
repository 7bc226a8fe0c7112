// Sixteen sums of products of pairs of 16-bit integers, one instruction: AVX-512 VNNI.
#pragma once

#include "kernels/lanes/avx512.hpp"

namespace genmem::GENMEM_ISA {

struct PairSums {
  // Not __m512i, which may alias anything: GCC 12 then keeps the sums in memory.
  using Reg = int32_t __attribute__((vector_size(64)));
  // As of F32: 12 rows x 2 registers.
  static constexpr int kTileRows = 12;
  static constexpr int kTileRegs = 2;

  static Reg zero() { return Reg{}; }
  static Reg load(const int32_t* p) { return (Reg)_mm512_loadu_si512(p); }
  static void store(int32_t* p, Reg x) { _mm512_storeu_si512(p, (__m512i)x); }
  static Reg broadcast(int32_t pair) { return (Reg)_mm512_set1_epi32(pair); }
  static Reg add_products(Reg sum, Reg x, Reg y) {
    return (Reg)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)x, (__m512i)y);
  }
  static __m512 to_float(Reg x) { return _mm512_cvtepi32_ps((__m512i)x); }
};

}  // namespace genmem::GENMEM_ISA
