// The GSL headers that GSLNumerics uses. No Swift, no state.
#ifndef ROUTEGRAD_CGSL_SHIM_H
#define ROUTEGRAD_CGSL_SHIM_H

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_deriv.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_odeiv2.h>
#include <gsl/gsl_qrng.h>
#include <gsl/gsl_version.h>
#include <setjmp.h>

// The steppers are C globals (`const gsl_odeiv2_step_type *gsl_odeiv2_step_rkf45`), which Swift 6's concurrency
// checking rejects as shared mutable state; returned from functions they are plain values.
static inline const gsl_odeiv2_step_type *rg_gsl_step_rk4(void) { return gsl_odeiv2_step_rk4; }
static inline const gsl_odeiv2_step_type *rg_gsl_step_rkf45(void) { return gsl_odeiv2_step_rkf45; }

// An integrand that may call the integration off. GSL has no way out of a rule, so it is left by longjmp: over frames of
// GSL only, which own nothing but the caller's workspace; whatever Swift ran has returned before.
typedef double (*rg_gsl_integrand)(double x, void *context, int *stop);
enum rg_gsl_rule { RG_GSL_QAGS, RG_GSL_QAGIU, RG_GSL_CQUAD };
struct rg_gsl_evaluation {
  rg_gsl_integrand function;
  void *context;
  jmp_buf exit;
};

static inline double rg_gsl_evaluate(double x, void *params) {
  struct rg_gsl_evaluation *evaluation = (struct rg_gsl_evaluation *)params;
  int stop = 0;
  const double value = evaluation->function(x, evaluation->context, &stop);
  if (stop) longjmp(evaluation->exit, 1);
  return value;
}

// The rule's status, or GSL_EMAXITER if the integrand called it off; the workspace is of the rule's own kind.
__attribute__((noinline)) static int rg_gsl_integrate(
    enum rg_gsl_rule rule, rg_gsl_integrand function, void *context, double a, double b, double absolute, double relative,
    size_t limit, void *workspace, double *value, double *error) {
  struct rg_gsl_evaluation evaluation;
  evaluation.function = function;
  evaluation.context = context;
  gsl_function f;
  f.function = rg_gsl_evaluate;
  f.params = &evaluation;
  if (setjmp(evaluation.exit)) return GSL_EMAXITER;
  switch (rule) {
    case RG_GSL_QAGS:
      return gsl_integration_qags(
          &f, a, b, absolute, relative, limit, (gsl_integration_workspace *)workspace, value, error);
    case RG_GSL_QAGIU:
      return gsl_integration_qagiu(
          &f, a, absolute, relative, limit, (gsl_integration_workspace *)workspace, value, error);
    case RG_GSL_CQUAD:
      return gsl_integration_cquad(
          &f, a, b, absolute, relative, (gsl_integration_cquad_workspace *)workspace, value, error, NULL);
  }
  return GSL_EINVAL;
}

// C globals as well.
static inline const gsl_qrng_type *rg_gsl_qrng_sobol(void) { return gsl_qrng_sobol; }
static inline const char *rg_gsl_version(void) { return gsl_version; }

#endif
