/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: interleave: each node's weight, from the rule or from the bandwidth of its memory. CPUs are not touched. */
#include "core/plan-internal.h"

/* Bandwidths that have no small ratio are rounded to parts of the largest. */
#define BANDWIDTH_STEPS 32u

/* What the firmware says of a node's memory, from its own CPUs; for a node without any from those that reach it best. 0: nothing. */
static uint32_t bandwidth_of(const struct planner *pl, unsigned id) {
        const struct topology *t = pl->topology;
        uint32_t best = t->bandwidth_mibps ? t->bandwidth_mibps[(size_t) id * t->n_ids + id] : 0;
        if (best > 0 || !t->bandwidth_mibps)
                return best;
        NODE_SET_FOREACH (from, &pl->cpu_nodes)
                best = MAX2(best, t->bandwidth_mibps[(size_t) from * t->n_ids + id]);
        return best;
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
        while (b > 0) {
                uint64_t rest = a % b;
                a = b;
                b = rest;
        }
        return a;
}

/* Smallest weights in the same proportion. */
static void reduce(const struct planner *pl, struct job *j) {
        uint64_t divisor = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                divisor = common_divisor(j->part[i], divisor);
        for (unsigned i = 0; i < pl->n_nodes && divisor > 0; i++)
                j->part[i] /= divisor;
}

static void set_equal(const struct planner *pl, struct job *j, const struct node_set *mems) {
        for (unsigned i = 0; i < pl->n_nodes; i++)
                j->part[i] = node_set_has(mems, pl->nodes[i].id);
}

static void set_by_bandwidth(const struct planner *pl, struct job *j, const struct node_set *mems) {
        uint64_t most = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->part[i] = node_set_has(mems, pl->nodes[i].id) ? bandwidth_of(pl, pl->nodes[i].id) : 0;
                most = MAX2(most, j->part[i]);
                if (j->part[i] == 0 && node_set_has(mems, pl->nodes[i].id)) {
                        strbuf_append(&j->notes, "; the bandwidth of its nodes is not known, so all have the same weight");
                        set_equal(pl, j, mems);
                        return;
                }
        }
        reduce(pl, j);
        uint64_t largest = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                largest = MAX2(largest, j->part[i]);
        for (unsigned i = 0; i < pl->n_nodes && largest > RULE_WEIGHT_MAX; i++)
                if (j->part[i] > 0)
                        j->part[i] = MAX2((j->part[i] * BANDWIDTH_STEPS + largest / 2) / largest, (uint64_t) 1);
}

static void set_given(const struct planner *pl, struct job *j, const struct node_set *mems) {
        for (unsigned i = 0; i < pl->n_nodes; i++)
                j->part[i] = 0;
        for (size_t k = 0; k < j->rule->n_weights; k++) {
                const struct node_weight *w = &j->rule->weights[k];
                if (node_set_has(mems, w->node))
                        j->part[pl->index_of[w->node]] = w->weight;
        }
}

/* max-nodes: the heaviest; of equal ones those that are its home, then the lowest ids. */
static void keep_heaviest(const struct planner *pl, struct job *j, unsigned most) {
        struct node_set kept = { 0 };
        for (unsigned n = 0; n < most; n++) {
                int best = -1;
                for (unsigned i = 0; i < pl->n_nodes; i++) {
                        unsigned id = pl->nodes[i].id;
                        if (j->part[i] == 0 || node_set_has(&kept, id))
                                continue;
                        bool at_home = j->has_home && node_set_has(&j->home, id);
                        bool best_at_home = best >= 0 && j->has_home && node_set_has(&j->home, pl->nodes[best].id);
                        if (best < 0 || j->part[i] > j->part[best] || (j->part[i] == j->part[best] && at_home && !best_at_home))
                                best = (int) i;
                }
                if (best >= 0)
                        node_set_add(&kept, pl->nodes[best].id);
        }
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (!node_set_has(&kept, pl->nodes[i].id))
                        j->part[i] = 0;
}

static struct node_set weighted_nodes(const struct planner *pl, const struct job *j) {
        struct node_set s = { 0 };
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (j->part[i] > 0)
                        node_set_add(&s, pl->nodes[i].id);
        return s;
}

/* As division_conclude() will hand it out, and as the manager then remembers it. */
static void set_key(struct planner *pl, struct job *j) {
        uint32_t *weights = calloc((size_t) pl->topology->n_ids + 1, sizeof *weights);
        if (!weights) {
                pl->failed = true;
                return;
        }
        for (unsigned i = 0; i < pl->n_nodes; i++)
                weights[pl->nodes[i].id] = (uint32_t) j->part[i];
        j->interleave_key = interleave_key(weights, pl->topology->n_ids);
        free(weights);
}

bool interleave_set_parts(struct planner *pl, struct job *j, const struct node_set *mems) {
        if (job_make_parts(pl, j) < 0) {
                pl->failed = true;
                return false;
        }
        switch (j->rule->interleave_by) {
        case INTERLEAVE_BANDWIDTH: set_by_bandwidth(pl, j, mems); break;
        case INTERLEAVE_GIVEN: set_given(pl, j, mems); break;
        default: set_equal(pl, j, mems);
        }
        if (j->rule->max_nodes > 0)
                keep_heaviest(pl, j, j->rule->max_nodes);
        reduce(pl, j);
        set_key(pl, j);
        return !pl->failed;
}

static void plan_one(struct planner *pl, struct job *j) {
        struct bar bar;
        struct node_set mems = job_mems(pl, j, &pl->all_nodes), barred = job_barred_nodes(pl, j, &bar);
        if (!job_is_looked_at(pl, j)) { /* at rest: it needs no room, and counts as traffic where it is */
                struct node_set lost = node_set_intersect(&barred, &j->home);
                if (node_set_is_empty(&lost))
                        return;
                pl->look[j - pl->jobs] = true;
                job_set_distance(pl, j);
        }
        mems = node_set_subtract(&mems, &barred);
        if (!interleave_set_parts(pl, j, &mems))
                return;
        struct option o = { .nodes = weighted_nodes(pl, j) };
        unsigned n = node_set_count(&o.nodes);
        if (n == 0)
                job_tell(j, STATE_BLOCKED, "%s",
                         j->rule->interleave_by == INTERLEAVE_GIVEN
                                 ? "none of the nodes that `weights` names has memory that it may use"
                                 : "there is no node with memory that it may use");
        else if (n < j->rule->min_nodes)
                job_tell(j, STATE_BLOCKED, "min-nodes is %u, and it may use %u", j->rule->min_nodes, n);
        if (n == 0 || n < j->rule->min_nodes)
                return;
        job_assign(pl, j, &o);
}

void plan_interleave(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_INTERLEAVE)
                        plan_one(pl, &pl->jobs[i]);
}
