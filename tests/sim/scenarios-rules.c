/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of what rules can ask for beside a place: which nodes, and who with whom; kept while services come, grow and go. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

static struct node_set memory_nodes(const struct run *r, const struct sim_service *v) {
        struct node_set s = { 0 };
        for (unsigned n = 0; n < sim_topology(r->sim)->n_ids; n++)
                if (sim_bytes_on(v, n) > 32 * MIB)
                        node_set_add(&s, n);
        return s;
}

static bool meet(const struct run *r, const struct sim_service *a, const struct sim_service *b) {
        struct node_set x = cpu_nodes(r, a), y = cpu_nodes(r, b), both = node_set_intersect(&x, &y);
        return !node_set_is_empty(&both);
}

static struct sim_service *anywhere(struct run *r, const char *unit, double cpus, uint64_t bytes) {
        struct sim_spec p = spec(unit, cpus, bytes);
        p.start = topology_nodes(sim_topology(r->sim));
        return add(r, &p);
}

/* Looked at every few minutes: never a home outside of what is allowed, however crowded it is there. */
static void allowed(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: a, match: {unit: 'a*'}, place: compact, allowed-nodes: '1-2'}\n"
                 "- {name: b, match: {unit: 'b*'}, place: compact, avoid-nodes: '0'}\n");
        struct node_set one_two = node_set_of(1), zero = node_set_of(0);
        struct sim_service *v[8];
        node_set_add(&one_two, 2);
        for (unsigned i = 0; i < 8; i++) {
                _cleanup_free_ char *unit = format_string("%c%u.service", i % 2 ? 'b' : 'a', i);
                v[i] = anywhere(r, unit, 3, GIB);
        }
        pass(r, MINUTES(10));
        for (unsigned k = 0; k < 12; k++) {
                for (unsigned i = 0; i < 8; i++) {
                        struct node_set cpus = cpu_nodes(r, v[i]), mems = memory_nodes(r, v[i]),
                                        both = node_set_union(&cpus, &mems);
                        if (i % 2 == 0)
                                expect(r, node_set_is_subset(&both, &one_two), "%s is outside of the nodes that it is allowed",
                                       v[i]->unit);
                        struct node_set avoided = node_set_intersect(&both, &zero);
                        if (i % 2)
                                expect(r, node_set_is_empty(&avoided), "%s is on the node that it avoids", v[i]->unit);
                }
                pass(r, MINUTES(5));
        }
        expect_good_manners(r);
}

/* Replicas on nodes of their own, whoever comes first, ends or begins again. */
static void apart(struct run *r) {
        struct sim_service *v[4];
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: replica, match: {unit: 'replica*'}, place: compact, apart-from: replica, max-nodes: 1}\n"
                 "- {name: rest, match: {unit: '*'}, place: compact}\n");
        (void) anywhere(r, "other.service", 2, 2 * GIB);
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("replica%u.service", i);
                v[i] = anywhere(r, unit, 2, 2 * GIB);
                pass(r, MINUTES(2));
        }
        pass(r, MINUTES(20));
        sim_end(r->sim, v[dice(r, 4)]);
        pass(r, MINUTES(30));
        for (unsigned i = 0; i < 4; i++)
                if (!v[i]->running && sim_restart(r->sim, v[i]) < 0)
                        abort();
        pass(r, MINUTES(20));
        for (unsigned i = 0; i < 4; i++) {
                expect_home_count(r, v[i], 1);
                expect_local(r, v[i], 0.99);
                for (unsigned k = 0; k < i; k++)
                        expect(r, !meet(r, v[i], v[k]), "%s and %s share a node", v[i]->unit, v[k]->unit);
        }
        expect_good_manners(r);
}

static void together(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: web, match: {unit: 'web*'}, place: compact, together-with: cache}\n"
                 "- {name: cache, match: {unit: 'cache*'}, place: compact}\n");
        struct sim_service *web = service(r, "web.service", 2, 2 * GIB, 0), *cache = service(r, "cache.service", 2, 4 * GIB, 3);
        pass(r, MINUTES(15));
        struct node_set a = cpu_nodes(r, web), b = cpu_nodes(r, cache);
        expect(r, node_set_equal(&a, &b), "they are not together");
        expect_local(r, web, 0.99);
        expect_local(r, cache, 0.99);
        expect(r, sim_totals(r->sim).moved_bytes <= 4 * GIB + 64 * MIB, "more was moved than the larger of the two");
        expect_good_manners(r);
}

/* A node for itself, by priority over those who were there before. */
static void exclusive(struct run *r) {
        struct sim_service *v[3];
        machine(r, 3, 8, 16 * GIB);
        rules(r, "rules:\n- {name: db, match: {unit: 'db*'}, place: compact, exclusive: true, priority: 200, max-nodes: 1}\n"
                 "- {name: rest, match: {unit: '*'}, place: compact, max-nodes: 1}\n");
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = service(r, unit, 2, GIB, i);
        }
        pass(r, MINUTES(20));
        struct sim_service *db = service(r, "db.service", 4, 4 * GIB, 0);
        pass(r, MINUTES(40));
        expect_home_count(r, db, 1);
        expect_local(r, db, 0.99);
        for (unsigned i = 0; i < 3; i++) {
                expect(r, !meet(r, v[i], db), "%s is on the node that db has for itself", v[i]->unit);
                expect_local(r, v[i], 0.99);
        }
        expect(r, sim_totals(r->sim).past_keep_free_bytes == 0, "past keep-free");
}

/* As much on each node as its CPUs; nothing more to do once it is so. */
static void spread(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: s, match: {unit: '*'}, place: spread}\n");
        struct sim_service *v = service(r, "analytics.service", 24, 8 * GIB, 0);
        pass(r, MINUTES(20));
        for (unsigned n = 0; n < 4; n++)
                expect(r, sim_bytes_on(v, n) > 3 * GIB / 2 && sim_bytes_on(v, n) < 5 * GIB / 2,
                       "%" PRIu64 " MiB of 8 GiB on node %u", (uint64_t) (sim_bytes_on(v, n) / MIB), n);
        uint64_t moved = v->moved_bytes;
        expect(r, moved <= 13 * GIB / 2, "%" PRIu64 " MiB were moved, 6 GiB had to", (uint64_t) (moved / MIB));
        pass(r, HOURS(6));
        expect(r, v->moved_bytes - moved <= GIB, "%" PRIu64 " MiB were moved while nothing changed",
               (uint64_t) ((v->moved_bytes - moved) / MIB));
        expect_good_manners(r);
}

/* Three parts here and one there; its CPUs are left alone. */
static void interleave(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: i, match: {unit: '*'}, place: interleave, weights: {'0-1': 3, '3': 1}}\n");
        struct sim_service *v = service(r, "cache.service", 4, 7 * GIB, 2);
        pass(r, MINUTES(20));
        static const uint64_t wanted[] = { 3 * GIB, 3 * GIB, 0, GIB };
        for (unsigned n = 0; n < 4; n++)
                expect(r, sim_bytes_on(v, n) + 256 * MIB >= wanted[n] && sim_bytes_on(v, n) <= wanted[n] + 256 * MIB,
                       "%" PRIu64 " MiB on node %u, %" PRIu64 " were expected", (uint64_t) (sim_bytes_on(v, n) / MIB), n,
                       (uint64_t) (wanted[n] / MIB));
        expect_home_count(r, v, 4);
        expect(r, sim_totals(r->sim).n_cpuset_writes == 0, "a cpuset was written");
        uint64_t moved = v->moved_bytes;
        pass(r, HOURS(6));
        expect(r, v->moved_bytes - moved <= 256 * MIB, "it goes on moving");
        expect_good_manners(r);
}

/* CPUs that the administrator holds on two nodes, memory to be compact: it must not run after the threads for ever. */
static void held_apart(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, cooldown: 10s}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 1);
        struct node_set two = node_set_of(1);
        struct cpu_mask cpus = { 0 };
        node_set_add(&two, 2);
        topology_cpus_of(sim_topology(r->sim), &two, &cpus);
        if (sim_write_cpuset(r->sim, v, &cpus, NULL) < 0)
                abort();
        pass(r, HOURS(6));
        expect(r, v->n_changes <= 6, "its home changed %u times in six hours", v->n_changes);
        expect(r, sim_totals(r->sim).n_returns == 0, "%u returns within 15 minutes", sim_totals(r->sim).n_returns);
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed");
}

/* At home on one node when a reload brings a rule that wants two. */
static void wide(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: one, match: {unit: app.service}, place: compact}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 1);
        pass(r, MINUTES(30));
        expect_home_count(r, v, 1);
        rules(r, "rules:\n- {name: wide, match: {unit: app.service}, place: compact, min-nodes: 2, max-nodes: 2}\n");
        pass(r, MINUTES(10));
        for (unsigned k = 0; k < 12; k++) {
                expect_home_count(r, v, 2);
                pass(r, MINUTES(5));
        }
        expect_good_manners(r);
}

/* One maps what the other has touched first, and is charged with next to nothing: both live on one node, with all that they share, which was moved once. */
static void lent(struct run *r) {
        machine(r, 4, 8, 3 * GIB);
        rules(r, "rules:\n- {name: vm, match: {unit: 'vm*'}, place: compact, shared-pages: move, min-size: 16M}\n"
                 "- {name: switch, match: {unit: 'switch*'}, place: compact, shared-pages: move, min-size: 16M, together-with: "
                 "vm}\n");
        struct sim_spec p = spec("vm.service", 2, 2 * GIB);
        p.start = node_set_of((unsigned) dice(r, 4));
        node_set_add(&p.start, (unsigned) dice(r, 4));
        p.shared_permille = 900;
        struct sim_service *vm = add(r, &p);
        uint64_t shared = 0;
        for (unsigned n = 0; n < 4; n++)
                shared += vm->bytes[SIM_SHARED][n];
        if (dice(r, 2)) /* it may come later */
                pass(r, MINUTES(5));
        p = spec("switch.service", 2, MIB);
        p.shared_permille = 0;
        struct sim_service *other = add(r, &p);
        other->lender = vm;
        /* Somebody whom no rule keeps with them maps it as well, for a while or never. */
        struct sim_service *third = dice(r, 2) ? service(r, "third.service", 1, GIB, 0) : NULL;
        if (third) {
                third->lender = vm;
                uint64_t before = vm->moved_bytes + other->moved_bytes;
                pass(r, MINUTES(10));
                expect(r, vm->moved_bytes + other->moved_bytes - before < shared / 2,
                       "pages were moved that a third service maps");
                sim_end(r->sim, third);
        }
        pass(r, MINUTES(60));
        struct node_set a = cpu_nodes(r, vm), b = cpu_nodes(r, other), mems = memory_nodes(r, vm);
        expect(r, node_set_equal(&a, &b) && node_set_count(&a) == 1, "they do not live on one node");
        expect(r, node_set_equal(&a, &mems), "what they share is elsewhere");
        expect(r, vm->moved_bytes + other->moved_bytes <= 2 * GIB + 64 * MIB, "%" PRIu64 " bytes were moved",
               vm->moved_bytes + other->moved_bytes);
        expect_local(r, vm, 0.99);
        expect_good_manners(r);
}

/* More services are to be moved than may be at a time, and those that are to share a home among them: the first of them is there before the last one begins to move.
 * Wherever that is, they do not go to and fro meanwhile. */
static void together_one_by_one(struct run *r) {
        struct sim_service *v[4];
        machine(r, 8, 8, 16 * GIB);
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("%s%u.service", i < 2 ? "db" : "web", i);
                struct sim_spec p = spec(unit, 0.5 + (double) dice(r, 20) / 10, (64 + dice(r, 1024)) * MIB);
                node_set_add(&p.start, (unsigned) dice(r, 8));
                node_set_add(&p.start, (unsigned) dice(r, 8));
                v[i] = add(r, &p);
        }
        for (unsigned i = 0; i < 16; i++) {
                _cleanup_free_ char *unit = format_string("app%02u.service", i);
                struct sim_spec p = spec(unit, 0.2 + (double) dice(r, 60) / 10, (512 + dice(r, 6000)) * MIB);
                p.start = topology_nodes(sim_topology(r->sim));
                add(r, &p);
        }
        rules(r, "rules:\n- {name: web, match: {unit: 'web*'}, place: compact, together-with: [db]}\n"
                 "- {name: db, match: {unit: 'db*'}, place: compact, priority: 300}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        pass(r, HOURS(1));
        for (unsigned i = 1; i < ARRAY_SIZE(v); i++)
                expect(r, node_set_equal(&v[i]->home, &v[0]->home), "they are not together");
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                expect(r, v[i]->n_changes <= 2, "%s changed its home %u times", v[i]->unit, v[i]->n_changes);
        expect_good_manners(r);
}

/* What is wrong with the new rules is told with its place, and the old ones stay in force as a whole. */
static void rejected(struct run *r) {
        static const char wrong[] = "daemon: {dry-run: true}\n"
                                    "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '7'}\n";
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        char *why = NULL;
        r->listen = "rules:3:";
        if (sim_set_config(r->sim, "rules", wrong, strlen(wrong)) < 0)
                abort();
        int k = manager_reload(sim_manager(r->sim), &why);
        expect(r, k == -EBADMSG && why && strstr(why, "rules:3:"), "%d: %s", k, why ? why : "not said why");
        expect(r, r->n_heard > 0, "not in the journal");
        free(why);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        expect_local(r, v, 0.99);
        expect(r, sim_bytes_on(v, 1) == 2 * GIB, "not where the old rules have it");
}

const struct scenario scenarios_rules[] = {
        { 40, "allowed", "allowed-nodes and avoid-nodes, crowded", allowed },
        { 41, "apart", "replicas apart, through an end and a new beginning", apart },
        { 42, "together", "a web tier moves to its cache", together },
        { 43, "exclusive", "a newcomer of higher priority has a node for itself", exclusive },
        { 44, "spread", "even memory, and then rest", spread },
        { 45, "interleave", "given weights, and then rest", interleave },
        { 47, "wide", "a reload that asks for two nodes instead of one", wide },
        { 48, "lent", "shared memory that another is charged with, moved for both", lent },
        { 46, "held-apart", "CPUs held on two nodes: no running after threads", held_apart },
        { 194, "together-one-by-one", "services that share a home are moved one after the other, among many others",
          together_one_by_one },
        { 185, "rejected", "rules with a mistake: the old ones stay", rejected },
        { 0 },
};
