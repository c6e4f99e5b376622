/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far each node's memory is from each node's CPUs: by the latency that the firmware tells (ACPI HMAT) where it does, by its distance
 * table (SLIT) where it does not. Both are brought to one scale: the least local latency of the machine is 10. */
#include "core/plan-internal.h"

static double slit_of(const struct planner *pl, unsigned from, unsigned to) {
        return topology_distance(pl->topology, pl->nodes[from].id, pl->nodes[to].id);
}

/* In nanoseconds; 0: not known. */
static double latency_of(const struct planner *pl, unsigned from, unsigned to) {
        const struct topology *t = pl->topology;
        if (!t->latency_nsec)
                return 0;
        return t->latency_nsec[(size_t) pl->nodes[from].id * t->n_ids + pl->nodes[to].id];
}

/* What the node's memory takes for a CPU beside it, in nanoseconds. A node without CPUs has nobody beside it: then by the distance of those
 * for whom it is known. 0: nothing is known. */
static double local_latency(const struct planner *pl, unsigned to) {
        double local = latency_of(pl, to, to);
        for (unsigned from = 0; from < pl->n_nodes && latency_of(pl, to, to) <= 0; from++) {
                double derived = latency_of(pl, from, to) * DISTANCE_LOCAL / slit_of(pl, from, to);
                if (derived > 0 && (local <= 0 || derived < local))
                        local = derived;
        }
        return local;
}

static double least_local_latency(const struct planner *pl) {
        double measured = 0, derived = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                double direct = latency_of(pl, i, i), any = local_latency(pl, i);
                if (direct > 0 && (measured <= 0 || direct < measured))
                        measured = direct;
                if (any > 0 && (derived <= 0 || any < derived))
                        derived = any;
        }
        return measured > 0 ? measured : derived;
}

/* Unknown pairs: what the target's memory takes locally, stretched as the distance table says. */
static void fill_by_latency(struct planner *pl, double least) {
        for (unsigned to = 0; to < pl->n_nodes; to++) {
                double local = local_latency(pl, to);
                if (local <= 0)
                        local = least;
                for (unsigned from = 0; from < pl->n_nodes; from++) {
                        double latency = latency_of(pl, from, to);
                        if (latency <= 0)
                                latency = local * slit_of(pl, from, to) / DISTANCE_LOCAL;
                        double d = latency * DISTANCE_LOCAL / least;
                        pl->distance[(size_t) from * pl->n_nodes + to] = MAX2(d, (double) DISTANCE_LOCAL);
                }
        }
}

int planner_set_distances(struct planner *pl) {
        size_t n = pl->n_nodes;
        double least = pl->topology->latency_nsec ? least_local_latency(pl) : 0, sum = 0;
        double *slit = pl->distance;
        if (least > 0) {
                pl->slit = calloc(n * n + 1, sizeof *pl->slit);
                pl->slit_mixed = calloc(n + 1, sizeof *pl->slit_mixed);
                if (!pl->slit || !pl->slit_mixed)
                        return -ENOMEM;
                slit = pl->slit;
                fill_by_latency(pl, least);
        }
        for (unsigned from = 0; from < n; from++)
                for (unsigned to = 0; to < n; to++) {
                        slit[from * n + to] = slit_of(pl, from, to);
                        sum += from == to ? 0 : pl->distance[from * n + to] - DISTANCE_LOCAL;
                }
        double pairs = (double) n * ((double) n - 1);
        pl->remoteness = pairs > 0 && sum > 0 ? sum / pairs : DISTANCE_REMOTE_DEFAULT - DISTANCE_LOCAL;
        return 0;
}
