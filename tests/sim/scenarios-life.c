/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of a life: services come and go and change, the daemon is stopped, killed and started again. */
#include <inttypes.h>
#include <string.h>

#include "scenario.h"

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

static struct sim_service *app(struct run *r, unsigned i, double cpus, uint64_t bytes) {
        _cleanup_free_ char *unit = format_string("app%02u.service", i);
        struct sim_spec p = spec(unit, cpus, bytes);
        p.start = topology_nodes(sim_topology(r->sim));
        return add(r, &p);
}

/* One after the other: each gets a place, and nobody who has one moves for it. */
static void arrivals(struct run *r) {
        struct sim_service *v[12];
        machine(r, 4, 8, 32 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 12; i++) {
                v[i] = app(r, i, 2, 2 * GIB);
                pass(r, MINUTES(3) + dice(r, MINUTES(4)));
        }
        pass(r, MINUTES(15));
        for (unsigned i = 0; i < 12; i++) {
                expect_local(r, v[i], 0.98);
                expect(r, v[i]->n_changes == 1, "%s changed home %u times", v[i]->unit, v[i]->n_changes);
        }
        expect_moved_at_most(r, 1.05);
        expect_good_manners(r);
}

/* Reading its map takes longer than a service is to be measured for: that time counts, and is not waited for once more. */
static void slow_to_look_at(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        struct sim_service *v = service(r, "app.service", 4, 2 * GIB, 1);
        v->map_usec = SECONDS(3);
        rules(r, ALL_COMPACT);
        pass(r, SECONDS(2));
        expect(r, r->n_decisions == 0, "it was placed before it was measured");
        pass(r, SECONDS(5));
        expect(r, r->n_decisions == 1, "%u decisions after seven seconds", r->n_decisions);
        pass(r, MINUTES(5));
        expect_local(r, v, 0.98);
        expect_good_manners(r);
}

/* It outgrows its node. Four CPUs and two thirds of the memory in one place are nearer to each other than halves on two nodes: it stays, and nothing is
 * denied to it. */
static void grows(struct run *r) {
        machine(r, 4, 8, 8 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("app.service", 4, 2 * GIB);
        p.growth_bytes = (int64_t) (3 * GIB);
        p.limit_bytes = 12 * GIB;
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(5));
        expect(r, sim_bytes(r->sim, v) + 64 * MIB >= 12 * GIB, "it could not grow");
        expect_local(r, v, 0.6);
        expect(r, v->n_changes <= 2, "it changed home %u times", v->n_changes);
        expect(r, sim_totals(r->sim).moved_bytes <= 3 * GIB, "%" PRIu64 " MiB were moved",
               (uint64_t) (sim_totals(r->sim).moved_bytes / MIB));
        expect_good_manners(r);
}

/* Two loads take turns, by day and by night. Each has its home; nobody moves at dawn. */
static void day_and_night(struct run *r) {
        struct sim_service *v[8];
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 8; i++) {
                _cleanup_free_ char *unit = format_string("app%02u.service", i);
                struct sim_spec p = spec(unit, 6, 2 * GIB);
                p.start = node_set_of(i / 2);
                p.duty.given = true;
                for (unsigned h = 0; h < 24; h++)
                        p.duty.permille[h] = (h >= 8 && h < 20) == (i % 2 == 0) ? 1000 : 100;
                v[i] = add(r, &p);
        }
        pass(r, DAYS(1));
        unsigned changes = sim_totals(r->sim).n_changes;
        uint64_t moved = sim_totals(r->sim).moved_bytes;
        pass(r, DAYS(3));
        struct sim_totals t = sim_totals(r->sim);
        for (unsigned i = 0; i < 8; i++)
                expect_local(r, v[i], 0.95);
        expect(r, t.n_changes - changes <= 8, "%u changes of home in three days of the same", t.n_changes - changes);
        expect(r, t.moved_bytes - moved <= 16 * GIB, "%" PRIu64 " MiB moved in three days of the same",
               (uint64_t) ((t.moved_bytes - moved) / MIB));
        expect_good_manners(r);
}

/* They come and go by chance for two days. */
static void churn(struct run *r) {
        struct sim_service *v[20] = { 0 };
        machine(r, 4, 16, 32 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned k = 0; k < 250; k++) {
                unsigned i = (unsigned) dice(r, ARRAY_SIZE(v));
                if (!v[i])
                        v[i] = app(r, i, 0.5 + (double) dice(r, 30) / 10, (64 + dice(r, 3000)) * MIB);
                else if (!v[i]->running)
                        (void) sim_restart(r->sim, v[i]);
                else if (dice(r, 2))
                        sim_end(r->sim, v[i]);
                else
                        v[i]->spec.cpus = 0.5 + (double) dice(r, 30) / 10;
                pass(r, MINUTES(2) + dice(r, MINUTES(18)));
        }
        pass(r, HOURS(1));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                if (v[i] && v[i]->running && sim_bytes(r->sim, v[i]) >= 64 * MIB)
                        expect_local(r, v[i], 0.95);
        expect(r, sim_totals(r->sim).locality >= 0.85, "locality %.3f over the whole time", sim_totals(r->sim).locality);
        expect_moved_at_most(r, 2.0);
        expect_good_manners(r);
}

static bool is_free(const struct run *r, const struct sim_service *v) {
        struct node_set nodes = cpu_nodes(r, v), all = topology_nodes(sim_topology(r->sim));
        return node_set_equal(&nodes, &all) && node_set_equal(&v->allowed_mems, &all);
}

/* on-exit: restore. The kernel refuses to clear (ENOSPC), and still everything is given back. */
static void restore_on_exit(struct run *r) {
        struct sim_service *v[4];
        r->settings.refuse_clear = dice(r, 2);
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {on-exit: restore}\nrules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict}\n");
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("app%02u.service", i);
                struct sim_spec p = spec(unit, 2, GIB);
                p.owner = i % 2 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
                v[i] = add(r, &p);
        }
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < 4; i++)
                expect_home_count(r, v[i], 1);
        int k = sim_stop_manager(r->sim);
        expect(r, k == 0, "leaving ended with %d", k);
        for (unsigned i = 0; i < 4; i++) {
                expect(r, is_free(r, v[i]), "%s did not get its cpusets back", v[i]->unit);
                expect(r, !v[i]->settings.cpus_set || v[i]->spec.owner != OWNER_SYSTEMD, "%s: the unit still has our setting",
                       v[i]->unit);
        }
        expect(r, r->n_restored == 4 && r->n_restore_failed == 0, "%u of 4 restored, %u failed", r->n_restored,
               r->n_restore_failed);
}

/* on-exit: keep, and start again: everything is at home, so nothing is done. */
static void keep_and_start(struct run *r) {
        struct sim_service *v[4];
        machine(r, 2, 8, 16 * GIB);
        on_disk(r);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 4; i++)
                v[i] = app(r, i, 2, GIB);
        pass(r, MINUTES(10));
        int k = sim_stop_manager(r->sim);
        expect(r, k == 0, "leaving ended with %d", k);
        struct sim_totals before = sim_totals(r->sim);
        pass(r, MINUTES(5));
        rules(r, ALL_COMPACT);
        pass(r, MINUTES(30));
        struct sim_totals t = sim_totals(r->sim);
        expect(r, t.moved_bytes == before.moved_bytes && t.n_cpuset_writes == before.n_cpuset_writes,
               "the new one changed what was in order");
        for (unsigned i = 0; i < 4; i++)
                expect_local(r, v[i], 0.99);
        expect(r, sim_manager(r->sim)->record->n_entries == 4, "%zu on record", sim_manager(r->sim)->record->n_entries);
        rules(r, "daemon: {on-exit: restore}\n" ALL_COMPACT);
        pass(r, MINUTES(1));
        k = sim_stop_manager(r->sim);
        expect(r, k == 0, "leaving ended with %d", k);
        for (unsigned i = 0; i < 4; i++)
                expect(r, is_free(r, v[i]), "%s did not get its cpusets back", v[i]->unit);
}

/* kill -9 at any moment, again and again; in the end everything can be given back. */
static void killed(struct run *r) {
        static const char text[] = "daemon: {on-exit: restore, migrate-rate: 256M}\n"
                                   "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, cooldown: 10s}\n";
        struct sim_service *v[6];
        machine(r, 4, 8, 16 * GIB);
        on_disk(r);
        struct node_set two = node_set_of(1), none = { 0 };
        node_set_add(&two, 2);
        struct cpu_mask cpus = { 0 };
        topology_cpus_of(sim_topology(r->sim), &two, &cpus);
        for (unsigned i = 0; i < 6; i++) {
                _cleanup_free_ char *unit = format_string("app%02u.service", i);
                struct sim_spec p = spec(unit, 2, GIB);
                p.start = topology_nodes(sim_topology(r->sim));
                p.owner = i % 3 == 1 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
                v[i] = add(r, &p);
        }
        /* One has a cpuset of the administrator's, which is to be there in the end. */
        if (sim_write_cpuset(r->sim, v[0], &cpus, &none) < 0)
                abort();
        for (unsigned k = 0; k < 12; k++) {
                rules(r, text);
                pass(r, SECONDS(2) + dice(r, dice(r, 2) ? SECONDS(4) : SECONDS(60)));
                sim_kill_manager(r->sim);
                /* Services start anew in between. */
                struct sim_service *other = v[dice(r, 6)];
                if (dice(r, 3) == 0 && other != v[0])
                        (void) sim_restart(r->sim, other);
                pass(r, dice(r, SECONDS(30)));
        }
        rules(r, text);
        pass(r, MINUTES(10));
        for (unsigned i = 1; i < 6; i++)
                expect_local(r, v[i], 0.95);
        int k = sim_stop_manager(r->sim);
        expect(r, k == 0, "leaving ended with %d", k);
        for (unsigned i = 1; i < 6; i++)
                expect(r, is_free(r, v[i]), "%s did not get its cpusets back", v[i]->unit);
        expect(r, cpu_mask_equal(&v[0]->configured.cpus, &cpus), "%s: the administrator's own CPUs were lost", v[0]->unit);
        expect(r, sim_totals(r->sim).past_keep_free_bytes == 0, "past keep-free");
}

/* Another rule in the middle of a move: it stops, and what holds now is done. */
static void reloaded(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: a, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 2, 4 * GIB, 0);
        pass(r, SECONDS(10) + dice(r, SECONDS(10)));
        expect(r, v->moved_bytes > 0 && sim_bytes_on(v, 1) < 4 * GIB, "not in the middle of its move");
        rules(r, "daemon: {migrate-rate: 1G}\nrules:\n- {name: b, match: {unit: '*'}, place: nodes, nodes: '2'}\n");
        pass(r, MINUTES(10));
        expect_local(r, v, 0.99);
        expect(r, sim_bytes_on(v, 2) == sim_bytes(r->sim, v), "it is not where the new rule has it");
        rules(r, "rules:\n- {name: b, match: {unit: other.service}, place: nodes, nodes: '2'}\n");
        pass(r, MINUTES(20));
        expect(r, is_free(r, v), "no rule matches it any more, and it did not get its cpusets back");
        expect(r, sim_totals(r->sim).past_keep_free_bytes == 0, "past keep-free");
}

/* A node with memory alone, far away: used by nobody whom the others have room for. */
static void memory_only(struct run *r) {
        struct topology *t = topology_new(3, 16);
        for (unsigned n = 0; t && n < 3; n++) {
                t->nodes[n] = (struct topology_node) { .present = true, .bytes_total = 16 * GIB };
                for (unsigned k = 0; k < 3; k++)
                        t->distance[n * 3 + k] = n == k ? 10 : n == 2 || k == 2 ? 40 : 20;
        }
        for (unsigned cpu = 0; t && cpu < 16; cpu++) {
                struct topology_node *n = &t->nodes[cpu / 8];
                cpu_mask_add(&n->cpus, cpu);
                n->n_cpus++;
                n->n_cores++;
                t->node_of_cpu[cpu] = (int16_t) (cpu / 8);
        }
        machine_of(r, t);
        rules(r, ALL_COMPACT);
        struct sim_service *a = service(r, "a.service", 4, 4 * GIB, 2), *b = service(r, "b.service", 4, 4 * GIB, 1);
        pass(r, MINUTES(15));
        expect_local(r, a, 0.99);
        expect_local(r, b, 0.99);
        expect(r, sim_bytes_on(a, 2) == 0, "it still has memory on the node without CPUs");
        expect_moved_at_most(r, 1.0 + 1e-9);
        expect_good_manners(r);
}

const struct scenario scenarios_life[] = {
        { 26, "arrivals", "one after the other: nobody moves for a newcomer", arrivals },
        { 27, "grows", "outgrows its node: nothing is denied, little is moved", grows },
        { 28, "day-and-night", "loads that take turns: nobody moves at dawn", day_and_night },
        { 29, "churn", "two days of coming and going by chance", churn },
        { 30, "restore", "on-exit: restore, where the kernel refuses to clear", restore_on_exit },
        { 31, "keep", "stopped and started again: nothing is done", keep_and_start },
        { 32, "killed", "kill -9 at any moment, and restored in the end", killed },
        { 33, "reloaded", "another rule in the middle of a move", reloaded },
        { 34, "memory-only", "a node without CPUs", memory_only },
        { 173, "slow-to-look-at", "a machine where a look takes long is not measured for longer", slow_to_look_at },
        { 0 },
};
