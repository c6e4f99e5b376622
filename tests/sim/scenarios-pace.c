/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of pace: how moves share the rate, and who has the next turn. */
#include <inttypes.h>

#include "scenario.h"

/* One rate for the machine: all get the same of it, whatever the size of their slices. */
static void shared_rate(struct run *r) {
        struct sim_service *v[3];
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 48M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = scattered(r, unit, 4 * GIB);
        }
        v[1]->stuck_usec = 40 * USEC_PER_MSEC; /* a call of its own takes as long, so its slices are others' */
        pass(r, SECONDS(60));
        uint64_t most = 0, least = UINT64_MAX, all = sim_totals(r->sim).moved_bytes;
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                most = MAX2(most, v[i]->moved_bytes);
                least = MIN2(least, v[i]->moved_bytes);
        }
        expect(r, all <= 60 * 48 * MIB + 32 * MIB, "%" PRIu64 " MiB in a minute at 48 a second", (uint64_t) (all / MIB));
        expect(r, all >= 50 * 48 * MIB, "only %" PRIu64 " MiB in a minute at 48 a second", (uint64_t) (all / MIB));
        expect(r, most - least <= most / 5 + 16 * MIB, "between %" PRIu64 " and %" PRIu64 " MiB each", (uint64_t) (least / MIB),
               (uint64_t) (most / MIB));
        v[1]->stuck_usec = 0;
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                expect_local(r, v[i], 0.99);
                expect(r, held_usec(r, v[i], HOLD_RATE) > (int64_t) SECONDS(30), "%s says that it waited %" PRId64 " us",
                       v[i]->unit, held_usec(r, v[i], HOLD_RATE));
        }
        expect_good_manners(r);
}

/* The rule's own rate, with and without company, through several moves: none begins with a new allowance. */
static void rule_rate(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: slow, match: {unit: 'slow*'}, place: compact, migrate-rate: 16M}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *slow = scattered(r, "slow.service", 2 * GIB), *fast = scattered(r, "fast.service", 2 * GIB);
        pass(r, SECONDS(33));
        expect(r, slow->moved_bytes <= 32 * 16 * MIB, "%" PRIu64 " MiB at 16 a second", (uint64_t) (slow->moved_bytes / MIB));
        expect(r, slow->moved_bytes >= 24 * 16 * MIB, "only %" PRIu64 " MiB", (uint64_t) (slow->moved_bytes / MIB));
        expect(r, fast->moved_bytes + 16 * MIB >= GIB, "the slow one held up the other");
        uint64_t before = slow->moved_bytes;
        for (unsigned i = 0; i < 5; i++) { /* each reload ends the move, and the next begins */
                rules(r, "rules:\n- {name: slow, match: {unit: 'slow*'}, place: compact, migrate-rate: 16M, cooldown: 0s}\n"
                         "- {name: all, match: {unit: '*'}, place: compact}\n");
                pass(r, SECONDS(2));
        }
        expect(r, slow->moved_bytes - before <= 10 * 16 * MIB + 8 * MIB, "%" PRIu64 " MiB in ten seconds of reloads",
               (uint64_t) ((slow->moved_bytes - before) / MIB));
        pass(r, MINUTES(10));
        expect_local(r, slow, 0.99);
        expect_good_manners(r);
}

/* What is slow to move waits for itself alone. */
static void slow_one(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 256M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *slow = scattered(r, "aslow.service", 2 * GIB);
        slow->stuck_usec = 2 * USEC_PER_SEC;
        struct sim_service *fine = scattered(r, "fine.service", 2 * GIB);
        pass(r, SECONDS(25));
        expect_local(r, fine, 0.99);
        expect(r, slow->moved_bytes > 0 && slow->moved_bytes < 256 * MIB, "the slow one is not slow");
        slow->stuck_usec = 0;
        pass(r, MINUTES(5));
        expect_local(r, slow, 0.99);
}

/* A process that went from one cgroup into one below it is in two observations: never in two movers. */
static void two_services_one_process(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("a.service", 1, GIB);
        p.start = node_set_of(0);
        p.n_processes = 3;
        struct sim_service *a = add(r, &p);
        p.unit = "b.service";
        p.n_processes = 1;
        struct sim_service *b = add(r, &p);
        b->pid = a->pid + 2; /* the last of the other's */
        b->start_ticks = a->start_ticks;
        bool both = false;
        for (unsigned i = 0; i < 600; i++) {
                pass(r, 100 * USEC_PER_MSEC);
                both |= transition_find(sim_manager(r->sim), a->cgroup) && transition_find(sim_manager(r->sim), b->cgroup);
        }
        expect(r, !both, "both are moved at once");
        expect_local(r, a, 0.99);
        pass(r, MINUTES(2));
        expect_local(r, b, 0.99);
}

/* More services than turns: those of higher priority begin. */
static void by_priority(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: first, match: {unit: 'z*'}, place: compact, priority: 300}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *last[6], *first[2];
        for (unsigned i = 0; i < ARRAY_SIZE(last); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                last[i] = scattered(r, unit, GIB);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
                _cleanup_free_ char *unit = format_string("z%u.service", i);
                first[i] = scattered(r, unit, GIB);
        }
        pass(r, SECONDS(10));
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
                expect(r, first[i]->moved_bytes > 0, "%s waits for others of lower priority", first[i]->unit);
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < ARRAY_SIZE(last); i++)
                expect_local(r, last[i], 0.99);
        expect_good_manners(r);
}

/* Where most of its memory is home already its CPUs go there first; where it still has most of it they come last. */
static void cpus_first_or_last(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *far = service(r, "far.service", 2, 2 * GIB, 1), *near = service(r, "near.service", 2, 4 * GIB, 0);
        far->bytes[SIM_PLAIN][0] += GIB;
        sim_take_bytes(r->sim, 0, GIB);
        pass(r, SECONDS(15));
        struct node_set home = topology_nodes(sim_topology(r->sim)), one = { 0 }, cpus = cpu_nodes(r, far);
        node_set_add(&one, 1);
        expect(r, far->moved_bytes > 0 && far->moved_bytes < GIB && near->moved_bytes > 0 && near->moved_bytes < 2 * GIB,
               "it is not in the middle of its moves");
        expect(r, node_set_equal(&cpus, &one), "its threads do not go to the memory that is home already");
        cpus = cpu_nodes(r, near);
        expect(r, node_set_equal(&cpus, &home), "its threads go away from most of its memory");
        pass(r, MINUTES(5));
        expect_local(r, far, 0.99);
        expect_local(r, near, 0.99);
        cpus = cpu_nodes(r, near);
        expect(r, node_set_equal(&cpus, &one), "its CPUs were not restricted in the end");
}

/* Without a limit, on up to sixteen CPUs: slice by slice in turn, so that both wait for the other, and both are home at about the same time. */
static void in_turn_on(struct run *r, unsigned cpus_of_node) {
        machine(r, 2, cpus_of_node, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 100G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        sim_settings(r->sim)->move_rate_bytes = 64 * MIB;
        struct sim_service *v[2] = { scattered(r, "app0.service", 2 * GIB), scattered(r, "app1.service", 2 * GIB) };
        pass(r, SECONDS(15));
        uint64_t a = v[0]->moved_bytes, b = v[1]->moved_bytes;
        expect(r, MIN2(a, b) > 0 && MAX2(a, b) - MIN2(a, b) <= 64 * MIB, "moved %" PRIu64 " and %" PRIu64 " MiB",
               (uint64_t) (a / MIB), (uint64_t) (b / MIB));
        expect(r, a + b <= 15 * 64 * MIB, "moved faster than one at a time can");
        pass(r, MINUTES(5));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                expect_local(r, v[i], 0.99);
                expect(r, held_usec(r, v[i], HOLD_TURN) > (int64_t) SECONDS(2), "%s waited for %" PRId64 " us", v[i]->unit,
                       held_usec(r, v[i], HOLD_TURN));
        }
        expect_good_manners(r);
}

static void in_turn(struct run *r) {
        in_turn_on(r, 4);
}

static void in_turn_of_sixteen(struct run *r) {
        in_turn_on(r, 8);
}

/* Four at once on a machine that lets one slice run at a time: the next begins when one ends, and no time is lost between them. */
static void handed_on(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r,
              "daemon: {migrate-rate: 16G}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', cpus: free}\n");
        struct sim_service *v[4];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = service(r, unit, 1, 2 * GIB, 0);
        }
        /* 8 GiB, of which the kernel moves one in a second. */
        pass(r, SECONDS(12));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                expect(r, sim_bytes_on(v[i], 1) == 2 * GIB, "%s: %" PRIu64 " MiB are at home", v[i]->unit,
                       (uint64_t) (sim_bytes_on(v[i], 1) / MIB));
}

/* Two at once to a node that has room for one and a half of them: none takes what was given to the other. */
static void room_for_both(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r,
              "daemon: {migrate-rate: 16G}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', cpus: free}\n");
        sim_settings(r->sim)->move_rate_bytes = 8 * GIB;
        sim_take_bytes(r->sim, 1, (int64_t) (sim_free_bytes(r->sim, 1) - 16 * GIB / 20 - 3 * GIB));
        const struct sim_service *a = service(r, "a.service", 1, 2 * GIB, 0), *b = service(r, "b.service", 1, 2 * GIB, 0);
        pass(r, MINUTES(2));
        uint64_t there = sim_bytes_on(a, 1) + sim_bytes_on(b, 1);
        expect(r, there >= 2 * GIB, "%" PRIu64 " MiB of 3 GiB", (uint64_t) (there / MIB));
        uint64_t past = sim_totals(r->sim).past_keep_free_bytes; /* a page at the most */
        expect(r, past <= 4 * KIB, "%" PRIu64 " KiB past keep-free", (uint64_t) (past / KIB));
}

/* Three small ones end while a large one is moved: their last slices took room, too. There is less of it than when it was given out. */
static void room_after_others(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r,
              "daemon: {migrate-rate: 16G}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', cpus: free}\n");
        sim_settings(r->sim)->move_rate_bytes = 8 * GIB;
        const struct sim_service *large = service(r, "large.service", 1, 2 * GIB, 0);
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_free_ char *unit = format_string("small%u.service", i);
                (void) service(r, unit, 1, 256 * MIB, 0);
        }
        pass(r, SECONDS(2) + SECONDS(1) / 100); /* the look that it is planned on has begun */
        sim_take_bytes(r->sim, 1, (int64_t) (sim_free_bytes(r->sim, 1) - 16 * GIB / 20 - 1400 * MIB));
        pass(r, MINUTES(2));
        expect(r, sim_bytes_on(large, 1) > 0 && sim_bytes_on(large, 1) < 2 * GIB, "%" PRIu64 " MiB of the large one are there",
               (uint64_t) (sim_bytes_on(large, 1) / MIB));
        uint64_t past = sim_totals(r->sim).past_keep_free_bytes; /* a page at the most */
        expect(r, past <= 4 * KIB, "%" PRIu64 " KiB past keep-free", (uint64_t) (past / KIB));
}

const struct scenario scenarios_pace[] = {
        { 100, "shared-rate", "services under one rate have the same of it", shared_rate },
        { 101, "rule-rate", "a rule's rate, through several moves", rule_rate },
        { 102, "slow-one", "a service that is slow to move holds up no other", slow_one },
        { 107, "two-services", "a process that is in two services", two_services_one_process },
        { 108, "priority", "more services than turns", by_priority },
        { 114, "cpus-first", "CPUs go home first, or last, by where the memory is", cpus_first_or_last },
        { 116, "in-turn", "two services without a limit take turns", in_turn },
        { 119, "in-turn-of-sixteen", "one at a time on sixteen CPUs, too", in_turn_of_sixteen },
        { 184, "handed-on", "one slice at a time of four services: no time is lost between them", handed_on },
        { 221, "room-for-both", "two at once to a node without room for both", room_for_both },
        { 251, "room-after-others", "one to a node that others have just filled with their last slices", room_after_others },
        { 0 },
};
