// The contract is the header; its implementation is the Swift target RouteGradABI.
#include "routegrad.h"

#include <dlfcn.h>
#include <math.h>
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
// What build.sh has calls of hypot linked to. glibc 2.35 gave it a new version, and a library that is linked to that does not load where glibc is
// older, though nothing else in it is as young. So it is looked up by name, which finds the machine's own, whichever that is.
static void *of_libm(const char *name) {
  void *libm = dlopen("libm.so.6", RTLD_LAZY | RTLD_NOLOAD);
  return libm ? dlsym(libm, name) : NULL;
}

double __wrap_hypot(double x, double y);
double __wrap_hypot(double x, double y) {
  static double (*_Atomic known)(double, double);
  double (*found)(double, double) = known;
  if (!found) known = found = (double (*)(double, double))of_libm("hypot");
  return found ? found(x, y) : (double)hypotl(x, y);
}

float __wrap_hypotf(float x, float y);
float __wrap_hypotf(float x, float y) {
  static float (*_Atomic known)(float, float);
  float (*found)(float, float) = known;
  if (!found) known = found = (float (*)(float, float))of_libm("hypotf");
  return found ? found(x, y) : (float)hypotl(x, y);
}
#endif
