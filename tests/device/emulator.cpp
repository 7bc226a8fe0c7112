// The emulator itself: a kernel that uses all of the device layer and is right, and the same with a
// fault planted that the emulator or a sanitizer must notice.
//
//   emulator [none | early | barrier | shuffle | copies | late | race | overrun]
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#define GENMEM_EMULATE
#include "kernels/device/device.hpp"

namespace genmem {

namespace {

enum class Fault { none, early, barrier, shuffle, copies, late, race, overrun };
const char* const kNames[] = {"none",   "early", "barrier", "shuffle",
                              "copies", "late",  "race",    "overrun"};

// One product a b^T per block, of 32 x k by 8 x k rows of bfloat16: two warps, 16 rows each.
struct Params {
  const uint16_t *a, *b;
  int k;
  float* out;    // (32, 8), written by block (0, 0)
  int* blocks;   // how many blocks ran
  int* highest;  // largest block_x() + 10 block_y()
  float* sum;    // of a value of each thread, over its block
  Fault fault;
};

constexpr int kRowsA = 32, kRowsB = 8, kStep = 16;
constexpr int kBytes = (kRowsA + kRowsB) * kStep * 2;
constexpr device::Shape kShape{3, 2, 64, kBytes + 256};

GENMEM_KERNEL void product(Params p) {
  using namespace device;
  char* const a = shared_memory();
  char* const b = a + kRowsA * kStep * 2;
  float* const sums = reinterpret_cast<float*>(a + kBytes);
  const int i = thread();
  float d[4] = {};
  for (int k = 0; k < p.k; k += kStep) {
    copy_async(a + i * 16, p.a + i / 2 * p.k + k + i % 2 * 8, true);
    if (i < 2 * kRowsB) copy_async(b + i * 16, p.b + i / 2 * p.k + k + i % 2 * 8, true);
    commit_copies();
    if (p.fault != Fault::copies) wait_copies<0>();
    if (p.fault == Fault::early && i == 5) return;
    barrier();
    uint32_t left[4], right[4];
    load_matrix(left, a + warp() * 16 * kStep * 2 + lane() % 16 * 32 + lane() / 16 * 16);
    load_matrix(right, b + lane() % 8 * 32 + lane() / 8 % 2 * 16);
    multiply_bf16(d, left, {right[0], right[1]});
    barrier();
    wait_copies<0>();
  }
  if (block_x() == 0 && block_y() == 0) {
    for (int r = 0; r < 4; ++r) {
      const int row = warp() * 16 + lane() / 4 + r / 2 * 8;
      p.out[row * kRowsB + lane() % 4 * 2 + r % 2] = d[r];
    }
  }
  // A row of zeros where nothing is to be copied.
  copy_async(a + i * 16, nullptr, false);
  commit_copies();
  if (p.fault != Fault::late) wait_copies<0>();
  float x = 1.0f + reinterpret_cast<const float*>(a)[i * 4];
  for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
  if (lane() == 0) sums[warp()] = x;
  if (p.fault != Fault::race) barrier();
  if (i == 0) {
    atomic_add(p.sum, sums[0] + sums[1]);
    atomic_add(p.blocks, 1);
  }
  if (votes(lane() % 3 == 0) == 0x49249249u) {
    atomic_max(p.highest, static_cast<int>(block_x() + 10 * block_y()));
  }
  if (p.fault == Fault::barrier && warp() == 1) barrier();
  if (p.fault == Fault::shuffle && lane() < 7) shuffle_xor(1, 1);
  if (p.fault == Fault::overrun && i == 63) a[kShape.shared] = 1;
}

uint16_t rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return static_cast<uint16_t>(bits >> 16);
}

int run(Fault fault) {
  constexpr int k = 64;
  std::mt19937 random(1);
  std::uniform_int_distribution<int> whole(-9, 9);
  std::vector<float> a(kRowsA * k), b(kRowsB * k), out(kRowsA * kRowsB);
  for (float& x : a) x = static_cast<float>(whole(random));
  for (float& x : b) x = static_cast<float>(whole(random));
  std::vector<uint16_t> narrow_a, narrow_b;
  for (const float x : a) narrow_a.push_back(rounded(x));
  for (const float x : b) narrow_b.push_back(rounded(x));
  int blocks = 0, highest = -1;
  float sum = 0.0f;
  const Params p{narrow_a.data(), narrow_b.data(), k, out.data(), &blocks, &highest, &sum, fault};
  if (const char* error = device::launch(product, kShape, nullptr, p)) {
    std::printf("error: %s\n", error);
    return 1;
  }
  bool right = blocks == 6 && highest == 12 && sum == 6 * 64.0f;
  for (int i = 0; i < kRowsA; ++i) {
    for (int j = 0; j < kRowsB; ++j) {
      float want = 0.0f;
      for (int c = 0; c < k; ++c) want += a[i * k + c] * b[j * k + c];
      right = right && out[i * kRowsB + j] == want;
    }
  }
  std::printf(right ? "right\n" : "wrong\n");
  return right ? 0 : 1;
}

}  // namespace

}  // namespace genmem

int main(int count, char** words) {
  const std::string asked = count > 1 ? words[1] : "none";
  for (int i = 0; i < 8; ++i) {
    if (asked == genmem::kNames[i]) return genmem::run(static_cast<genmem::Fault>(i));
  }
  return 2;
}
