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
// Where |a r p| or |t| is too large for the products (their exponents would pass Float64's), a tile falls back to one
// exponential for every node. Rejected: expm1 of each node (three exponentials), and -log(1 - tanh^2)/2, which loses
// all digits from x = 18 on.
#include "CKernels.h"
#include "vector_math.h"

enum { TILE = 256, LOG_EVERY = 8 };
// 8 factors 1 + w <= exp(2|x|) and the product of four denominators stay below exp(709).
static const double LARGEST_EXPONENT = 80;

// One general node: adds tanh(x) a r to *slope and, if value is not null, log cosh x to *value.
static ALWAYS_INLINE void general_term(const v8 *x, const v8 *ar, v8 *slope, v8 *value) {
  v8 ax, t;
  absolute(x, &ax);
  const v8 argument = -2.0 * ax;
  v8 e, m;
  exp_expm1(&argument, &e, &m);  // e = exp(-2|x|), m = e - 1
  const v8 tanh_ax = -m / (m + 2.0);
  with_sign_of(&tanh_ax, x, &t);
  *slope += t * *ar;
  if (value) {
    const v8i large = ax > 20.0;
    const v8 w = m * m / (4.0 * (large ? splat(1.0) : e));
    v8 near;
    log1p_nonnegative(&w, &near);
    const v8 far = ax - 0.693147180559945309417 + e;
    *value += large ? far : 0.5 * near;
  }
}

CLONES void rg_log_cosh_rays(
    size_t experts, size_t width, const double *directions, const double *multipliers, const double *scales,
    const double *targets, size_t node_count, const double *nodes, double *values, double *slopes) {
  const int shared = node_count == 3 && nodes[0] == 1.0 && nodes[1] == 0.5 && nodes[2] == 1.0 / 3;
  for (size_t i = 0; i < experts; i++) values[i] = 0;
  for (size_t i = 0; i < experts * node_count; i++) slopes[i] = 0;

  double a[TILE] __attribute__((aligned(64))), t[TILE] __attribute__((aligned(64)));
  double s[TILE] __attribute__((aligned(64))), sigma[TILE] __attribute__((aligned(64)));
  for (size_t start = 0; start < width; start += TILE) {
    const size_t count = width - start < TILE ? width - start : TILE;
    const size_t steps = (count + 7) / 8;
    v8 largest_target = splat(0);
    for (size_t b = 0; b < steps; b++) {
      v8 tv, at;
      load(scales + start + 8 * b, count - 8 * b, &aligned_at(a + 8 * b));
      load(targets + start + 8 * b, count - 8 * b, &tv);
      aligned_at(t + 8 * b) = tv;
      const v8 argument = -2.0 * tv;
      exp_expm1(&argument, &aligned_at(s + 8 * b), &aligned_at(sigma + 8 * b));
      absolute(&tv, &at);
      raise_to(&largest_target, &at);
    }
    const double target_exponent = 2 * horizontal_maximum(&largest_target);

    for (size_t i = 0; i < experts; i++) {
      const double *row = directions + i * width + start;
      const double p = multipliers[i];
      if (shared && target_exponent <= LARGEST_EXPONENT) {
        const double third = p / 3;
        v8 slope1 = splat(0), slope2 = splat(0), slope3 = splat(0), value = splat(0), largest = splat(0);
        for (size_t block = 0; block < steps; block += LOG_EVERY) {
          const size_t end = steps - block < LOG_EVERY ? steps : block + LOG_EVERY;
          v8 product = splat(0);  // of the factors 1 + w, less 1
          // Two short loops: one long one leaves the processor waiting on its chain of dependent operations.
          v8 ars[LOG_EVERY], qs[LOG_EVERY], ms[LOG_EVERY];
          for (size_t b = block; b < end; b++) {
            v8 r, ay;
            load(row + 8 * b, count - 8 * b, &r);
            const v8 ar = aligned_at(a + 8 * b) * r, y = ar * third;
            absolute(&y, &ay);
            raise_to(&largest, &ay);
            ars[b - block] = ar;
            exp_expm1_in_range(&y, &qs[b - block], &ms[b - block]);  // beyond its range: recomputed below
          }
          for (size_t b = block; b < end; b++) {
            const v8 q = qs[b - block], m = ms[b - block], ar = ars[b - block];
            const v8 sv = aligned_at(s + 8 * b), sigmav = aligned_at(sigma + 8 * b);
            const v8 q2 = q * q, q3 = q2 * q;
            const v8 m2 = m * (2.0 + m), m3 = m2 + m + m * m2, m6 = m3 * (2.0 + m3);
            const v8 e1 = q3 * q3 * sv;
            const v8 big1 = m6 * sv + sigmav, big2 = m3 * sv + sigmav, big3 = m2 * sv + sigmav;
            const v8 d1 = big1 + 2.0, d2 = big2 + 2.0, d3 = big3 + 2.0;
            const v8 d12 = d1 * d2, d123 = d12 * d3;
            const v8 reciprocal = 1.0 / (d123 * e1);
            const v8 over123 = ar * (reciprocal * e1), over12 = over123 * d3;
            slope1 += big1 * d2 * over12;
            slope2 += big2 * d1 * over12;
            slope3 += big3 * d12 * over123;
            const v8 w = 0.25 * big1 * big1 * (reciprocal * d123);
            product += w + product * w;
          }
          v8 logarithm;
          log1p_nonnegative(&product, &logarithm);
          value += logarithm;
        }
        if (6 * horizontal_maximum(&largest) + target_exponent <= LARGEST_EXPONENT) {
          values[i] += 0.5 * horizontal_sum(&value);
          slopes[i] += horizontal_sum(&slope1);
          slopes[experts + i] += horizontal_sum(&slope2);
          slopes[2 * experts + i] += horizontal_sum(&slope3);
          continue;
        }
      }
      for (size_t k = 0; k <= node_count; k++) {  // the last round is for the value, at c = 1
        const double position = k < node_count ? nodes[k] * p : p;
        v8 slope = splat(0), value = splat(0);
        for (size_t b = 0; b < steps; b++) {
          v8 r;
          load(row + 8 * b, count - 8 * b, &r);
          const v8 ar = aligned_at(a + 8 * b) * r, x = ar * position - aligned_at(t + 8 * b);
          general_term(&x, &ar, &slope, k < node_count ? 0 : &value);
        }
        if (k < node_count)
          slopes[k * experts + i] += horizontal_sum(&slope);
        else
          values[i] += horizontal_sum(&value);
      }
    }
  }
}

CLONES void rg_exp_nonpositive(size_t count, const double *x, double *out) {
  for (size_t b = 0; b < count; b += 8) {
    v8 argument, e, m;
    load(x + b, count - b, &argument);
    exp_expm1(&argument, &e, &m);
    store(out + b, count - b, &e);
  }
}
