// What one operation did on one backend: cases, faults, the worst error over its budget.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "backends/probe.hpp"

namespace genmem::native {

class Tally {
 public:
  Tally(backends::Isa isa, std::string operation) : isa_(isa), operation_(std::move(operation)) {}

  // One call of the operation; `screened` where a screen went before.
  void count(bool screened) {
    ++cases_;
    screened_ += screened;
  }

  // A fault unless |got - want| <= budget; so a NaN is one, and so is a budget that is not finite.
  void within(double got, double want, double budget, const std::string& where) {
    if (got == want) return;
    const double error = got < want ? want - got : got - want;
    const double ratio = error / budget;
    if (!(ratio <= 1.0)) return off(got, want, budget, where);
    if (ratio > worst_) worst_ = ratio;
  }

  // A fault unless it holds.
  void check(bool holds, const char* what, const std::string& where) {
    if (!holds) fault(what, where);
  }

  bool failed() const { return faults_ > 0; }
  std::int64_t screened() const { return screened_; }
  backends::Isa isa() const { return isa_; }
  const std::string& operation() const { return operation_; }
  void print() const;

 private:
  void off(double got, double want, double budget, const std::string& where);
  void fault(const std::string& what, const std::string& where);

  backends::Isa isa_;
  std::string operation_;
  std::int64_t cases_ = 0, screened_ = 0, faults_ = 0;
  double worst_ = 0.0;
};

// The tallies of a run, in the order in which they were first asked for.
class Report {
 public:
  Tally& of(backends::Isa isa, const std::string& operation);

  // Prints a line for each; whether all is well.
  bool print() const;

 private:
  std::deque<Tally> tallies_;
};

}  // namespace genmem::native
