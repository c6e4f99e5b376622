/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has to wait, for a window or for its turn, and what must not: scenarios 37 to 39, 49, 56 to 59 and 76. */
#include <errno.h>
#include <inttypes.h>

#include "scenario.h"

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

/* Four minutes each day for what takes twenty: it stops where they end, and goes on the day after. */
static void window_ends(struct run *r) {
        machine(r, 2, 8, 128 * GIB);
        rules(r, "daemon:\n  windows: ['Mon..Sun 10:00-10:04']\n  migrate-rate: 48M\n" ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 64 * GIB);
        p.start = node_set_of(1);
        p.parent_cpu_nodes = node_set_of(0);
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(2) + MINUTES(5));
        uint64_t first = v->moved_bytes;
        uint64_t told = sim_manager(r->sim)->stats.moved_bytes;
        unsigned writes = sim_totals(r->sim).n_cpuset_writes;
        expect(r, told == first, "%" PRIu64 " MiB were moved, and %" PRIu64 " MiB told of", (uint64_t) (first / MIB),
               (uint64_t) (told / MIB));
        expect(r, sim_manager(r->sim)->stats.n_failed == 0, "the end of the window counts as a failure");
        expect(r, first > 8 * GIB, "%" PRIu64 " MiB were moved in the window", (uint64_t) (first / MIB));
        pass(r, HOURS(23) + MINUTES(50));
        expect(r, v->moved_bytes == first && sim_totals(r->sim).n_cpuset_writes == writes,
               "%" PRIu64 " MiB were moved after it had ended", (uint64_t) ((v->moved_bytes - first) / MIB));
        expect(r, r->n_decisions == 1 && r->n_warnings == 0, "%u decisions and %u warnings of one move", r->n_decisions,
               r->n_warnings);
        pass(r, DAYS(9));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

/* The same where its CPUs went first, as beside the kernel's own balancing: they stay at home, and so does what has come there. */
static void window_ends_with_cpus_at_home(struct run *r) {
        r->settings.balancing_rate_bytes = 16 * KIB;
        machine(r, 2, 8, 128 * GIB);
        rules(r, "daemon:\n  windows: ['Mon..Sun 10:00-10:04']\n  migrate-rate: 48M\n"
                 "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0'}\n");
        struct sim_service *v = service(r, "app.service", 2, 64 * GIB, 1);
        pass(r, HOURS(2) + MINUTES(5));
        uint64_t first = v->moved_bytes;
        unsigned writes = sim_totals(r->sim).n_cpuset_writes;
        expect(r, first > 8 * GIB && first < 16 * GIB, "%" PRIu64 " MiB were moved in the window", (uint64_t) (first / MIB));
        expect_home_count(r, v, 1);
        pass(r, HOURS(23) + MINUTES(50));
        expect(r, v->moved_bytes == first && sim_totals(r->sim).n_cpuset_writes == writes,
               "something was done after it had ended");
        expect_home_count(r, v, 1);
        expect(r, r->n_decisions == 1 && r->n_warnings == 0, "%u decisions and %u warnings of one move", r->n_decisions,
               r->n_warnings);
        pass(r, DAYS(9));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

/* It outgrows its node where nothing may be changed, or begun: what we took from it is given back all the same. */
static void outgrows(struct run *r, const char *text, const char *then) {
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (6 * GIB);
        p.limit_bytes = 10 * GIB;
        struct sim_service *v;
        machine(r, 2, 16, 8 * GIB);
        rules(r, text);
        v = add(r, &p);
        pass(r, MINUTES(10));
        expect(r, node_set_count(&v->allowed_mems) == 1, "strict memory was not narrowed");
        if (then)
                rules(r, then);
        for (unsigned i = 0; i < 4; i++) { /* at the least rate that there is, each takes two hours */
                _cleanup_free_ char *unit = format_string("slow%u.service", i);
                (void) service(r, unit, 1, 512 * MIB, 0);
        }
        pass(r, HOURS(2));
        expect(r, sim_bytes(r->sim, v) + 64 * MIB >= 10 * GIB, "it has only %" PRIu64 " MiB of 10 GiB",
               (uint64_t) (sim_bytes(r->sim, v) / MIB));
        expect(r, node_set_count(&v->allowed_mems) == 2, "its memory is still narrowed");
}

static void strict_out_of_window(struct run *r) {
        outgrows(r,
                 "daemon:\n  windows: ['Mon..Sun 08:00-08:12']\n"
                 "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n",
                 NULL);
}

/* Its rule is gone by then, and with it the planner's care. */
static void strict_without_rule(struct run *r) {
        outgrows(r, "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n",
                 "daemon:\n  windows: ['Mon..Sun 07:00-08:00']\nrules: []\n");
}

/* Memory that it needs is no reason to restrict its CPUs out of the windows. */
static void strict_memory_alone(struct run *r) {
        outgrows(r, "rules:\n- {name: s, match: {unit: app.service}, place: nodes, nodes: '0', memory: strict, cpus: free}\n",
                 "daemon:\n  windows: ['Mon..Sun 07:00-08:00']\n"
                 "rules:\n- {name: s, match: {unit: app.service}, place: nodes, nodes: '0', memory: strict}\n");
        expect_home_count(r, sim_find(r->sim, "app.service"), 2);
}

static void strict_without_turn(struct run *r) {
        outgrows(r,
                 "daemon: {migrate-rate: 64K}\n"
                 "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n"
                 "- {name: slow, match: {unit: 'slow*.service'}, place: nodes, nodes: '1'}\n",
                 NULL);
}

/* A thread of it hangs, and whoever changes its memory nodes would hang with it: tried again and again, but not all the time; and given back once it is over. */
static void hangs_and_outgrows(struct run *r, const char *then, const unsigned *n_tried) {
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (6 * GIB);
        p.limit_bytes = 10 * GIB;
        machine(r, 2, 16, 8 * GIB);
        rules(r, "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        expect(r, node_set_count(&v->allowed_mems) == 1, "strict memory was not narrowed");
        v->fail_mems = -EAGAIN;
        if (then)
                rules(r, then);
        unsigned before = *n_tried;
        while (*n_tried == before && sim_elapsed(r->sim) < HOURS(2))
                pass(r, SECONDS(1));
        pass(r, MINUTES(6));
        expect(r, *n_tried > before + 2, "tried only %u times in the first minutes", *n_tried - before);
        pass(r, HOURS(4));
        expect(r, *n_tried > before + 8 && *n_tried <= before + 60, "%u tries in hours at what cannot be done",
               *n_tried - before);
        v->fail_mems = 0;
        pass(r, MINUTES(6));
        expect(r, node_set_count(&v->allowed_mems) == 2, "its memory is still narrowed");
}

static void strict_and_hung(struct run *r) {
        hangs_and_outgrows(r, NULL, &r->n_decisions);
}

static void without_rule_and_hung(struct run *r) {
        hangs_and_outgrows(r, "rules: []\n", &r->n_restore_failed);
}

/* Reading it does not return: then a change of its memory nodes might not, either, with all cgroups locked. It has them back soon after it is over. */
static void strict_and_stuck(struct run *r) {
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (6 * GIB);
        p.limit_bytes = 10 * GIB;
        machine(r, 2, 16, 8 * GIB);
        rules(r, "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        v->stuck_usec = MINUTES(50);
        const struct service_note *n = manager_find_note(sim_manager(r->sim), v->cgroup);
        for (unsigned i = 0; i < 3000 && n && !n->stuck; i++)
                pass(r, SECONDS(1));
        expect(r, n && n->stuck && node_set_count(&v->allowed_mems) == 1, "it was not read while it was narrowed");
        v->stuck_usec = 0;
        for (unsigned i = 0; i < 6000 && n && n->stuck; i++) {
                expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were changed");
                pass(r, SECONDS(1));
        }
        pass(r, MINUTES(1));
        expect(r, node_set_count(&v->allowed_mems) == 2, "its memory is still narrowed");
}

/* Whom its rule has moved slowly does not keep others from being moved, however many of them there are. */
static void slow_ones(struct run *r) {
        machine(r, 2, 16, 16 * GIB);
        rules(r, "rules:\n- {name: slow, match: {unit: 'slow*.service'}, place: nodes, nodes: '1', migrate-rate: 64K}\n"
                 "- {name: others, match: {unit: '*'}, place: nodes, nodes: '1', priority: 1}\n");
        for (unsigned i = 0; i < 6; i++) {
                _cleanup_free_ char *unit = format_string("slow%u.service", i);
                (void) service(r, unit, 1, 512 * MIB, 0);
        }
        pass(r, MINUTES(5));
        struct sim_service *v = service(r, "app.service", 2, GIB, 0), *w = service(r, "other.service", 2, GIB, 0);
        pass(r, MINUTES(10));
        expect_local(r, v, 0.99);
        expect_local(r, w, 0.99);
        pass(r, HOURS(6));
        for (size_t i = 0; i < sim_n_services(r->sim); i++)
                expect_local(r, sim_service(r->sim, i), 0.99);
        expect_good_manners(r);
}

const struct scenario scenarios_waiting[] = {
        { 37, "window-ends", "a move stops where its window ends, and goes on in the next", window_ends },
        { 59, "window-ends-cpus-first", "… and with it CPUs that went first", window_ends_with_cpus_at_home },
        { 38, "strict-out-of-window", "strict memory is widened under pressure outside of the windows, too",
          strict_out_of_window },
        { 182, "strict-memory-alone", "… and nothing else is changed there", strict_memory_alone },
        { 39, "strict-without-turn", "… and while others have all turns", strict_without_turn },
        { 49, "slow-ones", "those that their rule has moved slowly do not take all turns", slow_ones },
        { 57, "strict-without-rule", "… and where no rule matches it any more", strict_without_rule },
        { 56, "strict-and-hung", "… and tried again while a thread of it hangs", strict_and_hung },
        { 76, "strict-and-stuck", "… but not while reading it does not return", strict_and_stuck },
        { 58, "no-rule-and-hung", "… and both", without_rule_and_hung },
        { 0 },
};
