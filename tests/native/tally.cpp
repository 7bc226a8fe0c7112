#include "tally.hpp"

#include <cstdio>

namespace genmem::native {

namespace {

// Faults of one line that are told in full.
constexpr std::int64_t kTold = 5;

}  // namespace

void Tally::off(double got, double want, double budget, const std::string& where) {
  char text[160];
  std::snprintf(text, sizeof text, "%.17g, where %.17g is wanted within %.3g", got, want, budget);
  fault(text, where);
}

void Tally::fault(const std::string& what, const std::string& where) {
  if (faults_++ < kTold) {
    std::printf("FAULT %s %s: %s (%s)\n", backends::name(isa_), operation_.c_str(), what.c_str(),
                where.c_str());
  }
}

void Tally::print() const {
  std::printf("%-7s %-18s %6lld cases %6lld screened   worst error / budget %.2f   %s\n",
              backends::name(isa_), operation_.c_str(), static_cast<long long>(cases_),
              static_cast<long long>(screened_), worst_,
              faults_ ? (std::to_string(faults_) + " FAULTS").c_str() : "ok");
}

Tally& Report::of(backends::Isa isa, const std::string& operation) {
  for (Tally& tally : tallies_) {
    if (tally.isa() == isa && tally.operation() == operation) return tally;
  }
  return tallies_.emplace_back(isa, operation);
}

bool Report::print() const {
  bool well = !tallies_.empty();
  for (const Tally& tally : tallies_) {
    tally.print();
    if (tally.failed()) well = false;
  }
  return well;
}

}  // namespace genmem::native
