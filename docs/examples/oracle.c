/* The exact gradient of a router, what two estimators make of it, and a verdict on samples: docs/guides/c.md.
 *
 *   cc oracle.c $(pkg-config --cflags --libs routegrad) -lm -o oracle && ./oracle
 */
#include <math.h>
#include <routegrad.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { experts = 3, width = 2 };

/* The loss ½ Σ (y_j − t_j)², t given as the context. */
static int squared_error(void *context, const double *y, size_t count, double *value, double *gradient) {
  const double *target = context;
  *value = 0;
  for (size_t j = 0; j < count; j++) {
    gradient[j] = y[j] - target[j];
    *value += 0.5 * gradient[j] * gradient[j];
  }
  return 0;
}

static void require(rg_status status) {
  if (status == RG_OK) return;
  fprintf(stderr, "routegrad: %s (status %d)\n", rg_last_error(), (int)status);
  exit(1);
}

static void print(const char *name, const double *numbers) {
  printf("%-24s", name);
  for (int i = 0; i < experts; i++) printf(" %10.6f", numbers[i]);
  printf("\n");
}

/* Are these samples those of this estimator? A test may be fed piece by piece, and says when it has heard enough. */
static void judge(const rg_problem *problem, const char *name, const double *samples, size_t count) {
  const char *const verdicts[] = {"undecided", "proved", "consistent", "refuted"};
  rg_estimator *estimator = NULL;
  require(rg_estimator_create(name, &estimator));
  rg_test *test = NULL;
  require(rg_test_create(problem, estimator, NULL, NULL, &test));
  int wants_more = 1;
  for (size_t start = 0; start < count && wants_more; start += 1000) {
    rg_samples piece = RG_SAMPLES_INIT;
    piece.count = count - start < 1000 ? count - start : 1000;
    piece.experts = experts;
    piece.gradient = samples + start * experts;
    require(rg_test_feed(test, &piece, &wants_more));
  }
  rg_verdict verdict;
  rg_report *report = NULL;
  require(rg_test_verdict(test, &verdict, &report));
  printf("samples of midpoint as %s: %s\n", name, verdicts[verdict]);
  if (!strlen(rg_report_text(report))) exit(1);
  rg_report_destroy(report);
  rg_test_destroy(test);
  rg_estimator_destroy(estimator);
}

/* Where the exact means of a layer's gradients go: of those by the router's weight alone, into the caller's rows. */
struct router_means {
  char names[2][32];
  double rows[2][experts];
  int count;
};

static int router_mean(void *context, const char *name, const size_t *shape, size_t rank, double **buffer) {
  struct router_means *means = context;
  if (!strstr(name, "/router.weight") || rank != 2 || shape[0] * shape[1] != experts || means->count == 2) return 0;
  snprintf(means->names[means->count], sizeof means->names[0], "%s", name);
  *buffer = means->rows[means->count++];
  return 0;
}

/* A layer of one token x = 1: θ = W, f_i = W₂ relu(W₁), and the loss ½‖y − t‖². */
static void audit_layer(const double *logits, const double *outputs, const double *target) {
  const double one = 1, ones[experts] = {1, 1, 1};
  rg_layer layer = RG_LAYER_INIT;
  layer.tokens = layer.inputs = layer.hidden = 1;
  layer.outputs = width;
  layer.experts = experts;
  layer.activation = "relu";
  layer.input = &one;
  layer.router_weight = logits;
  layer.weight1 = ones;
  layer.weight2 = outputs;
  layer.target = target;
  struct router_means means = {0};
  rg_report *report = NULL;
  require(rg_audit_layer_gradients(&layer, "exact,midpoint", "expected-loss", NULL, 0, 1, router_mean, &means, &report));
  rg_report_destroy(report);
  for (int k = 0; k < means.count; k++) print(means.names[k], means.rows[k]);
}

int main(void) {
  const double logits[experts] = {0.3, -1.2, 0.8};
  const double outputs[experts][width] = {{0.1, 0.2}, {1.0, -0.4}, {0.0, 0.3}};
  double target[width] = {0.5, -0.5};

  rg_mixture mixture = RG_MIXTURE_INIT;
  mixture.experts = experts;
  mixture.width = width;
  mixture.logits = logits;
  mixture.expert_outputs = &outputs[0][0];

  rg_problem *problem = NULL;
  require(rg_mixture_with_function(&mixture, squared_error, target, &problem));

  double exact[experts];
  require(rg_target(problem, "expected-loss", exact, experts));
  print("exact", exact);

  const char *const names[] = {"conventional", "midpoint"};
  for (int k = 0; k < 2; k++) {
    rg_estimator *estimator = NULL;
    require(rg_estimator_create(names[k], &estimator));
    double mean[experts];
    rg_moments_info info;
    require(rg_moments(problem, estimator, NULL, mean, NULL, NULL, experts, &info));
    print(names[k], mean);
    double bias = 0;
    for (int i = 0; i < experts; i++) bias += (mean[i] - exact[i]) * (mean[i] - exact[i]);
    printf("%-24s bias %.3g, standard deviation %.3g\n", "", sqrt(bias), sqrt(info.total_variance));
    rg_estimator_destroy(estimator);
  }

  enum { count = 50000 };
  double *samples = malloc(count * experts * sizeof(double));
  rg_estimator *midpoint = NULL;
  require(samples ? RG_OK : RG_INVALID_ARGUMENT);
  require(rg_estimator_create("midpoint", &midpoint));
  require(rg_sample(problem, midpoint, 1, 1, count, samples, experts));
  judge(problem, "midpoint", samples, count);
  judge(problem, "conventional", samples, count);
  rg_estimator_destroy(midpoint);
  free(samples);

  audit_layer(logits, &outputs[0][0], target);

  /* What goes wrong is said. */
  rg_problem *none = NULL;
  const char loss[] = "{\"type\": \"log-cosh\", \"scales\": [1], \"targets\": [0, 0]}";
  if (rg_mixture_with_loss(&mixture, loss, strlen(loss), &none) != RG_OK) printf("refused: %s\n", rg_last_error());

  rg_problem_destroy(problem);
  return 0;
}
