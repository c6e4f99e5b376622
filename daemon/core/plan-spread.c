/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: spread: CPUs on all nodes that the rule allows, and memory on them in proportion to their cores. There is a choice only where max-nodes allows
 * fewer: then those that lie close together and are least loaded, and the same for as long as they can be had. */
#include "core/plan-internal.h"

/* Nodes that give it CPUs; those with memory alone only where no other has any. */
static struct node_set useful_nodes(const struct planner *pl, const struct job *j) {
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        struct node_set both = node_set_intersect(&cpus, &mems);
        if (node_set_is_empty(&both))
                return j->restricts ? node_set_union(&cpus, &mems) : mems;
        return j->restricts ? cpus : both;
}

static struct node_set grown_from(const struct planner *pl, const struct node_set *nodes, int seed, unsigned size) {
        struct node_set s = node_set_of((unsigned) seed);
        while (node_set_count(&s) < size) {
                int best = -1;
                double best_sum = 0;
                NODE_SET_FOREACH (id, nodes) {
                        double sum = 0;
                        if (node_set_has(&s, (unsigned) id))
                                continue;
                        NODE_SET_FOREACH (in, &s)
                                sum += topology_distance(pl->topology, (unsigned) id, (unsigned) in) +
                                       topology_distance(pl->topology, (unsigned) in, (unsigned) id);
                        if (best < 0 || sum < best_sum) {
                                best = id;
                                best_sum = sum;
                        }
                }
                node_set_add(&s, (unsigned) best);
        }
        return s;
}

static struct node_set choose_some(struct planner *pl, const struct job *j, const struct node_set *nodes, unsigned size) {
        struct option best = { 0 };
        if (j->has_home && node_set_count(&j->home) == size && node_set_is_subset(&j->home, nodes))
                return j->home;
        NODE_SET_FOREACH (seed, nodes) {
                struct node_set s = grown_from(pl, nodes, seed, size);
                struct option o;
                option_evaluate(pl, j, &s, &o);
                if (node_set_is_empty(&best.nodes) || option_better(j, &o, &best))
                        best = o;
        }
        return best.nodes;
}

static void set_parts(const struct planner *pl, struct job *j, const struct node_set *nodes) {
        struct node_set mems = job_mems(pl, j, nodes);
        bool any = false;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->part[i] = node_set_has(&mems, pl->nodes[i].id) ? (uint64_t) pl->nodes[i].n_cores : 0;
                any |= j->part[i] > 0;
        }
        for (unsigned i = 0; i < pl->n_nodes && !any; i++)
                j->part[i] = node_set_has(&mems, pl->nodes[i].id);
}

static void note_full(const struct planner *pl, struct job *j) {
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

static void plan_one(struct planner *pl, struct job *j) {
        if (!job_keep_clear(pl, j))
                return;
        struct node_set nodes = useful_nodes(pl, j);
        unsigned n = node_set_count(&nodes), most = j->rule->max_nodes > 0 ? j->rule->max_nodes : n;
        struct node_set mems = job_mems(pl, j, &nodes), cpus = job_cpus(pl, j, &nodes);
        if (node_set_is_empty(&mems) || (j->restricts && node_set_is_empty(&cpus))) {
                job_tell(j, STATE_BLOCKED, "there is no node with %s that it may use",
                         node_set_is_empty(&mems) ? "memory" : "CPUs");
                return;
        }
        if (n < j->rule->min_nodes) {
                job_tell(j, STATE_BLOCKED, "min-nodes is %u, and it may use %u", j->rule->min_nodes, n);
                return;
        }
        if (job_make_parts(pl, j) < 0) {
                pl->failed = true;
                return;
        }
        if (most < n)
                nodes = choose_some(pl, j, &nodes, most);
        set_parts(pl, j, &nodes);
        struct option o = { .nodes = nodes };
        job_assign(pl, j, &o);
        note_full(pl, j);
}

void plan_spread(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_SPREAD)
                        plan_one(pl, &pl->jobs[i]);
}
