// One side of a screen on the card: rows as they came, and packed in the frame that both sides
// share.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/on_card.hpp"

namespace genmem::backends {

// As Frame of the processor's screens: a centre near the mean of the points, a power of two near
// one over their spread.
struct CardFrame {
  bool screened = false;
  std::vector<float> centre;
  float scale = 1, gamma = 0, slack = 0;
  double unit = 1;  // scale^2: screened squared distance = unit * squared distance
};

// Depends on shapes, types and the points alone.
CardFrame card_frame(const OnCard& on, const Matrix& queries, const Matrix& points);

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
           bool queries, const float* centre, int* strange);

  // As they lie on the card.
  const Matrix& rows() const { return rows_; }
  const CardSide& side() const { return side_; }
  const float* norm() const { return frame_.screened ? side_.norm : nullptr; }

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
