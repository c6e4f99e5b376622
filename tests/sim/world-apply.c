/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does in the world what a plan says: pages go where there is room, threads follow their CPUs, and the history is told. */
#include "world-internal.h"

/* Pages go to the home nodes in order of id, as far as each has room. */
static void carry(struct world *w, struct service_sample *s, struct placement *p, unsigned from, unsigned to, uint64_t bytes) {
        uint64_t n = MIN2(bytes, p->room_by_node[to]);
        p->room_by_node[to] -= n;
        s->bytes_by_node[from] -= n;
        s->movable_by_node[from] -= n;
        w->machine.nodes[from].bytes_free += n;
        s->bytes_by_node[to] += n;
        s->movable_by_node[to] += n;
        w->machine.nodes[to].bytes_free -= n;
        if (p->pages_how == PAGES_INTERLEAVE)
                p->room_by_node[from] += n;
}

/* From where there is more than belongs there to where there is less. */
static void apply_division(struct world *w, struct service_sample *s, struct placement *p) {
        unsigned n_ids = w->topology->n_ids;
        uint64_t total = sum_by_node(s->movable_by_node, n_ids), parts = 0;
        for (unsigned n = 0; n < n_ids; n++)
                parts += p->pages_how == PAGES_BALANCE ? p->want_by_node[n] : p->weight_by_node[n];
        for (unsigned from = 0; from < n_ids; from++)
                for (unsigned to = 0; to < n_ids; to++) {
                        const uint64_t *want = p->want_by_node;
                        uint64_t leave = want ? want[from] : total * p->weight_by_node[from] / parts;
                        uint64_t reach = want ? want[to] : total * p->weight_by_node[to] / parts;
                        if (s->movable_by_node[from] > leave && s->movable_by_node[to] < reach)
                                carry(w, s, p, from, to, MIN2(s->movable_by_node[from] - leave, reach - s->movable_by_node[to]));
                }
}

static void apply_move(struct world *w, struct service_sample *s, struct placement *p) {
        if (p->pages_how != PAGES_HOME) {
                apply_division(w, s, p);
                return;
        }
        struct node_memory *nodes = w->machine.nodes;
        for (unsigned from = 0; from < w->topology->n_ids; from++) {
                if (node_set_has(&p->home_mems, from))
                        continue;
                NODE_SET_FOREACH (to, &p->home_mems) {
                        uint64_t n = MIN2(s->movable_by_node[from], p->room_by_node[to]);
                        p->room_by_node[to] -= n;
                        s->bytes_by_node[from] -= n;
                        s->movable_by_node[from] -= n;
                        nodes[from].bytes_free += n;
                        s->bytes_by_node[to] += n;
                        s->movable_by_node[to] += n;
                        nodes[to].bytes_free -= n;
                }
        }
}

static void apply_cpus(struct world *w, struct service_sample *s, const struct node_set *cpus) {
        double used = (double) sum_by_node(s->cpu_usec_by_node, w->topology->n_ids) / (double) s->cpu_window_usec;
        double cores = topology_n_cores(w->topology, cpus);
        if (sum_by_node(s->cpu_usec_by_node, w->topology->n_ids) == 0) {
                memset(s->cpu_share_by_node, 0, w->topology->n_ids * sizeof *s->cpu_share_by_node);
                s->cpu_share_by_node[node_set_next(cpus, 0)] = 1000000;
        }
        for (unsigned n = 0; n < w->topology->n_ids; n++)
                s->cpu_usec_by_node[n] = 0;
        NODE_SET_FOREACH (n, cpus)
                world_cpu(w, s, (unsigned) n, used * w->topology->nodes[n].n_cores / cores);
}

static uint64_t movable_off(const struct world *w, const struct service_sample *s, const struct node_set *home) {
        uint64_t off = 0;
        for (unsigned n = 0; n < w->topology->n_ids; n++)
                if (!node_set_has(home, n))
                        off += s->movable_by_node[n];
        return off;
}

void world_apply(struct world *w, const struct plan *p) {
        struct node_set all_cpus = topology_nodes_with_cpus(w->topology), all_mems = topology_nodes_with_memory(w->topology);
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct placement *x = &p->placements[i];
                struct service_sample *s = &w->samples[i];
                if (!x->act)
                        continue;
                need_zero(history_record_placed(&w->history, s->cgroup, &x->home, w->now_usec));
                if (x->move_memory) {
                        history_record_little(&w->history, s->cgroup, x->little, s->rule->cooldown_usec, w->now_usec);
                        apply_move(w, s, &p->placements[i]);
                }
                if (x->restrict_cpus) {
                        w->applied[i].cpus = true;
                        s->effective_cpu_nodes = x->home_cpus;
                        apply_cpus(w, s, &x->home_cpus);
                } else if (w->applied[i].cpus) {
                        w->applied[i].cpus = false;
                        s->effective_cpu_nodes = all_cpus;
                }
                if (x->narrow_mems) {
                        w->applied[i].mems = true;
                        s->effective_mems = x->home_mems;
                } else if (w->applied[i].mems) {
                        w->applied[i].mems = false;
                        s->effective_mems = all_mems;
                        history_record_widened(&w->history, s->cgroup, s->rule->cooldown_usec, w->now_usec);
                }
                bool divided = x->pages_how != PAGES_HOME;
                uint64_t off = divided          ? placement_misplaced_bytes(x, s, w->topology->n_ids)
                               : x->move_memory ? movable_off(w, s, &x->home_mems)
                                                : 0;
                if (divided && off <= division_tolerated_bytes(s->rule, sum_by_node(s->movable_by_node, w->topology->n_ids)))
                        off = 0;
                history_record_settled(&w->history, s->cgroup, off, w->now_usec);
                if (x->move_memory)
                        history_record_interleaved(&w->history, s->cgroup,
                                                   x->weight_by_node ? interleave_key(x->weight_by_node, w->topology->n_ids) : 0);
        }
        need_zero(plan_remember(p, w->samples, &w->history, w->now_usec));
}

size_t world_cycle(struct world *w, uint64_t pause_usec) {
        struct plan *p = world_plan(w);
        size_t n = 0;
        for (size_t i = 0; i < p->n_placements; i++)
                n += p->placements[i].act;
        world_apply(w, p);
        plan_free(p);
        w->now_usec += pause_usec;
        return n;
}
