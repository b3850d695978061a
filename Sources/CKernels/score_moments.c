// Softmax, and the moments of multiples of the score: what is left of exact moments once the slopes are known. The formulas
// and their derivation stand in RoutingCore (RoutingDistribution.swift, Moments.swift).
#include "CKernels.h"
#include "vector_math.h"

// exp(x) for x <= 0. Where the result may be subnormal, the square of the root's exponential underflows gradually.
static ALWAYS_INLINE void exp_nonpositive(const v8 *x, v8 *out) {
  v8 m;
  const v8i far = *x < -700.0;
  const v8 argument = far ? 0.5 * *x : *x;
  exp_expm1(&argument, out, &m);
  *out = far ? *out * *out : *out;
}

// Padding lanes of the last vector hold probability 0.
CLONES size_t rg_softmax(size_t count, const double *logits, double temperature, double *p, double *q) {
  size_t top = 0;
  for (size_t i = 1; i < count; i++) top = logits[i] > logits[top] ? i : top;
  v8 others = splat(0);
  for (size_t b = 0; b < count; b += 8) {
    v8 theta, e;
    load(logits + b, count - b, &theta);
    // The difference from the largest logit, and what rounding took from it (Knuth's TwoSum).
    const v8 difference = theta - logits[top], shift = difference - theta;
    v8 lost = (theta - (difference - shift)) - (logits[top] + shift), exponent = difference;
    if (temperature != 1) {
      exponent = difference / temperature;
      for (int i = 0; i < 8; i++)  // the quotient's own error, exactly
        lost[i] = (lost[i] + __builtin_fma(-exponent[i], temperature, difference[i])) / temperature;
    }
    exp_nonpositive(&exponent, &e);
    // Beyond Float64's range the exponential is 0 and what was lost is not a number.
    e = (e > 0.0) ? e * (1.0 + lost) : splat(0);
    for (size_t i = count - b; i < 8; i++) e[i] = 0;
    store(p + b, count - b, &e);
    if (top - b < 8) e[top - b] = 0;
    others += e;
  }
  const double rest = horizontal_sum(&others), total = 1 + rest;
  for (size_t b = 0; b < count; b += 8) {
    v8 e;
    load(p + b, count - b, &e);
    const v8 share = e / total, complement = 1.0 - share;
    store(p + b, count - b, &share);
    store(q + b, count - b, &complement);
  }
  q[top] = rest / total;
  return top;
}

// Eight rows at a time, so that their sums over lanes are taken together.
CLONES void rg_score_moments(
    size_t rows, size_t experts, size_t argmax, const double *p, const double *q, const double *a, const double *v,
    double *mean, double *variance, double *total) {
  enum { GROUP = 8 };
  const double pm = p[argmax], qm = q[argmax];
  for (size_t start = 0; start < rows; start += GROUP) {
    const size_t group = rows - start < GROUP ? rows - start : GROUP;
    const double *rows_a = a + start * experts, *rows_v = v + start * experts;
    v8 partial[GROUP], partial_v[GROUP], partial_d[GROUP], shift, sums, squares, spreads, distances;
    for (size_t r = 0; r < GROUP; r++) partial[r] = partial_v[r] = splat(0);
    for (size_t r = 0; r < group; r++) {
      const double *ar = rows_a + r * experts;
      for (size_t b = 0; b < experts; b += 8) {
        v8 pv, av;
        load(p + b, experts - b, &pv);
        load(ar + b, experts - b, &av);
        partial[r] += pv * (av - ar[argmax]);
        if (argmax - b < 8) pv[argmax - b] = 0;
        partial_v[r] += pv * av;
      }
    }
    transposed_sums(partial, &shift);
    transposed_sums(partial_v, &sums);
    // Given D other than the argmax, the mean of a comes from the others alone, and their distances are from it: where q_m
    // is small, neither has a digit left in differences from a_m (MomentsTests.almostCertain).
    const v8 elsewhere = sums / (qm > 0 ? qm : 1);

    for (size_t r = 0; r < GROUP; r++) partial[r] = partial_v[r] = partial_d[r] = splat(0);
    for (size_t r = 0; r < group; r++) {
      const double *ar = rows_a + r * experts, *vr = rows_v + r * experts;
      const double own = shift[r], others = elsewhere[r];
      for (size_t b = 0; b < experts; b += 8) {
        v8 pv, av, vv;
        load(p + b, experts - b, &pv);
        load(ar + b, experts - b, &av);
        load(vr + b, experts - b, &vv);
        const v8 d = (av - ar[argmax]) - own, product = pv * d;
        store(mean + (start + r) * experts + b, experts - b, &product);
        if (argmax - b < 8) pv[argmax - b] = 0;  // the sums are over the others
        const v8 distance = av - others;
        partial[r] += pv * d * d;
        partial_v[r] += pv * vv;
        partial_d[r] += pv * distance * distance;
      }
    }
    transposed_sums(partial, &squares);
    transposed_sums(partial_v, &spreads);
    transposed_sums(partial_d, &distances);

    for (size_t r = 0; r < GROUP; r++) partial[r] = splat(0);
    for (size_t r = 0; r < group; r++) {
      const double *ar = rows_a + r * experts, *vr = rows_v + r * experts;
      const double own = shift[r], centre = ar[argmax] + own, own_squares = squares[r], own_spreads = spreads[r];
      const double all_squares = own_squares + pm * own * own, all_spreads = own_spreads + pm * vr[argmax];
      for (size_t b = 0; b < experts; b += 8) {
        v8 pv, qv, av, vv;
        load(p + b, experts - b, &pv);
        load(q + b, experts - b, &qv);
        load(ar + b, experts - b, &av);
        load(vr + b, experts - b, &vv);
        const v8 d = (av - ar[argmax]) - own, reciprocal = 1.0 / ((qv > 0.0) ? qv : splat(1));
        v8 within = all_squares - pv * d * d * reciprocal, spread = all_spreads - pv * vv;
        // q_k times the mean of a given D = k, plus p_k times its mean given D other than k.
        v8 difference = qv * av + pv * (centre - pv * av) * reciprocal;
        if (argmax - b < 8) {
          within[argmax - b] = distances[r];
          spread[argmax - b] = own_spreads;
          difference[argmax - b] = qm * ar[argmax] + pm * elsewhere[r];
        }
        within = (within > 0.0) ? within : splat(0);
        spread = (spread > 0.0) ? spread : splat(0);
        v8 sum = pv * (qv * difference * difference + pv * within + qv * qv * vv + pv * spread);
        sum = (qv > 0.0) ? sum : splat(0);
        store(variance + (start + r) * experts + b, experts - b, &sum);
        partial[r] += sum;
      }
    }
    v8 totals;
    transposed_sums(partial, &totals);
    store(total + start, group, &totals);
  }
}

CLONES void rg_ray_weights(
    size_t experts, size_t first, size_t count, const double *p, size_t node_count, const double *slopes,
    size_t side_count, const double *probabilities, const double *weights, double *a, double *v) {
  const size_t end = first + count;
  for (size_t b = first; b < end; b += 8) {
    v8 pv, mean = splat(0), spread = splat(0);
    double before = 0;
    load(p + b, end - b, &pv);
    for (size_t side = 0; side < side_count; side++) {
      v8 s = splat(0);
      for (size_t k = 0; k < node_count; k++) {
        const double weight = weights[side * node_count + k];
        if (weight != 0) {
          v8 h;
          load(slopes + k * experts + b, end - b, &h);
          s += weight * h;
        }
      }
      // West's update of mean and spread by one more value with its probability.
      const v8 d = s - mean;
      const double share = probabilities[side] / (before + probabilities[side]);
      mean += share * d;
      spread += before * share * d * d;
      before += probabilities[side];
    }
    mean = pv * mean;
    spread = pv * pv * spread;
    store(a + b, end - b, &mean);
    store(v + b, end - b, &spread);
  }
}
