// GLPK's minimum-cost flow, which MixtureOfExperts uses for the balanced assignment of BASE layers.
#ifndef ROUTEGRAD_CGLPK_SHIM_H
#define ROUTEGRAD_CGLPK_SHIM_H

#include <glpk.h>
#include <stddef.h>

// Data of arcs and vertices are blocks of bytes that the caller lays out; Swift would need unsafe casts for each field.
typedef struct {
  double low, capacity, cost, flow;
} rg_glpk_arc;
typedef struct {
  double supply;
} rg_glpk_vertex;

static inline rg_glpk_arc *rg_glpk_arc_data(glp_arc *arc) { return (rg_glpk_arc *)arc->data; }
static inline rg_glpk_vertex *rg_glpk_vertex_data(glp_graph *graph, int vertex) {
  return (rg_glpk_vertex *)graph->v[vertex]->data;
}
// Whole costs, whole flows; 0 if an optimal flow was found.
static inline int rg_glpk_minimum_cost_flow(glp_graph *graph) {
  double total = 0;
  // Not the faster glp_mincost_relax4: GLPK 5.0 is shipped without it, for licensing reasons, and aborts when it is called.
  return glp_mincost_okalg(
      graph, offsetof(rg_glpk_vertex, supply), offsetof(rg_glpk_arc, low), offsetof(rg_glpk_arc, capacity),
      offsetof(rg_glpk_arc, cost), &total, offsetof(rg_glpk_arc, flow), -1);
}

#endif
