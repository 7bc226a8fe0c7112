// The state of a two-slot logsumexp; its arithmetic is in logsumexp.hpp.
#pragma once

#include <stdint.h>

namespace genmem {

struct Slots {
  double top;         // the largest term, -inf when there is none
  int64_t top_index;  // its index; ties to the lower one
  double max;         // the largest of the other terms
  double sum;         // of exp(term - max) over the other terms
};

}  // namespace genmem
