// Faults on purpose: each sanitizer, and the tally itself, must notice its own.
#include <climits>
#include <cstdio>
#include <limits>
#include <memory>
#include <thread>

#include "runs.hpp"

namespace genmem::native {

int commit(const std::string& fault) {
  const volatile int one = 1;  // unknown to the compiler
  if (fault == "overflow") {
    std::printf("%d\n", INT_MAX + one);
  } else if (fault == "overrun") {
    const auto row = std::make_unique<float[]>(16);
    std::printf("%g\n", static_cast<double>(row[static_cast<std::size_t>(15 + one)]));
  } else if (fault == "unwritten") {
    const std::unique_ptr<double[]> row(new double[16]);
    Report report;
    report.of(backends::Isa::serial, "unwritten").within(row[0], 0.0, 1e300, fault);
    return report.print() ? 0 : 1;
  } else if (fault == "race") {
    int shared = 0;
    std::thread other([&] { shared += one; });
    shared += one;
    other.join();
    std::printf("%d\n", shared);
  } else if (fault == "nan") {
    Report report;
    report.of(backends::Isa::serial, "nan")
        .within(std::numeric_limits<double>::quiet_NaN(), 0.0, 1.0, fault);
    return report.print() ? 0 : 1;
  } else {
    std::fprintf(stderr, "%s is no fault\n", fault.c_str());
    return 2;
  }
  return 0;
}

}  // namespace genmem::native
