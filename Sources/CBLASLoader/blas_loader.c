#include "CBLASLoader.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The C interface of BLAS, of which every implementation has the same: row-major is 101, no transpose 111, transpose 112.
typedef void (*sgemm_function)(
    int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void (*dgemm_function)(
    int, int, int, int, int, int, double, const double *, int, const double *, int, double, double *, int);
// oneDNN's, row-major too. In the builds that distributions ship it runs on OpenMP threads, which each calling thread
// has to be told not to want.
typedef int (*dnnl_sgemm_function)(
    char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *,
    int64_t);
typedef struct {
  int major, minor, patch;
} dnnl_version;
typedef void (*set_threads_function)(int);

static struct {
  dnnl_sgemm_function dnnl_sgemm;
  set_threads_function set_openmp_threads;
  sgemm_function sgemm;
  dgemm_function dgemm;
  char float_library[96];
  char double_library[96];
} blas = {NULL, NULL, NULL, NULL, "built in", "built in"};
static pthread_once_t once = PTHREAD_ONCE_INIT;

// oneDNN's Float32 kernels up to 3.11.1 let the stack pointer point into a buffer on the heap where a product is deep. A signal
// that comes then has its frame and its handler's written below that buffer, over whatever lies there; the heap breaks, and the
// program some time after it (github.com/uxlfoundation/oneDNN/issues/4845). No handler, of whomever, may therefore run within
// such a product: signals wait for its end. Those that a thread causes itself stay, since they cannot wait. The buffer is on the
// stack where the depth is at most (4 · 4096 − 256)/(4 · 48) = 84 (jit_avx512_common_gemm_f32.cpp); with less than that nothing has
// to wait, which spares the small products of attention two calls of the kernel each.
static sigset_t waiting_signals;
static const int safe_depth = 64;

static void choose_waiting_signals(void) {
  static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};
  sigfillset(&waiting_signals);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&waiting_signals, own[i]);
}

static void append(char *to, const char *from, size_t size) {
  size_t i = strlen(to);
  for (; i + 1 < size && *from && *from != '\n'; i++) to[i] = *from++;
  to[i] = 0;
}

static int take(void *handle, const char *name) {
  blas.sgemm = (sgemm_function)dlsym(handle, "cblas_sgemm");
  blas.dgemm = (dgemm_function)dlsym(handle, "cblas_dgemm");
  if (!blas.sgemm || !blas.dgemm) {
    blas.sgemm = NULL;
    blas.dgemm = NULL;
    return 0;
  }
  blas.double_library[0] = 0;
  append(blas.double_library, name, sizeof blas.double_library);
  return 1;
}

// Whether the process had OpenBLAS before us: then how many threads it uses is the host's affair.
static int openblas_is_the_hosts;

static void *open_openblas(void) {
  static const char *const names[] = {
      "libopenblas.so.0", "libopenblas.so", "libopenblas.0.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
      "/usr/local/opt/openblas/lib/libopenblas.dylib"};
  const int sets_threads = !getenv("OPENBLAS_NUM_THREADS");
  if (sets_threads) setenv("OPENBLAS_NUM_THREADS", "1", 1);  // no pool of threads that would never be used
  void *handle = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !handle; i++) {
    handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (handle) openblas_is_the_hosts = 1;
    if (!handle) handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  }
  if (sets_threads) unsetenv("OPENBLAS_NUM_THREADS");
  return handle;
}

static const char *kernels_of(void *openblas) {
  char *(*core)(void) = (char *(*)(void))dlsym(openblas, "openblas_get_corename");
  return core ? core() : "";
}

// OpenBLAS goes by names of processors and takes AVX2 kernels or older ones on those that it does not know, at half the
// speed or less of what AVX-512 gives.
static int could_be_faster(void *openblas) {
#if defined(__x86_64__)
  static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  for (size_t i = 0; i < sizeof avx512 / sizeof *avx512; i++)
    if (!strcmp(kernels_of(openblas), avx512[i])) return 0;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
#else
  (void)openblas;
  return 0;
#endif
}

// OPENBLAS_CORETYPE is set for whole machines and images, where it hides what this processor can do; it holds for this
// library's products only under a name of our own.
static void *open_openblas_with_kernels(void) {
  const char *const inherited = getenv("OPENBLAS_CORETYPE"), *const chosen = getenv("ROUTEGRAD_OPENBLAS_CORETYPE");
  char *const saved = inherited ? strdup(inherited) : NULL;
  if (chosen)
    setenv("OPENBLAS_CORETYPE", chosen, 1);
  else
    unsetenv("OPENBLAS_CORETYPE");
  void *handle = open_openblas();
  if (handle && !chosen && could_be_faster(handle)) {
    dlclose(handle);
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    handle = open_openblas();
  }
  if (saved)
    setenv("OPENBLAS_CORETYPE", saved, 1);
  else
    unsetenv("OPENBLAS_CORETYPE");
  free(saved);
  return handle;
}

static int load_openblas(void) {
  void *handle = open_openblas_with_kernels();
  if (!handle) return 0;
  char *(*configuration)(void) = (char *(*)(void))dlsym(handle, "openblas_get_config");
  set_threads_function set_threads = (set_threads_function)dlsym(handle, "openblas_set_num_threads");
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": the first two words.
  char name[96] = "";
  append(name, configuration ? configuration() : "OpenBLAS", sizeof name);
  char *space = strchr(name, ' ');
  space = space ? strchr(space + 1, ' ') : NULL;
  if (space) *space = 0;
  append(name, " (", sizeof name);
  append(name, kernels_of(handle), sizeof name);
  append(name, " kernels)", sizeof name);
  if (!take(handle, name)) return 0;
  if (set_threads && !openblas_is_the_hosts) set_threads(1);
  return 1;
}

// Float32 on x86-64: faster than OpenBLAS by a tenth and more on the small products that experts are made of.
static void load_onednn(void) {
#if defined(__x86_64__)
  static const char *const names[] = {"libdnnl.so.3", "libdnnl.so.2"};
  static const char *const isas[] = {"AVX-512", "AVX2", "SSE4.1"};
  for (size_t i = 0; i < sizeof names / sizeof *names && !blas.dnnl_sgemm; i++) {
    void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle) continue;
    blas.dnnl_sgemm = (dnnl_sgemm_function)dlsym(handle, "dnnl_sgemm");
    blas.set_openmp_threads = (set_threads_function)dlsym(handle, "omp_set_num_threads");
    if (!blas.dnnl_sgemm) continue;
    const dnnl_version *(*version)(void) = (const dnnl_version *(*)(void))dlsym(handle, "dnnl_version");
    int (*isa)(void) = (int (*)(void))dlsym(handle, "dnnl_get_effective_cpu_isa");
    char number[] = "oneDNN 0.0";
    if (version) {
      number[7] = (char)('0' + version()->major % 10);
      number[9] = (char)('0' + version()->minor % 10);
    }
    blas.float_library[0] = 0;
    append(blas.float_library, number, sizeof blas.float_library);
    // Each bit of the answer is a set of instructions: AVX-512 begins at bit 4 (KNL's) or 5, AVX2 at bit 2.
    const int bits = isa ? isa() : 0;
    append(blas.float_library, " (", sizeof blas.float_library);
    append(blas.float_library, isas[bits & ~0xf ? 0 : bits & 0xc ? 1 : 2], sizeof blas.float_library);
    append(blas.float_library, " kernels)", sizeof blas.float_library);
  }
  choose_waiting_signals();
#endif
}

static void load(void) {
  static const char *const others[][2] = {
      {"/System/Library/Frameworks/Accelerate.framework/Accelerate", "Accelerate"},
      {"libblis.so.4", "BLIS"},
      {"libcblas.so.3", "CBLAS"}};
  int found = load_openblas();
  for (size_t i = 0; i < sizeof others / sizeof *others && !found; i++) {
    void *handle = dlopen(others[i][0], RTLD_NOW | RTLD_LOCAL);
    found = handle && take(handle, others[i][1]);
  }
  memcpy(blas.float_library, blas.double_library, sizeof blas.float_library);
  load_onednn();
}

const char *rg_float_blas(void) {
  pthread_once(&once, load);
  return blas.float_library;
}

const char *rg_double_blas(void) {
  pthread_once(&once, load);
  return blas.double_library;
}

void rg_sgemm(
    int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
    float *c, int ldc) {
  pthread_once(&once, load);
  if (m == 0 || n == 0) return;
  if (blas.dnnl_sgemm && k > 0) {
    static _Thread_local int is_alone = 0;
    if (!is_alone && blas.set_openmp_threads) blas.set_openmp_threads(1);
    is_alone = 1;
    sigset_t before;
    if (k > safe_depth) pthread_sigmask(SIG_BLOCK, &waiting_signals, &before);
    const int failure =
        blas.dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (k > safe_depth) pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failure) return;
  }
  if (blas.sgemm && k > 0)
    blas.sgemm(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else
    rg_portable_sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void rg_dgemm(
    int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b, int ldb, double beta,
    double *c, int ldc) {
  pthread_once(&once, load);
  if (m == 0 || n == 0) return;
  if (blas.dgemm && k > 0)
    blas.dgemm(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else
    rg_portable_dgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
