// The operations over whole matrices, whatever the backend.
//
// A walk allocates scratch, cuts the work by shape and hands blocks to the kernels of the chosen
// instruction set. It returns false when the caller interrupted it.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "backends/probe.hpp"
#include "kernels/grad_dot/grad_dot.hpp"
#include "kernels/log_kde/log_kde.hpp"
#include "kernels/matrix.hpp"

namespace genmem::backends {

// What a walk did, for a caller who asks.
struct Stats {
  std::atomic<bool> screened{false};       // whether a screen went before
  std::atomic<std::int64_t> pairs{0};      // pairs looked at
  std::atomic<std::int64_t> distances{0};  // of which the distance was computed exactly
  // A row held a NaN or an infinity, or is too long for a float: knn, radius_counts and log_kde
  // tell it on the way, as a scan of its own would cost as much as the answer to one query.
  std::atomic<bool> strange{false};
  std::atomic<std::int64_t> waits{0};  // times that the host waited for all work of a card
};

// Bytes of packed rows and lists that a call keeps to, about: with what else it holds, 256 MiB.
constexpr std::int64_t kMemory = std::int64_t{3} << 26;

// Where on a card a call runs, if its caller says so: a stream of a device, memory from the
// caller's own store.
struct CardPlace {
  bool given = false;
  int device = 0;
  void* stream = nullptr;
  std::vector<void*> before;  // other streams, whose work so far must be done first
  std::function<void*(std::int64_t bytes)> allocate;  // or empty: the card's
  std::function<void(void*)> release;
  std::function<std::int64_t()> spare;  // bytes that `allocate` has at hand
  // Whether the caller looks at what `stats` tells: it costs a wait.
  bool told = true;
};

struct Plan {
  Isa isa;
  int threads;
  std::function<bool()> interrupted;
  Stats* stats;
  std::int64_t memory = kMemory;
  CardPlace place = {};
};

// sq (M, k) and index (M, k), ascending.
bool knn(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
         int64_t k, double* sq, int64_t* index);

// The same on a card, where the answer stays.
struct NearestOnCard {
  void* distances;  // (M, k), roots
  bool single;      // float32, else float64
  int64_t* indices;
};
bool knn_on_card(const Plan& plan, const Matrix& queries, const Matrix& points,
                 const int64_t* exclude, int64_t k, const NearestOnCard& to);

// counts (M,): points at most sq_radius[i] away (squared) from query i.
bool radius_counts(const Plan& plan, const Matrix& queries, const Matrix& points,
                   const int64_t* exclude, const double* sq_radius, int64_t* counts);

// out (M, N).
bool sq_distances(const Plan& plan, const Matrix& queries, const Matrix& points, double* out);

// A density estimate with several bandwidths: terms that hold for all of them.
struct Density {
  KernelKind kind;
  std::vector<double> sq_bandwidths;  // h^2, each
  const double* log_weight;           // as in KdeTerms
  const double* sq_scale;
};

// slots (H, M).
bool log_kde(const Plan& plan, const Matrix& queries, const Matrix& points, const int64_t* exclude,
             const Density& density, Slots* slots);

// On a card, where the answer stays: log p (H, M) = logsumexp of the exponents - log_mass - norm.
struct LogDensityOnCard {
  double log_mass;
  const double* log_masses;   // (M,), or null: log_mass of all
  std::vector<double> norms;  // of each bandwidth
  double* out;
};
bool log_kde_on_card(const Plan& plan, const Matrix& queries, const Matrix& points,
                     const int64_t* exclude, const Density& density, const LogDensityOnCard& to);

// out (M, d): the gradient of the log-density at each query, for one Gaussian bandwidth; log_sum
// (M,) is the logsumexp of its exponents. Terms below it by more than kNegligible + log N are left
// out.
bool kde_gradient(const Plan& plan, const Matrix& queries, const Matrix& points,
                  const int64_t* exclude, const Density& density, const double* log_sum,
                  double* out);

struct LayerPair {
  TokenLayer x;
  TokenLayer y;
  bool bias;
  bool wide = false;  // on a card, multiplied in float64
};

// out (M, N); symmetric: x and y are the same samples, and only half of the blocks are computed.
// tol: 0, or the error that a product may have relative to |G_i| |G_j|, which the fastest products
// that keep it are taken for.
bool grad_dot(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
              int64_t y_samples, bool symmetric, double tol, double* out);

// The same on a card, where the answer stays: (M, N), each product times the scales of both
// samples.
struct ProductsOnCard {
  void* out;
  bool single;            // float32, else float64
  const double* x_scale;  // (M,) and (N,) of the host, or null
  const double* y_scale;
};
bool grad_dot_on_card(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                      int64_t y_samples, bool symmetric, double tol, const ProductsOnCard& to);

// Whether a number of matrices on a card is not finite; waits for it.
bool strange_on_card(const Plan& plan, const std::vector<Matrix>& matrices);

// The strongest of each row.
struct Strongest {
  int64_t k;  // 1 .. y_samples
  bool largest;
  const double* x_scale;  // (M,) and (N,) factors of the products, or null: for cosines
  const double* y_scale;
  bool screen;     // products of low precision first, in float64 those that may belong
  int64_t* index;  // (M, k)
  double* score;   // (M, k)
};

// Descending, or ascending when the smallest are wanted; ties to the lower index. A NaN is stronger
// than any number, so that it is seen. No (M, N) is held.
bool grad_dot_top(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                  int64_t y_samples, const Strongest& top);

// out (M, count), in float64: products of x i with y index[i][0 .. count - 1].
bool grad_dot_listed(const Plan& plan, const std::vector<LayerPair>& layers, int64_t x_samples,
                     const int64_t* index, int64_t count, double* out);

// out (N,): K_ii only.
bool grad_dot_diagonal(const Plan& plan, const std::vector<LayerPair>& layers, int64_t samples,
                       double* out);

}  // namespace genmem::backends
