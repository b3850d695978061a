// The problems and the catalogue of routers that ship with the program, as the bytes of Fixtures/problems and
// Fixtures/routers, so that they are found wherever the program runs from.
#ifndef ROUTEGRAD_CSHIPPEDPROBLEMS_H
#define ROUTEGRAD_CSHIPPEDPROBLEMS_H

#include <stddef.h>

typedef struct {
  const char *name;
  const unsigned char *bytes;
  size_t count;
} rg_shipped_file;

/// The files in the order in which they are reported, `*count` of them.
const rg_shipped_file *rg_shipped_files(size_t *count);

/// The catalogue of router specifications.
const rg_shipped_file *rg_shipped_routers(void);

#endif
