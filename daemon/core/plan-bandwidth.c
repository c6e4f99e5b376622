/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Congestion of memory controllers, which matters more than hops once one of them is busy (Dashti et al., Carrefour, ASPLOS 2013; Lepers et
 * al., AsymSched, USENIX ATC 2015; Gureya et al., BWAP, IPDPS 2020). What a service asks of a controller cannot be
 * observed without performance counters, so it is a model: its CPU demand, divided among the nodes as its bytes are. A controller can bear
 * its share of the machine's cores, by read bandwidth where that is known and equal shares where it is not. So with every core in
 * use and memory spread by bandwidth each controller bears as much as it can.
 *
 * The price is a potential, cubic in the load: next to nothing up to half of what the controller bears, as dear as a part of a hop when it
 * bears all it can, and dearer than any hop beyond. A service pays what it adds (as for CPU load, see plan-cost.c). */
#include "core/plan-internal.h"

#define BANDWIDTH_WEIGHT 0.1 /* × remoteness × (load/capacity)³ per CPU of capacity */
/* With less memory than this it finds most of it in its caches, however busy it is. (min-size has the same default, for the same reason.) */
#define TRAFFIC_BYTES (64 * MIB)

/* In MiB/s, as a CPU beside it reads it, or the CPU that reads it best; 0: not known. */
static double read_bandwidth(const struct planner *pl, unsigned to) {
        const struct topology *t = pl->topology;
        double best = 0;
        if (!t->bandwidth_mibps)
                return 0;
        const uint32_t *column = t->bandwidth_mibps + pl->nodes[to].id;
        double local = column[(size_t) pl->nodes[to].id * t->n_ids];
        for (unsigned from = 0; from < pl->n_nodes; from++)
                best = MAX2(best, (double) column[(size_t) pl->nodes[from].id * t->n_ids]);
        return local > 0 ? local : best;
}

void planner_set_bandwidths(struct planner *pl) {
        double known = 0, cores = 0;
        unsigned n_known = 0, n_memory = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                cores += pl->nodes[i].n_cores;
                double bandwidth = pl->nodes[i].bytes_total > 0 ? read_bandwidth(pl, i) : 0;
                n_memory += pl->nodes[i].bytes_total > 0;
                n_known += bandwidth > 0;
                known += bandwidth;
        }
        double mean = n_known > 0 ? known / n_known : 1;
        for (unsigned i = 0; i < pl->n_nodes && n_memory > 0; i++) {
                struct plan_node *n = &pl->nodes[i];
                double bandwidth = read_bandwidth(pl, i);
                if (n->bytes_total > 0)
                        n->bandwidth = cores * (bandwidth > 0 ? bandwidth : mean) / (mean * n_memory);
                pl->bandwidth += n->bandwidth;
                if (n->bandwidth > 0)
                        n->traffic_price = BANDWIDTH_WEIGHT * pl->remoteness / (n->bandwidth * n->bandwidth);
        }
}

/* A job that is held on nodes and has its memory there stays put; others' memory goes after their threads. */
static bool is_free(const struct job *j) {
        return !j->restricts || j->kind == JOB_TOLD;
}

/* What others ask of the node's controller. As with CPUs (node_free_load): one that has a home must not flee from what moves by itself. */
static double others_traffic(const struct planner *pl, const struct job *j, const struct plan_node *n) {
        if (!j->has_home || is_free(j) || pl->bandwidth <= 0)
                return n->traffic + n->free_traffic;
        return n->traffic + pl->free_traffic * n->bandwidth / pl->bandwidth;
}

/* What so much use by the job (in CPUs) adds to what others make of the potential of the node's controller. */
static double added(const struct planner *pl, const struct job *j, unsigned i, double uses) {
        const struct plan_node *n = &pl->nodes[i];
        double others = MAX2(others_traffic(pl, j, n) - j->uses[i], 0.0);
        return n->traffic_price * uses * (uses * uses + 3 * others * (others + uses));
}

/* So many bytes of its memory ask for so much of a controller. */
static double asked_by(const struct job *j, double bytes) {
        return j->weight * bytes / (double) MAX2(j->bytes, (uint64_t) TRAFFIC_BYTES);
}

double traffic_cost_at(const struct planner *pl, const struct job *j, unsigned i) {
        return j->bytes > 0 ? added(pl, j, i, asked_by(j, (double) j->movable_bytes)) / j->weight : 0;
}

static double use(struct planner *pl, const struct job *j, unsigned i, double bytes) {
        pl->uses_then[i] = asked_by(j, bytes);
        return added(pl, j, i, pl->uses_then[i]);
}

double traffic_cost(struct planner *pl, const struct job *j) {
        double inside = 0, capacity = 0, cost = 0;
        /* Within a home of several nodes bytes even out as they are freed and allocated. It is not left because they have not yet. */
        bool even = j->restricts && pl->mems.n > 1;
        for (unsigned k = 0; even && k < pl->mems.n; k++) {
                inside += pl->bytes_then[pl->mems.index[k]];
                capacity += pl->nodes[pl->mems.index[k]].bandwidth;
        }
        even = even && capacity > 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                double bytes = pl->bytes_then[i];
                pl->uses_then[i] = 0;
                if (bytes > 0 && !(even && pl->is_mem[i]))
                        cost += use(pl, j, i, bytes);
        }
        for (unsigned k = 0; even && inside > 0 && k < pl->mems.n; k++) {
                unsigned i = pl->mems.index[k];
                cost += use(pl, j, i, inside * pl->nodes[i].bandwidth / capacity);
        }
        return cost / j->weight;
}

double traffic_cost_now(const struct planner *pl, const struct job *j) {
        double cost = 0;
        for (unsigned i = 0; i < pl->n_nodes && j->bytes > 0; i++)
                if (j->resident[i] > 0)
                        cost += added(pl, j, i, asked_by(j, (double) j->resident[i]));
        return cost / j->weight;
}

double traffic_least_slope(const struct planner *pl, const struct job *j) {
        double least = -1;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                const struct plan_node *n = &pl->nodes[i];
                double others = MAX2(others_traffic(pl, j, n) - j->uses[i], 0.0), slope = 3 * n->traffic_price * others * others;
                if (n->bytes_total > 0 && (least < 0 || slope < least))
                        least = slope;
        }
        return MAX2(least, 0.0) * asked_by(j, (double) j->bytes) / j->weight;
}

static void count(struct planner *pl, const struct job *j, unsigned i, double change) {
        struct plan_node *n = &pl->nodes[i];
        double *traffic = is_free(j) ? &n->free_traffic : &n->traffic;
        *traffic += change;
        if (*traffic < 1e-9)
                *traffic = 0;
        if (is_free(j))
                pl->free_traffic = MAX2(pl->free_traffic + change, 0.0);
}

void traffic_take(struct planner *pl, struct job *j) {
        if (j->traffic == TRAFFIC_NONE)
                return;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (j->uses[i] > 0)
                        count(pl, j, i, -j->uses[i]);
                j->uses[i] = 0;
        }
        j->traffic = TRAFFIC_NONE;
}

void traffic_put(struct planner *pl, struct job *j, enum traffic where) {
        traffic_take(pl, j);
        if (where == TRAFFIC_NONE || j->bytes == 0)
                return;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->uses[i] = where == TRAFFIC_CHOSEN ? pl->uses_then[i] : asked_by(j, (double) j->resident[i]);
                if (j->uses[i] > 0)
                        count(pl, j, i, j->uses[i]);
        }
        j->traffic = where;
}
