#include "kernels/lanes/avx2.hpp"

#include "kernels/screen/int16.hpp"

namespace genmem::GENMEM_ISA {

namespace {

// Eight sums of products of pairs.
struct PairSums {
  // Not __m256i, which may alias anything: GCC 12 then keeps the sums in memory.
  using Reg = int32_t __attribute__((vector_size(32)));
  // As of F32: 6 rows x 2 registers of sums leave 4 of the 16 for operands and products.
  static constexpr int kTileRows = 6;
  static constexpr int kTileRegs = 2;

  static Reg zero() { return Reg{}; }
  static Reg load(const int32_t* p) {
    return (Reg)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store(int32_t* p, Reg x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)x);
  }
  static Reg broadcast(int32_t pair) { return (Reg)_mm256_set1_epi32(pair); }
  static Reg add_products(Reg sum, Reg x, Reg y) {
    return sum + (Reg)_mm256_madd_epi16((__m256i)x, (__m256i)y);
  }
  static __m256 to_float(Reg x) { return _mm256_cvtepi32_ps((__m256i)x); }
};

}  // namespace

ScreenKernel screen() { return Int16Screen<F32, PairSums>::kernel(); }

}  // namespace genmem::GENMEM_ISA
