// The contract is the header; its implementation is the Swift target RouteGradABI.
#include "routegrad.h"

#include <stdlib.h>

// GSL's own is not position independent in Debian's libgslcblas.a, and prints. It is reached only if GSL itself hands its
// BLAS a size that does not fit, after having checked that it does.
__attribute__((noreturn)) void cblas_xerbla(int position, const char *routine, const char *format, ...);
void cblas_xerbla(int position, const char *routine, const char *format, ...) {
  (void)position;
  (void)routine;
  (void)format;
  abort();
}

#if defined(__linux__) && defined(__x86_64__) && defined(__GLIBC__)
// What build.sh has calls of hypot linked to: glibc's as it was before 2.35, which later ones have, too.
__asm__(".symver first_hypot, hypot@GLIBC_2.2.5");
__asm__(".symver first_hypotf, hypotf@GLIBC_2.2.5");
double first_hypot(double x, double y);
float first_hypotf(float x, float y);
double __wrap_hypot(double x, double y);
float __wrap_hypotf(float x, float y);
double __wrap_hypot(double x, double y) { return first_hypot(x, y); }
float __wrap_hypotf(float x, float y) { return first_hypotf(x, y); }
#endif
