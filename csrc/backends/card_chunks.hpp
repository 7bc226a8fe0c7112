// Squared distances of queries to chunks of points on the card, and the terms of a density there:
// what log_kde and its gradient share.
#pragma once

#include <cstdint>
#include <memory>

#include "backends/card_side.hpp"
#include "backends/extremes.hpp"
#include "backends/on_card.hpp"

namespace genmem::backends {

// What does not change from query to query, on the card.
class CardTerms {
 public:
  CardTerms(const OnCard& on, const Density& density, std::int64_t points);
  void put(CardKde& p) const;

 private:
  KernelKind kind_;
  CardArray<double> bandwidths_;
  std::unique_ptr<CardArray<double>> log_weight_, sq_scale_;
};

// How a call is cut: a batch of queries stays, with `state_bytes` of each, while points pass by in
// blocks of whole chunks; `rows` queries of a batch meet a chunk at a time.
struct ChunkCut {
  ChunkCut(const CardFrame& frame, const Matrix& queries, const Matrix& points,
           std::int64_t state_bytes, std::int64_t room);
  std::int64_t batch, block, rows;
};

// Distances of `rows` queries to one chunk. With a screen before them: hits in strips, then a row
// of distances for each query, infinite but at the hits.
class CardChunks {
 public:
  CardChunks(const OnCard& on, const CardFrame& frame, const Density& density, std::int64_t rows,
             std::int64_t points);

  // Of queries row .. row + p.queries - 1 of a batch to points at .. at + p.count - 1 of a block,
  // which are p.first and on of all; puts them into p. Of each query of the batch sq_reach, the
  // squared distance up to which points matter; null: what log_kde needs, found out by the way.
  void compute(const CardRows& queries, std::int64_t row, const CardRows& points, std::int64_t at,
               const double* sq_reach, CardKde& p);

  // To be called now and then: whether a screen still pays is decided on the card.
  void decide();

  // Distances that were computed exactly; waits for the card.
  std::int64_t computed() const;

 private:
  // All pairs of the first strip are hits; of the rest of a chunk about as many fit twice.
  static constexpr std::int64_t kFirstTiles = kCardFirst / kCardTile;
  static constexpr std::int64_t kCapacity = 3 * kCardFirst;

  const OnCard& on_;
  const CardFrame& frame_;
  Extremes most_;
  CardArray<double> sq_;
  CardArray<float> limit_, threshold_;
  CardArray<CardHit> hits_;
  CardArray<int> found_, lost_, off_;
  CardArray<unsigned long long> computed_;
  std::int64_t asked_ = 0, all_of_them_ = 0;
};

}  // namespace genmem::backends
