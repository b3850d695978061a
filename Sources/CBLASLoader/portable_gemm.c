// Matrix products for machines without a BLAS: rows of c are sums of multiples of rows of op(b), which is laid out by rows in
// strips first, so that the inner loop is one that compilers vectorise. A tenth of a BLAS's speed.
#include "CBLASLoader.h"
#include <stddef.h>

// Which clone is taken is decided while the program is loaded, when ThreadSanitizer cannot watch yet.
#if defined(__x86_64__) && defined(__linux__) && !__has_feature(thread_sanitizer)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

enum { DEPTH = 64, WIDTH = 64 };

#define DEFINE_GEMM(name, number)                                                                                \
  CLONES void name(                                                                                              \
      int ta, int tb, int m, int n, int k, number alpha, const number *a, int lda, const number *b, int ldb,     \
      number beta, number *c, int ldc) {                                                                         \
    for (int i = 0; i < m; i++)                                                                                  \
      for (int j = 0; j < n; j++) {                                                                              \
        number *x = c + (size_t)i * ldc + j;                                                                     \
        *x = beta == 0 ? 0 : beta * *x;                                                                          \
      }                                                                                                          \
    number strip[DEPTH][WIDTH];                                                                                  \
    for (int l0 = 0; l0 < k; l0 += DEPTH)                                                                        \
      for (int j0 = 0; j0 < n; j0 += WIDTH) {                                                                    \
        const int depth = k - l0 < DEPTH ? k - l0 : DEPTH, width = n - j0 < WIDTH ? n - j0 : WIDTH;              \
        for (int l = 0; l < depth; l++)                                                                          \
          for (int j = 0; j < WIDTH; j++)                                                                        \
            strip[l][j] = j >= width ? 0                                                                         \
                          : tb       ? b[(size_t)(j0 + j) * ldb + l0 + l]                                        \
                                     : b[(size_t)(l0 + l) * ldb + j0 + j];                                       \
        for (int i = 0; i < m; i++) {                                                                            \
          number sum[WIDTH] = {0};                                                                               \
          for (int l = 0; l < depth; l++) {                                                                      \
            const number x = ta ? a[(size_t)(l0 + l) * lda + i] : a[(size_t)i * lda + l0 + l];                   \
            for (int j = 0; j < WIDTH; j++) sum[j] += x * strip[l][j];                                           \
          }                                                                                                      \
          for (int j = 0; j < width; j++) c[(size_t)i * ldc + j0 + j] += alpha * sum[j];                         \
        }                                                                                                        \
      }                                                                                                          \
  }

DEFINE_GEMM(rg_portable_sgemm, float)
DEFINE_GEMM(rg_portable_dgemm, double)
