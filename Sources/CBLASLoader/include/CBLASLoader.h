// Matrix products by whatever BLAS the machine has, found when the first one is asked for.
//
// The library is opened at run time and not linked: OpenBLAS picks its kernels while it is loaded, from an
// environment variable where it does not know the processor, and only so can that variable be set without asking the
// user or starting the program anew. It also lets a machine without a BLAS run the same program, slowly.
#ifndef ROUTEGRAD_CBLASLOADER_H
#define ROUTEGRAD_CBLASLOADER_H

/// `c = alpha op(a) op(b) + beta c`, row-major; op(x) is x or, if its flag is not 0, the transpose. op(a) is `m x k`, op(b) `k x n`.
/// Leading dimensions are lengths of rows as stored. Runs on the calling thread alone; may be called from up to 64 at
/// once. With `beta == 0` what c held does not matter.
void rg_sgemm(
    int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
    int ldb, float beta, float *c, int ldc);
void rg_dgemm(
    int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double *a, int lda, const double *b,
    int ldb, double beta, double *c, int ldc);

/// The library in use for Float32 and for Float64, with its kernels: "OpenBLAS 0.3.21 (SkylakeX kernels)", "built in".
const char *rg_float_blas(void);
const char *rg_double_blas(void);

/// The same products by the loops that are built in, whatever library there is.
void rg_portable_sgemm(
    int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
    int ldb, float beta, float *c, int ldc);
void rg_portable_dgemm(
    int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double *a, int lda, const double *b,
    int ldb, double beta, double *c, int ldc);

#endif
