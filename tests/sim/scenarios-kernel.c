/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios beside the kernel's own balancing: what it undoes is not fought over, what it sorts is its own, and off is off. */
#include <string.h>

#include "core/plan.h"
#include "scenario.h"

static const struct placement *placement_of(const struct run *r, const struct sim_service *v) {
        const struct cycle *c = sim_manager(r->sim)->last;
        ssize_t i = c ? cycle_find(c, v->cgroup) : -1;
        return i < 0 ? NULL : &c->plan->placements[i];
}

static void expect_said(struct run *r, const struct sim_service *v, const char *part) {
        const struct placement *p = placement_of(r, v);
        expect(r, p && strstr(p->reason, part), "it is not said that \"%s\" but \"%s\"", part, p ? p->reason : "");
}

/* Its threads stay on node 1, its memory is to be on node 0: every page that they touch comes back to them. */
static struct sim_service *contested(struct run *r, const char *rule, bool counts) {
        r->settings.balancing_rate_bytes = 64 * MIB;
        r->settings.balancing_counts = counts;
        r->settings.wander_usec = 0;
        machine(r, 2, 8, 16 * GIB);
        rules(r, rule);
        struct sim_service *v = service(r, "app.service", 4, 2 * GIB, 1);
        for (unsigned g = 0; g < v->n_groups; g++)
                v->group_node[g] = 1;
        return v;
}

#define TO_NODE_0 "rules:\n- {name: n, match: {unit: '*'}, place: nodes, nodes: '0', cpus: free"

/* A day of it: the first move and as many as the doubled waits leave, and the reason is told. */
static void undone(struct run *r) {
        static const bool counts[] = { false, true };
        struct sim_service *v = contested(r, TO_NODE_0 "}\n", counts[r->seed % 2]);
        pass(r, DAYS(1));
        expect(r, v->moved_bytes >= 2 * GIB, "it was never moved");
        expect(r, v->moved_bytes <= 13 * (uint64_t) (2 * GIB), "%llu MiB were moved in a day", v->moved_bytes / MIB);
        expect_said(r, v, "has taken back what was moved");
        const struct placement *p = placement_of(r, v);
        expect(r, p && p->state == STATE_BLOCKED, "it is not blocked");
        expect(r, r->n_blocked == 0, "what was undone was told %u times more", r->n_blocked);
        expect_said(r, v, "most of its memory is not at its home, node 0");
        /* Somebody switches it off: nothing stands against it any more. */
        sim_settings(r->sim)->balancing_off = true;
        pass(r, HOURS(1));
        expect(r, sim_bytes_on(v, 0) >= 2 * GIB - 64 * MIB, "it did not go home after that");
        expect_good_manners(r);
}

/* The rule has it so: moved back after each cooldown, however often. */
static void overridden(struct run *r) {
        struct sim_service *v = contested(r, TO_NODE_0 ", kernel-balancing: override}\n", true);
        pass(r, HOURS(2));
        expect(r, v->moved_bytes >= 20 * (uint64_t) GIB, "only %llu MiB were moved", v->moved_bytes / MIB);
}

/* kernel-balancing: off. Off while the daemon runs, back when it ends; also after a kill. */
static void switched_off(struct run *r) {
        on_disk(r);
        struct sim_service *v = contested(r, "daemon: {kernel-balancing: off}\n" TO_NODE_0 "}\n", true);
        struct sim_settings *s = sim_settings(r->sim);
        pass(r, MINUTES(10));
        expect(r, s->balancing_off, "it was not switched off");
        expect(r, sim_bytes_on(v, 0) >= 2 * GIB - 64 * MIB, "its memory did not stay home");
        sim_kill_manager(r->sim);
        pass(r, MINUTES(1));
        expect(r, s->balancing_off, "somebody put it back");
        rules(r, "daemon: {kernel-balancing: leave}\n" TO_NODE_0 "}\n");
        pass(r, MINUTES(1));
        expect(r, !s->balancing_off, "it was not put back by the next start");
        rules(r, "daemon: {kernel-balancing: off}\n" TO_NODE_0 "}\n");
        pass(r, MINUTES(1));
        expect(r, s->balancing_off, "it was not switched off by a reload");
        (void) sim_stop_manager(r->sim);
        expect(r, !s->balancing_off, "it was not put back at the end");
}

/* Larger than a node: we choose two nodes and restrict its CPUs to them, the kernel sorts within, and nothing is moved twice. */
static void together(struct run *r) {
        r->settings.balancing_rate_bytes = 64 * MIB;
        r->settings.balancing_counts = true;
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 12, 20 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        struct node_set cpus = cpu_nodes(r, v);
        for (unsigned i = 0; i < 900 && node_set_count(&cpus) != 2; i++) {
                pass(r, SECONDS(1));
                cpus = cpu_nodes(r, v);
        }
        pass(r, SECONDS(10));
        expect(r, v->moved_bytes == 0 && v->kernel_moved_bytes > 0, "the kernel had no time to sort first: %llu MiB were moved",
               v->moved_bytes / MIB);
        pass(r, MINUTES(15));
        expect_home_count(r, v, 2);
        uint64_t ours = v->moved_bytes, off = 0;
        pass(r, HOURS(4));
        struct node_set home = cpu_nodes(r, v);
        for (unsigned n = 0; n < 4; n++)
                off += node_set_has(&home, n) ? 0 : sim_bytes_on(v, n);
        expect(r, off < 64 * MIB, "%llu MiB are off its home", off / MIB);
        expect(r, ours <= 12 * (uint64_t) GIB, "%llu MiB were moved to its home", ours / MIB);
        expect(r, v->moved_bytes - ours <= 256 * MIB, "%llu MiB more were moved within it", (v->moved_bytes - ours) / MIB);
        expect(r, sim_totals(r->sim).n_changes == 1, "%u changes of home", sim_totals(r->sim).n_changes);
        expect_good_manners(r);
}

/* Memory that follows its threads: the kernel brings it, we do not bring it back. */
static void followed(struct run *r) {
        r->settings.balancing_rate_bytes = 64 * MIB;
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: f, match: {unit: '*'}, place: follow}\n");
        struct sim_service *v = service(r, "app.service", 4, 2 * GIB, 0);
        pass(r, HOURS(6));
        expect(r, v->moved_bytes == 0, "%llu MiB were moved", v->moved_bytes / MIB);
        expect(r, v->kernel_moved_bytes > 0, "the kernel did nothing");
        expect_good_manners(r);
}

/* Two nodes with CPUs, and far from both one with memory alone. */
static struct topology *with_slow_memory(void) {
        struct topology *t = topology_new(3, 16);
        for (unsigned n = 0; t && n < 3; n++) {
                t->nodes[n] = (struct topology_node) { .present = true, .bytes_total = 16 * GIB };
                for (unsigned k = 0; k < 3; k++)
                        t->distance[n * 3 + k] = n == k ? 10 : n == 2 || k == 2 ? 28 : 20;
                for (unsigned cpu = n * 8; n < 2 && cpu < (n + 1) * 8; cpu++) {
                        cpu_mask_add(&t->nodes[n].cpus, cpu);
                        t->node_of_cpu[cpu] = (int16_t) n;
                }
                t->nodes[n].n_cores = t->nodes[n].n_cpus = n < 2 ? 8 : 0;
        }
        return t;
}

/* Somebody reclaims: a quarter of its memory is cold, and taken to slow memory again and again. There is room at home all the while. */
static void demoted(struct run *r) {
        static const char *const memory[] = { "", ", memory: strict" };
        r->settings.demotion_rate_bytes = 8 * MIB;
        r->settings.balancing_counts = r->seed / 2 % 2;
        machine_of(r, with_slow_memory());
        _cleanup_free_ char *text =
                format_string("rules:\n- {name: all, match: {unit: '*'}, place: compact%s}\n", memory[r->seed % 2]);
        rules(r, text);
        struct sim_service *v = service(r, "app.service", 4, 2 * GIB, 0);
        pass(r, DAYS(1));
        uint64_t cold = 512 * MIB;
        expect(r, v->moved_bytes >= cold, "what was demoted was never brought home");
        expect(r, v->moved_bytes <= 14 * cold, "%llu MiB were moved in a day", v->moved_bytes / MIB);
        expect(r, v->demoted_bytes >= v->moved_bytes / 2, "only %llu MiB were demoted", v->demoted_bytes / MIB);
        expect_said(r, v, "demotion to slower memory");
        expect(r, sim_totals(r->sim).n_changes <= 1, "%u changes of home", sim_totals(r->sim).n_changes);
        expect_good_manners(r);
        /* Reclaim ends: it goes home, once. */
        sim_settings(r->sim)->demotion_rate_bytes = 0;
        pass(r, HOURS(1));
        expect(r, sim_bytes_on(v, 2) < 64 * MIB, "%llu MiB are still on slow memory", sim_bytes_on(v, 2) / MIB);
}

const struct scenario scenarios_kernel[] = {
        { 70, "undone", "the kernel takes back what was moved: not for ever", undone },
        { 71, "overridden", "the same, and the rule has it moved again each time", overridden },
        { 72, "switched-off", "kernel-balancing: off, a kill, a reload, and the end", switched_off },
        { 73, "together", "larger than a node: we choose the nodes, the kernel sorts within", together },
        { 74, "followed", "memory that follows threads is left to the kernel", followed },
        { 75, "demoted", "cold memory is taken to slow memory: not brought back for ever", demoted },
        { 0 },
};
