/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nodes hold: room for memory, CPU load, and what the plan has given away so far. Room that other services will
 * leave behind is not counted: their moves may wait or fail, and it shows by itself in a later cycle. */
#include <string.h>

#include "core/plan-internal.h"

uint64_t node_reserve_bytes(const struct node_memory *m, unsigned keep_free_permille) {
        /* Hugetlb pools can never become free for others: of a node that is nearly all pools a part of the whole can be more than there ever is. */
        uint64_t bytes = m->bytes_total - MIN2(m->hugetlb_bytes, m->bytes_total);
        uint64_t keep = bytes / 1000 * keep_free_permille + bytes % 1000 * keep_free_permille / 1000;
        return MAX2(keep, m->bytes_low_mark);
}

uint64_t node_room_bytes(const struct node_memory *m, unsigned keep_free_permille) {
        uint64_t reserve = node_reserve_bytes(m, keep_free_permille);
        uint64_t available = m->bytes_free + m->bytes_droppable / 2;
        return available > reserve ? available - reserve : 0;
}

struct node_set job_cpus(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set s = node_set_intersect(nodes, &pl->cpu_nodes);
        s = node_set_intersect(&s, &j->may_cpus);
        return node_set_intersect(&s, &j->permitted);
}

struct node_set job_mems(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set s = node_set_intersect(nodes, &pl->mem_nodes);
        s = node_set_intersect(&s, &j->may_mems);
        return node_set_intersect(&s, &j->permitted);
}

double node_free_load(const struct plan_node *n, const struct job *j) {
        return j->has_home ? n->even_load : n->free_load;
}

static uint64_t room_of(const struct planner *pl, unsigned i, bool huge, const uint64_t *into) {
        uint64_t room = huge ? pl->nodes[i].huge_room_bytes : pl->nodes[i].room_bytes;
        return room > into[i] ? room - into[i] : 0;
}

#define EQUALLY_NEAR 1e-6

static bool is_near(const struct planner *pl, unsigned i, double near) {
        return pl->far[i] >= near && pl->far[i] <= near + EQUALLY_NEAR;
}

/* One group of equally near nodes: each its part by cores, then what is left wherever there is room. */
static uint64_t pour_group(const struct planner *pl, const struct members *mems, bool huge, double near, uint64_t bytes,
                           uint64_t *into) {
        double cores = 0;
        uint64_t left = bytes;
        for (unsigned k = 0; k < mems->n; k++)
                if (is_near(pl, mems->index[k], near))
                        cores += pl->nodes[mems->index[k]].n_cores;
        for (int pass = cores > 0 ? 0 : 1; pass < 2 && left > 0; pass++)
                for (unsigned k = 0; k < mems->n && left > 0; k++) {
                        unsigned i = mems->index[k];
                        if (!is_near(pl, i, near))
                                continue;
                        uint64_t part = left;
                        if (pass == 0)
                                part = MIN2(left, (uint64_t) ((double) bytes * (pl->nodes[i].n_cores / cores)));
                        part = MIN2(part, room_of(pl, i, huge, into));
                        into[i] += part;
                        left -= part;
                }
        return bytes - left;
}

uint64_t pour(const struct planner *pl, const struct members *mems, bool huge, uint64_t bytes, uint64_t *into) {
        uint64_t left = bytes;
        double last = -1;
        memset(into, 0, pl->n_nodes * sizeof *into);
        while (left > 0) {
                double near = -1;
                for (unsigned k = 0; k < mems->n; k++) {
                        double far = pl->far[mems->index[k]];
                        if (far > last && (near < 0 || far < near))
                                near = far;
                }
                if (near < 0)
                        break;
                left -= pour_group(pl, mems, huge, near, left, into);
                last = near + EQUALLY_NEAR;
        }
        return bytes - left;
}

void members_of(const struct planner *pl, const struct node_set *nodes, struct members *ret) {
        ret->n = 0;
        NODE_SET_FOREACH (id, nodes)
                ret->index[ret->n++] = pl->index_of[id];
}

/* Adds to (sign 1) or takes from (-1) the load of the nodes that the job's CPUs are restricted to. */
static void move_load(struct planner *pl, const struct job *j, double sign) {
        if (!j->restricts)
                return;
        struct node_set cpus = job_cpus(pl, j, &j->chosen.nodes);
        double cores = 0;
        NODE_SET_FOREACH (id, &cpus)
                cores += pl->nodes[pl->index_of[id]].n_cores;
        NODE_SET_FOREACH (id, &cpus) {
                struct plan_node *n = &pl->nodes[pl->index_of[id]];
                if (cores <= 0)
                        return;
                n->pinned_load += sign * j->weight * (n->n_cores / cores);
                if (n->pinned_load < 1e-9)
                        n->pinned_load = 0;
        }
}

void job_assign(struct planner *pl, struct job *j, const struct option *o) {
        struct option fresh;
        traffic_take(pl, j);
        job_evaluate(pl, j, &o->nodes, &fresh); /* leaves the division of bytes in pl->incoming */
        j->chosen = fresh;
        j->assigned = j->has_incoming = true;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->incoming[i] = pl->incoming[i];
                j->incoming_huge[i] = pl->incoming_huge[i];
                pl->nodes[i].room_bytes -= j->incoming[i];
                pl->nodes[i].huge_room_bytes -= j->incoming_huge[i];
        }
        move_load(pl, j, 1);
        constraints_enter(pl, j);
        traffic_put(pl, j, TRAFFIC_CHOSEN);
}

/* At rest: all it has is there, so nothing has to find room. */
static void put_at_rest(struct planner *pl, struct job *j) {
        j->chosen = (struct option) {
                .nodes = j->home, .has_cpus = true, .has_memory = true, .fits_memory = true, .fits_cpus = true
        };
        j->assigned = true;
        move_load(pl, j, 1);
        constraints_enter(pl, j);
        traffic_put(pl, j, TRAFFIC_PRESENT);
}

void group_put_at_rest(struct planner *pl, struct group *g) {
        for (size_t k = 0; k < g->n; k++)
                put_at_rest(pl, g->members[k]);
        g->assigned = true;
}

void job_unassign(struct planner *pl, struct job *j) {
        if (!j->assigned)
                return;
        constraints_leave(pl, j);
        traffic_take(pl, j);
        move_load(pl, j, -1);
        for (unsigned i = 0; i < pl->n_nodes && j->has_incoming; i++) {
                pl->nodes[i].room_bytes += j->incoming[i];
                pl->nodes[i].huge_room_bytes += j->incoming_huge[i];
        }
        j->assigned = j->has_incoming = false;
}

#define SEEN_RUNNING_USEC (60 * USEC_PER_SEC)

/* Where a service that may run anywhere was seen for a moment says little of where it will run: the scheduler takes it elsewhere. Only what has lasted
 * is no chance. 0…1. */
static double seen_running(const struct planner *pl, const struct job *j) {
        struct node_set barred = node_set_subtract(&pl->cpu_nodes, &j->sample->effective_cpu_nodes);
        if (!node_set_is_empty(&barred) || (j->history && j->history->placed)) /* (its time counts from its home) */
                return 1;
        if (!j->history)
                return 0;
        uint64_t lasted = pl->in->now_usec - MIN2(j->history->since_usec, pl->in->now_usec);
        return (double) MIN2(lasted, (uint64_t) SEEN_RUNNING_USEC) / SEEN_RUNNING_USEC;
}

void job_release(struct planner *pl, struct job *j) {
        double cpus = 0, seen = seen_running(pl, j);
        job_unassign(pl, j);
        traffic_put(pl, j, TRAFFIC_PRESENT);
        for (unsigned i = 0; i < pl->n_nodes; i++)
                cpus += pl->nodes[i].n_cpus;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                double even = cpus > 0 ? pl->nodes[i].n_cpus / cpus : j->share[i];
                pl->nodes[i].free_load += j->demand * (seen * j->share[i] + (1 - seen) * even);
                pl->nodes[i].even_load += j->demand * even;
        }
}
