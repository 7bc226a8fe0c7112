// screen: which points may matter to which queries, from products in low precision and a proven
// bound. It never answers itself: what it lets through is computed again, exactly (pairs.hpp).
//
//   x, y   rows minus a common centre, times a power of two
//   x_h    x rounded to the precision of the products; r = |x - x_h|, a = |x_h|, n = |x|^2
//   D~ = n_x + n_y - 2 x_h . y_h,   |D~ - D| <= B
//   B  = 2 (r_x |y| + a_x r_y) + 2 gamma a_x a_y + slack (n_x + n_y) + underflow
//
// The main term is Cauchy-Schwarz on x.y - x_h.y_h = (x - x_h).y + x_h.(y - y_h); gamma bounds the
// float32 accumulation of d exact products (or the three roundings of an exact sum of integers),
// slack that of the norms and of the few operations that make D~ - B, underflow what is lost below
// 2^-126. The centre and the scale move no distance; they make the bound tight.
//
// A query has a limit; a pair is a hit unless D~ - B is above it. A NaN or an overflow is a hit.
// Bytes against bytes need no bound: the products are integers, D~ = D and B = 0 (d <= kByteDepth).
//
// Cost        2 flops per pair and feature in low precision, some 0.3 cycles per pair to test.
// Layout      points: row-major strips, written once and read by all queries; queries: panels of
//             `panel` columns. Both stay in the second-level cache of the core that works on them.
#pragma once

#include <stdint.h>

#include "kernels/matrix.hpp"

namespace genmem {

// d 255^2 < 2^31.
inline constexpr int64_t kByteDepth = 33025;

// Rows of one side, packed for the products, and what the bound needs of them.
struct ScreenRows {
  Matrix from;
  int64_t begin, count;
  const float* centre;  // (cols,)
  float scale;          // a power of two
  float gamma;          // see the bound above
  float slack;
  void* packed;    // a strip or a panel
  float* norm;     // n (1 - slack) - underflow, NaN for a row beyond float32
  float* length;   // points: |y|; queries: 2 r
  float* error;    // points: 2 r + 2 gamma a; queries: a; all rounded up
  float* step;     // integers only: s, see int16.hpp
  int32_t* whole;  // bytes only: the integer that stands in for n
  float* scratch;  // row_floats(cols)
};

struct Hit {
  int64_t at;   // index of the point
  double low;   // D~ - B, at most D; scaled by scale^2. For bytes: D itself, twice
  double high;  // D~ + B, at least D
};

struct ScreenStrip {
  const void* points;  // packed strip
  const float *norm, *length, *error, *step;
  const int32_t* whole;
  int64_t point, count;  // index of the first, how many
  const void* queries;   // packed panel
  const float *query_norm, *query_length, *query_error, *query_step;
  const int32_t* query_whole;
  const float* limit;          // on D~ - B less the norm of the query
  const int32_t* whole_limit;  // the same for bytes
  int64_t cols, active;        // active <= panel queries
  float slack;
  const int64_t* exclude;  // (active,) index of the point left out, -1 none; or null
  Hit* hits;               // (active, capacity)
  int32_t* found;          // (active,) hits so far; room for `count` more in each
  int64_t capacity;
  float* products;  // strip x panel
};

struct ScreenKernel {
  int64_t panel;  // queries side by side
  int64_t strip;  // points at a time, at most
  bool bytes;
  float accumulation;  // unit roundoff of the sums of products; 0: they are exact
  int64_t (*panel_bytes)(int64_t cols);
  int64_t (*strip_bytes)(int64_t cols);
  void (*pack_queries)(const ScreenRows&);  // at most `panel` rows
  void (*pack_points)(const ScreenRows&);   // at most `strip` rows
  void (*find)(const ScreenStrip&);
};

// Floats of scratch to pack one row: whole registers of any instruction set.
static inline int64_t row_floats(int64_t cols) { return (cols + 63) / 64 * 64; }

}  // namespace genmem
