// The inner product of long vectors, compensated.
#include "CKernels.h"
#include "vector_math.h"

// Four vectors of sums side by side, so that no addition waits for the one before.
enum { SUMS = 4 };

// The rounded sum goes into the total, its rounding error into the correction (Knuth's TwoSum).
static ALWAYS_INLINE void add_exactly(v8 *total, v8 *correction, const v8 *term) {
  const v8 next = *total + *term, part = next - *total;
  *correction += (*total - (next - part)) + (*term - part);
  *total = next;
}

CLONES void rg_compensated_dot(size_t count, const double *a, const double *b, double *total, double *correction) {
  v8 totals[SUMS], corrections[SUMS];
  for (int s = 0; s < SUMS; s++) totals[s] = corrections[s] = splat(0);
  for (size_t j = 0; j < count; j += 8 * SUMS)
    for (int s = 0; s < SUMS; s++) {
      if (j + 8 * s >= count) break;
      v8 x, y;
      load(a + j + 8 * s, count - j - 8 * s, &x);
      load(b + j + 8 * s, count - j - 8 * s, &y);
      const v8 term = x * y;  // not to be contracted: the error is that of the sum alone
      add_exactly(&totals[s], &corrections[s], &term);
    }
  for (int s = 1; s < SUMS; s++) {
    corrections[0] += corrections[s];
    add_exactly(&totals[0], &corrections[0], &totals[s]);
  }
  for (int width = 4; width > 0; width /= 2)
    for (int l = 0; l < width; l++) {
      const double x = totals[0][l], y = totals[0][l + width], next = x + y, part = next - x;
      corrections[0][l] += corrections[0][l + width] + ((x - (next - part)) + (y - part));
      totals[0][l] = next;
    }
  *total = totals[0][0];
  *correction = corrections[0][0];
}
