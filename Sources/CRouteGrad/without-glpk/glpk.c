// Stands in for GLPK in the C library (build.sh); not part of the target. Only BASE routing calls these, which routegrad.h has
// no way to ask for.
#include <stdlib.h>

#define ABSENT(name) \
  __attribute__((noreturn)) void name(void); \
  void name(void) { abort(); }

ABSENT(glp_add_arc)
ABSENT(glp_add_vertices)
ABSENT(glp_create_graph)
ABSENT(glp_delete_graph)
ABSENT(glp_mincost_okalg)
