#include "kernels/lanes/neon.hpp"
#include "kernels/pairs/distances.hpp"
#include "kernels/pairs/expanded.hpp"

namespace genmem::GENMEM_ISA {

void panels(const Panels& b) { expanded_panels<F64>(b); }

void distances(const DistanceBlock& b) {
  if (b.centre) {
    expanded_block<F64>(b);
  } else {
    distance_block<F64>(b.queries, b.query, b.rows, b.points, b.point, b.count, b.out, b.stride,
                        b.scratch);
  }
}

void distances_to(const DistanceList& b) {
  if (b.centre) {
    expanded_list<F64>(b.queries, b.query, b.points, b.at, b.count, b.centre, b.out, b.scratch);
  } else {
    distance_list<F64>(b.queries, b.query, b.points, b.at, b.count, b.out, b.scratch);
  }
}

}  // namespace genmem::GENMEM_ISA
