/* Counts a program's allocations by the library that asks for them, and prints the busiest at its end.
 *
 *     cc -O2 -shared -fPIC -o count_malloc.so count_malloc.c -ldl
 *     LD_PRELOAD=./count_malloc.so routegrad-bench switch-layer --T 256 --d 32 --hidden 64 --threads 1 --repeats 20
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 4096, PRINTED_FROM = 20000 };
static void *_Atomic callers[PLACES];
static atomic_long counts[PLACES];

/* Counts a call from `caller`. */
static void note(void *caller) {
  for (unsigned long k = (unsigned long)caller >> 2, tries = 0; tries < PLACES; k++, tries++) {
    void *expected = NULL;
    if (atomic_compare_exchange_strong(&callers[k % PLACES], &expected, caller) || expected == caller) {
      atomic_fetch_add(&counts[k % PLACES], 1);
      return;
    }
  }
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  note(__builtin_return_address(0));
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note(__builtin_return_address(0));
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  note(__builtin_return_address(0));
  return __libc_realloc(block, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  note(__builtin_return_address(0));
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : 12;
}

__attribute__((destructor)) static void print(void) {
  for (int k = 0; k < PLACES; k++) {
    Dl_info place;
    if (counts[k] >= PRINTED_FROM && dladdr(callers[k], &place))
      fprintf(stderr, "%ld %s %s\n", (long)counts[k], place.dli_fname, place.dli_sname ? place.dli_sname : "");
  }
}
