// Squared distances on the card: all pairs of some queries and points, in float64 by differences.
// The sum of a pair is the processor's, chain for chain (pairs.hpp), with fused multiply-adds.
//
// Cost        3 float64 flops per pair and feature; a block of 256 threads takes tiles of 64 x 64
//             pairs (32 x 32 of rows beyond kChainDepth features) through shared memory.
#pragma once

#include "kernels/device/card.hpp"
#include "kernels/pairs/pairs.hpp"

namespace genmem {

struct CardDistances {
  Matrix queries;  // on the card
  Matrix points;
  double* out;                // (queries.rows, points.rows)
  const int* only = nullptr;  // of the card: where it holds 0, nothing is done
};

// Whether all entries are finite. Cost: reads each once.
struct CardFinite {
  Matrix matrix;
  int* strange;  // set where one is not
};

struct CardPairs {
  const char* (*distances)(const Queue&, const CardDistances&);
  const char* (*finite)(const Queue&, const CardFinite&);
};

namespace emulated {
const CardPairs& card_pairs();
}
namespace cuda {
const CardPairs& card_pairs();
}

}  // namespace genmem
