// The GSL headers that GSLNumerics uses. No Swift, no state.
#ifndef ROUTEGRAD_CGSL_SHIM_H
#define ROUTEGRAD_CGSL_SHIM_H

#include <gsl/gsl_deriv.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_odeiv2.h>
#include <gsl/gsl_qrng.h>
#include <gsl/gsl_version.h>

// The steppers are C globals (`const gsl_odeiv2_step_type *gsl_odeiv2_step_rkf45`), which Swift 6's concurrency
// checking rejects as shared mutable state; returned from functions they are plain values.
static inline const gsl_odeiv2_step_type *rg_gsl_step_rk4(void) { return gsl_odeiv2_step_rk4; }
static inline const gsl_odeiv2_step_type *rg_gsl_step_rkf45(void) { return gsl_odeiv2_step_rkf45; }

// C globals as well.
static inline const gsl_qrng_type *rg_gsl_qrng_sobol(void) { return gsl_qrng_sobol; }
static inline const char *rg_gsl_version(void) { return gsl_version; }

#endif
