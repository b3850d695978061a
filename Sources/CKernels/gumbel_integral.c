// The innermost sums of the exact moments of straight-through Gumbel-softmax (the integrals and their derivation stand in
// NoiseIntegrals/Gumbel/GumbelIntegral.swift). Nearly all of the time goes into the exponentials of the first kernel.
//
// Goals, in this order: no overflow, NaN or lost digits for any rate and any temperature; one exponential a point;
// every loop over the nodes s, which are contiguous, so that vectors need no horizontal sums until the end.
#include "CKernels.h"
#include "vector_math.h"

#include <math.h>

typedef double v8u __attribute__((ext_vector_type(8), aligned(8)));
#define at(p) (*(const v8u *)(p))
#define set(p) (*(v8u *)(p))

enum { LANES = 8 };

// log(1 + e^t) without overflow; then exp(-a ...), 0 where it would underflow.
static ALWAYS_INLINE void softmin_weight(const v8 *t, double exponent, v8 *out) {
  v8 magnitude, e, m, log1p_e;
  absolute(t, &magnitude);
  const v8 negative = -magnitude;
  exp_expm1(&negative, &e, &m);
  log1p_nonnegative(&e, &log1p_e);
  const v8 argument = -exponent * (log1p_e + ((*t > 0.0) ? *t : splat(0)));
  exp_expm1(&argument, out, &m);
}

// The points w = (1 + e^{z - log_rate})^{-exponent} of the nodes z = first + k step, without those that count neither in
// E[w ...] nor in E[w^2 ...]: those at either end become one point of the same weight and mean w. `below` is the weight of
// nodes not looked at, where w = 1. Room for count + 2 points.
static ALWAYS_INLINE size_t gather_points(
    size_t count, double first, double step, const double *weights, double log_rate, double exponent,
    double negligible, double below, double *points, double *masses) {
  double linear = 0, square = 0;
  for (size_t b = 0; b < count; b += LANES) {
    v8 t, w;
    for (int i = 0; i < LANES; i++) t[i] = (first + step * (double)(b + (size_t)i)) - log_rate;
    softmin_weight(&t, exponent, &w);
    store(points + b, count - b, &w);
    const size_t end = count - b < LANES ? count - b : LANES;
    for (size_t i = 0; i < end; i++) {
      const double mass = weights[b + i] * w[i];
      linear += mass;
      square += mass * w[i];
    }
  }
  size_t kept = 0;
  double mass[2] = {below, 0}, moment[2] = {below, 0};
  for (size_t k = 0; k < count; k++) {
    const double w = points[k], share = weights[k] * w;
    if (share > negligible * linear || share * w > negligible * square) {
      points[kept] = w;
      masses[kept++] = weights[k];
    } else {
      const int side = kept > 0;
      mass[side] += weights[k];
      moment[side] += share;
    }
  }
  for (int side = 0; side < 2; side++) {
    if (mass[side] > 0) {
      points[kept] = moment[side] / mass[side];
      masses[kept++] = mass[side];
    }
  }
  return kept;
}

static ALWAYS_INLINE void exponential_sums(
    size_t count, const double *points, const double *masses, size_t s_count, const double *s, double *log_phi, double *r,
    double *r2, double *c) {
  for (size_t q = 0; q < s_count; q += LANES) {
    const v8 sv = -at(s + q);
    v8 sum0 = splat(0), sum1 = splat(0), sum2 = splat(0);
    for (size_t k = 0; k < count; k++) {
      const v8 argument = sv * points[k];
      v8 e, m;
      exp_expm1_in_range(&argument, &e, &m);
      const v8 term = e * masses[k], first = term * points[k];
      sum0 += term;
      sum1 += first;
      sum2 += first * points[k];
    }
    const v8 inverse = 1.0 / sum0, ratio = sum1 * inverse, ratio2 = sum2 * inverse;
    const v8 above = inverse - 1.0, excess = (above > 0.0) ? above : splat(0), spread = ratio2 - ratio * ratio;
    v8 logarithm;
    log1p_nonnegative(&excess, &logarithm);
    set(log_phi + q) = -logarithm;
    set(r + q) = ratio;
    set(r2 + q) = ratio2;
    set(c + q) = (spread > 0.0) ? spread : splat(0);
  }
}

CLONES void rg_gumbel_tables(
    size_t n, const double *log_rates, const size_t *twins, double log_m, double exponent, double negligible,
    size_t z_count, double z_first, double step, const double *weights, const double *below, size_t s_count,
    const double *s, double *workspace, double *log_phi, double *r, double *r2, double *c) {
  // Below this much under the scale of V the points are 1 and their weight is nothing.
  const double reach = 1 - log(negligible) + (exponent > 1 ? log(exponent) : 0);
  for (size_t l = 0; l < n; l++) {
    const size_t row = l * s_count, twin = twins[l] * s_count;
    if (twin < row) {
      memcpy(log_phi + row, log_phi + twin, s_count * sizeof *s);
      memcpy(r + row, r + twin, s_count * sizeof *s);
      memcpy(r2 + row, r2 + twin, s_count * sizeof *s);
      memcpy(c + row, c + twin, s_count * sizeof *s);
      continue;
    }
    const double log_rate = log_rates[l] + log_m;
    const double skipped = floor((log_rate - reach - z_first) / step);
    const size_t first = skipped > 0 ? (skipped < (double)z_count - 1 ? (size_t)skipped : z_count - 1) : 0;
    const size_t kept = gather_points(
        z_count - first, z_first + step * (double)first, step, weights + first, log_rate, exponent, negligible,
        below[first], workspace, workspace + z_count + 2);
    exponential_sums(
        kept, workspace, workspace + z_count + 2, s_count, s, log_phi + row, r + row, r2 + row, c + row);
  }
}

CLONES void rg_gumbel_moments(
    size_t n, size_t s_count, const double *rates, const double *u, const double *square_weights,
    const double *fourth_weights, double log_weight, const double *log_phi, const double *r, const double *r2,
    const double *c, double *scratch, double *means, double *seconds) {
  double *total = scratch, *sum_r = total + s_count, *sum_c = sum_r + s_count;
  double *vectors = sum_c + s_count;
  for (size_t q = 0; q < s_count; q += LANES) {
    v8 t = splat(0), a = splat(0), b = splat(0);
    for (size_t l = 0; l < n; l++) {
      t += at(log_phi + l * s_count + q);
      a += at(r + l * s_count + q);
      b += at(c + l * s_count + q);
    }
    set(total + q) = t + log_weight;
    set(sum_r + q) = a;
    set(sum_c + q) = b;
  }
  for (size_t i = 0; i < n; i++) {
    const double *ui = u + i * n;
    double *p1 = vectors + RG_GUMBEL_VECTORS * i * s_count, *p2 = p1 + s_count, *p2t0 = p2 + s_count;
    double *p2a = p2t0 + s_count, *p2b = p2a + s_count, *p2x = p2b + s_count, *p2y = p2x + s_count;
    double *p2z = p2y + s_count, *p1b = p2z + s_count, *av = p1b + s_count;
    v8 own = splat(0), own2 = splat(0);
    for (size_t q = 0; q < s_count; q += LANES) {
      v8 B = splat(0), T1 = splat(0), T2 = splat(0), weight, m;
      for (size_t l = 0; l < n; l++) {
        const double x = ui[l];
        const v8 first = x * at(c + l * s_count + q);
        B += x * at(r + l * s_count + q);
        T1 += first;
        T2 += x * first;
      }
      const v8 A = 1.0 + (at(sum_r + q) - at(r + i * s_count + q));
      const v8 T0 = at(sum_c + q) - at(c + i * s_count + q);
      const v8 exponent = at(total + q) - at(log_phi + i * s_count + q);
      exp_expm1(&exponent, &weight, &m);
      const v8 weight2 = rates[i] * at(fourth_weights + q) * weight;
      weight *= at(square_weights + q);
      set(p1 + q) = weight * A;
      set(p1b + q) = weight * B;
      set(p2 + q) = weight2;
      set(p2t0 + q) = weight2 * T0;
      set(p2a + q) = weight2 * A;
      set(p2b + q) = weight2 * B;
      set(p2x + q) = weight2 * (T0 + A * A);
      set(p2y + q) = weight2 * (T1 + A * B);
      set(p2z + q) = weight2 * (T2 + B * B);
      set(av + q) = A;
      own -= weight * B;
      own2 += weight2 * (T2 + B * B);
    }
    means[i * n + i] += horizontal_sum(&own);
    seconds[i] += horizontal_sum(&own2);
    for (size_t j = 0; j < n; j++) {
      if (j == i) continue;
      const double x = ui[j], *rj = r + j * s_count, *r2j = r2 + j * s_count;
      v8 first = splat(0), second = splat(0);
      for (size_t q = 0; q < s_count; q += LANES) {
        first += (x * at(p1 + q) - at(p1b + q)) * at(rj + q);
        second += (x * (x * at(p2x + q) - 2.0 * at(p2y + q)) + at(p2z + q)) * at(r2j + q);
      }
      means[i * n + j] += horizontal_sum(&first);
      seconds[j] += horizontal_sum(&second);
    }
  }
}

// The inner products over the nodes of rows j of `left` with rows k >= j of `right`, times u_j u_k, added to `out`; both
// [n][width]. Four by four rows at a time stay in registers.
static ALWAYS_INLINE void add_products(
    size_t n, size_t width, const double *left, const double *right, const double *u, double *out) {
  enum { TILE = 4 };
  for (size_t j0 = 0; j0 < n; j0 += TILE) {
    for (size_t k0 = j0; k0 < n; k0 += TILE) {
      v8 sums[TILE][TILE];
      for (int j = 0; j < TILE; j++) {
        for (int k = 0; k < TILE; k++) sums[j][k] = splat(0);
      }
      const double *l[TILE], *p[TILE];
      for (int t = 0; t < TILE; t++) {  // rows past the end are the last row again, and not used
        l[t] = left + (j0 + (size_t)t < n ? j0 + (size_t)t : n - 1) * width;
        p[t] = right + (k0 + (size_t)t < n ? k0 + (size_t)t : n - 1) * width;
      }
      for (size_t q = 0; q < width; q += LANES) {
        v8 b[TILE];
        for (int k = 0; k < TILE; k++) b[k] = at(p[k] + q);
        for (int j = 0; j < TILE; j++) {
          const v8 a = at(l[j] + q);
          for (int k = 0; k < TILE; k++) sums[j][k] += a * b[k];
        }
      }
      for (size_t j = 0; j < TILE && j0 + j < n; j++) {
        for (size_t k = 0; k < TILE && k0 + k < n; k++) {
          if (k0 + k > j0 + j) out[(j0 + j) * n + k0 + k] += u[j0 + j] * u[k0 + k] * horizontal_sum(&sums[j][k]);
        }
      }
    }
  }
}

CLONES void rg_gumbel_products(
    size_t n, size_t s_count, const double *u, const double *r, const double *c, const double *scratch,
    double *workspace, double *products) {
  const double *vectors = scratch + 3 * s_count;
  const size_t width = 3 * s_count;
  double *left = workspace, *right = left + n * width;
  double *f1 = right + n * width, *f2 = f1 + n * s_count, *f0 = f2 + n * s_count;

  // Terms that are a product of a function of j and one of k for each s: summed over i first.
  for (size_t q = 0; q < s_count; q += LANES) {
    v8 sum = splat(0);
    for (size_t i = 0; i < n; i++) sum += at(vectors + (RG_GUMBEL_VECTORS * i + 7) * s_count + q);
    set(f0 + q) = sum;
    for (size_t j = 0; j < n; j++) {
      v8 y = splat(0), ax = splat(0), b = splat(0), x = splat(0);
      for (size_t i = 0; i < n; i++) {
        const double *row = vectors + RG_GUMBEL_VECTORS * i * s_count + q;
        const double uj = u[i * n + j], square = uj * uj;
        x += square * at(row + s_count);
        ax += square * at(row + 3 * s_count);
        b += uj * at(row + 4 * s_count);
        y += uj * at(row + 6 * s_count);
      }
      const v8 rj = at(r + j * s_count + q), cj = at(c + j * s_count + q);
      set(f1 + j * s_count + q) = -(y * rj) - cj * (ax - b);
      set(f2 + j * s_count + q) = -(b * rj) - x * cj;
    }
  }
  for (size_t j = 0; j < n; j++) {
    const double *rj = r + j * s_count, *cj = c + j * s_count;
    const double *f1j = f1 + j * s_count, *f2j = f2 + j * s_count;
    for (size_t k = j + 1; k < n; k++) {
      const double *rk = r + k * s_count, *ck = c + k * s_count;
      const double *f1k = f1 + k * s_count, *f2k = f2 + k * s_count;
      const double *row_k = vectors + RG_GUMBEL_VECTORS * k * s_count;
      const double *row_j = vectors + RG_GUMBEL_VECTORS * j * s_count;
      const double ukj = u[k * n + j], ujk = u[j * n + k];
      v8 sum = splat(0);
      for (size_t q = 0; q < s_count; q += LANES) {
        const v8 rjv = at(rj + q), rkv = at(rk + q), cjv = at(cj + q), ckv = at(ck + q);
        sum += at(f0 + q) * rjv * rkv;
        sum += at(f1j + q) * rkv + at(f2j + q) * ckv + at(f1k + q) * rjv + at(f2k + q) * cjv;
        // The terms i = k and i = j, in which r_i = 1 and c_i = 0, were taken with the tables' r and c.
        const v8 bk = at(row_k + 4 * s_count + q), bj = at(row_j + 4 * s_count + q);
        const v8 f1_kj = -ukj * at(row_k + 6 * s_count + q) * rjv
                         - cjv * ukj * (ukj * at(row_k + 3 * s_count + q) - bk);
        const v8 f2_kj = -ukj * (bk * rjv + ukj * at(row_k + s_count + q) * cjv);
        const v8 f1_jk = -ujk * at(row_j + 6 * s_count + q) * rkv
                         - ckv * ujk * (ujk * at(row_j + 3 * s_count + q) - bj);
        const v8 f2_jk = -ujk * (bj * rkv + ujk * at(row_j + s_count + q) * ckv);
        sum += (at(row_k + 7 * s_count + q) * rjv + f1_kj) * (1.0 - rkv) - f2_kj * ckv;
        sum += (at(row_j + 7 * s_count + q) * rkv + f1_jk) * (1.0 - rjv) - f2_jk * cjv;
      }
      products[j * n + k] += horizontal_sum(&sum);
    }
  }
  // u_ij u_ik [ (A_i r_j + c_j)(A_i r_k + c_k) + T0_i r_j r_k + c_j c_k ], zero for j = i and k = i.
  for (size_t i = 0; i < n; i++) {
    const double *row = vectors + RG_GUMBEL_VECTORS * i * s_count;
    const double *p2 = row + s_count, *p2t0 = row + 2 * s_count, *a = row + 9 * s_count;
    for (size_t j = 0; j < n; j++) {
      double *lj = left + j * width, *pj = right + j * width;
      for (size_t q = 0; q < s_count; q += LANES) {
        const v8 rj = at(r + j * s_count + q), cj = at(c + j * s_count + q);
        const v8 sum = at(a + q) * rj + cj;
        set(pj + q) = sum;
        set(lj + q) = at(p2 + q) * sum;
        set(pj + s_count + q) = rj;
        set(lj + s_count + q) = at(p2t0 + q) * rj;
        set(pj + 2 * s_count + q) = cj;
        set(lj + 2 * s_count + q) = at(p2 + q) * cj;
      }
    }
    add_products(n, width, left, right, u + i * n, products);
  }
}
