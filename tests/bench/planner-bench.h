/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judge of the planner: random machines and services, the best homes there are for small ones, and how long large ones take. Uses no
 * code of the planner but its public header; what rules mean is written down a second time here (planner-rules.c). */
#pragma once

#include "../sim/world.h"

#define SMALL_NODES    4u
#define SMALL_SERVICES 8u
#define SMALL_SETS     15u /* non-empty sets of four nodes */

/* planner-small.c: one of the random small machines, with its services. `asked`: some constraint asks for a home for every service whose CPUs may
 * be restricted, so that no hysteresis excuses a home that is not the best. */
struct world *small_world(uint64_t seed, unsigned max_services, bool asked);
bool chance(uint64_t *seed, unsigned percent);
double random_between(uint64_t *seed, double low, double high);
/* Random parts of a sum, by node of the set; all on one, even, or anyhow. */
void random_parts(uint64_t *seed, const struct node_set *nodes, unsigned n_ids, double *ret);
void rule_rename(struct rule *r, const char *prefix, size_t number);
char *service_describe(const struct world *w, size_t i); /* one line; the caller frees */

/* planner-rules.c: what the rules of two services ask of their homes. */
struct rulebook {
        const struct world *w;
        size_t *bond; /* by sample; SIZE_MAX: none */
};
struct rulebook rulebook_new(const struct world *w, const struct plan_scorer *s);
void rulebook_done(struct rulebook *b);
bool service_restricts(const struct world *w, size_t i); /* its CPUs go with its home */
bool service_is_bound(const struct world *w, size_t i);  /* can share a home, and can be kept from one */
/* Its home is a matter of choice. (place: interleave takes all nodes that it may have: the same in every plan.) */
bool is_judged(const struct world *w, const struct plan_scorer *s, size_t i);
bool service_may_stay(const struct world *w, size_t i); /* no home is owed to it: its memory follows its threads, if that pays */
struct node_set service_usable(const struct world *w, size_t i);
bool own_rule_breaks(const struct world *w, size_t i, const struct node_set *home);
/* Breaks nothing, and has no node that is of no use to it. */
bool own_rule_allows(const struct world *w, size_t i, const struct node_set *home);
bool pair_together(const struct rulebook *b, size_t i, size_t k);
bool pair_apart(const struct rulebook *b, size_t i, size_t k);
bool pair_exclusive(const struct rulebook *b, size_t i, size_t k);
/* Both homes may be as they are. */
bool pair_allows(const struct rulebook *b, size_t i, const struct node_set *home_i, size_t k, const struct node_set *home_k);
/* Compares the scorer's count of what is broken with one made here; NULL, or how they differ (the caller frees). */
char *rulebook_check_score(const struct rulebook *b, const struct plan_scorer *s, const struct node_set *homes,
                           const struct plan_score *score);

/* planner-exhaustive.c: the best homes there are. */
struct optimum {
        bool proven; /* the whole was searched */
        bool found;  /* homes for all that are owed one, with nothing broken and memory that holds */
        double cost;
        struct node_set homes[SMALL_SERVICES];
        uint64_t n_scored;
};
/* `planned`: homes of a plan: an upper bound to start from, if nothing is broken there. */
struct optimum optimum_search(const struct rulebook *b, struct plan_scorer *s, const struct node_set *planned, bool prune);
/* Nothing broken, all that is owed a home has one, and memory that holds. */
bool homes_are_valid(const struct rulebook *b, struct plan_scorer *s, const struct node_set *homes, double *ret_cost);

/* planner-rivals.c: simple ways to choose homes, for perspective. False: nothing valid was found. */
bool rival_random(const struct rulebook *b, struct plan_scorer *s, uint64_t *seed, struct node_set *homes, double *ret_cost);
bool rival_greedy(const struct rulebook *b, struct plan_scorer *s, struct node_set *homes, double *ret_cost);
bool rival_stay(const struct rulebook *b, struct plan_scorer *s, struct node_set *homes, double *ret_cost);

/* planner-large.c: up to 128 nodes of 64 CPUs. */
enum large_kind {
        LARGE_COMPACT,    /* all compact, 60 % of the cores in use */
        LARGE_MIXED,      /* the same under rules of all kinds */
        LARGE_BUSY,       /* all compact, a third more than all cores wanted: SMT siblings must be used */
        LARGE_OVERLOADED, /* all compact, a fifth more than all CPUs wanted: whatever is done, some must wait */
        N_LARGE_KINDS,
};
struct world *large_world(uint64_t seed, unsigned n_nodes, unsigned n_services, enum large_kind kind);

/* The parts of the program. They return what the program is to exit with. */
int bench_optimum(uint64_t seed, unsigned long count, unsigned max_services, bool verbose);
int bench_size(bool quick);
int bench_size_of(unsigned n_nodes, unsigned n_services); /* at one size */
