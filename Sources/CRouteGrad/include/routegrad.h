/* RouteGrad in C: exact means, variances and targets of the gradient estimators of Mixture-of-Experts routers.
 *
 * Conventions
 *
 * - A function that can fail returns an rg_status, RG_OK (0) on success, and writes its results through pointers. After a
 *   failure rg_last_error() says, on the same thread, what was wrong and what was expected; results are then untouched
 *   (but those of rg_sample), and no handle was made.
 * - What rg_X_create… (or rg_problem_…) makes is released with rg_X_destroy; destroying NULL does nothing.
 * - Handles never change once made (but rg_test and rg_assessor). Any number of threads may use one at the same time. One that is destroyed while
 *   calls use it ends when they do; the functions that the caller gave with it must last as long. A handle is a name and not an
 *   address, given once: one that was destroyed, or is of another kind, is refused (RG_INVALID_ARGUMENT), and destroying it again does
 *   nothing. Handles do not refer to each other: a problem or an estimator may be destroyed while outcomes made from it are in use.
 * - Arrays are Float64, row-major, and written [rows][columns] here; with a matrix of N rows and d columns, entry (i, j) is
 *   element i * d + j. Input arrays need not outlive the call: a problem
 *   keeps one copy, samples are read where they are. Output arrays are the caller's, and the
 *   caller says how long they are: an `experts` that is not the problem's is refused. An output that a comment calls
 *   optional may be NULL.
 * - Texts are UTF-8. JSON objects are those of docs/formats.md, and are given with their length in bytes.
 * - Structures that the caller fills in begin with their own `size`, so that later versions can add fields; the macros
 *   RG_…_INIT set it, and the standard values.
 * - The library installs no signal handlers, prints nothing, reads no environment variable of its own, and has its own
 *   copy of GSL, whose error handler it switches off without touching the host's. It starts threads only where
 *   `threads` allows more than one.
 */
#ifndef ROUTEGRAD_H
#define ROUTEGRAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RG_API __attribute__((visibility("default")))
#else
#define RG_API
#endif

/* ------------------------------------------------------------------------------------------------- status, version */

/* What became of a call. */
typedef enum rg_status {
  RG_OK = 0,
  /* A null pointer, a length, an option, an estimator or a target that cannot be: the call itself is wrong. */
  RG_INVALID_ARGUMENT = 1,
  /* Data that cannot be a problem: not JSON, a field missing, a number that is not finite. */
  RG_INVALID_DATA = 2,
  /* A buffer that is too small; the length that is needed has been written. */
  RG_BUFFER_TOO_SMALL = 3,
  /* The estimator or target is not defined on this problem, or a table does not hold what it needs. */
  RG_UNAVAILABLE = 4,
  /* A result that Float64 cannot hold. */
  RG_OVERFLOW = 5,
  /* An integral whose tolerance is out of reach. */
  RG_TOLERANCE_NOT_REACHED = 6,
  /* The caller's function returned a status other than 0. */
  RG_CALLBACK_FAILED = 7,
  /* The caller's function gave a value or a gradient that is not finite. */
  RG_CALLBACK_NOT_FINITE = 8,
  /* rg_set_interruption's function said so. */
  RG_INTERRUPTED = 9
} rg_status;

/* What the last call on this thread that failed had to say: one line, or "" if none failed so far. The text stays valid
 * until the next failure on this thread. */
RG_API const char *rg_last_error(void);

/* Says whether computations should end: 0 to go on, anything else to end with RG_INTERRUPTED. It may call the library, and must return. */
typedef int (*rg_interruption)(void *context);

/* Has the calling thread's computations ask now and then, on this thread, whether to go on: while samples are drawn (rg_sample,
 * RG_METHOD_MONTE_CARLO), while integrals are done, and before every call of the caller's function or router. A computation that was told to end asks no more.
 * NULL, as at first: none asks. The function must stay valid until it is replaced, or the thread makes no more calls. */
RG_API void rg_set_interruption(rg_interruption function, void *context);

/* The version of the library, such as "0.2.0". Static. */
RG_API const char *rg_version(void);

/* ---------------------------------------------------------------------------------------------------------- problems */

/* A problem and its mask: logits θ, π = softmax(θ) over the experts kept, and
 *   categorical: an objective f read at the one-hot of the expert drawn,    L(θ) = Σ_i π_i f(I_i);
 *   mixture:     a loss g of the drawn expert's weighted output,            L(θ) = Σ_i π_i g(ω ⊙ π_i f_i). */
typedef struct rg_problem rg_problem;

/* The caller's own objective or loss: writes its value at a point and its gradient there.
 *
 * context:  what was given with the function.
 * point:    [width]; the one-hot of a categorical problem, or the scaled output ω ⊙ y of a mixture. Valid during the call.
 * value:    room for one number.
 * gradient: room for [width].
 *
 * Returns 0, or anything else to say that it failed. After a failure, or a number that is not finite, it is not called again
 * during that computation, which returns RG_CALLBACK_FAILED or RG_CALLBACK_NOT_FINITE.
 *
 * It is called on the thread that called the library, one call at a time within one computation (whatever `threads` says),
 * and from several threads at once only if the caller computes on several threads at once with the same problem. It must
 * be a function of the point alone. It may call the library. It must return: no exceptions, no longjmp. */
typedef int (*rg_function)(void *context, const double *point, size_t width, double *value, double *gradient);

/* The mixture problem of everything but its loss. Set it to RG_MIXTURE_INIT first. */
typedef struct rg_mixture {
  size_t size;                  /* sizeof(rg_mixture) */
  size_t experts;               /* N ≥ 1 */
  size_t width;                 /* d ≥ 1 */
  const double *logits;         /* θ, [N] */
  const double *expert_outputs; /* f, [N][d]; may be NULL with a table */
  const double *scale;          /* ω, [d]; NULL: ones */
  const double *default_outputs; /* [N][d], what default-moe substitutes; may be NULL */
  size_t router_width;          /* h, of the linear router; 0: none, then the next three are not read */
  const double *router_weight;  /* W, [N][h], with θ = W x + b up to rounding in Float32; needed by switch:kind=input */
  const double *router_bias;    /* b, [N]; NULL: zeros */
  const double *router_input;   /* x, [h] */
} rg_mixture;

#define RG_MIXTURE_INIT {sizeof(rg_mixture), 0, 0, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL}

/* A loss known only where another program evaluated it, under the mask (mask_rule, mask_threshold) as in rg_problem_masked.
 * Set it to RG_TABLE_INIT first. */
typedef struct rg_table {
  size_t size;           /* sizeof(rg_table) */
  size_t node_count;     /* n ≥ 1 */
  const double *nodes;   /* c, [n]: positions along the rays c π_i f_i */
  const double *values;  /* G(c π_i f_i), [N][n] */
  const double *slopes;  /* G'(c π_i f_i)·f_i, [N][n] */
  double value_at_zero;  /* G(0) */
  const char *mask_rule; /* NULL: "none" */
  double mask_threshold; /* not read with "none" */
} rg_table;

#define RG_TABLE_INIT {sizeof(rg_table), 0, NULL, NULL, NULL, 0.0, NULL, 0.1}

/* The one problem of a text in the format routegrad.problem/1 (or of a list of one). A tabulated loss brings its mask. */
RG_API rg_status rg_problem_from_json(const char *json, size_t length, rg_problem **problem);

/* The problems of a text in the format routegrad.problem/1 or routegrad.problems/1, in order. *count becomes their number.
 * RG_BUFFER_TOO_SMALL, and no handle, if that is more than `capacity`; problems may then be NULL. */
RG_API rg_status rg_problems_from_json(
    const char *json, size_t length, rg_problem **problems, size_t capacity, size_t *count);

/* A mixture problem whose loss is a JSON object, {"type": "log-cosh", "scales": […], "targets": […]}. */
RG_API rg_status rg_mixture_with_loss(
    const rg_mixture *mixture, const char *loss, size_t length, rg_problem **problem);

/* A mixture problem whose loss is the caller's function. function and context must stay valid as long as the problem. */
RG_API rg_status rg_mixture_with_function(
    const rg_mixture *mixture, rg_function function, void *context, rg_problem **problem);

/* A mixture problem whose loss is a table. */
RG_API rg_status rg_mixture_with_table(const rg_mixture *mixture, const rg_table *table, rg_problem **problem);

/* A categorical problem whose objective is a JSON object. logits: [experts]. */
RG_API rg_status rg_categorical_with_objective(
    const double *logits, size_t experts, const char *objective, size_t length, rg_problem **problem);

/* A categorical problem whose objective is the caller's function, which must stay valid as long as the problem. */
RG_API rg_status rg_categorical_with_function(
    const double *logits, size_t experts, rg_function function, void *context, rg_problem **problem);

/* A categorical problem from f(I_i), [experts], and ∇f(I_i), [experts][experts]. */
RG_API rg_status rg_categorical_with_table(
    const double *logits, size_t experts, const double *values, const double *gradients, rg_problem **problem);

/* The same problem under a mask: rule "none", "paper" or "reference-code", threshold r ≥ 0 (not read with "none").
 * Categorical problems take none; a tabulated loss only its own. Shares the arrays of the first. */
RG_API rg_status rg_problem_masked(
    const rg_problem *problem, const char *rule, double threshold, rg_problem **masked);

/* The number of experts N, 0 for NULL. */
RG_API size_t rg_problem_experts(const rg_problem *problem);

/* "categorical" or "mixture", "" for NULL. Static. */
RG_API const char *rg_problem_kind(const rg_problem *problem);

/* π over the experts that the mask keeps, [experts]; 0 for the others. */
RG_API rg_status rg_problem_probabilities(const rg_problem *problem, double *probabilities, size_t experts);

RG_API void rg_problem_destroy(rg_problem *problem);

/* -------------------------------------------------------------------------------------------------------- estimators */

/* An estimator with its parameters. */
typedef struct rg_estimator rg_estimator;

/* The estimator that `id` or `id:key=value,key=value` stands for, such as "reinmax:tau=1.3". */
RG_API rg_status rg_estimator_create(const char *specification, rg_estimator **estimator);

RG_API void rg_estimator_destroy(rg_estimator *estimator);

/* Every estimator with its parameters and what it claims, as JSON in the format routegrad.estimators/1. Static. */
RG_API const char *rg_estimators_json(void);

/* ------------------------------------------------------------------------------------------- targets and expectations */

/* L(θ). RG_UNAVAILABLE where a table does not hold it. */
RG_API rg_status rg_expected_loss(const rg_problem *problem, double *loss);

/* The exact gradient that a target stands for, [experts]: "expected-loss" (∇ = ∇₀ + ∇₁), "routing-term" (∇₀ = Σ_i G(π_i f_i)
 * ∂π_i), "gating-term" (∇₁ = Σ_i π_i (G'(π_i f_i)·f_i) ∂π_i), "dense-mixture" (of G(Σ_i π_i f_i)), "dense-backward"
 * (E_D[J(π) [G'(π_D f_D)·f_i]_i]). A categorical problem has only the first. */
RG_API rg_status rg_target(const rg_problem *problem, const char *target, double *gradient, size_t experts);

/* How moments are obtained. */
typedef enum rg_method {
  /* Exactly where that is known. */
  RG_METHOD_AUTO = 0,
  RG_METHOD_ENUMERATION = 1,
  RG_METHOD_QUADRATURE = 2,
  RG_METHOD_MONTE_CARLO = 3
} rg_method;

/* Options of computations; NULL stands for RG_OPTIONS_INIT. */
typedef struct rg_options {
  size_t size;      /* sizeof(rg_options) */
  rg_method method; /* RG_METHOD_AUTO or RG_METHOD_MONTE_CARLO */
  double tolerance; /* the relative tolerance of integrals, above 0 */
  uint64_t samples; /* with RG_METHOD_MONTE_CARLO: from 2 to 10^12 */
  uint64_t seed;    /* of everything that is sampled */
  size_t threads;   /* from 1 to 1024; results do not depend on it */
} rg_options;

#define RG_OPTIONS_INIT {sizeof(rg_options), RG_METHOD_AUTO, 1e-10, 100000, 0, 1}

/* What is known of moments besides mean, variance and covariance. */
typedef struct rg_moments_info {
  rg_method method;      /* how they were obtained */
  int64_t outcomes;      /* outcomes enumerated; -1 with other methods, and past Int64 */
  int64_t samples;       /* random samples drawn; -1 with other methods */
  double total_variance; /* tr Cov */
  double mean_error;     /* the largest of a coordinate: 0, a bound (quadrature), or a standard error (Monte Carlo) */
  double variance_error; /* likewise */
} rg_moments_info;

/* Mean, variance and covariance of an estimator on a problem.
 *
 * mean, variance: [experts]. covariance: [experts][experts]. info: one. All optional; a covariance that is not asked for is
 * not computed. */
RG_API rg_status rg_moments(
    const rg_problem *problem, const rg_estimator *estimator, const rg_options *options, double *mean,
    double *variance, double *covariance, size_t experts, rg_moments_info *info);

/* What a report says of an estimator on a problem, with the names and definitions of docs/formats.md; NaN where a report says
 * null. */
typedef struct rg_assessment {
  double bias_norm;
  double relative_bias;
  double cosine;
  double best_scale;
  double scaled_relative_bias;
  double relative_standard_deviation;
  double mean_squared_error;
  double signal_to_noise;
  double descent_probability;
  double expert_evaluations;
  double target_error; /* NaN where the target is no integral */
} rg_assessment;

/* Moments held against a target: rg_moments, and besides
 *
 * target_gradient, bias: [experts], optional; NaN where the target is not defined. An estimator with its own routing
 * (two draws, jitter) is held against its own expected loss, which is then what target_gradient is of.
 * assessment: one, optional. */
RG_API rg_status rg_assess(
    const rg_problem *problem, const rg_estimator *estimator, const char *target, const rg_options *options,
    double *mean, double *variance, double *covariance, double *target_gradient, double *bias, size_t experts,
    rg_moments_info *info, rg_assessment *assessment);

/* ------------------------------------------------------------------------------------------------- outcomes, samples */

/* Everything that can happen when an estimator is run once on a problem. */
typedef struct rg_outcomes rg_outcomes;

/* The shape of a list of outcomes. */
typedef struct rg_outcomes_shape {
  size_t count;
  size_t experts;          /* N */
  size_t choice_width;     /* the most experts that an outcome draws */
  size_t coins_width;      /* the most coins of an outcome */
  size_t multiplier_width; /* the most multipliers of an outcome; 0 on a categorical problem */
} rg_outcomes_shape;

/* Enumerates. RG_UNAVAILABLE with continuous noise, and with more than 2^20 outcomes. */
RG_API rg_status rg_outcomes_create(
    const rg_problem *problem, const rg_estimator *estimator, rg_outcomes **outcomes);

RG_API rg_status rg_outcomes_describe(const rg_outcomes *outcomes, rg_outcomes_shape *shape);

/* The outcomes from index `first`, `count` of them, in the order of `routegrad outcomes`. All optional:
 *
 * probability: [count]. gradient: [count][N].
 * choice: [count][choice_width], filled up with -1. coins: [count][coins_width], filled up with -1.
 * multiplier: [count][multiplier_width], filled up with NaN. */
RG_API rg_status rg_outcomes_get(
    const rg_outcomes *outcomes, size_t first, size_t count, double *probability, int64_t *choice, int64_t *coins,
    double *multiplier, double *gradient);

RG_API void rg_outcomes_destroy(rg_outcomes *outcomes);

/* Runs an estimator `count` times: gradients, [count][experts]. They depend on the seed and not on the number of threads
 * (1 to 1024); with a larger count the first stay the same, and RG_METHOD_MONTE_CARLO with this seed takes the moments of
 * exactly these. */
RG_API rg_status rg_sample(
    const rg_problem *problem, const rg_estimator *estimator, uint64_t seed, size_t threads, size_t count,
    double *gradients, size_t experts);

/* ------------------------------------------------------------------------------------- verdicts on code that is not ours */

/* What a verification concludes (docs/verification.md, docs/lint.md). */
typedef enum rg_verdict {
  /* Too little was seen for either error rate, or a check could not be made. */
  RG_UNDECIDED = 0,
  /* Equal, to a stated tolerance, by enumeration; of a lint, on all calls made. */
  RG_PROVED = 1,
  /* No bias of the stated size would have gone unseen, up to the stated rate. */
  RG_CONSISTENT = 2,
  /* Wrong, with the counter-example or at the stated rate. */
  RG_REFUTED = 3
} rg_verdict;

/* What a verdict rests on, in words. */
typedef struct rg_report rg_report;

/* The report as text, and as JSON in the format routegrad.verdict/1, assessment/1, lint/1 or audit/1; "" for NULL. Valid until the report is
 * destroyed. */
RG_API const char *rg_report_text(const rg_report *report);
RG_API const char *rg_report_json(const rg_report *report);

RG_API void rg_report_destroy(rg_report *report);

/* A page for browsers, in one file, as the program's --html writes them, of what a caller has found: tables that sort, charts, heat maps, and
 * the result itself. rg_report_text is the file, rg_report_json the result. All fields are needed but a section's title, facts and table:
 *
 *   {"title": "…", "result": anything,
 *    "charts": [{"title": "…", "x": "…", "y": "…", "series": [{"name": "…", "curve": false, "x": [..], "y": [..], "names": ["…"]}]}],
 *    "heatMaps": [{"title": "…", "corner": "layer", "rows": ["…"], "columns": ["…"], "values": [[0.5, null]]}],
 *    "sections": [{"title": "…", "facts": "…", "notes": ["…"], "table": {"columns": ["…"], "textColumns": 1, "rows": [["…"]]}}]}
 *
 * The first textColumns columns are texts, the others numbers. Texts are texts: markup in them is shown. */
RG_API rg_status rg_page_from_json(const char *json, size_t length, rg_report **page);

/* How closely samples are looked at, and with which error rates. NULL stands for RG_CRITERIA_INIT. */
typedef struct rg_criteria {
  size_t size;              /* sizeof(rg_criteria) */
  double false_fail_rate;   /* α, of refuting what is right, over all looks together; 1e-300 to 0.5 */
  double false_pass_rate;   /* β, of passing a bias of the detectable size; likewise */
  double detectable_bias;   /* δ of a coordinate as a share of the claimed mean's norm; absolute if that is zero */
  double tolerance;         /* ε, what is rounding, as a share of the largest gradient; 0 to below 1 */
  double lower, upper;      /* what every coordinate lies between; needed with a target, not read with an estimator */
  uint64_t max_samples;     /* gives up after so many; 0: never */
} rg_criteria;

#define RG_CRITERIA_INIT {sizeof(rg_criteria), 1e-6, 1e-3, 0.05, 1e-5, 0.0, 0.0, 0}

/* Gradient samples of another program, and what it says that it drew. Set it to RG_SAMPLES_INIT first. */
typedef struct rg_samples {
  size_t size;               /* sizeof(rg_samples) */
  size_t count;
  size_t experts;            /* the problem's */
  const double *gradient;    /* [count][experts] */
  const int64_t *choice;     /* [count][choice_width], filled up with -1; NULL: not told */
  size_t choice_width;
  const int64_t *coins;      /* [count][coins_width], filled up with -1; NULL: not told. They go with choices */
  size_t coins_width;
  const double *probability; /* [count]; not NULL: these are outcomes, and together they are to be all there are */
} rg_samples;

#define RG_SAMPLES_INIT {sizeof(rg_samples), 0, 0, NULL, NULL, 0, NULL, 0, NULL}

/* A test of samples that come one after the other: it may stop at any time without losing its error rates. Unlike other handles
 * it changes; threads may share one, and their samples then come in whatever order they come. */
typedef struct rg_test rg_test;

/* Prepares to test that samples are those of an estimator, or, if that is NULL, that their mean is a target's gradient, whoever
 * made them. Exactly one of estimator and target is NULL. RG_UNAVAILABLE if nothing is known to test against. */
RG_API rg_status rg_test_create(
    const rg_problem *problem, const rg_estimator *estimator, const char *target, const rg_criteria *criteria,
    rg_test **test);

/* Adds samples until the verdict is in; whether more are wanted is written to *wants_more (optional). All samples of a test come
 * with the same (choices, coins, probabilities) as the first. A number that is not finite is refused, and with it the whole
 * call; so is RG_INVALID_ARGUMENT what comes after rg_test_verdict. Samples that come after the verdict is in are not read. */
RG_API rg_status rg_test_feed(rg_test *test, const rg_samples *samples, int *wants_more);

/* Ends the test: the verdict on the samples so far, RG_UNDECIDED if they do not suffice, and what it rests on. Both are optional,
 * and *report is the caller's to destroy. It may be asked again. RG_INVALID_DATA if there were no samples. */
RG_API rg_status rg_test_verdict(rg_test *test, rg_verdict *verdict, rg_report **report);

RG_API void rg_test_destroy(rg_test *test);

/* How samples are assessed. NULL stands for RG_ASSESSOR_INIT. */
typedef struct rg_assessor_options {
  size_t size;       /* sizeof(rg_assessor_options) */
  size_t draws;      /* experts that a sample draws without replacement: 1, or 2, whose expected loss is that of the pairs */
  double confidence; /* of each interval, 0.5 to 0.999 */
  uint64_t seed;     /* of the bootstrap */
  size_t threads;    /* 1 to 1024; results do not depend on it */
  /* A sample draws what this registered estimator does, such as "simple:k=4", which has an expected loss of its own; NULL: `draws`
   * says what, which is 1 otherwise. */
  const char *draws_of;
} rg_assessor_options;

#define RG_ASSESSOR_INIT {sizeof(rg_assessor_options), 1, 0.95, 0, 1, NULL}

/* Samples or outcomes of an estimator that is not ours, whose bias and variance are asked for: what `routegrad assess` says of them.
 * Like a test it changes; memory does not grow with the number of samples. */
typedef struct rg_assessor rg_assessor;

/* Prepares to hold samples against a target's gradient. options: optional. RG_UNAVAILABLE where the target is not defined. */
RG_API rg_status rg_assessor_create(
    const rg_problem *problem, const char *target, const rg_assessor_options *options, rg_assessor **assessor);

/* Adds samples, or outcomes if they come with probabilities: all of one assessor the same. Choices and coins are not read. */
RG_API rg_status rg_assessor_feed(rg_assessor *assessor, const rg_samples *samples);

/* What there was so far, as text and as JSON in the format routegrad.assessment/1. It may be asked for again, and fed between.
 * estimators: a list such as "sparsemixer,reinmax:tau=1.3" to stand beside it, or NULL for none. RG_INVALID_DATA with fewer than two
 * samples, or outcomes whose probabilities do not sum to 1. */
RG_API rg_status rg_assessor_report(rg_assessor *assessor, const char *estimators, rg_report **report);

RG_API void rg_assessor_destroy(rg_assessor *assessor);

/* A router that is not ours, and answers one line of the exchange routegrad.router/1 (docs/lint-protocol.md) after the other: the
 * greeting with its profile, then every call. `line` has `length` bytes, without a line feed. Returns the answer, which must stay
 * valid until the next call or the end, and writes its length in bytes; NULL says that it failed. Called on the caller's thread. */
typedef const char *(*rg_router)(void *context, const char *line, size_t length, size_t *answer_length);

/* Holds a router to the battery of docs/lint.md. experts: 2 to 1024. top_k: 0 leaves it to the router. verdict and report are
 * optional. RG_CALLBACK_FAILED if the router returned NULL, RG_INVALID_DATA if an answer cannot be read. */
RG_API rg_status rg_lint(
    rg_router router, void *context, size_t experts, size_t top_k, uint64_t seed, rg_verdict *verdict,
    rg_report **report);

/* ------------------------------------------------------------------------------------------------------- whole layers */

/* A layer of experts f_i(x) = W₂ act(W₁ x + b₁) + b₂ with θ = W x + b, its input, and its loss, the mean over T tokens
 * (docs/formats.md, routegrad.layer/1). Set it to RG_LAYER_INIT first. */
typedef struct rg_layer {
  size_t size;                 /* sizeof(rg_layer) */
  size_t tokens;               /* T */
  size_t inputs;               /* d */
  size_t hidden;               /* h */
  size_t outputs;              /* e */
  size_t experts;              /* N */
  const char *activation;      /* "relu", "gelu" or "silu" */
  int adds_residual;           /* not 0: x_t is added to the output before the loss sees it; needs d = e */
  const double *input;         /* x, [T][d] */
  const double *router_weight; /* W, [N][d] */
  const double *router_bias;   /* b, [N]; NULL: none, and so are the biases and the scale that follow */
  const double *weight1;       /* W₁, [N][h][d] */
  const double *bias1;         /* b₁, [N][h] */
  const double *weight2;       /* W₂, [N][e][h] */
  const double *bias2;         /* b₂, [N][e] */
  const double *scale;         /* ω, [e] */
  const double *target;        /* [T][e]: the loss of token t is ½‖y_t − target_t‖²; NULL: the next three are read */
  size_t classes;              /* V */
  const double *unembedding;   /* U, [V][e]: the loss of token t is −log softmax(U y_t)[label_t] */
  const int64_t *labels;       /* [T], from 0 to V − 1 */
} rg_layer;

#define RG_LAYER_INIT \
  {sizeof(rg_layer), 0, 0, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL}

/* Bias and variance of estimators on a whole layer, for each group of its parameters, as `routegrad audit-layer` reports them; JSON
 * in the format routegrad.audit/1.
 *
 * estimators: a list such as "sparsemixer,reinmax:tau=1.3", or NULL for every one whose outcomes can be enumerated. target: as in
 * rg_target. mask_rule, mask_threshold: as in rg_problem_masked, NULL for none. threads: 1 to 1024.
 *
 * Uses OpenBLAS where the machine has it, opened by the first call, which sets variables of the environment for that moment: make it
 * before other threads read them. The number of threads of an OpenBLAS that the host had before is left alone. */
RG_API rg_status rg_audit_layer(
    const rg_layer *layer, const char *estimators, const char *target, const char *mask_rule, double mask_threshold,
    size_t threads, rg_report **report);

/* Says where the exact mean of a tensor goes: sets *buffer, NULL before, to room for shape[0] * … * shape[rank - 1] numbers, which are all
 * written; NULL is not wanted. name: "sparsemixer/experts.w1" and so on, as `audit-layer --gradients` names them (docs/formats.md); name and
 * shape end with the call. Returns 0; anything else ends the audit with RG_CALLBACK_FAILED. */
typedef int (*rg_mean_buffer)(void *context, const char *name, const size_t *shape, size_t rank, double **buffer);

/* rg_audit_layer, and the exact mean of every estimator's gradient of the mean loss by every parameter and the input: what `audit-layer
 * --gradients` writes. buffer is asked once for each tensor, on this thread, before the work begins; the buffers are the caller's, must not
 * overlap, and are filled while the call lasts. After a failure they hold anything. */
RG_API rg_status rg_audit_layer_gradients(
    const rg_layer *layer, const char *estimators, const char *target, const char *mask_rule, double mask_threshold,
    size_t threads, rg_mean_buffer buffer, void *context, rg_report **report);

#ifdef __cplusplus
}
#endif

#endif
