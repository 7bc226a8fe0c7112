// What a call holds of a card: a queue, memory, and buffers through which rows go up. Errors of the
// card are thrown.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/cards.hpp"
#include "backends/dispatch.hpp"
#include "backends/pinned.hpp"

namespace genmem::backends {

// A call of the card that failed, by name, and why.
class CardError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What `later` gets from now on is done behind all that `earlier` holds; nobody waits.
const char* follow(const Card& card, const Queue& later, const Queue& earlier);

// For the time of one call: the stream that the plan names, or one of its own of the thread's
// current device.
class OnCard {
 public:
  explicit OnCard(const Plan& plan);
  ~OnCard();
  OnCard(const OnCard&) = delete;
  OnCard& operator=(const OnCard&) = delete;

  const CardKernels& kernels() const { return table_; }
  const Card& card() const { return *table_.card; }
  const Queue& queue() const { return queue_; }

  // Throws CardError for what a function of the card returned, unless null.
  void check(const char* error) const;
  // For all that the queue holds; counted, as a caller may want to know.
  void wait() const;

  // Bytes of any memory of the host, which may go when it returns: a card may wait for its queue
  // before it copies what is not pinned, or copy what is when its turn comes. So they go by a piece
  // of pinned memory.
  void put(void* there, const void* host, std::int64_t bytes) const;

  void* allocate(std::int64_t bytes) const;
  void release(void* memory) const;

  // Bytes that a call may take: most of what is free, or `memory` on the emulated card.
  std::int64_t room(std::int64_t memory) const;

 private:
  void leave() const;

  const CardKernels& table_;
  const CardPlace& place_;
  Stats* stats_;
  int device_before_ = 0;
  Queue queue_{};
};

// Memory of the card; what it holds at first is undefined.
template <class T>
class CardArray {
 public:
  CardArray(const OnCard& on, std::int64_t count) : on_(on), count_(count) {
    data_ = static_cast<T*>(on_.allocate(bytes(count > 0 ? count : 1)));
  }
  ~CardArray() { on_.release(data_); }
  CardArray(const CardArray&) = delete;
  CardArray& operator=(const CardArray&) = delete;

  T* data() const { return data_; }
  std::int64_t count() const { return count_; }
  // `count` numbers; the host's memory may go when it returns, unless it is pinned.
  void upload(const T* host, std::int64_t count) { on_.put(data_, host, bytes(count)); }
  void download(T* host, std::int64_t count) const {
    on_.check(on_.card().download(on_.queue(), host, data_, bytes(count)));
  }
  void fill(int byte) { on_.check(on_.card().fill(on_.queue(), data_, byte, bytes(count_))); }

 private:
  static std::int64_t bytes(std::int64_t count) {
    return count * static_cast<std::int64_t>(sizeof(T));
  }

  const OnCard& on_;
  std::int64_t count_;
  T* data_;
};

// Numbers of the host, there; null for null.
template <class T>
std::unique_ptr<CardArray<T>> copied(const OnCard& on, const T* from, std::int64_t count) {
  if (!from) return nullptr;
  auto to = std::make_unique<CardArray<T>>(on, count);
  to->upload(from, count);
  return to;
}

// What kernels note on their way: whether a row is strange, and distances that were computed.
class CardTally {
 public:
  explicit CardTally(const OnCard& on) : on_(on), strange_(on, 1), computed_(on, 1) {
    strange_.fill(0);
    computed_.fill(0);
  }
  int* strange() const { return strange_.data(); }
  unsigned long long* computed() const { return computed_.data(); }

  // Adds it to the statistics, where the caller looks at them; without a screen `pairs` distances.
  void tell(const Plan& plan, bool screened, std::int64_t pairs) const {
    if (!plan.place.told) return;
    int is_strange = 0;
    unsigned long long distances = 0;
    strange_.download(&is_strange, 1);
    computed_.download(&distances, 1);
    on_.wait();
    if (is_strange) plan.stats->strange = true;
    plan.stats->distances += screened ? static_cast<std::int64_t>(distances) : pairs;
  }

 private:
  const OnCard& on_;
  CardArray<int> strange_;
  CardArray<unsigned long long> computed_;
};

// Pinned memory of the host, until the queue is through with it.
template <class T>
class PinnedArray {
 public:
  PinnedArray(const OnCard& on, std::int64_t count) : on_(on) {
    const char* error = nullptr;
    piece_ = take_pinned(on_.card(), count * static_cast<std::int64_t>(sizeof(T)), &error);
    on_.check(error);
  }
  ~PinnedArray() { give_pinned(on_.card(), on_.queue(), piece_); }
  PinnedArray(const PinnedArray&) = delete;
  PinnedArray& operator=(const PinnedArray&) = delete;
  T* data() const { return static_cast<T*>(piece_.memory); }

 private:
  const OnCard& on_;
  Pinned piece_;
};

// Rows of the host's matrices of any strides, to the card: gathered by the threads of the plan into
// one of two pinned buffers while the other one is on its way. Rows that are there stay.
class Uploads {
 public:
  // For these matrices.
  Uploads(const OnCard& on, const Plan& plan, const Matrix& queries, const Matrix& points);
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  // Rows begin .. begin + count - 1 as the matrix that it returns: contiguous at `to`, or where
  // they lie on the card.
  Matrix rows(const Matrix& from, std::int64_t begin, std::int64_t count, void* to);

 private:
  const OnCard& on_;
  const Plan& plan_;
  std::int64_t bytes_;
  std::unique_ptr<PinnedArray<char>> buffers_[2];  // once they are wanted
  void* passed_[2] = {nullptr, nullptr};
  int turn_ = 0;
};

std::int64_t item_bytes(Dtype dtype);
std::int64_t row_bytes(const Matrix& m);
// What it takes to put a row on the card: nothing where it is there.
std::int64_t upload_bytes(const Matrix& m);

// Rows first .. first + count - 1.
Matrix part(const Matrix& m, std::int64_t first, std::int64_t count);

// How many of `each` bytes go into so many, within limits that come before that.
inline std::int64_t within(std::int64_t bytes, std::int64_t each, std::int64_t least,
                           std::int64_t most) {
  return std::min(most, std::max(least, bytes / each));
}

// At most `most` rows of a matrix on the card, evenly spaced, on the host in `memory`.
Matrix some_rows(const OnCard& on, const Matrix& m, std::int64_t most, std::vector<char>& memory);

}  // namespace genmem::backends
