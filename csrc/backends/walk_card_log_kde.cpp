#include <algorithm>
#include <memory>
#include <vector>

#include "backends/card_chunks.hpp"
#include "backends/walk.hpp"
#include "backends/walk_card.hpp"

namespace genmem::backends {

namespace {

// Where the states go: to the host, or as log-densities to memory of the card.
class Answer {
 public:
  Answer(const OnCard& on, std::int64_t queries, std::int64_t bandwidths, std::int64_t batch,
         Slots* slots, const LogDensityOnCard* there)
      : on_(on),
        queries_(queries),
        bandwidths_(bandwidths),
        batch_(batch),
        slots_(slots),
        there_(there) {
    if (!there) {
      down_.resize(static_cast<std::size_t>(bandwidths * batch));
      return;
    }
    norms_ = copied(on, there->norms.data(), bandwidths);
    masses_ = copied(on, there->log_masses, queries);
  }

  // Those of queries begin .. begin + count - 1.
  void put(const CardArray<Slots>& states, std::int64_t begin, std::int64_t count) {
    if (there_) {
      on_.check(on_.kernels().log_kde->put(
          on_.queue(), {states.data(), batch_, count, bandwidths_, there_->log_mass,
                        masses_ ? masses_->data() + begin : nullptr, norms_->data(),
                        there_->out + begin, queries_}));
      return;
    }
    states.download(down_.data(), bandwidths_ * batch_);
    on_.wait();
    for (std::int64_t h = 0; h < bandwidths_; ++h) {
      std::copy_n(down_.begin() + h * batch_, count, slots_ + h * queries_ + begin);
    }
  }

 private:
  const OnCard& on_;
  std::int64_t queries_, bandwidths_, batch_;
  Slots* slots_;
  const LogDensityOnCard* there_;
  std::vector<Slots> down_;
  std::unique_ptr<CardArray<double>> norms_, masses_;
};

bool densities(const Plan& plan, const Matrix& queries, const Matrix& points,
               const std::int64_t* exclude, const Density& density, Slots* slots,
               const LogDensityOnCard* there) {
  plan.stats->pairs += queries.rows * points.rows;
  if (queries.rows == 0) return true;
  const OnCard on(plan);
  Uploads uploads(on, plan, queries, points);
  const CardTerms terms(on, density, points.rows);
  const CardFrame frame(on, queries, points);
  plan.stats->screened = frame.screened();
  const auto bandwidths = static_cast<std::int64_t>(density.sq_bandwidths.size());
  const ChunkCut cut(frame, queries, points, bandwidths * static_cast<std::int64_t>(sizeof(Slots)),
                     on.room(plan.memory));
  CardRows here(on, frame, queries, cut.batch), block(on, frame, points, cut.block);
  CardChunks chunks(on, frame, density, cut.rows, points.rows);
  CardArray<std::int64_t> skipped(on, cut.batch);
  const CardArray<Slots> states(on, bandwidths * cut.batch);
  Answer answer(on, queries.rows, bandwidths, cut.batch, slots, there);
  CardArray<int> strange(on, 1);
  strange.fill(0);
  for (std::int64_t begin = 0; begin < queries.rows; begin += cut.batch) {
    const std::int64_t count = std::min(cut.batch, queries.rows - begin);
    here.put(uploads, queries, begin, count, true, strange.data());
    if (exclude) skipped.upload(exclude + begin, count);
    CardKde p{};
    terms.put(p);
    p.stride = cut.batch;
    p.states = states.data();
    p.strange = frame.screened() ? nullptr : strange.data();
    on.check(on.kernels().log_kde->clear(on.queue(), p));
    for (std::int64_t point = 0; point < points.rows; point += cut.block) {
      const std::int64_t some = std::min(cut.block, points.rows - point);
      if (begin == 0 || cut.block < points.rows) {
        block.put(uploads, points, point, some, false, strange.data());
      }
      for (std::int64_t row = 0; row < count; row += cut.rows) {
        p.queries = std::min(cut.rows, count - row);
        p.exclude = exclude ? skipped.data() + row : nullptr;
        p.states = states.data() + row;
        for (std::int64_t at = 0; at < some; at += kChunk) {
          p.first = point + at;
          p.count = std::min(kChunk, some - at);
          chunks.compute(here, row, block, at, nullptr, p);
          on.check(on.kernels().log_kde->add(on.queue(), p));
          // The first chunk tells what the others will be like, and so does each batch.
          if (begin == 0 && point == 0 && row == 0 && at == 0) chunks.decide();
          if (plan.interrupted()) return false;
        }
      }
    }
    chunks.decide();
    answer.put(states, begin, count);
  }
  if (plan.place.told) {
    int is_strange = 0;
    strange.download(&is_strange, 1);
    plan.stats->distances += chunks.computed();
    if (is_strange) plan.stats->strange = true;
  }
  return true;
}

}  // namespace

bool card_log_kde(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const std::int64_t* exclude, const Density& density, Slots* slots) {
  return densities(plan, queries, points, exclude, density, slots, nullptr);
}

bool log_kde_on_card(const Plan& plan, const Matrix& queries, const Matrix& points,
                     const std::int64_t* exclude, const Density& density,
                     const LogDensityOnCard& to) {
  return densities(plan, queries, points, exclude, density, nullptr, &to);
}

}  // namespace genmem::backends
