/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The best homes for all groups that have none, and the best nodes for memory that follows threads, by trying every way: branch and bound.
 * Costs only rise and choices only shrink as others are assigned (potentials are convex, room gets less), so what those that are still to come would
 * cost at least, each by itself as things stand now, is a bound. Memory that follows comes last, as plan-follow has it: it leaves the
 * homes' prices as they are, and the bound is a little too high where one that leaves relieves a controller for the next.
 * For small machines and few services; with a limit on the effort. */
#include <string.h>

#include "core/plan-internal.h"

#define NODES_MAX       4u
#define GROUPS_MAX      10u
#define FOLLOWERS_MAX   8u
#define SETS_MAX        15u            /* non-empty sets of four nodes */
#define WAYS_MAX        (SETS_MAX + 1) /* and staying */
#define EVALUATIONS_MAX 60000u         /* some milliseconds */

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
        struct job *followers[FOLLOWERS_MAX];
        size_t n_followers;
        struct node_set now[GROUPS_MAX + FOLLOWERS_MAX],
                best[GROUPS_MAX + FOLLOWERS_MAX]; /* of groups, then of followers; empty: stays */
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

/* The same for memory that follows; it can always stay, with an empty set for that. */
static size_t ways_of(struct exact *x, size_t k, struct branch *ret) {
        struct job *j = x->followers[k];
        struct follow_way ways[WAYS_MAX];
        size_t n = follow_ways(x->pl, j, ways, WAYS_MAX);
        x->n_evaluations += (unsigned) x->pl->n_options;
        for (size_t i = 0; i < n; i++)
                ret[i] = (struct branch) { ways[i].nodes, j->weight * ways[i].cost };
        return n;
}

/* At least so much will those from k on cost; negative: one of them has no way left. */
static double bound(struct exact *x, size_t k, double limit) {
        double sum = 0;
        for (; k < x->n + x->n_followers && sum < limit; k++) {
                struct branch b[WAYS_MAX];
                if ((k < x->n ? branches_of(x, k, b) : ways_of(x, k - x->n, b)) == 0)
                        return -1;
                sum += b[0].cost;
        }
        return sum;
}

static double take(struct exact *x, size_t k, const struct branch *b) {
        x->now[k] = b->nodes;
        if (k < x->n) {
                group_assign(x->pl, x->groups[k], &b->nodes);
                return x->groups[k]->cost;
        }
        struct option o = { .nodes = b->nodes };
        if (!node_set_is_empty(&b->nodes))
                job_assign(x->pl, x->followers[k - x->n], &o);
        return b->cost;
}

static void give_up(struct exact *x, size_t k) {
        if (k < x->n)
                group_unassign(x->pl, x->groups[k]);
        else if (x->followers[k - x->n]->assigned) {
                job_unassign(x->pl, x->followers[k - x->n]);
                traffic_put(x->pl, x->followers[k - x->n], TRAFFIC_PRESENT);
        }
}

static void descend(struct exact *x, size_t k, double cost) {
        if (k == x->n + x->n_followers) {
                x->found = true;
                x->best_cost = cost;
                memcpy(x->best, x->now, sizeof x->now);
                return;
        }
        struct branch b[WAYS_MAX];
        size_t n = k < x->n ? branches_of(x, k, b) : ways_of(x, k - x->n, b);
        for (size_t i = 0; i < n && x->n_evaluations < EVALUATIONS_MAX; i++) {
                double left = x->found ? x->best_cost * (1 - 1e-12) - cost - b[i].cost : 1e300;
                if (left <= 0)
                        return;
                double part = take(x, k, &b[i]), rest = bound(x, k + 1, left);
                if (rest >= 0 && rest < left)
                        descend(x, k + 1, cost + part);
                give_up(x, k);
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
        return true;
}

/* Memory that could go after its threads, if it is not too much to try. */
static void collect_followers(struct exact *x) {
        struct planner *pl = x->pl;
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (j->kind != JOB_FOLLOW || !job_is_looked_at(pl, j) || j->rest_usec > 0 || j->movable_bytes == 0)
                        continue;
                if (x->n_followers == FOLLOWERS_MAX) {
                        x->n_followers = 0;
                        return;
                }
                x->followers[x->n_followers++] = j;
        }
}

/* For homes, and as what plan-follow tries first. */
static void keep(struct exact *x) {
        for (size_t i = 0; i < x->n; i++)
                group_assign(x->pl, x->groups[i], &x->best[i]);
        for (size_t i = 0; i < x->n_followers; i++)
                x->followers[i]->planned = x->best[x->n + i];
}

/* First what memory that follows makes of the best homes, then all at once, for something better than that. */
static void join_followers(struct exact *x) {
        double cost = 0;
        collect_followers(x);
        if (x->n_followers == 0 || x->n + x->n_followers == 1) /* one alone takes the best there is */
                return;
        x->found = false;
        for (size_t i = 0; i < x->n; i++) {
                struct branch b = { .nodes = x->best[i] };
                cost += take(x, i, &b);
        }
        x->n_evaluations = 0;
        descend(x, x->n, cost);
        for (size_t i = x->n; i-- > 0;)
                give_up(x, i);
        x->n_evaluations = 0;
        if (x->n > 0)
                descend(x, 0, 0);
}

bool plan_exact(struct planner *pl) {
        struct exact *x;
        if (pl->n_nodes > NODES_MAX)
                return false;
        x = calloc(1, sizeof *x);
        if (!x) {
                pl->failed = true;
                return false;
        }
        x->pl = pl;
        bool found = collect(x);
        if (found && x->n > 0) {
                descend(x, 0, 0);
                found = x->found;
        }
        pl->exact = found && x->n > 0 && x->n_evaluations < EVALUATIONS_MAX;
        if (found)
                join_followers(x);
        if (found)
                keep(x);
        free(x);
        return found;
}
