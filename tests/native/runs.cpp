#include "runs.hpp"

#include <algorithm>
#include <cstring>

namespace genmem::native {

namespace {

constexpr std::int64_t kPlenty = std::int64_t{1} << 28;

Rows one(Tally& tally, const Problem& p, const Walk& walk, int threads, std::int64_t memory,
         std::int64_t begin, std::int64_t count, bool exclude) {
  backends::Stats stats;
  const backends::Plan plan{tally.isa(), threads, [] { return false; }, &stats, memory};
  const Part part{p.queries.rows(begin, count), begin,
                  exclude ? p.exclude.data() + begin : nullptr};
  Rows rows;
  tally.check(walk(plan, part, rows), "false from a call that nobody interrupted", p.name);
  tally.count(stats.screened);
  return rows;
}

template <class T>
bool same(const std::vector<T>& part, const std::vector<T>& whole, std::int64_t begin,
          std::int64_t count, std::int64_t all) {
  const auto each = static_cast<std::int64_t>(whole.size()) / all;
  if (static_cast<std::int64_t>(part.size()) != count * each) return false;
  return part.empty() ||
         std::memcmp(part.data(), whole.data() + begin * each, part.size() * sizeof(T)) == 0;
}

}  // namespace

Rows run(Tally& tally, const Problem& p, bool exclude, Again again, const Walk& walk) {
  const std::int64_t m = p.m();
  const Rows first = one(tally, p, walk, 1, kPlenty, 0, m, exclude);
  if (again == Again::no) return first;
  const auto compare = [&](const char* what, int threads, std::int64_t memory, std::int64_t begin,
                           std::int64_t count) {
    const Rows rows = one(tally, p, walk, threads, memory, begin, count, exclude);
    tally.check(same(rows.numbers, first.numbers, begin, count, m) &&
                    same(rows.indices, first.indices, begin, count, m),
                what, p.name);
  };
  compare("another answer on 2 threads", 2, kPlenty, 0, m);
  compare("another answer on 3 threads with little memory", 3, 1, 0, m);
  compare("another answer on 8 threads", 8, kPlenty / 64, 0, m);
  compare("another answer for the first query alone", 1, kPlenty, 0, 1);
  compare("another answer for a batch", 2, kPlenty, m / 3, std::max<std::int64_t>(1, m / 2));
  return first;
}

void call(Tally& tally, const std::string& where, int threads,
          const std::function<bool(const backends::Plan&)>& walk) {
  backends::Stats stats;
  const backends::Plan plan{tally.isa(), threads, [] { return false; }, &stats, kPlenty};
  tally.check(walk(plan), "false from a call that nobody interrupted", where);
  tally.count(stats.screened);
}

}  // namespace genmem::native
