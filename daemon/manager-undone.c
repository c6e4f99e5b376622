/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the kernel's own balancing, or its demotion, takes back what was moved: noticed when a move has settled, and before the next. */
#include "manager.h"

/* Out of place by this placement: how much of that the kernel has put there since what is remembered. Says and remembers that it has. */
static uint64_t find_undone(struct manager *m, const struct placement *p, const struct service_sample *s,
                            const struct machine_sample *machine) {
        unsigned n_ids = m->topology->n_ids;
        struct machine_sample kernel = *machine;
        enum undone_by by;
        /* The balancing brings pages to threads: where all of these are at home, none is called away, whatever else has brought some elsewhere. */
        if (p->pages_how == PAGES_HOME && node_set_is_subset(&s->effective_cpu_nodes, &p->home_mems))
                kernel.kernel_balancing = 0;
        if (!s->rule || !kernel_moves_pages(&kernel))
                return 0;
        uint64_t tolerated = division_tolerated_bytes(s->rule, sum_by_node(s->movable_by_node, n_ids));
        uint64_t bytes =
                history_undone_bytes(&m->history, s, n_ids, placement_misplaced_bytes(p, s, n_ids), tolerated, &kernel, &by);
        if (bytes == 0)
                return 0;
        history_record_undone(&m->history, s->cgroup, bytes, by, s->rule->cooldown_usec, manager_now(m));
        uint64_t wait = 0;
        struct node_set on = sample_nodes_with_bytes(s, n_ids);
        if (s->rule->kernel_balancing != KERNEL_BALANCING_OVERRIDE)
                wait = history_undone_wait_usec(history_find(&m->history, s->cgroup), machine, s->rule->cooldown_usec,
                                                manager_now(m));
        const struct undone_report report = {
                .sample = s,
                .to = node_set_subtract(&on, &p->home_mems),
                .home = p->home_mems,
                .bytes = bytes,
                .by = by,
                .balancing = machine->kernel_balancing,
                .wait_usec = wait,
        };
        manager_tell_undone(m, &report);
        return bytes;
}

bool manager_balancing_undid(struct manager *m, const struct cycle *c, size_t i) {
        const struct service_sample *s = &c->observation->services[i];
        const struct placement *p = &c->plan->placements[i];
        const struct history_entry *e = history_find(&m->history, s->cgroup);
        if (!p->move_memory || !e || !e->placed || !node_set_equal(&e->home, &p->home))
                return false;
        return find_undone(m, p, s, &c->observation->machine) > 0 && s->rule->kernel_balancing != KERNEL_BALANCING_OVERRIDE;
}

uint64_t manager_balancing_settled(struct manager *m, const struct cycle *then, size_t then_index, const struct cycle *now,
                                   size_t now_index, uint64_t refused_bytes) {
        const struct service_sample *s = &now->observation->services[now_index];
        const struct placement *p = &then->plan->placements[then_index];
        const struct machine_sample *machine = &now->observation->machine;
        unsigned n_ids = m->topology->n_ids;
        if (!kernel_moves_pages(machine))
                return 0;
        history_record_kept(&m->history, &then->observation->services[then_index], n_ids, refused_bytes,
                            &then->observation->machine);
        uint64_t undone = find_undone(m, p, s, machine);
        history_record_kept(&m->history, s, n_ids, placement_misplaced_bytes(p, s, n_ids), machine);
        return undone;
}
