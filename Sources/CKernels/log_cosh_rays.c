// Sums of log cosh and tanh along rays: nearly all of the time of exact moments goes here.
//
// Goals, in this order: right to a few ulps for every finite input, x near 0 included; one exponential for three nodes;
// one division for them all.
//
// With E = exp(2x) and M = E - 1:   tanh x = M / (M + 2),   cosh^2 x = 1 + w,   w = M^2 / (4 E).
// Both forms are free of cancellation if M is formed as such. log cosh x = log(1 + w) / 2, and the factors 1 + w of
// several terms are multiplied (as P + 1, P kept) before one log1p is taken.
//
// On the ray x = a r p c - t. With q = exp(a r p / 3) and s = exp(-2 t) the three nodes have
//   c = 1: E = q^6 s,   c = 1/2: E = q^3 s,   c = 1/3: E = q^2 s,
// and with m = q - 1, m2 = m(2 + m), m3 = m2 + m + m m2, m6 = m3(2 + m3), sigma = s - 1:   M = m_k s + sigma.
// That sum is safe for t >= 0 only: then s <= 1, and its terms are either of one sign or bounded by E + 1. For t < 0 they
// may be exp(2|t|) times their sum. Both functions depend on (a, t) up to a common sign (log cosh is even, a tanh too), so
// the sign is chosen to make t positive.
// Where |a r p| or |t| is too large for the products (their exponents would pass Float64's), a row falls back to one
// exponential for every node. Rejected: expm1 of each node (three exponentials), and -log(1 - tanh^2)/2, which loses
// all digits from x = 18 on.
#include "CKernels.h"

#include <math.h>

#include "vector_math.h"

// A tile of columns is worked on at a time (its factors s stay in the first-level cache), for a group of experts at a
// time (so that the sums over lanes are taken eight at once), and a block of eight steps between two logarithms.
enum { TILE = 256, GROUP = 8, BLOCK = 8 };
// Eight factors 1 + w <= exp(2|x|), and the product of four denominators, stay below exp(709).
static const double LARGEST_EXPONENT = 80;

typedef struct {
  size_t steps, count;  // vectors, and columns in them
  double bound;         // the largest |a r p / 3| for which the products of exponentials are safe
  v8 a[TILE / 8], t[TILE / 8], s[TILE / 8], four_s[TILE / 8], sigma[TILE / 8];
} columns;

typedef struct {
  v8 slope[3][GROUP], value[GROUP], largest[GROUP];
} sums;

static ALWAYS_INLINE void prepare(columns *c, size_t count, const double *scales, const double *targets) {
  v8 largest = splat(0);
  c->count = count;
  c->steps = (count + 7) / 8;
  for (size_t b = 0; b < c->steps; b++) {
    v8 a, t;
    load(scales + 8 * b, count - 8 * b, &a);
    load(targets + 8 * b, count - 8 * b, &t);
    const v8i sign = bits(&t) & splati((long)0x8000000000000000UL), turned = bits(&a) ^ sign;
    c->a[b] = real(&turned);
    absolute(&t, &c->t[b]);
    const v8 exponent = 2.0 * c->t[b], argument = -exponent;
    exp_expm1(&argument, &c->s[b], &c->sigma[b]);
    c->four_s[b] = 4.0 * c->s[b];
    raise_to(&largest, &exponent);
  }
  c->bound = (LARGEST_EXPONENT - horizontal_maximum(&largest)) / 6;
}

// One block of one expert's row at the nodes 1, 1/2, 1/3: adds to slopes and the largest |a r p / 3|, sets the product of
// the factors 1 + w, less 1. Two short loops, because one long one would wait on its chain of dependent operations.
static ALWAYS_INLINE void shared_block(
    const columns *c, size_t block, const double *row, size_t width, double third, sums *to, size_t i, v8 *product) {
  const size_t count = c->count, end = c->steps - block < BLOCK ? c->steps : block + BLOCK;
  v8 ars[BLOCK], qs[BLOCK], ms[BLOCK];
  v8 largest = to->largest[i];
  for (size_t b = block; b < end; b++) {
    v8 r, magnitude;
    __builtin_prefetch(row + width + 8 * b);  // the next expert's row; past the last one it does no harm
    load(row + 8 * b, count - 8 * b, &r);
    const v8 ar = c->a[b] * r, y = ar * third;
    absolute(&y, &magnitude);
    raise_to(&largest, &magnitude);
    ars[b - block] = ar;
    exp_expm1_in_range(&y, &qs[b - block], &ms[b - block]);  // beyond its range the row is computed again
  }
  to->largest[i] = largest;
  v8 slope1 = to->slope[0][i], slope2 = to->slope[1][i], slope3 = to->slope[2][i], P = splat(0);
  for (size_t b = block; b < end; b++) {
    const v8 q = qs[b - block], m = ms[b - block], ar = ars[b - block], s = c->s[b], sigma = c->sigma[b];
    const v8 q2 = q * q, q3 = q2 * q;
    const v8 m2 = m * (2.0 + m), m3 = m2 + m + m * m2, m6 = m3 * (2.0 + m3);
    const v8 four_e1 = q3 * q3 * c->four_s[b];
    const v8 big1 = m6 * s + sigma, big2 = m3 * s + sigma, big3 = m2 * s + sigma;
    const v8 d1 = big1 + 2.0, d2 = big2 + 2.0, d3 = big3 + 2.0;
    const v8 d12 = d1 * d2, d123 = d12 * d3;
    const v8 reciprocal = 1.0 / (d123 * four_e1);
    const v8 over123 = ar * (reciprocal * four_e1), over12 = over123 * d3;
    slope1 += big1 * d2 * over12;
    slope2 += big2 * d1 * over12;
    slope3 += big3 * d12 * over123;
    const v8 w = big1 * big1 * (reciprocal * d123);
    P += w * (1.0 + P);
  }
  to->slope[0][i] = slope1;
  to->slope[1][i] = slope2;
  to->slope[2][i] = slope3;
  *product = P;
}

// One node of one row: the sum of tanh(x) a r, and of log cosh x if asked for.
static ALWAYS_INLINE void general_row(
    const columns *c, const double *row, double position, double *slope_sum, double *value_sum) {
  v8 slope = splat(0), value = splat(0);
  for (size_t b = 0; b < c->steps; b++) {
    v8 r, ax, e, m, signed_tanh;
    load(row + 8 * b, c->count - 8 * b, &r);
    const v8 ar = c->a[b] * r, x = ar * position - c->t[b];
    absolute(&x, &ax);
    const v8 argument = -2.0 * ax;
    exp_expm1(&argument, &e, &m);  // e = exp(-2|x|), m = e - 1
    if (slope_sum) {
      const v8 tanh_ax = -m / (m + 2.0);
      with_sign_of(&tanh_ax, &x, &signed_tanh);
      slope += signed_tanh * ar;
    }
    if (value_sum) {
      const v8i large = ax > 20.0;
      const v8 w = m * m / (4.0 * (large ? splat(1.0) : e));
      v8 twice;
      log1p_nonnegative(&w, &twice);
      value += large ? ax - 0.693147180559945309417 + e : 0.5 * twice;
    }
  }
  if (slope_sum) *slope_sum += horizontal_sum(&slope);
  if (value_sum) *value_sum += horizontal_sum(&value);
}

CLONES void rg_log_cosh_rays(
    size_t experts, size_t width, const double *directions, const double *multipliers, const double *scales,
    const double *targets, size_t node_count, const double *nodes, double *values, double *slopes) {
  const int shared = node_count == 3 && nodes[0] == 1.0 && nodes[1] == 0.5 && nodes[2] == 1.0 / 3;
  for (size_t i = 0; i < experts; i++) values[i] = 0;
  for (size_t i = 0; i < experts * node_count; i++) slopes[i] = 0;

  columns c;
  for (size_t start = 0; start < width; start += TILE) {
    prepare(&c, width - start < TILE ? width - start : TILE, scales + start, targets + start);
    for (size_t first = 0; first < experts; first += GROUP) {
      const size_t group = experts - first < GROUP ? experts - first : GROUP;
      const double *rows = directions + first * width + start;
      sums to;
      for (size_t i = 0; i < GROUP; i++)
        to.slope[0][i] = to.slope[1][i] = to.slope[2][i] = to.value[i] = to.largest[i] = splat(0);
      if (shared && c.bound > 0) {
        for (size_t block = 0; block < c.steps; block += BLOCK) {
          v8 products[GROUP];
          for (size_t i = 0; i < group; i++)
            shared_block(&c, block, rows + i * width, width, multipliers[first + i] / 3, &to, i, &products[i]);
          for (size_t i = 0; i < group; i++) {
            v8 twice;
            log1p_nonnegative(&products[i], &twice);
            to.value[i] += 0.5 * twice;
          }
        }
      }
      v8 slope[3], value;
      for (int k = 0; k < 3; k++) transposed_sums(to.slope[k], &slope[k]);
      transposed_sums(to.value, &value);
      v8 extremes;  // of each expert, in its lane
      transposed_maxima(to.largest, &extremes);
      for (size_t i = 0; i < group; i++) {
        if (shared && extremes[i] <= c.bound) {
          values[first + i] += value[i];
          for (int k = 0; k < 3; k++) slopes[k * experts + first + i] += slope[k][i];
        } else {
          const double *row = rows + i * width;
          const double p = multipliers[first + i];
          for (size_t k = 0; k < node_count; k++)
            general_row(&c, row, nodes[k] * p, &slopes[k * experts + first + i], NULL);
          general_row(&c, row, p, NULL, &values[first + i]);
        }
      }
    }
  }
}
