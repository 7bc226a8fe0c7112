#include "backends/card_distances.hpp"

#include "backends/rows.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Distances that come down at a time: 32 MiB.
constexpr std::int64_t kBlock = std::int64_t{1} << 22;
constexpr std::int64_t kMostRows = 1024;

}  // namespace

bool each_card_distance(const OnCard& on, Uploads& uploads, const Plan& plan, const Matrix& queries,
                        const Matrix& points,
                        const std::function<void(std::int64_t query, std::int64_t point,
                                                 std::int64_t count, const double* sq)>& take) {
  if (queries.rows == 0) return true;
  const std::int64_t room = on.room(plan.memory) / 4;
  const std::int64_t rows = within(room, row_bytes(queries), 32, std::min(queries.rows, kMostRows));
  const std::int64_t cols =
      within(room, row_bytes(points) + 8 * rows, 256, std::min(points.rows, kBlock / rows));
  const CardArray<char> left(on, rows * upload_bytes(queries)),
      right(on, cols * upload_bytes(points));
  const CardArray<double> block(on, rows * cols);
  const PinnedArray<double> down(on, rows * cols);
  // Points stay where all of them fit.
  Matrix there{};
  for (std::int64_t row = 0; row < queries.rows; row += rows) {
    const std::int64_t some = std::min(rows, queries.rows - row);
    const Matrix x = uploads.rows(queries, row, some, left.data());
    for (std::int64_t point = 0; point < points.rows; point += cols) {
      const std::int64_t there_are = std::min(cols, points.rows - point);
      if (row == 0 || cols < points.rows) {
        there = uploads.rows(points, point, there_are, right.data());
      }
      on.check(on.kernels().pairs->distances(on.queue(), {x, there, block.data()}));
      block.download(down.data(), some * there_are);
      on.wait();
      const auto task = [&](std::int64_t i, int, Clock&) {
        take(row + i, point, there_are, down.data() + i * there_are);
      };
      if (!run_tasks(some, plan.threads, task, plan.interrupted)) return false;
    }
  }
  return true;
}

bool card_sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out) {
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  return each_card_distance(
      on, uploads, plan, queries, points,
      [&](std::int64_t query, std::int64_t point, std::int64_t count, const double* sq) {
        std::copy(sq, sq + count, out + query * points.rows + point);
      });
}

}  // namespace genmem::backends
