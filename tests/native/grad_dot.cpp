// grad_dot: rectangular, symmetric, diagonal; ragged tokens, samples without any, several layers.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "runs.hpp"

namespace genmem::native {

namespace {

struct Form {
  std::int64_t tokens, d, p;
  bool bias;
};

struct Case {
  const char* name;
  std::int64_t m, n;
  std::vector<Form> forms;
  bool ragged;
  bool doubles = true;  // some factors are float64, else none
};

struct Layer {
  Table inputs, gradients;
  std::vector<std::int64_t> offsets;
  TokenLayer view() const { return {inputs.matrix(), gradients.matrix(), offsets.data()}; }
};
using Layers = std::vector<Layer>;

Table random_table(std::int64_t rows, std::int64_t cols, bool bytes, bool doubles, Random& random) {
  const Dtype odd = doubles ? Dtype::float64 : bytes ? Dtype::uint8 : Dtype::float32;
  const Dtype dtype = random.below(2) == 0 ? odd : Dtype::float32;
  std::vector<double> values(static_cast<std::size_t>(rows * cols));
  for (double& x : values) {
    x = dtype == Dtype::uint8 ? static_cast<double>(random.below(256)) : random.normal();
  }
  return Table(rows, cols, dtype, static_cast<Layout>(random.below(kLayouts)), values);
}

Layers make_layers(const Case& c, std::int64_t samples, Random& random) {
  Layers layers;
  for (const Form& form : c.forms) {
    std::vector<std::int64_t> offsets{0};
    for (std::int64_t i = 0; i < samples; ++i) {
      offsets.push_back(offsets.back() +
                        (c.ragged ? random.below(2 * form.tokens + 1) : form.tokens));
    }
    const std::int64_t tokens = offsets.back();
    layers.push_back({random_table(tokens, form.d, true, c.doubles, random),
                      random_table(tokens, form.p, false, c.doubles, random), std::move(offsets)});
  }
  return layers;
}

bool single_precision(const Layer& layer) {
  return layer.inputs.matrix().dtype != Dtype::float64 &&
         layer.gradients.matrix().dtype != Dtype::float64;
}

std::vector<backends::LayerPair> pairs(const Case& c, const Layers& x, const Layers& y) {
  std::vector<backends::LayerPair> all;
  for (std::size_t l = 0; l < c.forms.size(); ++l) {
    all.push_back({x[l].view(), y[l].view(), c.forms[l].bias});
  }
  return all;
}

// Of two samples: the product, and a bound of the rounding of either side of it.
struct Product {
  double value = 0.0, error = 0.0;
};

Product naive(const Case& c, const Layers& x, std::size_t i, const Layers& y, std::size_t j) {
  Product sum;
  for (std::size_t l = 0; l < c.forms.size(); ++l) {
    const Form& form = c.forms[l];
    const double bias = form.bias ? 1.0 : 0.0;
    const bool single = single_precision(x[l]) && single_precision(y[l]);
    const std::int64_t s_first = y[l].offsets[j], s_end = y[l].offsets[j + 1];
    double size = 0.0;
    for (std::int64_t t = x[l].offsets[i]; t < x[l].offsets[i + 1]; ++t) {
      const double *xa = x[l].inputs.row(t), *xg = x[l].gradients.row(t);
      for (std::int64_t s = s_first; s < s_end; ++s) {
        const double *ya = y[l].inputs.row(s), *yg = y[l].gradients.row(s);
        double a = bias, g = 0.0, a_size = bias, g_size = 0.0;
        for (std::int64_t k = 0; k < form.d; ++k) {
          a += xa[k] * ya[k];
          a_size += std::abs(xa[k] * ya[k]);
        }
        for (std::int64_t k = 0; k < form.p; ++k) {
          g += xg[k] * yg[k];
          g_size += std::abs(xg[k] * yg[k]);
        }
        sum.value += a * g;
        size += a_size * g_size;
      }
    }
    const std::int64_t tokens = (x[l].offsets[i + 1] - x[l].offsets[i]) * (s_end - s_first);
    // In float32 a chain ends after kChain terms, and that of the tokens after kVectors.
    const double chain =
        static_cast<double>(2 * kChain + kVectors + (form.d + form.p) / kChain + 8);
    sum.error += 2.0 * static_cast<double>(form.d + form.p + tokens + 8) * kRoundoff * size;
    if (single) sum.error += chain * 0x1p-23 * size;
  }
  return sum;
}

// `walk(plan, out)` by 1, 2, 3 and 8 threads; the answer of the first.
template <class Walk>
std::vector<double> same_by_threads(Tally& tally, const Case& c, std::int64_t size,
                                    const Walk& walk) {
  std::vector<double> first(static_cast<std::size_t>(size)), other(first.size());
  call(tally, c.name, 1, [&](const backends::Plan& plan) { return walk(plan, first.data()); });
  for (const int threads : {2, 3, 8}) {
    call(tally, c.name, threads,
         [&](const backends::Plan& plan) { return walk(plan, other.data()); });
    tally.check(std::memcmp(first.data(), other.data(), first.size() * sizeof(double)) == 0,
                "another answer on several threads", c.name);
  }
  return first;
}

void check(const Case& c, Suite& suite) {
  const Layers queries = make_layers(c, c.m, suite.random);
  const Layers points = make_layers(c, c.n, suite.random);
  const Layers others = make_layers(c, c.n, suite.random);
  const auto rectangle = pairs(c, queries, points), square = pairs(c, points, points),
             two = pairs(c, points, others);
  const auto m = static_cast<std::size_t>(c.m), n = static_cast<std::size_t>(c.n);
  std::vector<Product> want, want_square, want_two, own;
  for (std::size_t i = 0; i < m; ++i) own.push_back(naive(c, queries, i, queries, i));
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = 0; i < m; ++i) want.push_back(naive(c, queries, i, points, j));
    for (std::size_t i = 0; i <= j; ++i) want_square.push_back(naive(c, points, i, points, j));
    want_two.push_back(naive(c, points, j, others, j));
  }
  for (const backends::Isa isa : suite.isas) {
    Tally& plain = suite.report.of(isa, "grad_dot");
    const auto within = [&](Tally& tally, double got, const Product& product) {
      tally.within(got, product.value, product.error, c.name);
    };
    const std::vector<double> got =
        same_by_threads(plain, c, c.m * c.n, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot(plan, rectangle, c.m, c.n, false, 0.0, out);
        });
    const std::vector<double> both =
        same_by_threads(plain, c, c.n * c.n, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot(plan, square, c.n, c.n, true, 0.0, out);
        });
    for (std::size_t j = 0, at = 0; j < n; ++j) {
      for (std::size_t i = 0; i < m; ++i) within(plain, got[i * n + j], want[j * m + i]);
      for (std::size_t i = 0; i <= j; ++i) {
        within(plain, both[i * n + j], want_square[at++]);
        plain.check(both[i * n + j] == both[j * n + i], "not symmetric", c.name);
      }
    }
    // To a tolerance, whatever products that takes.
    Tally& tolerated = suite.report.of(isa, "grad_dot_tol");
    constexpr double kTol = 1e-3;
    const std::vector<double> near =
        same_by_threads(tolerated, c, c.m * c.n, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot(plan, rectangle, c.m, c.n, false, kTol, out);
        });
    for (std::size_t j = 0; j < n; ++j) {
      const double point = std::max(want_square[j * (j + 3) / 2].value, 0.0);
      for (std::size_t i = 0; i < m; ++i) {
        const double query = std::max(own[i].value, 0.0);
        const Product& product = want[j * m + i];
        tolerated.within(near[i * n + j], product.value,
                         kTol * std::sqrt(query * point) + product.error, c.name);
      }
    }
    Tally& strongest = suite.report.of(isa, "grad_dot_top");
    const std::int64_t k = std::min<std::int64_t>(c.n, 7);
    std::vector<std::int64_t> index(m * static_cast<std::size_t>(k));
    const std::vector<double> best =
        same_by_threads(strongest, c, c.m * k, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot_top(plan, rectangle, c.m, c.n,
                                        {k, true, nullptr, nullptr, false, index.data(), out});
        });
    for (std::size_t i = 0; i < m; ++i) {
      std::vector<double> row(got.begin() + static_cast<std::ptrdiff_t>(i * n),
                              got.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
      for (std::size_t r = 0; r < static_cast<std::size_t>(k); ++r) {
        const std::size_t at = i * static_cast<std::size_t>(k) + r;
        strongest.check(row[static_cast<std::size_t>(index[at])] == best[at], "another product",
                        c.name);
      }
      std::sort(row.begin(), row.end(), std::greater<>());
      for (std::size_t r = 0; r < static_cast<std::size_t>(k); ++r) {
        strongest.check(row[r] == best[i * static_cast<std::size_t>(k) + r], "not the strongest",
                        c.name);
      }
    }
    const std::vector<double> screened =
        same_by_threads(strongest, c, c.m * k, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot_top(plan, rectangle, c.m, c.n,
                                        {k, false, nullptr, nullptr, true, index.data(), out});
        });
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t r = 0; r < static_cast<std::size_t>(k); ++r) {
        const std::size_t at = i * static_cast<std::size_t>(k) + r;
        within(strongest, screened[at], want[static_cast<std::size_t>(index[at]) * m + i]);
        // Every other product is no smaller than the last, but for the rounding of either.
        strongest.check(r == 0 || screened[at - 1] <= screened[at], "not ascending", c.name);
      }
      const double last = screened[(i + 1) * static_cast<std::size_t>(k) - 1];
      std::size_t smaller = 0;
      for (std::size_t j = 0; j < n; ++j) {
        smaller += want[j * m + i].value + want[j * m + i].error < last;
      }
      strongest.check(smaller <= static_cast<std::size_t>(k), "one is missing", c.name);
    }
    Tally& diagonal = suite.report.of(isa, "grad_dot_diagonal");
    const std::vector<double> along =
        same_by_threads(diagonal, c, c.n, [&](const backends::Plan& plan, double* out) {
          return backends::grad_dot_diagonal(plan, two, c.n, out);
        });
    for (std::size_t j = 0; j < n; ++j) within(diagonal, along[j], want_two[j]);
  }
}

}  // namespace

void check_grad_dot(bool small, Suite& suite) {
  const std::int64_t many = small ? 90 : 300, pixels = small ? 60 : 300, words = small ? 400 : 1500;
  const Case cases[] = {
      {"one token", 1, 1, {{1, 1, 1, false}}, false},
      {"perceptron", 5, many, {{1, 64, 32, true}, {4, 16, 8, true}, {4, 8, 64, false}}, false},
      {"ragged", 37, many, {{3, 5, 4, true}, {7, 3, 9, false}}, true},
      {"convolution", 3, 4, {{pixels, 27, 8, true}, {49, 72, 16, true}}, false},
      {"gradients themselves", 9, 70, {{1, 2100, 1, false}}, false},
      {"long samples", 2, 3, {{words, 3, 2, true}}, false},
      {"one deep token", 1, 2, {{1, 513, 1025, true}}, false},
  };
  for (Case c : cases) {
    check(c, suite);
    c.doubles = false;
    check(c, suite);
  }
}

}  // namespace genmem::native
