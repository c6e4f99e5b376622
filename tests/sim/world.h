/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small machine in memory for tests of the planner: nodes, services, what was decided and done. Purely computed: no clock, no
 * randomness but the seed's. Failing to allocate ends the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plan.h"
#include "core/util.h"

#define WORLD_SERVICES_MAX 4096u
#define WORLD_WINDOW_USEC  (10 * USEC_PER_SEC)

struct world {
        struct topology *topology;
        struct config *config;
        struct machine_sample machine;
        struct service_sample *samples; /* in order of cgroup; room for WORLD_SERVICES_MAX, so that pointers stay valid */
        size_t n_samples;
        struct rule **rules;
        size_t n_rules;
        struct history history;
        struct applied *applied; /* one for each sample, by index */
        uint64_t now_usec;
};

/* Nodes 0 … n_nodes − 1, each with so many cores and CPUs and so much memory, all of it free; distances 10 and 20. */
struct world *world_new(unsigned n_nodes, unsigned n_cores, unsigned n_cpus, uint64_t bytes);
/* Any machine, which is then the world's; all of its memory is free. `n_rules` rules of the configuration, with default values, are for the
 * caller to fill in. */
struct world *world_of(struct topology *t, size_t n_rules);
struct world *world_free(struct world *w);
static inline void world_freep(struct world **w) {
        world_free(*w);
}
/* Makes a node one without CPUs, without memory, or absent. */
void world_take_cpus(struct world *w, unsigned node);
void world_take_memory(struct world *w, unsigned node);
void world_take_node(struct world *w, unsigned node);
void world_set_distance(struct world *w, unsigned a, unsigned b, uint32_t distance);

/* Default values; named by its place. */
struct rule *world_rule(struct world *w, enum place place);
/* A deep sample of a systemd unit with one process and two threads, allowed everywhere, without memory or CPU use. Names must
 * come in ascending order. */
struct service_sample *world_service(struct world *w, const char *name, const struct rule *rule);
/* Sets (not adds) what it has and uses on a node: resident and movable bytes, CPUs used over the window. Memory comes out of the node's
 * free memory. */
void world_memory(struct world *w, struct service_sample *s, unsigned node, uint64_t bytes);
void world_cpu(struct world *w, struct service_sample *s, unsigned node, double cpus);
/* The same on every node. */
void world_spread(struct world *w, struct service_sample *s, uint64_t bytes, double cpus);

/* What a plan is made from as the world is now; all of it is borrowed. */
struct plan_input world_input(const struct world *w);
/* Takes in the samples, makes a plan, and holds it to what every plan must keep (ends the program with a message otherwise). */
struct plan *world_plan(struct world *w);
/* How the last plan came to this placement, from the same input: nothing is taken in anew. To be ended with explanation_done(). */
struct explanation world_explain(struct world *w, size_t index);
/* What is promised of every plan; NULL, or what is broken (the caller frees). */
char *world_check_plan(const struct world *w, const struct plan *p);
/* Does what is due: pages move, cpusets come into force, threads follow. */
void world_apply(struct world *w, const struct plan *p);
/* Plan, apply, and let time pass. Returns how many placements were acted upon. */
size_t world_cycle(struct world *w, uint64_t pause_usec);
size_t world_index(const struct world *w, const char *name);

/* Everything that a plan says, as text: for comparing plans byte for byte. The caller frees. */
char *plan_to_text(const struct plan *p);

/* Numbers from a seed (splitmix64). */
uint64_t random_next(uint64_t *seed);
uint64_t random_below(uint64_t *seed, uint64_t limit);
