// Eight Float64 at a time, in the compiler's portable vector types: one AVX-512 register, two AVX2 ones, four SSE2 or
// NEON ones. Everything here is inlined into the cloned kernels, so it is compiled once for each instruction set.
#ifndef ROUTEGRAD_VECTOR_MATH_H
#define ROUTEGRAD_VECTOR_MATH_H

#include <stddef.h>
#include <string.h>

#define ALWAYS_INLINE __attribute__((always_inline)) inline
// Which clone is taken is decided while the program is loaded, when ThreadSanitizer cannot watch yet.
#if defined(__x86_64__) && defined(__linux__) && !__has_feature(thread_sanitizer)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
// Contraction to fused multiply-add where the instruction set has it; no other liberty is taken with the arithmetic.
#pragma STDC FP_CONTRACT ON

typedef double v8 __attribute__((ext_vector_type(8)));
typedef long v8i __attribute__((ext_vector_type(8)));

#define splat(x) ((v8)(x))
#define splati(x) ((v8i)(x))
#define bits(x) (*(const v8i *)(x))
#define real(x) (*(const v8 *)(x))
#define aligned_at(p) (*(v8 *)(p))

// Vectors are passed by address: passed by value they would change the calling convention with the instruction set.

static ALWAYS_INLINE void absolute(const v8 *x, v8 *out) {
  const v8i b = bits(x) & splati(0x7fffffffffffffffL);
  *out = real(&b);
}
static ALWAYS_INLINE void with_sign_of(const v8 *magnitude, const v8 *sign, v8 *out) {
  const v8i b = bits(magnitude) | (bits(sign) & splati((long)0x8000000000000000UL));
  *out = real(&b);
}
// Elementwise maximum; compiles to one instruction, which hands on a NaN in x.
static ALWAYS_INLINE void raise_to(v8 *largest, const v8 *x) {
  *largest = (*largest > *x) ? *largest : *x;
}
// The first `available` of eight, zeros for the rest.
static ALWAYS_INLINE void load(const double *p, size_t available, v8 *out) {
  if (available >= 8) {
    memcpy(out, p, sizeof *out);
  } else {
    *out = splat(0);
    for (size_t i = 0; i < available; i++) (*out)[i] = p[i];
  }
}
static ALWAYS_INLINE void store(double *p, size_t available, const v8 *x) {
  if (available >= 8) {
    memcpy(p, x, sizeof *x);
  } else {
    for (size_t i = 0; i < available; i++) p[i] = (*x)[i];
  }
}
static ALWAYS_INLINE double horizontal_sum(const v8 *x) {
  const v8 v = *x;
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
// The sums (and maxima) over the lanes of eight vectors, each in its lane.
#define DEFINE_TRANSPOSED(name, combine)                                                        \
  static ALWAYS_INLINE void name(const v8 *x, v8 *out) {                                        \
    v8 two[4], four[2];                                                                         \
    for (int i = 0; i < 4; i++) {                                                               \
      const v8 a = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);  \
      const v8 b = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);  \
      two[i] = combine;                                                                         \
    }                                                                                           \
    for (int i = 0; i < 2; i++) {                                                               \
      const v8 a = __builtin_shufflevector(two[2 * i], two[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13);   \
      const v8 b = __builtin_shufflevector(two[2 * i], two[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15); \
      four[i] = combine;                                                                        \
    }                                                                                           \
    const v8 a = __builtin_shufflevector(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11);           \
    const v8 b = __builtin_shufflevector(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);         \
    *out = combine;                                                                             \
  }
DEFINE_TRANSPOSED(transposed_sums, a + b)
DEFINE_TRANSPOSED(transposed_maxima, (a > b) ? a : b)
#undef DEFINE_TRANSPOSED

static ALWAYS_INLINE double horizontal_maximum(const v8 *x) {
  double largest = 0;
  for (int i = 0; i < 8; i++) largest = (*x)[i] <= largest ? largest : (*x)[i];
  return largest;
}

// e = exp(x), m = exp(x) - 1, both to about 1 ulp, for |x| <= 708; meaningless beyond.
// x = k ln 2 + r, |r| <= ln(2)/2; P = expm1(r) by its Taylor series (the term left out is below 2^-55 of P), in Estrin's
// order, because the chain of dependent operations limits the speed; e = 2^k + 2^k P, m = (2^k - 1) + 2^k P.
static ALWAYS_INLINE void exp_expm1_in_range(const v8 *x, v8 *e, v8 *m) {
  const double shift = 0x1.8p52;
  const v8 shifted = *x * 1.4426950408889634074 + shift;
  const v8 k = shifted - shift;
  const v8 r = (*x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
  const v8 r2 = r * r, r4 = r2 * r2;
  const v8 p0 = r * (1.0 / 6.0) + 0.5, p2 = r * (1.0 / 120.0) + 1.0 / 24.0;
  const v8 p4 = r * (1.0 / 5040.0) + 1.0 / 720.0, p6 = r * (1.0 / 362880.0) + 1.0 / 40320.0;
  const v8 p8 = r * (1.0 / 39916800.0) + 1.0 / 3628800.0, p10 = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  const v8 p03 = p2 * r2 + p0, p47 = p6 * r2 + p4, p811 = p10 * r2 + p8;
  const v8 P = ((p811 * r4 + p47) * r4 + p03) * r2 + r;
  const v8i power_bits = (bits(&shifted) << 52) + splati(0x3ff0000000000000L);
  const v8 power = real(&power_bits);
  *e = power + power * P;
  *m = (power - 1.0) + power * P;
}

// The same for every x <= 708: below -708, e = 0 and m = -1.
static ALWAYS_INLINE void exp_expm1(const v8 *x, v8 *e, v8 *m) {
  const v8 clamped = (*x < -708.0) ? splat(-708.0) : *x;
  exp_expm1_in_range(&clamped, e, m);
  *e = (*x < -708.0) ? splat(0) : *e;
}

// log(1 + u) for finite u >= 0, to about 1 ulp. 1 + u = v (1 + c) with v rounded; v = 2^k (1 + f), and
// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f/(2 + f), with fdlibm's minimax R (Sun Microsystems, freely
// distributable; e_log.c).
static ALWAYS_INLINE void log1p_nonnegative(const v8 *u, v8 *out) {
  const v8 v = 1.0 + *u;
  const v8 c = ((*u > 1.0) ? 1.0 - (v - *u) : *u - (v - 1.0)) / v;
  // Shift so that the mantissa's interval is [sqrt(1/2), sqrt 2).
  const v8i shifted = bits(&v) + splati(0x3ff0000000000000L - 0x3fe6a09e667f3bcdL);
  const v8i exponent = (shifted >> 52) - splati(0x3ff);
  const v8i mantissa_bits = (shifted & splati(0x000fffffffffffffL)) + splati(0x3fe6a09e667f3bcdL);
  const v8 k = __builtin_convertvector(exponent, v8);
  const v8 f = real(&mantissa_bits) - 1.0;
  const v8 s = f / (2.0 + f), z = s * s;
  v8 R = splat(1.479819860511658591e-01);
  R = R * z + 1.531383769920937332e-01;
  R = R * z + 1.818357216161805012e-01;
  R = R * z + 2.222219843214978396e-01;
  R = R * z + 2.857142874366239149e-01;
  R = R * z + 3.999999999940941908e-01;
  R = R * z + 6.666666666666735130e-01;
  R = R * z;
  const v8 half_square = 0.5 * f * f;
  *out = k * 6.93147180369123816490e-01 -
         ((half_square - (s * (half_square + R) + (k * 1.90821492927058770002e-10 + c))) - f);
}

#endif
