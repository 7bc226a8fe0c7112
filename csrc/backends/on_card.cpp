#include "backends/on_card.hpp"

#include <algorithm>
#include <cstring>

#include "backends/rows.hpp"
#include "backends/walk.hpp"

namespace genmem::backends {

namespace {

// A transfer of 16 MiB takes about a millisecond: long enough to hide what starting it costs.
constexpr std::int64_t kBuffer = std::int64_t{1} << 24;

// Gathering is worth a second thread from so many bytes on.
constexpr std::int64_t kBytesOfATask = std::int64_t{1} << 20;

template <class T>
void gather(const Matrix& from, std::int64_t row, char* to) {
  const T* at = static_cast<const T*>(from.data) + row * from.row_stride;
  T* out = reinterpret_cast<T*>(to);
  if (from.col_stride == 1) {
    std::memcpy(out, at, static_cast<std::size_t>(from.cols) * sizeof(T));
  } else {
    for (std::int64_t c = 0; c < from.cols; ++c) out[c] = at[c * from.col_stride];
  }
}

void gather(const Matrix& from, std::int64_t row, char* to) {
  switch (from.dtype) {
    case Dtype::float32: return gather<float>(from, row, to);
    case Dtype::float64: return gather<double>(from, row, to);
    case Dtype::uint8: return gather<std::uint8_t>(from, row, to);
  }
}

// No more than is to go up, and whole rows.
std::int64_t buffer_bytes(const Matrix& queries, const Matrix& points) {
  const std::int64_t all =
      std::max(queries.rows * upload_bytes(queries), points.rows * upload_bytes(points));
  return std::max(
      {std::min(kBuffer, all), upload_bytes(queries), upload_bytes(points), std::int64_t{1}});
}

}  // namespace

std::int64_t item_bytes(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 1;
}

std::int64_t row_bytes(const Matrix& m) { return m.cols * item_bytes(m.dtype); }
std::int64_t upload_bytes(const Matrix& m) { return m.on_card ? 0 : row_bytes(m); }

Matrix part(const Matrix& m, std::int64_t first, std::int64_t count) {
  Matrix some = m;
  some.data = static_cast<const char*>(m.data) + first * m.row_stride * item_bytes(m.dtype);
  some.rows = count;
  return some;
}

Matrix some_rows(const OnCard& on, const Matrix& m, std::int64_t most, std::vector<char>& memory) {
  // One row stands for all where they are one in memory.
  const std::int64_t count = m.row_stride == 0 ? 1 : std::min(m.rows, most);
  const std::int64_t bytes = row_bytes(m);
  memory.resize(static_cast<std::size_t>(count * bytes));
  const std::int64_t pitch =
      count == 1 ? bytes : m.rows / count * m.row_stride * item_bytes(m.dtype);
  if (pitch < bytes) {  // rows that overlap, as of a sliding window
    for (std::int64_t i = 0; i < count; ++i) {
      const char* from = static_cast<const char*>(m.data) + i * pitch;
      on.check(on.card().download(on.queue(), memory.data() + i * bytes, from, bytes));
    }
  } else {
    on.check(on.card().download_rows(on.queue(), memory.data(), m.data, pitch, bytes, count));
  }
  on.wait();
  return {memory.data(), count, m.cols, m.cols, 1, m.dtype};
}

const char* follow(const Card& card, const Queue& later, const Queue& earlier) {
  void* event = nullptr;
  const char* error = card.mark(earlier, &event);
  if (!error && event) error = card.behind(later, event);
  if (event) card.drop(event);
  return error;
}

OnCard::OnCard(const Plan& plan)
    : table_(kernels_of_card(plan.isa)), place_(plan.place), stats_(plan.stats) {
  check(card().current(&device_before_));
  queue_.device = device_before_;
  if (!place_.given) {
    check(card().open(queue_));
    return;
  }
  // To enter a device makes a context there: that of another one is not made on the way back.
  if (place_.device != device_before_) check(card().enter(place_.device));
  queue_ = {place_.device, place_.stream};
  try {
    for (void* stream : place_.before) check(follow(card(), queue_, {place_.device, stream}));
  } catch (...) {
    leave();
    throw;
  }
}

OnCard::~OnCard() {
  if (place_.given) {
    // Whoever made what was read may use its memory again, behind this.
    for (void* stream : place_.before) follow(card(), {place_.device, stream}, queue_);
    leave();
  } else {
    card().close(queue_);
  }
}

void OnCard::leave() const {
  if (place_.device != device_before_) card().enter(device_before_);
}

void OnCard::wait() const {
  stats_->waits += 1;
  check(card().wait(queue_));
}

void OnCard::put(void* there, const void* host, std::int64_t bytes) const {
  if (bytes == 0) return;
  const PinnedArray<char> piece(*this, bytes);
  std::memcpy(piece.data(), host, static_cast<std::size_t>(bytes));
  check(card().upload(queue_, there, piece.data(), bytes));
}

void* OnCard::allocate(std::int64_t bytes) const {
  if (place_.allocate) return place_.allocate(bytes);
  void* memory = nullptr;
  check(card().allocate(queue_, &memory, bytes));
  return memory;
}

void OnCard::release(void* memory) const {
  if (place_.release) return place_.release(memory);
  card().release(queue_, memory);
}

void OnCard::check(const char* error) const {
  if (error) throw CardError(std::string("backend '") + card().name + "': " + error);
}

std::int64_t OnCard::room(std::int64_t memory) const {
  std::int64_t free = 0;
  check(card().free_bytes(&free));
  if (free < 0) return memory;
  // What the caller's store holds and nobody uses counts as taken there.
  if (place_.spare) free += place_.spare();
  return free / 5 * 4;
}

Uploads::Uploads(const OnCard& on, const Plan& plan, const Matrix& queries, const Matrix& points)
    : on_(on), plan_(plan), bytes_(buffer_bytes(queries, points)) {}

Uploads::~Uploads() {
  for (void* event : passed_) {
    if (event) on_.card().drop(event);
  }
}

Matrix Uploads::rows(const Matrix& from, std::int64_t begin, std::int64_t count, void* to) {
  const std::int64_t size = row_bytes(from);
  if (from.on_card) return part(from, begin, count);
  const std::int64_t step = bytes_ / size;
  for (std::int64_t start = 0; start < count; start += step) {
    const std::int64_t some = std::min(step, count - start);
    auto& pinned = buffers_[turn_];
    if (!pinned) pinned = std::make_unique<PinnedArray<char>>(on_, bytes_);
    char* const buffer = pinned->data();
    if (passed_[turn_]) on_.check(on_.card().wait_for(passed_[turn_]));
    const std::int64_t of_a_task = std::max<std::int64_t>(1, kBytesOfATask / size);
    const auto task = [&](std::int64_t number, int, Clock&) {
      const std::int64_t end = std::min(some, (number + 1) * of_a_task);
      for (std::int64_t i = number * of_a_task; i < end; ++i) {
        gather(from, begin + start + i, buffer + i * size);
      }
    };
    run_tasks(ceil_div(some, of_a_task), plan_.threads, task, [] { return false; });
    on_.check(
        on_.card().upload(on_.queue(), static_cast<char*>(to) + start * size, buffer, some * size));
    on_.check(on_.card().mark(on_.queue(), &passed_[turn_]));
    turn_ ^= 1;
  }
  return {to, count, from.cols, from.cols, 1, from.dtype, true};
}

}  // namespace genmem::backends
