/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the candidates is taken: those that can hold the service, by cost, and none that the guard keeps it from. */
#include "core/plan-internal.h"

#define COST_TIE 1e-9

const struct option *option_of(const struct planner *pl, const struct node_set *nodes) {
        for (size_t i = 0; i < pl->n_options; i++)
                if (node_set_equal(&pl->options[i].nodes, nodes))
                        return &pl->options[i];
        return NULL;
}

static bool holds(const struct job *j, const struct option *o) {
        return o->fits_memory && (o->has_cpus || !j->restricts);
}

const struct option *candidates_best(const struct planner *pl, const struct job *j) {
        const struct option *best = NULL, *home = j->guard_usec > 0 ? option_of(pl, &j->home) : NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (holds(j, o) && o->standing == STANDING_FREE && !guard_bars(j, home, o) &&
                    (!best || option_better(j, o, best)))
                        best = o;
        }
        return best;
}

/* A home that was lost to others is still a little better than what is as good. */
static double cost_of(const struct group *g, const struct option *o) {
        const struct job *j = g->members[0];
        bool former = !g->has_home && !node_set_is_empty(&j->home) && node_set_equal(&o->nodes, &j->home);
        return former ? o->cost * (1 - job_min_gain(j)) : o->cost;
}

/* A service that has a home leaves it by the order that plan-cost.c gives; for others oversubscribed CPUs are a matter of cost. */
static bool is_preferred(const struct group *g, const struct option *a, const struct option *b) {
        double cost_a = cost_of(g, a), cost_b = cost_of(g, b);
        if (g->has_home || a->fits_memory != b->fits_memory || (cost_a >= cost_b - COST_TIE && cost_a <= cost_b + COST_TIE))
                return option_better(g->members[0], a, b);
        return cost_a < cost_b;
}

const struct option *candidates_choose(const struct planner *pl, const struct group *g, enum standing standing) {
        const struct job *j = g->members[0];
        const struct option *best = NULL, *home = g->has_home && j->guard_usec > 0 ? option_of(pl, &j->home) : NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (group_holds(g, o) && o->standing == standing && !guard_bars(j, home, o) &&
                    (!best || is_preferred(g, o, best)))
                        best = o;
        }
        return best;
}

const struct option *candidates_barred(const struct planner *pl, const struct job *j) {
        if (j->guard_usec == 0)
                return NULL;
        const struct option *o = option_of(pl, &j->former);
        return o && holds(j, o) && guard_bars(j, option_of(pl, &j->home), o) ? o : NULL;
}
