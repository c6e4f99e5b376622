/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of placing: where services end up, and what it cost. */
#include <inttypes.h>

#include "scenario.h"

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

static void misplaced(struct run *r) {
        struct sim_service *v[4];
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = service(r, unit, 4, 2 * GIB, (i + 1) % 4);
        }
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < 4; i++) {
                expect_local(r, v[i], 0.99);
                expect_home_count(r, v[i], 1);
        }
        /* Each is alone where its memory is: that is where it belongs, and nothing need move. */
        expect(r, sim_totals(r->sim).n_changes == 4, "%u changes of home for four services", sim_totals(r->sim).n_changes);
        expect(r, sim_totals(r->sim).moved_bytes == 0, "%" PRIu64 " bytes were moved for nothing",
               sim_totals(r->sim).moved_bytes);
        expect_good_manners(r);
}

/* Memory in equal slices everywhere: three quarters must move, and no more. */
static void sliced(struct run *r) {
        struct sim_service *v[4];
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                struct sim_spec p = spec(unit, 4, 2 * GIB);
                p.start = topology_nodes(sim_topology(r->sim));
                v[i] = add(r, &p);
        }
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < 4; i++)
                expect_local(r, v[i], 0.99);
        expect_moved_at_most(r, 1.02);
        expect_good_manners(r);
        uint64_t moved = sim_totals(r->sim).moved_bytes;
        unsigned changes = sim_totals(r->sim).n_changes;
        pass(r, HOURS(6));
        expect(r, sim_totals(r->sim).moved_bytes == moved && sim_totals(r->sim).n_changes == changes,
               "at rest, and yet something moved");
}

/* All memory of all services on one node that has not the CPUs for them. */
static void crowded(struct run *r) {
        struct sim_service *v[8];
        machine(r, 4, 8, 32 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 8; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = service(r, unit, 3, 2 * GIB, 0);
        }
        pass(r, MINUTES(30));
        unsigned on[4] = { 0 };
        for (unsigned i = 0; i < 8; i++) {
                struct node_set nodes = cpu_nodes(r, v[i]);
                expect_local(r, v[i], 0.97);
                expect_home_count(r, v[i], 1);
                on[node_set_next(&nodes, 0) & 3]++;
        }
        for (unsigned n = 0; n < 4; n++)
                expect(r, on[n] == 2, "%u services on node %u, two were expected", on[n], n);
        expect(r, sim_totals(r->sim).moved_bytes <= 12 * GIB + 64 * MIB, "%" PRIu64 " MiB moved, 12 GiB had to",
               (uint64_t) (sim_totals(r->sim).moved_bytes / MIB));
        expect_good_manners(r);
}

/* More CPUs than a node has: two nodes, near ones. */
static void wide(struct run *r) {
        struct topology *t = topology_new(4, 32);
        for (unsigned n = 0; t && n < 4; n++) {
                t->nodes[n] = (struct topology_node) { .present = true, .bytes_total = 16 * GIB, .n_cores = 8, .n_cpus = 8 };
                for (unsigned cpu = n * 8; cpu < (n + 1) * 8; cpu++) {
                        cpu_mask_add(&t->nodes[n].cpus, cpu);
                        t->node_of_cpu[cpu] = (int16_t) n;
                }
                for (unsigned k = 0; k < 4; k++)
                        t->distance[n * 4 + k] = n == k ? 10 : n / 2 == k / 2 ? 12 : 32;
        }
        machine_of(r, t);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("wide.service", 12, 6 * GIB);
        p.start = topology_nodes(t);
        p.n_threads = 16;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(15));
        struct node_set nodes = cpu_nodes(r, v);
        expect_home_count(r, v, 2);
        expect(r, node_set_next(&nodes, 0) / 2 == node_set_next(&nodes, (unsigned) node_set_next(&nodes, 0) + 1) / 2,
               "two nodes that are far from each other");
        expect(r, v->used > 11, "it gets %.1f of 12 CPUs", v->used);
        expect_moved_at_most(r, 1.1);
        expect_good_manners(r);
}

/* More memory than a node has room for. */
static void large(struct run *r) {
        machine(r, 4, 8, 8 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("large.service", 2, 12 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(30));
        expect_home_count(r, v, 2);
        uint64_t off = 0;
        struct node_set nodes = cpu_nodes(r, v);
        for (unsigned n = 0; n < 4; n++)
                off += node_set_has(&nodes, n) ? 0 : sim_bytes_on(v, n);
        expect(r, off <= 128 * MIB, "%" PRIu64 " MiB are off home", (uint64_t) (off / MIB));
        expect_moved_at_most(r, 1.1);
        expect_good_manners(r);
}

static void nodes_given(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: cache, match: {unit: 'cache*'}, place: nodes, nodes: '3'}\n"
                 "- {name: rest, match: {unit: '*'}, place: compact}\n");
        struct sim_service *cache = service(r, "cache.service", 2, 3 * GIB, 0), *other = service(r, "other.service", 2, GIB, 1);
        pass(r, MINUTES(10));
        expect(r, sim_bytes_on(cache, 3) == sim_bytes(r->sim, cache), "its memory is not on node 3");
        expect_local(r, cache, 0.99);
        expect_local(r, other, 0.99);
        expect(r, sim_bytes_on(other, 1) == sim_bytes(r->sim, other), "the other was moved for nothing");
        expect_good_manners(r);
}

/* place: ignore, and no rule at all: nobody touches them, whatever it looks like. */
static void not_ours(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: no, match: {unit: 'not*'}, place: ignore}\n- {name: yes, match: {unit: 'app*'}, place: "
                 "compact}\n");
        struct sim_service *no = service(r, "not.service", 2, 2 * GIB, 0), *none = service(r, "other.service", 2, 2 * GIB, 1),
                           *app = service(r, "app.service", 2, 2 * GIB, 1);
        pass(r, MINUTES(30));
        expect(r, no->moved_bytes == 0 && none->moved_bytes == 0, "a service that no rule manages was moved");
        expect_home_count(r, no, 2);
        expect_home_count(r, none, 2);
        expect_local(r, app, 0.99);
        expect_good_manners(r);
}

/* Memory follows the threads, CPUs stay free. */
static void follow(struct run *r) {
        r->settings.wander_usec = 0;
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: f, match: {unit: '*'}, place: follow}\n");
        struct sim_service *v = service(r, "app.service", 4, 2 * GIB, 0);
        for (unsigned g = 0; g < v->n_groups; g++)
                v->group_node[g] = 1;
        pass(r, MINUTES(20));
        expect_home_count(r, v, 2);
        expect_local(r, v, 0.95);
        expect(r, sim_totals(r->sim).n_cpuset_writes == 0, "a cpuset was written");
        expect(r, v->moved_bytes <= 2 * GIB, "it was moved more than once");
        expect_good_manners(r);
}

/* The slice leaves two nodes: never outside of them, and no cpuset that the administrator set is touched. */
static void inside_slice(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        struct node_set allowed = node_set_of(1), start = node_set_of(1);
        node_set_add(&allowed, 2);
        node_set_add(&start, 2);
        p.parent_cpu_nodes = p.parent_mems = allowed;
        p.start = start;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        struct node_set nodes = cpu_nodes(r, v);
        expect(r, node_set_is_subset(&nodes, &allowed), "it runs outside of what its slice allows");
        expect_home_count(r, v, 1);
        expect_local(r, v, 0.99);
        expect_moved_at_most(r, 1.02);
        expect_good_manners(r);
}

/* With the kernel's own balancing at work beside us. */
static void balancing(struct run *r) {
        struct sim_service *v[4];
        r->settings.balancing_rate_bytes = 64 * MIB;
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                struct sim_spec p = spec(unit, 4, 2 * GIB);
                p.start = topology_nodes(sim_topology(r->sim));
                v[i] = add(r, &p);
        }
        pass(r, HOURS(2));
        for (unsigned i = 0; i < 4; i++)
                expect_local(r, v[i], 0.99);
        expect(r, sim_totals(r->sim).n_changes == 4, "%u changes of home for four services", sim_totals(r->sim).n_changes);
        expect_moved_at_most(r, 1.3);
        expect_good_manners(r);
}

const struct scenario scenarios_place[] = {
        { 1, "at-home", "four services on four nodes, threads anywhere, memory in one place each", misplaced },
        { 2, "sliced", "memory in equal slices on all nodes; then hours of rest", sliced },
        { 3, "crowded", "eight services, all memory on one node", crowded },
        { 4, "wide", "more CPUs than a node has: two near nodes", wide },
        { 5, "large", "more memory than a node has room for", large },
        { 6, "nodes-given", "place: nodes beside place: compact", nodes_given },
        { 7, "not-ours", "place: ignore and no rule: nothing is touched", not_ours },
        { 8, "follow", "memory follows threads, CPUs stay free", follow },
        { 9, "inside-slice", "a slice that allows two of four nodes", inside_slice },
        { 10, "balancing", "the kernel's own balancing interferes", balancing },
        { 0 },
};
