/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory goes to where the threads are, and nothing is done about the threads: place: follow, and compact where the CPUs are not ours to
 * restrict. The nearest memory by expected distance: that is the node with the largest CPU share, unless a node between several is
 * nearer to all of them. Every move must pay: bytes elsewhere may be right where they are. */
#include "core/plan-internal.h"

#define GREAT_GAIN      0.25
#define WANDERING_RESTS 5u /* cooldowns before a home is left for less */

/* Would it pay if there were room on the nearest node? */
static bool would_pay(const struct planner *pl, const struct job *j, double distance) {
        struct node_set mems = job_mems(pl, j, &pl->all_nodes);
        double near = -1, ideal = 0, movable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (node_set_has(&mems, pl->nodes[i].id) && (near < 0 || pl->far[i] < near))
                        near = pl->far[i];
                movable += (double) j->movable[i];
                ideal += (double) (j->resident[i] - j->movable[i]) * pl->far[i];
        }
        if (near < 0 || distance <= 0 || j->bytes == 0)
                return false;
        ideal = (ideal + movable * near) / (double) j->bytes;
        return (distance - ideal) / distance >= job_min_gain(j);
}

/* Gain by distance, as a share; shares as they are remembered, or as they were seen this time. */
static double gain_of(double before, double after) {
        return before > 0 ? (before - after) / before : 0;
}

/* Threads wander, and memory must not run after them: to leave a home, what was just seen has to agree with what is remembered, and unless
 * the gain is great, the home has to be an old one. */
static bool may_leave(struct planner *pl, struct job *j, const struct option *o, double gain) {
        double *remembered = j->share, distance;
        if (!j->has_home || !j->history || !j->history->placed)
                return true;
        struct option now;
        j->share = pl->share_now;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                j->share[i] = j->sample->cpu_share_by_node[pl->nodes[i].id] / 1e6;
        (void) present_cost(pl, j, &distance);
        option_evaluate(pl, j, &o->nodes, &now);
        j->share = remembered;
        if (gain_of(distance, now.distance) < job_min_gain(j))
                return false;
        uint64_t since = pl->in->now_usec - MIN2(j->history->placed_usec, pl->in->now_usec);
        return gain >= GREAT_GAIN || since / WANDERING_RESTS >= j->rule->cooldown_usec;
}

static void plan_one(struct planner *pl, struct job *j) {
        candidates_of_memory(pl, j);
        const struct option *best = candidates_best(pl, j);
        double distance;
        j->present_cost = present_cost(pl, j, &distance);
        struct option chosen = best ? *best : (struct option){ 0 };
        double gain = best ? gain_of(distance, chosen.distance) : 0;
        bool same = best && j->has_home && node_set_equal(&chosen.nodes, &j->home);
        bool pays = best && gain >= job_min_gain(j);
        j->better = chosen;
        if (pays && !same && (j->rest_usec > 0 || !may_leave(pl, j, &chosen, gain))) {
                j->waits = true;
                pays = false;
        } else if (!pays)
                j->declined = !would_pay(pl, j, distance); /* otherwise it is room that lacks */
        if (pays)
                job_assign(pl, j, &chosen);
        else if (j->has_home) {
                struct option home = { .nodes = j->home };
                job_assign(pl, j, &home);
                j->hold_memory = true;
        }
}

struct sized {
        struct job *job;
        uint64_t bytes;
};

static int larger_first(const void *a, const void *b) {
        const struct sized *x = a, *y = b;
        if (x->bytes != y->bytes)
                return x->bytes > y->bytes ? -1 : 1;
        return (x->job > y->job) - (x->job < y->job);
}

void plan_follow(struct planner *pl) {
        struct sized *order = calloc(pl->n_jobs + 1, sizeof *order);
        size_t n = 0;
        if (!order) {
                pl->failed = true;
                return;
        }
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_FOLLOW)
                        order[n++] = (struct sized){ &pl->jobs[i], pl->jobs[i].bytes };
        qsort(order, n, sizeof *order, larger_first);
        for (size_t i = 0; i < n; i++)
                plan_one(pl, order[i].job);
        free(order);
}
