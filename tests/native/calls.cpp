// Calls as such: interrupted ones, several at once, failing ones, none to answer.
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "backends/rows.hpp"
#include "runs.hpp"

namespace genmem::native {

namespace {

// Equal rows, told by their strides alone: as much work as one likes in no memory, and no screen
// can leave out a pair.
struct Large {
  explicit Large(std::int64_t d) : row(static_cast<std::size_t>(d), 1.0f) {}
  Matrix rows(std::int64_t count) const {
    return {row.data(), count, static_cast<std::int64_t>(row.size()), 0, 1, Dtype::float32};
  }
  std::vector<float> row;
};

// Uninterrupted, the quickest of the calls takes half a second on three idle threads; between two
// questions an emulator takes as long.
constexpr std::int64_t kQueries = 128, kPoints = 160000, kWidth = 1024;

// A walk that takes much longer than the tenth of a second after which the caller is asked.
struct LongCall {
  const char* name;
  std::function<bool(const backends::Plan&)> walk;
};

std::vector<LongCall> long_calls(const Large& large, double* out,
                                 std::vector<std::int64_t>& indices, std::vector<Slots>& slots) {
  const Matrix queries = large.rows(kQueries), points = large.rows(kPoints);
  static const std::vector<double> zeros(kQueries, 0.0);
  static const std::vector<std::int64_t> offsets{0, kPoints};
  const backends::Density density{KernelKind::gaussian, {1.0}, nullptr, nullptr};
  const TokenLayer tokens{points, points, offsets.data()};
  const std::vector<backends::LayerPair> layers{{tokens, tokens, true}};
  return {
      {"sq_distances",
       [=](const backends::Plan& plan) { return sq_distances(plan, queries, points, out); }},
      {"knn",
       [=, &indices](const backends::Plan& plan) {
         return knn(plan, queries, points, nullptr, 9, out, indices.data());
       }},
      {"radius_counts",
       [=, &indices](const backends::Plan& plan) {
         return radius_counts(plan, queries, points, nullptr, zeros.data(), indices.data());
       }},
      {"log_kde",
       [=, &slots](const backends::Plan& plan) {
         return log_kde(plan, queries, points, nullptr, density, slots.data());
       }},
      {"kde_gradient",
       [=](const backends::Plan& plan) {
         return kde_gradient(plan, queries, points, nullptr, density, zeros.data(), out);
       }},
      {"grad_dot",
       [=](const backends::Plan& plan) { return grad_dot(plan, layers, 1, 1, false, 0.0, out); }},
      {"grad_dot_diagonal",
       [=](const backends::Plan& plan) { return grad_dot_diagonal(plan, layers, 1, out); }},
  };
}

void check_interrupted(Suite& suite) {
  const Large large(kWidth);
  // Not initialised: memory that an interrupted call has not reached costs nothing.
  const std::unique_ptr<double[]> out(new double[kQueries * kPoints]);
  std::vector<std::int64_t> indices(kQueries * 9);
  std::vector<Slots> slots(kQueries);
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "interrupted");
    for (const LongCall& one : long_calls(large, out.get(), indices, slots)) {
      for (const int threads : {1, 3}) {
        const std::thread::id caller = std::this_thread::get_id();
        bool asked = false, elsewhere = false;
        backends::Stats stats;
        const backends::Plan plan{isa, threads,
                                  [&] {
                                    asked = true;
                                    elsewhere |= std::this_thread::get_id() != caller;
                                    return true;
                                  },
                                  &stats};
        tally.check(!one.walk(plan), "true from an interrupted call", one.name);
        tally.check(asked && !elsewhere, "the question is put on the caller's thread", one.name);
        tally.count(stats.screened);
      }
    }
  }
}

// Several callers share the pool; each gets its own answer.
void check_concurrent(Suite& suite) {
  const Problem p = make_problem({33, 40, 2200}, Dtype::float32, Dtype::float32, 0, suite.random);
  const std::int64_t k = 5;
  const backends::Density density{KernelKind::gaussian, {30.0}, nullptr, nullptr};
  struct Answer {
    std::vector<double> sq = std::vector<double>(40 * 5);
    std::vector<std::int64_t> index = std::vector<std::int64_t>(40 * 5);
    std::vector<Slots> slots = std::vector<Slots>(40);
    bool finished = false;
  };
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "several callers");
    const auto ask = [&](int threads, Answer& to) {
      backends::Stats stats;
      const backends::Plan plan{isa, threads, [] { return false; }, &stats};
      const Matrix queries = p.queries.matrix(), points = p.points.matrix();
      to.finished = knn(plan, queries, points, nullptr, k, to.sq.data(), to.index.data()) &&
                    log_kde(plan, queries, points, nullptr, density, to.slots.data());
    };
    Answer want, got[4];
    ask(1, want);
    std::vector<std::thread> callers;
    for (Answer& to : got) callers.emplace_back(ask, 3, std::ref(to));
    for (std::thread& caller : callers) caller.join();
    for (const Answer& answer : got) {
      tally.check(answer.finished && answer.sq == want.sq && answer.index == want.index &&
                      std::memcmp(answer.slots.data(), want.slots.data(),
                                  want.slots.size() * sizeof(Slots)) == 0,
                  "another answer", p.name);
      tally.count(false);
    }
  }
}

// What a task throws reaches the caller, once nobody works on the tasks any more.
void check_exceptions(Suite& suite) {
  Tally& tally = suite.report.of(suite.isas.front(), "exceptions");
  for (const int threads : {1, 3, 8}) {
    for (const std::int64_t bad : {0, 57}) {
      std::atomic<int> working{0};
      bool thrown = false;
      const backends::Task task = [&](std::int64_t number, int, backends::Clock&) {
        ++working;
        const std::vector<std::int64_t> numbers(1000, number);
        --working;
        if (numbers.back() == bad) throw std::runtime_error("57");
      };
      try {
        backends::run_tasks(100, threads, task, [] { return false; });
      } catch (const std::runtime_error& error) {
        thrown = std::string(error.what()) == "57" && working == 0;
      }
      tally.check(thrown, "the exception of a task is lost", "run_tasks");
      tally.count(false);
    }
  }
}

void check_nothing(Suite& suite) {
  const Problem p = make_problem({20, 0, 2100}, Dtype::float64, Dtype::float32, 0, suite.random);
  const backends::Density density{KernelKind::gaussian, {1.0}, nullptr, nullptr};
  for (const backends::Isa isa : suite.isas) {
    Tally& tally = suite.report.of(isa, "no queries");
    const Matrix queries = p.queries.matrix(), points = p.points.matrix();
    const auto check = [&](const char* name, const auto& walk) {
      for (const int threads : {1, 3}) call(tally, name, threads, walk);
    };
    check("sq_distances",
          [&](const backends::Plan& plan) { return sq_distances(plan, queries, points, nullptr); });
    check("knn", [&](const backends::Plan& plan) {
      return knn(plan, queries, points, nullptr, 3, nullptr, nullptr);
    });
    check("radius_counts", [&](const backends::Plan& plan) {
      return radius_counts(plan, queries, points, nullptr, nullptr, nullptr);
    });
    check("log_kde", [&](const backends::Plan& plan) {
      return log_kde(plan, queries, points, nullptr, density, nullptr);
    });
    check("kde_gradient", [&](const backends::Plan& plan) {
      return kde_gradient(plan, queries, points, nullptr, density, nullptr, nullptr);
    });
    check("grad_dot", [&](const backends::Plan& plan) {
      return grad_dot(plan, {}, 0, 3, false, 0.0, nullptr) &&
             grad_dot_diagonal(plan, {}, 0, nullptr);
    });
  }
}

}  // namespace

void check_calls(Suite& suite) {
  check_nothing(suite);
  check_exceptions(suite);
  check_concurrent(suite);
  check_interrupted(suite);
}

}  // namespace genmem::native
