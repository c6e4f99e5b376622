/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: near: among the nodes closest to some devices, as compact as it can be; farther nodes are taken in, one after the other, only where these do
 * not hold it. How far a node is from several devices: the sum of its distances to each. */
#include "core/plan-internal.h"

#define SAME_DISTANCE 1e-9
#define FARTHER_COST  50.0 /* for not being among the nearest: SMT siblings are used before that */
#define FARTHEST_COST 40.0 /* times the part of the way to the farthest; both together are less than what CPUs that lack cost */

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

/* Each node's distance as a part of the way from the nearest to the farthest, in millionths: kept in j->part. */
static void set_distances(struct planner *pl, struct job *j) {
        double least = -1, most = 0;
        struct node_set cpus = job_cpus(pl, j, &pl->all_nodes), mems = job_mems(pl, j, &pl->all_nodes);
        struct node_set usable = j->restricts ? node_set_union(&cpus, &mems) : mems;
        if (job_make_parts(pl, j) < 0) {
                pl->failed = true;
                return;
        }
        NODE_SET_FOREACH (id, &usable) {
                double d = distance_to_devices(pl, j, (unsigned) id);
                least = least < 0 ? d : MIN2(least, d);
                most = MAX2(most, d);
        }
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                double beyond = distance_to_devices(pl, j, pl->nodes[i].id) - least;
                j->part[i] = beyond > SAME_DISTANCE && most > least ? (uint64_t) (beyond / (most - least) * 1e6) + 1 : 0;
        }
}

double near_cost(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        double sum = 0;
        unsigned n = 0;
        NODE_SET_FOREACH (id, nodes) {
                sum += (double) j->part[pl->index_of[id]];
                n++;
        }
        return sum > 0 ? FARTHER_COST + FARTHEST_COST * sum / (1e6 * n) : 0;
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

void plan_near(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_NEAR && !check_devices(pl, &pl->jobs[i]))
                        set_distances(pl, &pl->jobs[i]);
}
