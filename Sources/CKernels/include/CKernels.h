// The kernels that need vector instructions. Each is dispatched when the program loads to the widest instruction set
// of the processor (x86-64: AVX-512, AVX2 or SSE2; elsewhere: the compiler's default), so no build flag is needed.
// Every kernel has a scalar twin in Swift that the tests hold it against.
#ifndef ROUTEGRAD_CKERNELS_H
#define ROUTEGRAD_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

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

/// `p = softmax(logits / temperature)` and `q = 1 - p`, all `[count]`; returns the lowest index of the largest logit. The
/// rounding errors of differences and quotients are carried along, q is the sum of the others where it is small.
size_t rg_softmax(size_t count, const double *logits, double temperature, double *p, double *q);

/// `sum_j a_j b_j` as a rounded total and what rounding took from the sum: add the two, where the total is finite.
void rg_compensated_dot(size_t count, const double *a, const double *b, double *total, double *correction);

/// The moments of `s (I_D - p)`, D ~ p, for each row of means a and variances v of s given D; q = 1 - p. a, v, mean and
/// variance are `[rows][experts]`, row-major; the total variances `[rows]`.
void rg_score_moments(
    size_t rows, size_t experts, size_t argmax, const double *p, const double *q, const double *a, const double *v,
    double *mean, double *variance, double *total);

/// For the experts `first ..< first + count`: mean a and variance v, given the expert, of `p_i sum_k w_k slopes_k(i)`, w
/// being the weights of a side that is tossed up with the given probabilities (summing to one).
/// slopes: `[node_count][experts]`, weights: `[side_count][node_count]`, row-major.
void rg_ray_weights(
    size_t experts, size_t first, size_t count, const double *p, size_t node_count, const double *slopes,
    size_t side_count, const double *probabilities, const double *weights, double *a, double *v);

/// For every expert l, node m and s: with mu = rates_l m and w = (1 + V/mu)^{-exponent}, V ~ Exp(1), phi = E[e^{-s w}],
/// r = E[w e^{-s w}]/phi, r2 = E[w^2 e^{-s w}]/phi, c = r2 - r^2; results `[n][s_count]`.
///
/// - log_rates: `[n]`;  twins: the lowest index with the same rate, `[n]`;  log_m: log m.
/// - weights: of V = e^z at z = z_first + k step, summing to 1, `[z_count]`;  below: sums of those before k, `[z_count]`.
/// - negligible: the share of a sum of w or of w^2 that a node may be left out for.
/// - s: `0 <= s <= 700`, `[s_count]`, a multiple of 8;  workspace: `2 (z_count + 2)` numbers.
void rg_gumbel_tables(
    size_t n, const double *log_rates, const size_t *twins, double log_m, double exponent, double negligible,
    size_t z_count, double z_first, double step, const double *weights, const double *below, size_t s_count,
    const double *s, double *workspace, double *log_phi, double *r, double *r2, double *c);

/// Vectors over s that `rg_gumbel_moments` leaves for each expert in `scratch`, after three of the whole.
enum { RG_GUMBEL_VECTORS = 10 };

/// Adds to means `[n][n]` (row i: given i) and seconds `[n]` what one node of m contributes. log_phi, r, r2, c: `[n][s_count]`;
/// u: `[n][n]`, centred so that `u_ii = 0`; square_weights, fourth_weights: of the exponential sums for S^-2 and S^-4, `[s_count]`;
/// log_weight: of the node of m.
/// scratch: `(3 + RG_GUMBEL_VECTORS n) s_count` numbers.
void rg_gumbel_moments(
    size_t n, size_t s_count, const double *rates, const double *u, const double *square_weights,
    const double *fourth_weights, double log_weight, const double *log_phi, const double *r, const double *r2,
    const double *c, double *scratch, double *means, double *seconds);

/// Adds to the part above the diagonal of products `[n][n]` what the same node contributes, from the scratch that
/// `rg_gumbel_moments` has left. workspace: `(8 n + 1) s_count` numbers.
void rg_gumbel_products(
    size_t n, size_t s_count, const double *u, const double *r, const double *c, const double *scratch,
    double *workspace, double *products);

/// Samples that `rg_gumbel_sums` works on at a time.
enum { RG_GUMBEL_TILE = 64 };

/// The random words of one tile of samples, `[n][RG_GUMBEL_TILE]`: which block of the stream each is taken from
/// stands in gumbel_samples.c.
void rg_gumbel_words(size_t n, uint64_t seed, uint64_t stream, uint64_t tile, uint32_t *words);

/// Samples q of straight-through Gumbel-softmax on a separable objective, in Float32, from words
/// `[n][RG_GUMBEL_TILE]`, any words whatever, uniforms being (word + 1/2) / 2^32: with E = -log2 of those,
/// y_i = logits_i - rate log2 E_i, D = argmax y (the first of several), p_i = 2^{y_i} / sum, c_i = chosen_i if
/// i = D, others_i if not: `q_i = p_i (c_i - sum_k p_k c_k)`.
///
/// - logits: those of the problem times log2(e) rate, rate = 1/temperature; 40 rate and their range are finite.
/// - chosen, others: f_i'(1) and f_i'(0), times rate;  q: `[n][RG_GUMBEL_TILE]`.
/// - workspace: `RG_GUMBEL_TILE (n + 1) + 16` numbers.
///
/// p is right to about 1e-6 relative; below 2^-125 of the largest it stays there.
void rg_gumbel_gradients(
    size_t n, const float *logits, float rate, const float *chosen, const float *others, const uint32_t *words,
    float *workspace, float *q);

/// Adds to sums and squares, `[n]`, those of q and q^2 over the first `samples` samples of a stream, in Float64.
/// workspace as above;  lanes: another `16 n` numbers.
void rg_gumbel_sums(
    size_t n, const float *logits, float rate, const float *chosen, const float *others, uint64_t seed,
    uint64_t stream, size_t samples, float *workspace, double *lanes, double *sums, double *squares);

// MARK: Layers of experts. Every kernel exists for Float32 (_f) and Float64 (_d); matrices are row-major.

enum { RG_RELU = 0, RG_GELU = 1, RG_SILU = 2, RG_GELU_TANH = 3, RG_CLAMPED_SWIGLU = 4 };

/// `z = act(z + bias)`, the bias of every row, or none; all but ReLU, which does not look at it, leave `act'` in slope.
void rg_activate_f(
    size_t rows, size_t columns, const float *bias, int activation, float *z, float *slope);
/// Gated units: from act(z) in value, act' in slope (not ReLU's) and another linear map in up, to value = act(z) u with
/// u = up + bias, and its slopes by z (in slope) and by up (in up). RG_CLAMPED_SWIGLU has u = 1 + min(max(up + bias, -7), 7).
void rg_gate_f(
    size_t rows, size_t columns, const float *bias, int activation, float *value, float *slope, float *up);
/// `gradient *= act'`, from the activation's value (ReLU) or its slope (others).
void rg_activation_backward_f(
    size_t count, int activation, const float *value, const float *slope, float *gradient);
/// The sum of each column; rows start `stride` apart.
void rg_column_sums_f(size_t rows, size_t columns, size_t stride, const float *matrix, float *sums);
/// Adds a row to every row.
void rg_add_row_f(size_t rows, size_t columns, const float *row, float *matrix);
/// `y += factor scale x` and `y = factor scale x`, elementwise; no scale stands for ones.
void rg_add_scaled_f(size_t count, float factor, const float *scale, const float *x, float *y);
void rg_set_scaled_f(size_t count, float factor, const float *scale, const float *x, float *y);
/// `sum += factor x y`, elementwise.
void rg_add_product_f(size_t count, float factor, const float *x, const float *y, float *sum);
/// `sum_j scale_j x_j y_j`, in the same order on every machine; no scale stands for ones.
float rg_dot_f(size_t count, const float *scale, const float *x, const float *y);
/// Conversion to and from Float64.
void rg_widen_f(size_t count, const float *from, double *to);
void rg_narrow_f(size_t count, const double *from, float *to);

void rg_activate_d(
    size_t rows, size_t columns, const double *bias, int activation, double *z, double *slope);
void rg_gate_d(
    size_t rows, size_t columns, const double *bias, int activation, double *value, double *slope, double *up);
void rg_activation_backward_d(
    size_t count, int activation, const double *value, const double *slope, double *gradient);
void rg_column_sums_d(size_t rows, size_t columns, size_t stride, const double *matrix, double *sums);
void rg_add_row_d(size_t rows, size_t columns, const double *row, double *matrix);
void rg_add_scaled_d(size_t count, double factor, const double *scale, const double *x, double *y);
void rg_set_scaled_d(size_t count, double factor, const double *scale, const double *x, double *y);
void rg_add_product_d(size_t count, double factor, const double *x, const double *y, double *sum);
double rg_dot_d(size_t count, const double *scale, const double *x, const double *y);
void rg_widen_d(size_t count, const double *from, double *to);
void rg_narrow_d(size_t count, const double *from, double *to);

/// `y += sum_r factors[r] table[rows[r]]`; the table says where rows of `count` numbers are.
void rg_add_combination(
    size_t count, size_t terms, const size_t *rows, const double *factors, const double *const *table, double *y);
/// `sum_s weights[s] |sum_r factors[s][r] table[rows[r]] - centre|^2`, a sum of squared differences; factors `[sums, terms]`.
double rg_combination_distance(
    size_t count, size_t terms, const size_t *rows, size_t sums, const double *factors, const double *weights,
    const double *const *table, const double *centre);

/// `sum (output - target)^2` in Float64, and `gradient = factor (output - target)`.
double rg_squared_error(
    size_t count, const float *output, const float *target, float factor, float *gradient);

// MARK: Transformers. Likewise for both.

/// `y = (x - mean) inverse gain + bias` of every row, `inverse = 1/sqrt(variance + 1e-5)`; leaves means and inverses, `[rows]`.
void rg_norm_f(
    size_t rows, size_t width, const float *x, const float *gain, const float *bias, float *y, float *means,
    float *inverses);
/// Adds the gradient by x to dx, and those by gain and bias to their sums, `[width]`.
void rg_norm_backward_f(
    size_t rows, size_t width, const float *dy, const float *x, const float *means, const float *inverses,
    const float *gain, float *dx, float *gain_sum, float *bias_sum);
/// `y = x + mask (y + bias)`; no mask stands for ones, no bias for zeros.
void rg_residual_f(
    size_t rows, size_t columns, const float *bias, const float *x, const float *mask, float *y);
/// `y = x mask`; no mask stands for ones.
void rg_multiply_f(size_t count, const float *x, const float *mask, float *y);
/// `p = softmax(scale p)` of every row, in place; with causal >= 0, row r sees `causal + r + 1` columns and is 0 in the others.
void rg_attention_softmax_f(
    size_t rows, size_t columns, size_t stride, ptrdiff_t causal, float scale, float *p);
/// `dp = scale p (dp - sum p dp)` of every row, in place.
void rg_attention_softmax_backward_f(
    size_t rows, size_t columns, size_t stride, ptrdiff_t causal, float scale, const float *p, size_t dp_stride,
    float *dp);
/// Softmax cross-entropy with smoothed labels of every row: `losses = (1 - s) l + s mean_k (-log p_k)`, `likelihoods = l =
/// -log p_label`, both `[rows]`; the logits give way to `factor` times the gradient.
void rg_cross_entropy_f(
    size_t rows, size_t classes, const int32_t *labels, float smoothing, float factor, float *logits, double *losses,
    double *likelihoods);
/// One step of Adam with gradient `scale g`: `p -= size m / (sqrt(v) root + epsilon)`.
void rg_adam_f(
    size_t count, float beta1, float beta2, float size, float root, float epsilon, float scale, const float *g, float *p,
    float *m, float *v);
/// `sum x^2` in Float64.
double rg_square_sum_f(size_t count, const float *x);
/// 0 with probability dropped/2^16, else `kept`, `[count]`: the sixteen-bit pieces, lowest first, of the words of Philox's
/// blocks 0, 1, ... of a stream.
void rg_dropout_mask_f(
    size_t count, uint64_t seed, uint64_t stream, uint32_t dropped, float kept, float *mask);

void rg_norm_d(
    size_t rows, size_t width, const double *x, const double *gain, const double *bias, double *y, double *means,
    double *inverses);
void rg_norm_backward_d(
    size_t rows, size_t width, const double *dy, const double *x, const double *means, const double *inverses,
    const double *gain, double *dx, double *gain_sum, double *bias_sum);
void rg_residual_d(
    size_t rows, size_t columns, const double *bias, const double *x, const double *mask, double *y);
void rg_multiply_d(size_t count, const double *x, const double *mask, double *y);
void rg_attention_softmax_d(
    size_t rows, size_t columns, size_t stride, ptrdiff_t causal, double scale, double *p);
void rg_attention_softmax_backward_d(
    size_t rows, size_t columns, size_t stride, ptrdiff_t causal, double scale, const double *p, size_t dp_stride,
    double *dp);
void rg_cross_entropy_d(
    size_t rows, size_t classes, const int32_t *labels, double smoothing, double factor, double *logits, double *losses,
    double *likelihoods);
void rg_adam_d(
    size_t count, double beta1, double beta2, double size, double root, double epsilon, double scale, const double *g, double *p,
    double *m, double *v);
double rg_square_sum_d(size_t count, const double *x);
void rg_dropout_mask_d(
    size_t count, uint64_t seed, uint64_t stream, uint32_t dropped, double kept, double *mask);

#endif
