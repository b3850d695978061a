// The kernels that need vector instructions. Each is dispatched when the program loads to the widest instruction set
// of the processor (x86-64: AVX-512, AVX2 or SSE2; elsewhere: the compiler's default), so no build flag is needed.
// Every kernel has a scalar twin in Swift that the tests hold it against.
#ifndef ROUTEGRAD_CKERNELS_H
#define ROUTEGRAD_CKERNELS_H

#include <stddef.h>

/// Values and slopes of `g(z) = sum_j log cosh(a_j z_j - t_j)` along the rays `c p_i r_i`, `i = 0 ..< experts`.
///
/// - directions: r, `[experts][width]`, row-major;  multipliers: p, `[experts]`;  scales: a, targets: t, `[width]`.
/// - nodes: c, `[node_count]`;  values: `g(p_i r_i)`, `[experts]`.
/// - slopes: `grad g(c p_i r_i) . r_i`, `[node_count][experts]`, row-major.
///
/// Relative error per term a few ulps, for x near 0 too. The nodes {1, 1/2, 1/3} share one exponential.
void rg_log_cosh_rays(
    size_t experts, size_t width, const double *directions, const double *multipliers, const double *scales,
    const double *targets, size_t node_count, const double *nodes, double *values, double *slopes);

/// `out_i = exp(x_i)` for finite `x_i <= 0` (below -708: 0).
void rg_exp_nonpositive(size_t count, const double *x, double *out);

#endif
