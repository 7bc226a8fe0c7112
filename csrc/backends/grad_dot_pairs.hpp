// Single products in float64, and what bounds the error of others.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backends/dispatch.hpp"
#include "backends/kernels.hpp"
#include "backends/rows.hpp"

namespace genmem::backends {

// Doubles of scratch that a product takes.
constexpr std::int64_t kProductScratch = kPairScratch + 2 * kPairBlock;

// The product of samples i of x and j of y; the clock is asked after every layer, and within one
// after every block of tokens.
double pair_product(const Kernels& kernels, const std::vector<LayerPair>& layers, std::int64_t i,
                    std::int64_t j, double* scratch, Clock& clock);

// eps of a layer: see GradDotPairKernel. Chains of at most 2 kChain products, the sums of chains,
// then of tokens.
double error_of(double unit, const LayerPair& layer);

// Calls each(sample, scratch, clock), kProductScratch doubles of scratch, for every sample; some at
// a time are a task, as taking one costs more than a sample's work.
using EachSample = std::function<void(std::int64_t, double*, Clock&)>;
bool each_sample(const Plan& plan, std::int64_t samples, const EachSample& each);

// How much smaller the errors of products in float32 are than those of factors with that unit.
double finer(double unit, const std::vector<LayerPair>& layers);

// Of each sample, sqrt(sum over layers of eps nu^2): by Cauchy-Schwarz the product of two of them
// bounds the error of a product of factors with that unit.
bool sizes(const Plan& plan, const std::vector<LayerPair>& layers, double unit, bool x_side,
           std::int64_t samples, std::vector<double>& out);

// Of each sample sqrt(sum over layers of eps nu^2) / |G|: the product of two of them bounds the
// relative error of a product. Infinite for a zero gradient that is a sum of others.
bool ratios(const Plan& plan, const std::vector<LayerPair>& layers, double unit, bool x_side,
            std::int64_t samples, std::vector<double>& out);

// Whether coarse products of tokens gain more than their bounds cost. Gradients that are formed, of
// one token with p = 1, come from memory and gain nothing.
bool gains(const std::vector<LayerPair>& layers);

}  // namespace genmem::backends
