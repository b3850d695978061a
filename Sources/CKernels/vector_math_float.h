// Float32 in wide portable vectors: 32 lanes are two AVX-512 registers, four AVX2 ones, eight SSE2 or NEON
// ones. More lanes than a register holds give the processor independent chains of operations to overlap.
#ifndef ROUTEGRAD_VECTOR_MATH_FLOAT_H
#define ROUTEGRAD_VECTOR_MATH_FLOAT_H

#include "vector_math.h"

enum { FLOATS = 32 };
typedef float vf __attribute__((ext_vector_type(32)));
typedef int vfi __attribute__((ext_vector_type(32)));

#define splatf(x) ((vf)(x))
#define splatfi(x) ((vfi)(x))
#define float_bits(x) (*(const vfi *)(x))
#define real_float(x) (*(const vf *)(x))

// The number of binades below 1 that u = (word + 1/2) / 2^32 lies: -log2 u, from 2^-33 / ln 2 to 33, to about
// 2 ulps.
//
// As a signed integer the word is u 2^32 below 1/2, and -(1 - u) 2^32 above: so 1 - u keeps its digits where
// u is near 1. Below 1/2, u = m / 2^k with m in [1/2, 1); above, m = u and k = 0. With f = 1 - m: -log2 u = k
// + f Q(f), Q minimax of relative error 2^-25.4 on [0, 1/2].
static ALWAYS_INLINE void binades_below_one(const vfi *words, vf *out) {
  const vf x = __builtin_convertvector(*words, vf) + 0.5f;
  const vfi above = *words < 0;
  const vfi b = float_bits(&x) & splatfi(0x7fffffff);
  const vfi mantissa = (b & splatfi(0x007fffff)) | splatfi(0x3f000000);
  const vf f = above ? x * -0x1p-32f : 1.0f - real_float(&mantissa);
  const vf k = above ? splatf(0) : __builtin_convertvector(splatfi(158) - (b >> 23), vf);
  vf q = splatf(0x1.0a1f4p+1f);
  q = q * f + -0x1.39282cp+1f;
  q = q * f + 0x1.d07ebp+0f;
  q = q * f + -0x1.2cb114p-2f;
  q = q * f + 0x1.8e4ddcp-2f;
  q = q * f + 0x1.66b364p-2f;
  q = q * f + 0x1.ecfb86p-2f;
  q = q * f + 0x1.71531cp-1f;
  q = q * f + 0x1.715476p+0f;
  *out = f * q + k;
}

// log2 x for normal x > 0. The bits of x, as an integer, are a straight line in each binade, k + f where x =
// 2^k (1 + f); the rest is log2(1 + f) - f = f (1 - f) S(f), S minimax of absolute error 2^-24.3. Exact at
// powers of two.
static ALWAYS_INLINE void log2_positive(const vf *x, vf *out) {
  const vfi b = float_bits(x);
  const vf line = __builtin_convertvector(b - splatfi(0x3f800000), vf);
  const vfi mantissa = (b & splatfi(0x007fffff)) | splatfi(0x3f800000);
  const vf f = real_float(&mantissa) - 1.0f;
  vf s = splatf(0x1.2b61acp-7f);
  s = s * f + -0x1.5a6604p-5f;
  s = s * f + 0x1.82352ep-4f;
  s = s * f + -0x1.2cc078p-3f;
  s = s * f + 0x1.99e72p-3f;
  s = s * f + -0x1.1d270ep-2f;
  s = s * f + 0x1.c55070p-2f;
  *out = (f - f * f) * s + line * 0x1p-23f;
}

// 2^x for x <= 0, to about 2 ulps; exactly 1 at 0. Below -125 it stays at 2^-125.
// x = k + r, |r| <= 1/2; 2^r = 1 + r P(r), minimax of relative error 2^-23.4.
static ALWAYS_INLINE void exp2_nonpositive(const vf *x, vf *out) {
  const float shift = 0x1.8p23f;
  const vf clamped = (*x > -125.0f) ? *x : splatf(-125.0f);
  const vf shifted = clamped + shift;
  const vf r = clamped - (shifted - shift);
  vf p = splatf(0x1.5bba14p-10f);
  p = p * r + 0x1.3cea88p-7f;
  p = p * r + 0x1.c6b752p-5f;
  p = p * r + 0x1.ebf9bcp-3f;
  p = p * r + 0x1.62e42ap-1f;
  p = p * r + 1.0f;
  const vfi scaled = float_bits(&p) + (float_bits(&shifted) << 23);
  *out = real_float(&scaled);
}

#endif
