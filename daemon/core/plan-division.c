/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is divided among nodes: place: spread, by their cores; place: interleave, by weights. How much belongs on each, how much of it has room
 * there, and how much is not worth a move. Only what may move is divided; the rest stays as it is. */
#include "core/plan-internal.h"

/* A huge page more or less is no imbalance. */
#define TOLERATED_LEAST (2 * MIB)

uint64_t division_tolerated_bytes(const struct rule *r, uint64_t movable_bytes) {
        double share = (double) movable_bytes * r->min_gain_permille / 1000;
        return MAX2((uint64_t) share, (uint64_t) TOLERATED_LEAST);
}

uint64_t interleave_key(const uint32_t *weight_by_node, unsigned n_ids) {
        uint64_t h = 14695981039346656037ULL; /* FNV-1a, number by number */
        for (unsigned i = 0; i < n_ids; i++)
                if (weight_by_node[i] > 0)
                        h = ((h ^ i) * 1099511628211ULL ^ weight_by_node[i]) * 1099511628211ULL;
        return MAX2(h, (uint64_t) 1);
}

/* bytes × part / whole, without overflow for what a machine can hold. */
static uint64_t part_of(uint64_t bytes, double part, double whole) {
        return whole > 0 ? (uint64_t) ((double) bytes * (part / whole)) : 0;
}

uint64_t placement_misplaced_bytes(const struct placement *p, const struct service_sample *s, unsigned n_ids) {
        uint64_t bytes = sum_by_node(s->movable_by_node, n_ids), off = 0;
        double whole = 0;
        for (unsigned i = 0; i < n_ids; i++)
                whole += p->pages_how == PAGES_BALANCE      ? (double) p->want_by_node[i]
                         : p->pages_how == PAGES_INTERLEAVE ? p->weight_by_node[i]
                                                            : 0;
        for (unsigned i = 0; i < n_ids; i++) {
                uint64_t have = s->movable_by_node[i], want = node_set_has(&p->home_mems, i) ? have : 0;
                if (p->pages_how == PAGES_BALANCE)
                        want = part_of(bytes, (double) p->want_by_node[i], whole);
                else if (p->pages_how == PAGES_INTERLEAVE)
                        want = part_of(bytes, p->weight_by_node[i], whole);
                off += have > want ? have - want : 0;
        }
        return off;
}

bool job_divides(const struct job *j) {
        return j->kind == JOB_SPREAD || j->kind == JOB_INTERLEAVE;
}

int job_make_parts(const struct planner *pl, struct job *j) {
        if (!j->part)
                j->part = calloc(2 * (size_t) pl->n_nodes + 1, sizeof *j->part);
        j->want = j->part ? j->part + pl->n_nodes : NULL;
        return j->part ? 0 : -ENOMEM;
}

static double sum_of_parts(const struct planner *pl, const struct job *j) {
        double sum = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                sum += (double) j->part[i];
        return sum;
}

/* What a node can hold of one kind of its memory: what is there, and what has room. */
static uint64_t can_hold(const struct planner *pl, const struct job *j, unsigned i, bool huge) {
        uint64_t have = huge ? j->huge[i] : j->movable[i] - j->huge[i];
        return have + (huge ? pl->nodes[i].huge_room_bytes : pl->nodes[i].room_bytes);
}

/* Adds each node's part of `bytes` to what is wanted there; what one cannot hold the others take. */
static void divide(const struct planner *pl, struct job *j, uint64_t bytes, bool huge) {
        bool full[NODE_ID_MAX + 1] = { false };
        for (bool again = true; again;) {
                double whole = 0;
                again = false;
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        whole += full[i] ? 0 : (double) j->part[i];
                for (unsigned i = 0; i < pl->n_nodes && !again; i++) {
                        uint64_t most = can_hold(pl, j, i, huge);
                        if (full[i] || j->part[i] == 0 || part_of(bytes, (double) j->part[i], whole) <= most)
                                continue;
                        full[i] = again = true;
                        j->want[i] += most;
                        bytes -= most;
                }
                for (unsigned i = 0; i < pl->n_nodes && !again; i++)
                        if (!full[i])
                                j->want[i] += part_of(bytes, (double) j->part[i], whole);
        }
}

static void bring_in(struct planner *pl, const struct job *j, struct option *o) {
        o->bytes_off = o->bytes_in = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t have = j->movable[i], want = j->want[i];
                uint64_t in = want > have ? want - have : 0, room = pl->nodes[i].room_bytes;
                o->bytes_off += have > want ? have - want : 0;
                o->bytes_in += in;
                pl->incoming[i] = MIN2(in, room);
                pl->incoming_huge[i] = MIN2(in - pl->incoming[i], pl->nodes[i].huge_room_bytes);
        }
        o->bytes_in = MIN2(o->bytes_in, o->bytes_off);
}

/* The wish is strict here: the node that a page's number tells, or none. Where the pages have been interleaved so before, only what each node
 * has too much of is out of place; otherwise, as far as can be told, every page as likely as any. Pages that leave make room for others. */
static void interleave(struct planner *pl, struct job *j, struct option *o) {
        bool done = j->history && j->history->interleave_key == j->interleave_key;
        double whole = sum_of_parts(pl, j);
        o->bytes_off = o->bytes_in = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t have = j->movable[i], want = part_of(j->movable_bytes, (double) j->part[i], whole);
                uint64_t stays = done ? MIN2(have, want) : part_of(have, (double) j->part[i], whole);
                uint64_t in = want - MIN2(want, stays), out = have - stays;
                /* Free huge pages are room for its own huge pages alone. */
                uint64_t room = pl->nodes[i].room_bytes, room_huge = MIN2(pl->nodes[i].huge_room_bytes, j->huge_bytes);
                o->bytes_off += out;
                o->bytes_in += MIN2(in, room + room_huge + out);
                pl->incoming[i] = MIN2(in, room);
                pl->incoming_huge[i] = MIN2(in - pl->incoming[i], room_huge);
                j->want[i] = stays + MIN2(in, room + room_huge + out);
        }
        o->bytes_in = MIN2(o->bytes_in, o->bytes_off);
}

static uint64_t excess(const struct job *j, unsigned i) {
        return j->movable[i] > j->want[i] ? j->movable[i] - j->want[i] : 0;
}

/* What belongs elsewhere and has no room there stays where it is: each node with too much keeps its part of it. */
static double part_that_stays(const struct planner *pl, const struct job *j) {
        uint64_t wanted = 0, too_much = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                wanted += j->want[i];
                too_much += excess(j, i);
        }
        return too_much > 0 && j->movable_bytes > wanted ? (double) (j->movable_bytes - wanted) / (double) too_much : 0;
}

/* Where its bytes would be, and so how far, on which controllers and how much of a way: the option was evaluated as if what is on its nodes stayed there. */
static void weigh(struct planner *pl, const struct job *j, struct option *o) {
        double stays = part_that_stays(pl, j);
        if (j->bytes == 0)
                return;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                pl->bytes_then[i] = (double) (j->resident[i] - j->movable[i] + j->want[i]) + (double) excess(j, i) * stays;
        option_weigh_again(pl, j, o);
}

void division_evaluate(struct planner *pl, struct job *j, struct option *o) {
        j->stray_bytes = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                j->want[i] = 0;
                j->stray_bytes += j->part[i] == 0 ? j->movable[i] : 0;
        }
        if (j->kind == JOB_INTERLEAVE)
                interleave(pl, j, o);
        else {
                divide(pl, j, j->movable_bytes - j->huge_bytes, false);
                divide(pl, j, j->huge_bytes, true);
                bring_in(pl, j, o);
        }
        weigh(pl, j, o);
}

int division_conclude(const struct planner *pl, struct job *j) {
        struct placement *p = j->placement;
        size_t n = (size_t) pl->topology->n_ids + 1;
        if (j->kind == JOB_SPREAD) {
                p->pages_how = PAGES_BALANCE;
                p->want_by_node = calloc(n, sizeof *p->want_by_node);
        } else {
                p->pages_how = PAGES_INTERLEAVE;
                p->weight_by_node = calloc(n, sizeof *p->weight_by_node);
        }
        if (!p->want_by_node && !p->weight_by_node)
                return -ENOMEM;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (p->want_by_node)
                        p->want_by_node[pl->nodes[i].id] = j->want[i];
                else
                        p->weight_by_node[pl->nodes[i].id] = (uint32_t) j->part[i];
        return 0;
}
