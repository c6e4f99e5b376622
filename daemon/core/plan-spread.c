/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: spread: CPUs on all nodes that the rule allows, and memory on them in proportion to their cores. There is a choice only where max-nodes
 * allows fewer, or other rules have some of them for themselves: then those that cost least, and the same for as long as they can be had. */
#include "core/plan-internal.h"

#define NARROWNESS_WEIGHT 1.0 /* × remoteness, per node that it does without: more than what it can save by nearer memory */

/* Nodes that give it CPUs; those with memory alone only where no other has any. */
struct node_set spread_nodes(const struct planner *pl, const struct job *j) {
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        struct node_set both = node_set_intersect(&cpus, &mems);
        if (node_set_is_empty(&both))
                return j->restricts ? node_set_union(&cpus, &mems) : mems;
        return j->restricts ? cpus : both;
}

void spread_set_parts(const struct planner *pl, struct job *j, const struct node_set *nodes) {
        struct node_set mems = job_mems(pl, j, nodes);
        bool any = false;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->part[i] = node_set_has(&mems, pl->nodes[i].id) ? (uint64_t) pl->nodes[i].n_cores : 0;
                any |= j->part[i] > 0;
        }
        for (unsigned i = 0; i < pl->n_nodes && !any; i++)
                j->part[i] = node_set_has(&mems, pl->nodes[i].id);
}

void spread_note_full(const struct planner *pl, struct job *j) {
        struct node_set full = { 0 };
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (j->part[i] > 0 && j->want[i] > j->movable[i] && pl->nodes[i].room_bytes == 0)
                        node_set_add(&full, pl->nodes[i].id);
        if (node_set_is_empty(&full))
                return;
        strbuf_append(&j->notes, "; ");
        text_nodes(&j->notes, &full);
        strbuf_append(&j->notes, " has no room for more of it above keep-free");
}

double spread_cost(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set all = spread_nodes(pl, j), used = node_set_intersect(&all, nodes);
        unsigned most = node_set_count(&all), n = node_set_count(&used);
        if (j->rule->max_nodes > 0)
                most = MIN2(most, j->rule->max_nodes);
        return NARROWNESS_WEIGHT * pl->remoteness * (most > n ? most - n : 0);
}

static void prepare(struct planner *pl, struct job *j) {
        struct node_set nodes = spread_nodes(pl, j);
        unsigned n = node_set_count(&nodes);
        struct node_set mems = job_mems(pl, j, &nodes), cpus = job_cpus(pl, j, &nodes);
        if (node_set_is_empty(&mems) || (j->restricts && node_set_is_empty(&cpus)))
                job_tell(j, STATE_BLOCKED, "there is no node with %s that it may use",
                         node_set_is_empty(&mems) ? "memory" : "CPUs");
        else if (n < j->rule->min_nodes)
                job_tell(j, STATE_BLOCKED, "min-nodes is %u, and it may use %u", j->rule->min_nodes, n);
        else if (job_make_parts(pl, j) < 0)
                pl->failed = true;
}

void plan_spread(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_SPREAD)
                        prepare(pl, &pl->jobs[i]);
}
