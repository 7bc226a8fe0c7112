#include "kernels/lanes/neon.hpp"
#include "kernels/pairs/distances.hpp"

namespace genmem::GENMEM_ISA {

void distances(const DistanceBlock& b) {
  distance_block<F64>(b.queries, b.query, b.rows, b.points, b.point, b.count, b.out, b.stride,
                      b.scratch);
}

void distances_to(const DistanceList& b) {
  distance_list<F64>(b.queries, b.query, b.points, b.at, b.count, b.out, b.scratch);
}

}  // namespace genmem::GENMEM_ISA
