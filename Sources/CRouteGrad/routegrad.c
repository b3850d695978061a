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
