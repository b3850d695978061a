// What a Transformer does between its matrix products, in Float32 and Float64, and Adam: one pass over memory each.
#include "CKernels.h"
#include <math.h>
#include <string.h>

#include "vector_math.h"

typedef float wide_f __attribute__((ext_vector_type(16)));
typedef double wide_d __attribute__((ext_vector_type(16)));
typedef int wide_i __attribute__((ext_vector_type(16)));
typedef long wide_l __attribute__((ext_vector_type(16)));

// e^x for x <= 0, to about 2 ulps; below -87 (Float64: -708) it stays at what it is there.
// x = k ln 2 + r, |r| <= ln(2)/2; e^r by its Taylor series: the term left out is below half an ulp.
static ALWAYS_INLINE void exp_nonpositive_f(const wide_f *x, wide_f *out) {
  const float shift = 0x1.8p23f;
  const wide_f clamped = (*x > -87.0f) ? *x : (wide_f)(-87.0f);
  const wide_f shifted = clamped * 0x1.715476p0f + shift;
  const wide_f k = shifted - shift;
  const wide_f r = (clamped - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f;
  wide_f p = (wide_f)(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = (p * r) * r + r + 1.0f;
  wide_i bits;
  memcpy(&bits, &shifted, sizeof bits);
  wide_i scaled;
  memcpy(&scaled, &p, sizeof scaled);
  scaled += bits << 23;
  memcpy(out, &scaled, sizeof scaled);
}

static ALWAYS_INLINE void exp_nonpositive_d(const wide_d *x, wide_d *out) {
  const double shift = 0x1.8p52;
  const wide_d clamped = (*x > -708.0) ? *x : (wide_d)(-708.0);
  const wide_d shifted = clamped * 0x1.71547652b82fep0 + shift;
  const wide_d k = shifted - shift;
  const wide_d r = (clamped - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
  wide_d p = (wide_d)(1.0 / 6227020800.0);
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = (p * r) * r + r + 1.0;
  wide_l bits;
  memcpy(&bits, &shifted, sizeof bits);
  wide_l scaled;
  memcpy(&scaled, &p, sizeof scaled);
  scaled += bits << 52;
  memcpy(out, &scaled, sizeof scaled);
}

#define DEFINE_TRANSFORMER_KERNELS(number, suffix, sqrt_)                                                           \
  static ALWAYS_INLINE void load_##suffix(const number *p, size_t available, number fill, wide_##suffix *out) {     \
    if (available >= 16) {                                                                                          \
      memcpy(out, p, sizeof *out);                                                                                  \
    } else {                                                                                                        \
      *out = (wide_##suffix)(fill);                                                                                 \
      for (size_t i = 0; i < available; i++) (*out)[i] = p[i];                                                      \
    }                                                                                                               \
  }                                                                                                                 \
  static ALWAYS_INLINE void store_##suffix(number *p, size_t available, const wide_##suffix *x) {                   \
    if (available >= 16)                                                                                            \
      memcpy(p, x, sizeof *x);                                                                                      \
    else                                                                                                            \
      for (size_t i = 0; i < available; i++) p[i] = (*x)[i];                                                        \
  }                                                                                                                 \
  static ALWAYS_INLINE number sum_##suffix(const wide_##suffix *x) {                                                \
    number sum = 0;                                                                                                 \
    for (int l = 0; l < 16; l++) sum += (*x)[l];                                                                    \
    return sum;                                                                                                     \
  }                                                                                                                 \
  /* p = exp(row - largest), 0 from `columns` to `padded`; returns the sum. */                                      \
  static ALWAYS_INLINE number exponentials_##suffix(size_t columns, const number *row, number scale, number *p,     \
                                                    number *largest_out) {                                          \
    wide_##suffix top = (wide_##suffix)(-INFINITY), x, part = (wide_##suffix)(0);                                   \
    for (size_t j = 0; j < columns; j += 16) {                                                                      \
      load_##suffix(row + j, columns - j, -INFINITY, &x);                                                           \
      top = (top > x) ? top : x;                                                                                    \
    }                                                                                                               \
    number largest = top[0];                                                                                        \
    for (int l = 1; l < 16; l++) largest = top[l] > largest ? top[l] : largest;                                     \
    size_t j = 0;                                                                                                   \
    for (; j + 16 <= columns; j += 16) {                                                                            \
      memcpy(&x, row + j, sizeof x);                                                                                \
      x = (x - largest) * scale;                                                                                    \
      exp_nonpositive_##suffix(&x, &x);                                                                             \
      part += x;                                                                                                    \
      memcpy(p + j, &x, sizeof x);                                                                                  \
    }                                                                                                               \
    number sum = sum_##suffix(&part);                                                                               \
    if (j < columns) {                                                                                              \
      load_##suffix(row + j, columns - j, largest, &x);                                                             \
      x = (x - largest) * scale;                                                                                    \
      exp_nonpositive_##suffix(&x, &x);                                                                             \
      for (size_t l = 0; l < columns - j; l++) sum += x[l];                                                         \
      store_##suffix(p + j, columns - j, &x);                                                                       \
    }                                                                                                               \
    *largest_out = largest;                                                                                         \
    return sum;                                                                                                     \
  }                                                                                                                 \
  CLONES void rg_norm_##suffix(size_t rows, size_t width, const number *x, const number *gain, const number *bias,  \
                               number *y, number *means, number *inverses) {                                        \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      const number *in = x + r * width;                                                                             \
      number *out = y + r * width;                                                                                  \
      wide_##suffix v, part = (wide_##suffix)(0);                                                                   \
      for (size_t j = 0; j < width; j += 16) {                                                                      \
        load_##suffix(in + j, width - j, 0, &v);                                                                    \
        part += v;                                                                                                  \
      }                                                                                                             \
      const number mean = sum_##suffix(&part) / (number)width;                                                      \
      part = (wide_##suffix)(0);                                                                                    \
      for (size_t j = 0; j < width; j += 16) {                                                                      \
        load_##suffix(in + j, width - j, mean, &v);                                                                 \
        v -= mean;                                                                                                  \
        part += v * v;                                                                                              \
      }                                                                                                             \
      const number inverse = 1 / sqrt_(sum_##suffix(&part) / (number)width + (number)1e-5);                         \
      means[r] = mean;                                                                                              \
      inverses[r] = inverse;                                                                                        \
      for (size_t j = 0; j < width; j++) out[j] = (in[j] - mean) * inverse * gain[j] + bias[j];                     \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_norm_backward_##suffix(                                                                            \
      size_t rows, size_t width, const number *dy, const number *x, const number *means, const number *inverses,    \
      const number *gain, number *dx, number *gain_sum, number *bias_sum) {                                         \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      const number *g = dy + r * width, *in = x + r * width;                                                        \
      number *out = dx + r * width;                                                                                 \
      const number mean = means[r], inverse = inverses[r];                                                          \
      wide_##suffix a, b, w, sum = (wide_##suffix)(0), product = (wide_##suffix)(0);                                \
      for (size_t j = 0; j < width; j += 16) {                                                                      \
        load_##suffix(g + j, width - j, 0, &a);                                                                     \
        load_##suffix(in + j, width - j, mean, &b);                                                                 \
        load_##suffix(gain + j, width - j, 0, &w);                                                                  \
        a *= w;                                                                                                     \
        sum += a;                                                                                                   \
        product += a * ((b - mean) * inverse);                                                                      \
      }                                                                                                             \
      const number s = sum_##suffix(&sum) / (number)width, q = sum_##suffix(&product) / (number)width;              \
      for (size_t j = 0; j < width; j++) {                                                                          \
        const number z = (in[j] - mean) * inverse;                                                                  \
        gain_sum[j] += g[j] * z;                                                                                    \
        bias_sum[j] += g[j];                                                                                        \
        out[j] += inverse * (g[j] * gain[j] - s - z * q);                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_residual_##suffix(size_t rows, size_t columns, const number *bias, const number *x,                \
                                   const number *mask, number *y) {                                                 \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      const number *in = x + r * columns;                                                                           \
      number *out = y + r * columns;                                                                                \
      if (mask) {                                                                                                   \
        const number *m = mask + r * columns;                                                                       \
        if (bias)                                                                                                   \
          for (size_t j = 0; j < columns; j++) out[j] = in[j] + m[j] * (out[j] + bias[j]);                          \
        else                                                                                                        \
          for (size_t j = 0; j < columns; j++) out[j] = in[j] + m[j] * out[j];                                      \
      } else if (bias) {                                                                                            \
        for (size_t j = 0; j < columns; j++) out[j] = in[j] + (out[j] + bias[j]);                                   \
      } else {                                                                                                      \
        for (size_t j = 0; j < columns; j++) out[j] += in[j];                                                       \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_multiply_##suffix(size_t count, const number *x, const number *mask, number *y) {                  \
    if (mask)                                                                                                       \
      for (size_t j = 0; j < count; j++) y[j] = x[j] * mask[j];                                                     \
    else                                                                                                            \
      memcpy(y, x, count * sizeof *y);                                                                              \
  }                                                                                                                 \
  CLONES void rg_attention_softmax_##suffix(size_t rows, size_t columns, size_t stride, ptrdiff_t causal,           \
                                            number scale, number *p) {                                              \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      number *row = p + r * stride, largest;                                                                        \
      const size_t seen = causal >= 0 && (size_t)causal + r + 1 < columns ? (size_t)causal + r + 1 : columns;       \
      const number inverse = 1 / exponentials_##suffix(seen, row, scale, row, &largest);                            \
      for (size_t j = 0; j < seen; j++) row[j] *= inverse;                                                          \
      for (size_t j = seen; j < columns; j++) row[j] = 0;                                                           \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_attention_softmax_backward_##suffix(size_t rows, size_t columns, size_t stride, ptrdiff_t causal,  \
                                                     number scale, const number *p, size_t dp_stride, number *dp) { \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      const number *row = p + r * stride;                                                                           \
      number *out = dp + r * dp_stride;                                                                             \
      const size_t seen = causal >= 0 && (size_t)causal + r + 1 < columns ? (size_t)causal + r + 1 : columns;       \
      wide_##suffix a, b, part = (wide_##suffix)(0);                                                                \
      for (size_t j = 0; j < seen; j += 16) {                                                                       \
        load_##suffix(row + j, seen - j, 0, &a);                                                                    \
        load_##suffix(out + j, seen - j, 0, &b);                                                                    \
        part += a * b;                                                                                              \
      }                                                                                                             \
      const number mean = sum_##suffix(&part);                                                                      \
      for (size_t j = 0; j < seen; j++) out[j] = scale * row[j] * (out[j] - mean);                                  \
      for (size_t j = seen; j < columns; j++) out[j] = 0;                                                           \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_cross_entropy_##suffix(size_t rows, size_t classes, const int32_t *labels, number smoothing,       \
                                        number factor, number *logits, double *losses, double *likelihoods) {       \
    for (size_t r = 0; r < rows; r++) {                                                                             \
      number *row = logits + r * classes, largest;                                                                  \
      const size_t label = (size_t)labels[r];                                                                       \
      const number own = row[label];                                                                                \
      double mean = 0;                                                                                              \
      if (smoothing != 0) {                                                                                         \
        wide_##suffix v, part = (wide_##suffix)(0);                                                                 \
        for (size_t j = 0; j < classes; j += 16) {                                                                  \
          load_##suffix(row + j, classes - j, 0, &v);                                                               \
          part += v;                                                                                                \
        }                                                                                                           \
        mean = (double)sum_##suffix(&part) / (double)classes;                                                       \
      }                                                                                                             \
      const number sum = exponentials_##suffix(classes, row, 1, row, &largest);                                     \
      const double normaliser = (double)largest + log((double)sum);                                                 \
      likelihoods[r] = normaliser - (double)own;                                                                    \
      losses[r] = (1 - (double)smoothing) * likelihoods[r] +                                                        \
                  (smoothing != 0 ? (double)smoothing * (normaliser - mean) : 0);                                   \
      const number share = factor / sum, even = factor * smoothing / (number)classes;                               \
      for (size_t j = 0; j < classes; j++) row[j] = share * row[j] - even;                                          \
      row[label] -= factor * (1 - smoothing);                                                                       \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES void rg_adam_##suffix(size_t count, number beta1, number beta2, number size, number root, number epsilon,  \
                               number scale, const number *g, number *p, number *m, number *v) {                    \
    for (size_t i = 0; i < count; i++) {                                                                            \
      const number x = scale * g[i];                                                                                \
      m[i] = beta1 * m[i] + (1 - beta1) * x;                                                                        \
      v[i] = beta2 * v[i] + (1 - beta2) * x * x;                                                                    \
      p[i] -= size * m[i] / (sqrt_(v[i]) * root + epsilon);                                                         \
    }                                                                                                               \
  }                                                                                                                 \
  CLONES double rg_square_sum_##suffix(size_t count, const number *x) {                                             \
    double part[16] = {0}, sum = 0;                                                                                 \
    size_t j = 0;                                                                                                   \
    for (; j + 16 <= count; j += 16)                                                                                \
      for (size_t l = 0; l < 16; l++) part[l] += (double)x[j + l] * (double)x[j + l];                               \
    for (size_t l = 0; l < 16; l++) sum += part[l];                                                                 \
    for (; j < count; j++) sum += (double)x[j] * (double)x[j];                                                      \
    return sum;                                                                                                     \
  }                                                                                                                 \
  /* Philox4x32-10 as specified in Philox.swift: the sixteen-bit pieces of its words, lowest first, against a bound. */ \
  CLONES void rg_dropout_mask_##suffix(size_t count, uint64_t seed, uint64_t stream, uint32_t dropped, number kept, \
                                       number *mask) {                                                              \
    for (size_t begin = 0; begin < count; begin += 128) {                                                           \
      uint32_t c0[16], c1[16], c2[16], c3[16], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);                    \
      for (int l = 0; l < 16; l++) {                                                                                \
        const uint64_t block = begin / 8 + (uint64_t)l;                                                             \
        c0[l] = (uint32_t)block;                                                                                    \
        c1[l] = (uint32_t)(block >> 32);                                                                            \
        c2[l] = (uint32_t)stream;                                                                                   \
        c3[l] = (uint32_t)(stream >> 32);                                                                           \
      }                                                                                                             \
      for (int round = 0; round < 10; round++) {                                                                    \
        for (int l = 0; l < 16; l++) {                                                                              \
          const uint64_t a = (uint64_t)0xD2511F53 * c0[l], b = (uint64_t)0xCD9E8D57 * c2[l];                        \
          c0[l] = (uint32_t)(b >> 32) ^ c1[l] ^ k0;                                                                 \
          c1[l] = (uint32_t)b;                                                                                      \
          c2[l] = (uint32_t)(a >> 32) ^ c3[l] ^ k1;                                                                 \
          c3[l] = (uint32_t)a;                                                                                      \
        }                                                                                                           \
        k0 += 0x9E3779B9;                                                                                           \
        k1 += 0xBB67AE85;                                                                                           \
      }                                                                                                             \
      number kept_or_not[128];                                                                                      \
      for (int l = 0; l < 16; l++) {                                                                                \
        const uint32_t words[4] = {c0[l], c1[l], c2[l], c3[l]};                                                     \
        for (int w = 0; w < 4; w++) {                                                                               \
          kept_or_not[8 * l + 2 * w] = (words[w] & 0xFFFF) < dropped ? 0 : kept;                                    \
          kept_or_not[8 * l + 2 * w + 1] = (words[w] >> 16) < dropped ? 0 : kept;                                   \
        }                                                                                                           \
      }                                                                                                             \
      memcpy(mask + begin, kept_or_not, (count - begin < 128 ? count - begin : 128) * sizeof *mask);                \
    }                                                                                                               \
  }

DEFINE_TRANSFORMER_KERNELS(float, f, sqrtf)
DEFINE_TRANSFORMER_KERNELS(double, d, sqrt)
