/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: near: among the nodes closest to some devices, as compact as it can be; farther nodes are taken in, one after the other, only where these do
 * not hold it. How far a node is from several devices: the sum of its distances to each. */
#include "core/plan-internal.h"

#define SAME_DISTANCE 1e-9

/* Sum of the distances from a node's CPUs to the nodes of all devices, the nearest node of each. */
static double distance_to_devices(const struct planner *pl, const struct job *j, unsigned id) {
        double sum = 0;
        for (size_t k = 0; k < j->rule->devices.n_items; k++) {
                const struct topology_device *d = topology_device_find(pl->topology, j->rule->devices.items[k]);
                uint32_t nearest = UINT32_MAX;
                if (!d)
                        continue;
                NODE_SET_FOREACH (node, &d->nodes)
                        nearest = MIN2(nearest, topology_distance(pl->topology, id, (unsigned) node));
                sum += nearest < UINT32_MAX ? nearest : 0;
        }
        return sum;
}

static double mean_distance(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        double sum = 0;
        NODE_SET_FOREACH (id, nodes)
                sum += distance_to_devices(pl, j, (unsigned) id);
        return sum / MAX2(node_set_count(nodes), 1u);
}

/* The nearest to the devices of those that are not taken; of equally near ones the nearest to those taken, then the lowest id. */
static int next_nearest(const struct planner *pl, const struct job *j, const struct node_set *nodes,
                        const struct node_set *taken) {
        double best_distance = 0, best_sum = 0;
        int best = -1;
        NODE_SET_FOREACH (id, nodes) {
                double distance = distance_to_devices(pl, j, (unsigned) id), sum = 0;
                if (node_set_has(taken, (unsigned) id))
                        continue;
                NODE_SET_FOREACH (in, taken)
                        sum += topology_distance(pl->topology, (unsigned) id, (unsigned) in);
                if (best < 0 || distance < best_distance - SAME_DISTANCE ||
                    (distance < best_distance + SAME_DISTANCE && sum < best_sum)) {
                        best = id;
                        best_distance = distance;
                        best_sum = sum;
                }
        }
        return best;
}

/* All that are as near as the nearest. */
static struct node_set nearest_nodes(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set none = { 0 }, nearest = { 0 };
        int first = next_nearest(pl, j, nodes, &none);
        if (first < 0)
                return nearest;
        double distance = distance_to_devices(pl, j, (unsigned) first);
        NODE_SET_FOREACH (id, nodes)
                if (distance_to_devices(pl, j, (unsigned) id) <= distance + SAME_DISTANCE)
                        node_set_add(&nearest, (unsigned) id);
        return nearest;
}

static void push(struct planner *pl, const struct job *j, const struct node_set *nodes) {
        for (size_t i = 0; i < pl->n_options; i++)
                if (node_set_equal(&pl->options[i].nodes, nodes))
                        return;
        if (array_reserve(&pl->options, &pl->capacity, pl->n_options + 1, sizeof *pl->options) < 0) {
                pl->failed = true;
                return;
        }
        option_evaluate(pl, j, nodes, &pl->options[pl->n_options++]);
}

/* Sets among the nearest alone. The present home is none of them where it has other nodes. */
static void candidates_among(struct planner *pl, struct job *j, const struct node_set *nearest) {
        struct node_set may_cpus = j->may_cpus, may_mems = j->may_mems;
        j->may_cpus = node_set_intersect(&may_cpus, nearest);
        j->may_mems = node_set_intersect(&may_mems, nearest);
        candidates_of_set(pl, j);
        j->may_cpus = may_cpus;
        j->may_mems = may_mems;
        size_t kept = 0;
        for (size_t i = 0; i < pl->n_options; i++)
                if (node_set_is_subset(&pl->options[i].nodes, nearest))
                        pl->options[kept++] = pl->options[i];
        pl->n_options = kept;
}

static bool any_fits(const struct planner *pl, const struct job *j) {
        for (size_t i = 0; i < pl->n_options; i++)
                if (option_fits(&pl->options[i]) && node_set_count(&pl->options[i].nodes) >= j->rule->min_nodes)
                        return true;
        return false;
}

void candidates_of_near(struct planner *pl, struct job *j) {
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        struct node_set usable = j->restricts ? node_set_union(&cpus, &mems) : mems;
        struct node_set taken = nearest_nodes(pl, j, &usable);
        unsigned most = j->rule->max_nodes > 0 ? j->rule->max_nodes : pl->n_nodes;
        candidates_among(pl, j, &taken);
        while (!any_fits(pl, j) && node_set_count(&taken) < most) {
                int next = next_nearest(pl, j, &usable, &taken);
                if (next < 0)
                        break;
                node_set_add(&taken, (unsigned) next);
                push(pl, j, &taken);
        }
}

/* What fits before what does not, the nearest to the devices, then fewer nodes, then as for any other service. */
static bool is_preferred(const struct planner *pl, const struct job *j, const struct option *a, const struct option *b) {
        double distance_a = mean_distance(pl, j, &a->nodes), distance_b = mean_distance(pl, j, &b->nodes);
        unsigned n_a = node_set_count(&a->nodes), n_b = node_set_count(&b->nodes);
        if (option_fits(a) != option_fits(b))
                return option_fits(a);
        if (distance_a < distance_b - SAME_DISTANCE || distance_a > distance_b + SAME_DISTANCE)
                return distance_a < distance_b;
        return option_fits(a) && n_a != n_b ? n_a < n_b : option_better(j, a, b);
}

static const struct option *choose(const struct planner *pl, const struct job *j) {
        const struct option *best = NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                bool possible =
                        o->fits_memory && (o->has_cpus || !j->restricts) && node_set_count(&o->nodes) >= j->rule->min_nodes;
                if (possible && (!best || is_preferred(pl, j, o, best)))
                        best = o;
        }
        return best;
}

/* Names that are not here, or whose place nobody knows. True where there is none left to be near to. */
static bool check_devices(const struct planner *pl, struct job *j) {
        size_t n_known = 0;
        for (size_t k = 0; k < j->rule->devices.n_items; k++) {
                const char *name = j->rule->devices.items[k];
                const struct topology_device *d = topology_device_find(pl->topology, name);
                if (!d) {
                        job_tell(j, STATE_BLOCKED, "no device %s on this machine", name);
                        return true;
                }
                n_known += !node_set_is_empty(&d->nodes);
        }
        for (size_t k = 0; k < j->rule->devices.n_items; k++) {
                const char *name = j->rule->devices.items[k];
                if (!node_set_is_empty(&topology_device_find(pl->topology, name)->nodes))
                        continue;
                if (n_known == 0) {
                        job_tell(j, STATE_BLOCKED, "the firmware does not tell which node %s is on", name);
                        return true;
                }
                strbuf_printf(&j->notes, "; the firmware does not tell which node %s is on", name);
        }
        return n_known == 0;
}

static void plan_one(struct planner *pl, struct job *j) {
        if (check_devices(pl, j) || !job_keep_clear(pl, j))
                return;
        candidates_of_near(pl, j);
        const struct option *best = choose(pl, j);
        struct option chosen = best ? *best : (struct option){ 0 };
        if (j->has_home && !node_set_equal(&chosen.nodes, &j->home)) {
                struct option home;
                option_evaluate(pl, j, &j->home, &home);
                bool as_near = !best || mean_distance(pl, j, &j->home) <= mean_distance(pl, j, &chosen.nodes) + SAME_DISTANCE;
                bool stays = !best || (as_near && option_fits(&home)) || option_fits(&chosen) < option_fits(&home);
                j->waits = !stays && (j->rest_usec > 0 || j->under_way);
                if (j->waits)
                        j->better = chosen;
                if (stays || j->waits) {
                        job_assign(pl, j, &home);
                        return;
                }
        }
        if (best)
                job_assign(pl, j, &chosen);
}

void plan_near(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_NEAR)
                        plan_one(pl, &pl->jobs[i]);
}
