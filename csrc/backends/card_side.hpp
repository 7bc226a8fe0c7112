// One side of a screen on the card: rows as they came, and packed in the frame that both sides
// share.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/on_card.hpp"

namespace genmem::backends {

// As Frame of the processor's screens: a centre near the mean of the points, a power of two near
// one over their spread.
// Depends on shapes, types and the points alone. Points that lie on the card are looked at there,
// so that nobody waits for them.
class CardFrame {
 public:
  CardFrame(const OnCard& on, const Matrix& queries, const Matrix& points);

  bool screened() const { return screened_; }
  float gamma() const { return gamma_; }
  float slack() const { return slack_; }
  const float* centre() const { return centre_.data(); }
  const CardUnit* unit() const { return unit_.data(); }

 private:
  bool screened_;
  float gamma_, slack_;
  CardArray<float> centre_;
  CardArray<CardUnit> unit_;
  CardArray<double> squares_;
};

// A step through `tiles` of them that shares no factor with their number, near the golden section
// of it: each stretch of the walk is spread over all.
std::int64_t spread_step(std::int64_t tiles);

// Room for `rows` rows of a matrix, filled with some of them at a time.
class CardRows {
 public:
  CardRows(const OnCard& on, const CardFrame& frame, const Matrix& from, std::int64_t rows);

  // Rows begin .. begin + count - 1; `strange` of the card is set where one is not finite or too
  // long for float32.
  void put(Uploads& uploads, const Matrix& from, std::int64_t begin, std::int64_t count,
           bool queries, int* strange);

  // As they lie on the card.
  const Matrix& rows() const { return rows_; }
  const CardSide& side() const { return side_; }
  // Of some of them.
  CardSide side(std::int64_t first, std::int64_t count) const;
  const float* norm() const { return frame_.screened() ? side_.norm : nullptr; }

  // Bytes of a row.
  static std::int64_t bytes(const CardFrame& frame, const Matrix& from);

 private:
  const OnCard& on_;
  const CardFrame& frame_;
  CardArray<char> raw_;
  CardArray<std::uint16_t> packed_;
  CardArray<float> numbers_;
  Matrix rows_{};
  CardSide side_{};
};

}  // namespace genmem::backends
