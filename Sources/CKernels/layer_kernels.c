// What a layer of experts does between its matrix products, in Float32 and Float64: one pass over memory each.
#include "CKernels.h"
#include <math.h>

#include "vector_math.h"

typedef float lanes_f __attribute__((ext_vector_type(16)));
typedef double lanes_d __attribute__((ext_vector_type(16)));

// GELU, SiLU and their kin go through the C library's erf and exp: their cost is small beside two matrix products.
#define DEFINE_LAYER_KERNELS(number, suffix, erf_, exp_)                                                           \
  CLONES void rg_activate_##suffix(                                                                                \
      size_t rows, size_t columns, const number *bias, int activation, number *z, number *slope) {                 \
    for (size_t r = 0; r < rows; r++) {                                                                            \
      number *row = z + r * columns;                                                                               \
      if (activation == RG_RELU) {                                                                                 \
        if (bias)                                                                                                  \
          for (size_t j = 0; j < columns; j++) {                                                                   \
            const number x = row[j] + bias[j];                                                                     \
            row[j] = x > 0 ? x : 0;                                                                                \
          }                                                                                                        \
        else                                                                                                       \
          for (size_t j = 0; j < columns; j++) row[j] = row[j] > 0 ? row[j] : 0;                                   \
        continue;                                                                                                  \
      }                                                                                                            \
      number *slopes = slope + r * columns;                                                                        \
      if (bias)                                                                                                    \
        for (size_t j = 0; j < columns; j++) row[j] += bias[j];                                                    \
      if (activation == RG_GELU) {                                                                                 \
        for (size_t j = 0; j < columns; j++) {                                                                     \
          const number x = row[j], half = (number)0.5 * (1 + erf_(x * (number)0.70710678118654752440));            \
          row[j] = x * half;                                                                                       \
          slopes[j] = half + x * (number)0.39894228040143267794 * exp_((number)-0.5 * x * x);                      \
        }                                                                                                          \
      } else if (activation == RG_GELU_TANH) {                                                                     \
        for (size_t j = 0; j < columns; j++) {                                                                     \
          /* (1 + tanh t)/2 is the sigmoid of 2t, where nothing cancels; far out its slope is 0, not 0 times infinity. */\
          const number x = row[j], square = x * x;                                                                 \
          const number t = (number)1.59576912160573071176 * x * (1 + (number)0.044715 * square);                   \
          const number e = exp_(t < 0 ? t : -t), near = 1 / (1 + e), far = e / (1 + e);                            \
          const number sigma = t < 0 ? far : near, both = near * far;                                              \
          row[j] = x * sigma;                                                                                      \
          slopes[j] = sigma;                                                                                       \
          if (both > 0)                                                                                            \
            slopes[j] += x * both * (number)1.59576912160573071176 * (1 + (number)0.134145 * square);              \
        }                                                                                                          \
      } else {                                                                                                     \
        /* Of gpt-oss, from 7 on: the slope of sigma there, and 0 beyond. */                                       \
        const int clamped = activation == RG_CLAMPED_SWIGLU;                                                       \
        const number rate = clamped ? (number)1.702 : 1, most = clamped ? (number)7 : (number)INFINITY;            \
        for (size_t j = 0; j < columns; j++) {                                                                     \
          /* e^-|x| never overflows; sigma and 1 - sigma both keep their digits. */                                \
          const number x = row[j] > most ? most : row[j], y = rate * x;                                            \
          const number e = exp_(y < 0 ? y : -y), near = 1 / (1 + e), far = e / (1 + e);                            \
          const number sigma = y < 0 ? far : near, rest = y < 0 ? near : far;                                      \
          slopes[j] = row[j] > most ? 0 : sigma + y * sigma * rest;                                                \
          row[j] = x * sigma;                                                                                      \
        }                                                                                                          \
      }                                                                                                            \
    }                                                                                                              \
  }                                                                                                                \
  CLONES void rg_gate_##suffix(                                                                                    \
      size_t rows, size_t columns, const number *bias, int activation, number *value, number *slope, number *up) { \
    const int clamped = activation == RG_CLAMPED_SWIGLU, reads = activation == RG_RELU;                            \
    for (size_t r = 0; r < rows; r++)                                                                              \
      for (size_t j = 0; j < columns; j++) {                                                                       \
        const size_t k = r * columns + j;                                                                          \
        const number a = value[k], s = reads ? (number)(a > 0) : slope[k], z = bias ? up[k] + bias[j] : up[k];     \
        const number within = z > 7 ? 7 : z < -7 ? -7 : z, factor = clamped ? within + 1 : z;                      \
        value[k] = a * factor;                                                                                     \
        slope[k] = s * factor;                                                                                     \
        up[k] = clamped && within != z ? 0 : a;                                                                    \
      }                                                                                                            \
  }                                                                                                                \
  CLONES void rg_activation_backward_##suffix(                                                                     \
      size_t count, int activation, const number *value, const number *slope, number *gradient) {                  \
    if (activation == RG_RELU)                                                                                     \
      for (size_t j = 0; j < count; j++) gradient[j] = value[j] > 0 ? gradient[j] : 0;                             \
    else                                                                                                           \
      for (size_t j = 0; j < count; j++) gradient[j] *= slope[j];                                                  \
  }                                                                                                                \
  CLONES void rg_column_sums_##suffix(                                                                             \
      size_t rows, size_t columns, size_t stride, const number *matrix, number *sums) {                            \
    for (size_t j = 0; j < columns; j++) sums[j] = 0;                                                              \
    for (size_t r = 0; r < rows; r++)                                                                              \
      for (size_t j = 0; j < columns; j++) sums[j] += matrix[r * stride + j];                                      \
  }                                                                                                                \
  CLONES void rg_add_row_##suffix(size_t rows, size_t columns, const number *row, number *matrix) {                \
    for (size_t r = 0; r < rows; r++)                                                                              \
      for (size_t j = 0; j < columns; j++) matrix[r * columns + j] += row[j];                                      \
  }                                                                                                                \
  CLONES void rg_add_scaled_##suffix(size_t count, number factor, const number *scale, const number *x, number *y) {\
    if (scale)                                                                                                     \
      for (size_t j = 0; j < count; j++) y[j] += factor * (scale[j] * x[j]);                                       \
    else                                                                                                           \
      for (size_t j = 0; j < count; j++) y[j] += factor * x[j];                                                    \
  }                                                                                                                \
  CLONES void rg_set_scaled_##suffix(size_t count, number factor, const number *scale, const number *x, number *y) {\
    if (scale)                                                                                                     \
      for (size_t j = 0; j < count; j++) y[j] = factor * (scale[j] * x[j]);                                        \
    else                                                                                                           \
      for (size_t j = 0; j < count; j++) y[j] = factor * x[j];                                                     \
  }                                                                                                                \
  CLONES void rg_add_product_##suffix(size_t count, number factor, const number *x, const number *y, number *sum) {\
    for (size_t j = 0; j < count; j++) sum[j] += factor * (x[j] * y[j]);                                           \
  }                                                                                                                \
  CLONES number rg_dot_##suffix(size_t count, const number *scale, const number *x, const number *y) {              \
    lanes_##suffix part = (lanes_##suffix)(0), a, b, c;                                                             \
    size_t j = 0;                                                                                                   \
    if (scale)                                                                                                      \
      for (; j + 16 <= count; j += 16) {                                                                            \
        memcpy(&a, x + j, sizeof a);                                                                                \
        memcpy(&b, y + j, sizeof b);                                                                                \
        memcpy(&c, scale + j, sizeof c);                                                                            \
        part += c * a * b;                                                                                          \
      }                                                                                                             \
    else                                                                                                            \
      for (; j + 16 <= count; j += 16) {                                                                            \
        memcpy(&a, x + j, sizeof a);                                                                                \
        memcpy(&b, y + j, sizeof b);                                                                                \
        part += a * b;                                                                                              \
      }                                                                                                             \
    number sum = 0;                                                                                                 \
    for (size_t l = 0; l < 16; l++) sum += part[l];                                                                 \
    for (; j < count; j++) sum += scale ? scale[j] * x[j] * y[j] : x[j] * y[j];                                     \
    return sum;                                                                                                     \
  }                                                                                                                 \
  CLONES void rg_widen_##suffix(size_t count, const number *from, double *to) {                                    \
    for (size_t j = 0; j < count; j++) to[j] = from[j];                                                            \
  }                                                                                                                \
  CLONES void rg_narrow_##suffix(size_t count, const double *from, number *to) {                                   \
    for (size_t j = 0; j < count; j++) to[j] = (number)from[j];                                                    \
  }

DEFINE_LAYER_KERNELS(float, f, erff, expf)
DEFINE_LAYER_KERNELS(double, d, erf, exp)

// A block of lanes stays in registers while it is put together.
typedef double wide_d __attribute__((ext_vector_type(32)));

CLONES void rg_add_combination(
    size_t count, size_t terms, const size_t *rows, const double *factors, const double *const *table, double *y) {
  size_t j = 0;
  for (; j + 32 <= count; j += 32) {
    wide_d sum, x;
    memcpy(&sum, y + j, sizeof sum);
    for (size_t r = 0; r < terms; r++) {
      memcpy(&x, table[rows[r]] + j, sizeof x);
      sum += factors[r] * x;
    }
    memcpy(y + j, &sum, sizeof sum);
  }
  for (; j < count; j++)
    for (size_t r = 0; r < terms; r++) y[j] += factors[r] * table[rows[r]][j];
}

// Sums of the same rows with other factors are taken together, so that the rows are loaded once for all of them.
static ALWAYS_INLINE double combination_distance(
    size_t count, size_t terms, const size_t *rows, size_t sums, const double *factors, const double *weights,
    const double *const *table, const double *centre) {
  wide_d part = (wide_d)(0);
  size_t j = 0;
  for (; j + 32 <= count; j += 32) {
    wide_d middle, x;
    memcpy(&middle, centre + j, sizeof middle);
    for (size_t s = 0; s < sums; s++) {
      wide_d deviation = -middle;
      for (size_t r = 0; r < terms; r++) {
        memcpy(&x, table[rows[r]] + j, sizeof x);
        deviation += factors[s * terms + r] * x;
      }
      part += weights[s] * deviation * deviation;
    }
  }
  double sum = 0;
  for (size_t l = 0; l < 32; l++) sum += part[l];
  for (; j < count; j++)
    for (size_t s = 0; s < sums; s++) {
      double deviation = -centre[j];
      for (size_t r = 0; r < terms; r++) deviation += factors[s * terms + r] * table[rows[r]][j];
      sum += weights[s] * deviation * deviation;
    }
  return sum;
}

// Of so few terms the loop over them is unrolled.
CLONES double rg_combination_distance(
    size_t count, size_t terms, const size_t *rows, size_t sums, const double *factors, const double *weights,
    const double *const *table, const double *centre) {
  switch (terms) {
  case 1: return combination_distance(count, 1, rows, sums, factors, weights, table, centre);
  case 2: return combination_distance(count, 2, rows, sums, factors, weights, table, centre);
  case 3: return combination_distance(count, 3, rows, sums, factors, weights, table, centre);
  default: return combination_distance(count, terms, rows, sums, factors, weights, table, centre);
  }
}

CLONES double rg_squared_error(
    size_t count, const float *output, const float *target, float factor, float *gradient) {
  enum { LANES = 16 };
  double part[LANES] = {0};
  size_t j = 0;
  for (; j + LANES <= count; j += LANES)
    for (size_t l = 0; l < LANES; l++) {
      const float difference = output[j + l] - target[j + l];
      gradient[j + l] = factor * difference;
      part[l] += (double)difference * difference;
    }
  double sum = 0;
  for (size_t l = 0; l < LANES; l++) sum += part[l];
  for (; j < count; j++) {
    const float difference = output[j] - target[j];
    gradient[j] = factor * difference;
    sum += (double)difference * difference;
  }
  return sum;
}
