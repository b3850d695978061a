// Monte-Carlo sums of straight-through Gumbel-softmax in Float32: what a well-written sampling program would
// do, as fast as it can be done, so that the exact integrals have something to be measured against.
//
// Goals, in this order: the same samples for any number of threads and any vector width; no draw that gives
// an infinity or a NaN; speed.
//
// With u uniform, Gumbel noise is -log(-log u). In binary logarithms, T = -log2 u and
// y_i = (theta_i log2 e - log2 T_i) / tau (the constant log 2 in T cancels), p_i = 2^(y_i - y_D) / sum,
// D = argmax y. For a separable objective f(z) = sum_i f_i(z_i) the gradient at the one-hot of D has
// coordinates c_i that are f_i'(1) at i = D, f_i'(0) elsewhere, and
//   q_i = (1/tau) p_i (c_i - sum_k p_k c_k).
// Sixteen coordinates cost about 100 vector operations: 34 the random numbers, 21 and 13 the two logarithms, 12
// the exponential, 14 the sums in Float64. The number of operations is what limits it, not memory or latency.
// Rejected: spacings of sorted uniforms (their direction is that of exponential draws, so one logarithm could be
// saved): then no coordinate has a uniform number of its own.
//
// A stream is read in tiles of TILE samples, a tile in pairs of coordinates (the last one is padded where n is
// odd). Block (tile * pairs + pair) TILE/2 + l of the stream (RoutingCore/Philox.swift) belongs to samples 2 l
// and 2 l + 1 of the tile: its words 0 and 1 to the pair's even coordinate, its words 2 and 3 to the odd one.
#include "CKernels.h"
#include "vector_math_float.h"

enum { TILE = RG_GUMBEL_TILE, BLOCKS = 16, HALF = 16 };

typedef uint64_t blocks __attribute__((ext_vector_type(BLOCKS)));
typedef float vf_half __attribute__((ext_vector_type(HALF)));
typedef int vfi_half __attribute__((ext_vector_type(HALF)));

#define low_word(x) ((x) & (blocks)(0xffffffffU))
#define floats_at(p) (*(vf *)(p))
#define words_at(p) (*(vfi *)(p))
#define half_at(p) (*(const vf_half *)(p))

// Of each sample of a tile: D, (1/sum) and -(1/sum)^2 sum_i e_i c_i, e_i being p_i without its denominator.
typedef struct {
  _Alignas(64) float scale[TILE];
  _Alignas(64) float shift[TILE];
  _Alignas(64) int choice[TILE];
} tile_ends;

// Philox4x32-10 of the counters (first + l, stream), l = 0 ..< BLOCKS. Each word is kept in the lower half of
// 64 bits, what stands above it is never looked at: a round is two multiplications, two shifts and two
// three-way exclusive ors.
static ALWAYS_INLINE void philox_blocks(
    uint64_t seed, uint64_t stream, uint64_t first, float *even, float *odd) {
  blocks c0 = (blocks)(first), c2 = (blocks)(stream), c3 = (blocks)(stream >> 32);
  for (int l = 0; l < BLOCKS; l++) c0[l] += (uint64_t)l;
  blocks c1 = c0 >> 32;
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const blocks a = low_word(c0) * 0xD2511F53U, b = low_word(c2) * 0xCD9E8D57U;
    c0 = (b >> 32) ^ c1 ^ (blocks)(k0);
    c2 = (a >> 32) ^ c3 ^ (blocks)(k1);
    c1 = b;
    c3 = a;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  const blocks evens = low_word(c0) | (c1 << 32), odds = low_word(c2) | (c3 << 32);
  memcpy(even, &evens, sizeof evens);
  memcpy(odd, &odds, sizeof odds);
}

static ALWAYS_INLINE void draw_words(size_t n, uint64_t seed, uint64_t stream, uint64_t tile, float *x) {
  const uint64_t pairs = (n + 1) / 2;
  for (size_t j = 0; j < pairs; j++) {
    float *even = x + 2 * j * TILE, *odd = even + TILE;
    const uint64_t first = (tile * pairs + j) * (TILE / 2);
    for (size_t l = 0; l < TILE / 2; l += BLOCKS)
      philox_blocks(seed, stream, first + l, even + 2 * l, odd + 2 * l);
  }
}

// Words in, e out. Of logits that are equal the first wins.
static ALWAYS_INLINE void relax(
    size_t n, const float *logits, float rate, const float *chosen, const float *others, float *x,
    tile_ends *ends) {
  for (size_t g = 0; g < TILE; g += FLOATS) {
    vf top = splatf(-__FLT_MAX__), product = splatf(0), sum = splatf(0);
    vfi choice = splatfi(0);
    for (size_t i = 0; i < n; i++) {
      float *at = x + i * TILE + g;
      vf binades, noise;
      binades_below_one(&words_at(at), &binades);
      log2_positive(&binades, &noise);
      const vf y = logits[i] - rate * noise;
      floats_at(at) = y;
      const vfi higher = y > top;
      top = higher ? y : top;
      choice = higher ? splatfi((int)i) : choice;
      // e_D is 1: what c_D has more than the others' formula is added as it is.
      product = higher ? splatf(chosen[i] - others[i]) : product;
    }
    for (size_t i = 0; i < n; i++) {
      float *at = x + i * TILE + g;
      vf e;
      const vf distance = floats_at(at) - top;
      exp2_nonpositive(&distance, &e);
      floats_at(at) = e;
      sum += e;
      product += e * others[i];
    }
    const vf scale = 1.0f / sum;
    floats_at(&ends->scale[g]) = scale;
    floats_at(&ends->shift[g]) = -product * scale * scale;
    words_at(&ends->choice[g]) = choice;
  }
}

// q_i of sixteen samples.
static ALWAYS_INLINE void gradients(
    size_t i, float chosen, float others, const float *e, const tile_ends *ends, size_t g, vf_half *q) {
  const vfi_half is_chosen = *(const vfi_half *)&ends->choice[g] == (vfi_half)((int)i);
  const vf_half c = is_chosen ? (vf_half)(chosen) : (vf_half)(others);
  *q = half_at(e) * (c * half_at(&ends->scale[g]) + half_at(&ends->shift[g]));
}

static ALWAYS_INLINE float *aligned(float *x) { return (float *)(((uintptr_t)x + 63) & ~(uintptr_t)63); }

CLONES void rg_gumbel_words(size_t n, uint64_t seed, uint64_t stream, uint64_t tile, uint32_t *words) {
  _Alignas(64) float pair[2 * TILE];
  for (size_t i = 0; i < n; i += 2) {
    const uint64_t first = (tile * ((n + 1) / 2) + i / 2) * (TILE / 2);
    for (size_t l = 0; l < TILE / 2; l += BLOCKS)
      philox_blocks(seed, stream, first + l, pair + 2 * l, pair + TILE + 2 * l);
    memcpy(words + i * TILE, pair, (n - i < 2 ? 1 : 2) * TILE * sizeof *pair);
  }
}

CLONES void rg_gumbel_gradients(
    size_t n, const float *logits, float rate, const float *chosen, const float *others, const uint32_t *words,
    float *workspace, float *q) {
  float *x = aligned(workspace);
  tile_ends ends;
  memcpy(x, words, n * TILE * sizeof *words);
  relax(n, logits, rate, chosen, others, x, &ends);
  for (size_t i = 0; i < n; i++) {
    for (size_t g = 0; g < TILE; g += HALF) {
      vf_half gradient;
      gradients(i, chosen[i], others[i], x + i * TILE + g, &ends, g, &gradient);
      memcpy(q + i * TILE + g, &gradient, sizeof gradient);
    }
  }
}

CLONES void rg_gumbel_sums(
    size_t n, const float *logits, float rate, const float *chosen, const float *others, uint64_t seed,
    uint64_t stream, size_t samples, float *workspace, double *lanes, double *sums, double *squares) {
  float *x = aligned(workspace);
  double *square_lanes = lanes + 8 * n;
  tile_ends ends;
  for (size_t k = 0; k < 16 * n; k++) lanes[k] = 0;
  for (size_t start = 0; start < samples; start += TILE) {
    draw_words(n, seed, stream, start / TILE, x);
    relax(n, logits, rate, chosen, others, x, &ends);
    // Samples of the last tile that are not wanted become zeros.
    for (size_t s = samples - start; s < TILE; s++) ends.scale[s] = ends.shift[s] = 0;
    for (size_t i = 0; i < n; i++) {
      v8 sum, square;
      load(lanes + 8 * i, 8, &sum);
      load(square_lanes + 8 * i, 8, &square);
      for (size_t g = 0; g < TILE; g += HALF) {
        vf_half q;
        gradients(i, chosen[i], others[i], x + i * TILE + g, &ends, g, &q);
        const v8 first = __builtin_convertvector(q.lo, v8), second = __builtin_convertvector(q.hi, v8);
        sum += first;
        square += first * first;
        sum += second;
        square += second * second;
      }
      store(lanes + 8 * i, 8, &sum);
      store(square_lanes + 8 * i, 8, &square);
    }
  }
  for (size_t i = 0; i < n; i++) {
    v8 sum, square;
    load(lanes + 8 * i, 8, &sum);
    load(square_lanes + 8 * i, 8, &square);
    sums[i] += horizontal_sum(&sum);
    squares[i] += horizontal_sum(&square);
  }
}
