/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The best homes for all groups that have none, by trying every way: branch and bound. Costs only rise and choices only shrink as others are
 * assigned (potentials are convex, room gets less), so what the groups that are still to come would cost at least, each
 * by itself as things stand now, is a bound. For small machines and few groups; with a limit on the effort. */
#include "core/plan-internal.h"

#define NODES_MAX       4u
#define GROUPS_MAX      10u
#define SETS_MAX        15u    /* non-empty sets of four nodes */
#define EVALUATIONS_MAX 60000u /* some milliseconds */

struct branch {
        struct node_set nodes;
        double cost; /* weight × cost */
};

struct exact {
        struct planner *pl;
        struct group *groups[GROUPS_MAX];
        double weight[GROUPS_MAX];
        struct node_set sets[GROUPS_MAX][SETS_MAX]; /* that its own rules and the machine leave it */
        size_t n_sets[GROUPS_MAX];
        size_t n;
        struct node_set now[GROUPS_MAX], best[GROUPS_MAX];
        double best_cost;
        bool found;
        unsigned n_evaluations;
};

/* What the group could do as things stand; sorted by cost. */
static size_t branches_of(struct exact *x, size_t k, struct branch *ret) {
        struct group *g = x->groups[k];
        size_t n = 0;
        for (size_t i = 0; i < x->n_sets[k]; i++) {
                struct bar bar;
                struct option o;
                if (group_standing(x->pl, g, &x->sets[k][i], &bar) != STANDING_FREE)
                        continue;
                x->n_evaluations++;
                group_evaluate(x->pl, g, &x->sets[k][i], &o);
                if (!o.fits_memory && !g->fixed)
                        continue;
                struct branch b = { x->sets[k][i], x->weight[k] * o.cost };
                size_t at = n++;
                for (; at > 0 && ret[at - 1].cost > b.cost; at--)
                        ret[at] = ret[at - 1];
                ret[at] = b;
        }
        return n;
}

/* At least so much will the groups from k on cost; negative: one of them has no way left. */
static double bound(struct exact *x, size_t k, double limit) {
        double sum = 0;
        for (; k < x->n && sum < limit; k++) {
                struct branch b[SETS_MAX];
                if (branches_of(x, k, b) == 0)
                        return -1;
                sum += b[0].cost;
        }
        return sum;
}

static void descend(struct exact *x, size_t k, double cost) {
        if (k == x->n) {
                x->found = true;
                x->best_cost = cost;
                for (size_t i = 0; i < x->n; i++)
                        x->best[i] = x->now[i];
                return;
        }
        struct branch b[SETS_MAX];
        size_t n = branches_of(x, k, b);
        for (size_t i = 0; i < n && x->n_evaluations < EVALUATIONS_MAX; i++) {
                double left = x->found ? x->best_cost * (1 - 1e-12) - cost - b[i].cost : 1e300;
                if (left <= 0)
                        return;
                x->now[k] = b[i].nodes;
                group_assign(x->pl, x->groups[k], &b[i].nodes);
                double rest = bound(x, k + 1, left);
                if (rest >= 0 && rest < left)
                        descend(x, k + 1, cost + x->groups[k]->cost);
                group_unassign(x->pl, x->groups[k]);
        }
}

static bool collect(struct exact *x) {
        struct planner *pl = x->pl;
        for (size_t i = 0; i < pl->n_groups; i++) {
                struct group *g = pl->order[i];
                if (g->assigned || !g->look)
                        continue;
                if (x->n == GROUPS_MAX)
                        return false;
                x->groups[x->n] = g;
                x->weight[x->n] = group_weight(g);
                candidates_of_group(pl, g);
                size_t n = 0;
                for (size_t k = 0; k < pl->n_options && n < SETS_MAX; k++) {
                        const struct option *o = &pl->options[k];
                        if (group_holds(g, o) && o->standing == STANDING_FREE)
                                x->sets[x->n][n++] = o->nodes;
                }
                if (n == 0)
                        return false;
                x->n_sets[x->n++] = n;
        }
        return x->n > 0;
}

bool plan_exact(struct planner *pl) {
        struct exact *x;
        if (pl->n_nodes > NODES_MAX || pl->n_groups == 0)
                return false;
        x = calloc(1, sizeof *x);
        if (!x) {
                pl->failed = true;
                return false;
        }
        x->pl = pl;
        bool found = collect(x);
        if (found)
                descend(x, 0, 0);
        found = x->found;
        pl->exact = found && x->n_evaluations < EVALUATIONS_MAX;
        for (size_t i = 0; i < x->n && found; i++)
                group_assign(pl, x->groups[i], &x->best[i]);
        free(x);
        return found;
}
