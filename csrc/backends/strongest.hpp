// The strongest products of a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace genmem::backends {

struct Scored {
  double score;
  int64_t index;
};

// The strongest come first.
struct Stronger {
  bool largest;
  bool operator()(const Scored& a, const Scored& b) const {
    const bool strange = std::isnan(a.score), other = std::isnan(b.score);
    if (strange != other) return strange;
    if (!strange && a.score != b.score) return largest ? a.score > b.score : a.score < b.score;
    return a.index < b.index;
  }
};

// Keeps the k strongest of all that were offered, as a heap whose root is the weakest of them.
inline void offer(std::vector<Scored>& kept, int64_t k, const Scored& one,
                  const Stronger& stronger) {
  if (static_cast<int64_t>(kept.size()) == k) {
    if (!stronger(one, kept.front())) return;
    std::pop_heap(kept.begin(), kept.end(), stronger);
    kept.back() = one;
  } else {
    kept.push_back(one);
  }
  std::push_heap(kept.begin(), kept.end(), stronger);
}

// What one row and part keeps: lists of the strongest, as heaps whose root is the weakest.
//
//   without a screen  the k strongest scores
//   with one          every index whose score may be among the k strongest: |score - K~| <= bound,
//                     and fewer than k others are certain to be stronger
class Kept {
 public:
  void offer(const Scored& one, int64_t k, const Stronger& stronger) {
    backends::offer(scores_, k, one, stronger);
  }

  // `score` the larger, the stronger, to within `bound`. A score without a value may be any.
  void consider(double score, double bound, int64_t index, int64_t k) {
    const bool known = score - bound <= score + bound;
    if (known && score + bound < least(k)) return;
    maybe_.push_back({known ? score + bound : HUGE_VAL, index});
    backends::offer(certain_, k, {known ? score - bound : -HUGE_VAL, index}, Stronger{true});
  }

  // Those that turned out to be too weak go.
  void prune(int64_t k) {
    const double limit = least(k);
    const auto weak = [limit](const Scored& one) { return one.score < limit; };
    maybe_.erase(std::remove_if(maybe_.begin(), maybe_.end(), weak), maybe_.end());
  }

  // Takes over what another part of the row kept.
  void join(Kept& other, int64_t k, const Stronger& stronger) {
    for (const Scored& one : other.scores_) offer(one, k, stronger);
    for (const Scored& one : other.certain_) backends::offer(certain_, k, one, Stronger{true});
    maybe_.insert(maybe_.end(), other.maybe_.begin(), other.maybe_.end());
    other = Kept();
  }

  const std::vector<Scored>& maybe() const { return maybe_; }
  int64_t maybe_since(int64_t index) const {
    return std::count_if(maybe_.begin(), maybe_.end(),
                         [index](const Scored& one) { return one.index >= index; });
  }

  // The k strongest that were offered, in order.
  void write(int64_t k, const Stronger& stronger, int64_t* index, double* score) {
    std::sort(scores_.begin(), scores_.end(), stronger);
    for (int64_t n = 0; n < k; ++n) {
      index[n] = scores_[static_cast<std::size_t>(n)].index;
      score[n] = scores_[static_cast<std::size_t>(n)].score;
    }
  }

 private:
  // What k others are certain to reach.
  double least(int64_t k) const {
    return static_cast<int64_t>(certain_.size()) < k ? -HUGE_VAL : certain_.front().score;
  }

  std::vector<Scored> scores_, certain_, maybe_;
};

}  // namespace genmem::backends
