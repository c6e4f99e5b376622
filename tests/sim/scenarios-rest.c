/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of what does not move at first: waited for, tried again when there is reason to, or left where it is. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "core/plan.h"
#include "scenario.h"

static const struct placement *placement_of(const struct run *r, const struct sim_service *v) {
        const struct cycle *c = sim_manager(r->sim)->last;
        ssize_t i = c ? cycle_find(c, v->cgroup) : -1;
        return i < 0 ? NULL : &c->plan->placements[i];
}

static void take_it(struct sim *s, void *userdata) {
        sim_take_bytes(s, 1, (int64_t) (sim_free_bytes(s, 1) - GIB / 2));
}
static void give_it_back(struct sim *s, void *userdata) {
        sim_take_bytes(s, 1, -(int64_t) (8 * GIB));
}

/* The home fills up for a few seconds: waited for, and gone on with. */
static void room_comes_back(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 2, 4 * GIB, 0);
        expect(r, sim_at(r->sim, SECONDS(10), take_it, NULL) >= 0 && sim_at(r->sim, SECONDS(16), give_it_back, NULL) >= 0,
               "no memory");
        pass(r, SECONDS(15));
        uint64_t then = v->moved_bytes;
        expect(r, then > 0 && then < 2 * GIB, "%" PRIu64 " MiB moved by then", (uint64_t) (then / MIB));
        pass(r, MINUTES(2));
        expect_local(r, v, 0.99);
        expect(r, held_usec(r, v, HOLD_ROOM) >= (int64_t) SECONDS(4), "held back for %" PRId64 " us", held_usec(r, v, HOLD_ROOM));
        expect(r, r->n_decisions == 1, "%u decisions for one move", r->n_decisions);
}

/* Two home nodes, and somebody else fills one of them while the other has room: what is still to come goes to that. */
static void one_of_two_fills_up(struct run *r) {
        machine(r, 3, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1-2'}\n");
        struct sim_service *v = service(r, "app.service", 2, 8 * GIB, 0);
        expect(r, sim_at(r->sim, SECONDS(10), take_it, NULL) >= 0, "no memory");
        pass(r, SECONDS(9));
        expect(r, sim_bytes_on(v, 1) > 256 * MIB && sim_bytes_on(v, 2) > 256 * MIB, "it does not go to both");
        pass(r, SECONDS(3)); /* it is looked each second */
        uint64_t then = sim_bytes_on(v, 1);
        pass(r, MINUTES(5));
        expect(r, sim_bytes_on(v, 1) == then, "%" PRIu64 " MiB more were put on a node that is full",
               (uint64_t) ((sim_bytes_on(v, 1) - then) / MIB));
        expect(r, sim_bytes_on(v, 0) < 64 * MIB, "%" PRIu64 " MiB stayed behind", (uint64_t) (sim_bytes_on(v, 0) / MIB));
}

static void snapshot(struct sim *s, void *userdata) {
        struct sim_service *v = userdata;
        v->n_ending = 1;
        sim_fork(s, v, 1, SECONDS(40));
}

/* A fork in the middle of the move, for a snapshot: what was shared then is home soon after the child has ended. */
static void forks_for_a_while(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *v = scattered(r, "app.service", 4 * GIB);
        expect(r, sim_at(r->sim, SECONDS(10), snapshot, v) >= 0, "no memory");
        pass(r, SECONDS(48));
        expect(r, v->n_processes == 2 && v->moved_bytes > 0 && v->moved_bytes < 3 * GIB / 2, "not in the middle of it");
        pass(r, SECONDS(100)); /* cooldown, and moving what is left */
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

/* Shared for longer: not tried all the time; and at once when the administrator asks for it. */
static void resumed(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, cooldown: 1s}\n");
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        p.pinned_permille = 400; /* looks movable, and is not */
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(3));
        const struct placement *q = placement_of(r, v);
        expect(r, q && q->state == STATE_BLOCKED, "%s", q ? q->reason : "not seen");
        for (unsigned n = 0; n < 2; n++) { /* let go of */
                v->bytes[SIM_PLAIN][n] += v->bytes[SIM_PINNED][n];
                v->bytes[SIM_PINNED][n] = 0;
        }
        pass(r, MINUTES(2));
        expect(r, sim_locality(r->sim, v) < 0.95, "tried again by itself so soon");
        expect(r, manager_reload(sim_manager(r->sim), NULL) >= 0, "cannot reload");
        pass(r, MINUTES(1));
        expect_local(r, v, 0.99);
}

/* memory: strict, where much will not move, and where much is allocated elsewhere meanwhile: the kernel is left next to nothing to move at once. */
static void strict_with_rest(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\n"
                 "rules:\n- {name: s, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict, cpus: free}\n");
        const struct node_set both = topology_nodes(sim_topology(r->sim));
        struct sim_spec p = spec("pinned.service", 1, GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 400;
        struct sim_service *pinned = add(r, &p);
        p = spec("grows.service", 2, 2 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (3600 * 64 * MIB); /* in a second 64 MiB */
        p.limit_bytes = 4 * GIB;
        struct sim_service *grows = add(r, &p);
        /* Where there was no set before the kernel moves nothing. */
        expect(r, sim_write_cpuset(r->sim, pinned, NULL, &both) >= 0 && sim_write_cpuset(r->sim, grows, NULL, &both) >= 0,
               "cannot write their cpusets");
        pass(r, MINUTES(10));
        uint64_t forced = sim_totals(r->sim).forced_bytes;
        expect(r, node_set_count(&grows->allowed_mems) == 1, "what grows is not narrowed");
        expect(r, node_set_count(&pinned->allowed_mems) == 2, "narrowed with 400 MiB left behind");
        expect(r, forced <= 128 * MIB, "the kernel had to move %" PRIu64 " MiB", (uint64_t) (forced / MIB));
        const char *reason = NULL;
        struct json_object *effort = last_effort(r, pinned, &reason);
        expect(r, reason && strstr(reason, "still elsewhere"), "said: %s", reason ? reason : "nothing");
        json_object_put(effort);
        expect(r, r->n_given_up >= 1 && r->n_given_up <= 8, "given up %u times in ten minutes", r->n_given_up);
}

/* A small service whose libraries are elsewhere is at rest, and its state says so; a large part of it is another matter. */
static void small_rest(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("small.service", 1, 70 * MIB);
        p.start = node_set_of(0);
        p.pinned_permille = 100;
        struct sim_service *small = add(r, &p);
        p.unit = "stuck.service";
        p.pinned_permille = 700;
        struct sim_service *stuck = add(r, &p);
        pass(r, MINUTES(5));
        const struct placement *a = placement_of(r, small), *b = placement_of(r, stuck);
        expect(r, a && a->state == STATE_STABLE, "7 MiB left make it %s", a ? service_state_to_string(a->state) : "unseen");
        expect(r, b && b->state == STATE_BLOCKED, "49 MiB of 70 left make it %s",
               b ? service_state_to_string(b->state) : "unseen");
        expect(r, b && !strstr(b->reason, "at home on"), "most of it is elsewhere, and it says: %s", b ? b->reason : "");
}

/* What it frees at home it gets elsewhere, so much in a minute. */
static void strays(struct sim_service *v, uint64_t bytes) {
        uint64_t n = MIN2(bytes, v->bytes[SIM_PLAIN][1]);
        v->bytes[SIM_PLAIN][1] -= n;
        v->bytes[SIM_PLAIN][0] += n;
}

/* A day of services whose new pages are elsewhere, a few each minute: brought home now and then, not a few each minute; and much of them at once as ever. */
static void few_at_a_time(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *fast = service(r, "fast.service", 1, 2 * GIB, 1), *slow = service(r, "slow.service", 1, 2 * GIB, 1);
        double least = 1;
        for (unsigned i = 0; i < 24 * 60; i++) {
                strays(fast, 5 * MIB);
                strays(slow, 3 * MIB / 2);
                pass(r, MINUTES(1));
                least = MIN2(least, MIN2(sim_locality(r->sim, fast), sim_locality(r->sim, slow)));
        }
        expect(r, least >= 0.965, "locality was down to %.4f", least);
        expect(r, r->n_decisions <= 300, "%u decisions in a day", r->n_decisions);
        const struct placement *p = placement_of(r, slow);
        expect(r, p && p->state != STATE_BLOCKED, "%s", p ? p->reason : "not seen");
        strays(slow, 200 * MIB);
        pass(r, MINUTES(7)); /* so long between looks where all is quiet, and a cooldown */
        expect_local(r, slow, 0.985);
        /* Nothing more: the last few do come home. */
        pass(r, HOURS(2));
        expect_local(r, slow, 0.998);
        expect_local(r, fast, 0.998);
        expect_good_manners(r);
}

/* A tenth of what leaves a crowded node cannot move, which nobody knew before: it is farther from its memory than it was, and far nearer than it would be if its CPUs
 * were given back now. */
static void pinned_where_crowded(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: big, match: {unit: 'big*'}, place: nodes, nodes: '0', priority: 500}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 4, 4 * GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 150;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        (void) service(r, "big.service", 7, 4 * GIB, 0);
        pass(r, HOURS(1));
        struct node_set nodes = cpu_nodes(r, v), one = node_set_of(1);
        expect(r, node_set_equal(&nodes, &one), "it is not where its CPUs are not crowded");
        expect_local(r, v, 0.84);
        expect(r, r->n_given_up == 0 && r->n_restored == 0, "given up %u times", r->n_given_up);
        expect_good_manners(r);
}

/* Nearly all of it is: then its CPUs are given back, as anywhere is nearer. */
static void mostly_pinned(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: big, match: {unit: 'big*'}, place: nodes, nodes: '0', priority: 500}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 4, 4 * GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 900;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        (void) service(r, "big.service", 7, 4 * GIB, 0);
        pass(r, MINUTES(5));
        expect(r, r->n_given_up == 1 && r->n_restored == 1, "given up %u times", r->n_given_up);
        expect_home_count(r, v, 2);
        pass(r, HOURS(12));
        expect(r, r->n_given_up <= 3, "given up %u times", r->n_given_up);
        expect(r, v->moved_bytes <= GIB, "moved %" PRIu64 " MiB of what does not move", (uint64_t) (v->moved_bytes / MIB));
}

/* Its memory nodes alone are ours, and its rule names others: they are widened before anything is moved, and narrowed after. */
static void strict_elsewhere(struct run *r) {
        static const char *const texts[] = {
                "rules:\n- {name: s, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict, cpus: free}\n",
                "rules:\n- {name: s, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict, cpus: free}\n",
        };
        machine(r, 2, 8, 16 * GIB);
        struct sim_service *v = scattered(r, "app.service", 2 * GIB);
        for (unsigned i = 0; i < 4; i++) {
                struct node_set home = node_set_of(i % 2);
                rules(r, texts[i % 2]);
                pass(r, MINUTES(5));
                expect(r, node_set_equal(&v->allowed_mems, &home) && sim_bytes_on(v, i % 2) == sim_bytes(r->sim, v),
                       "not on node %u alone", i % 2);
                expect_home_count(r, v, 2);
        }
        expect(r, r->n_given_up == 0 && sim_totals(r->sim).forced_bytes <= MIB, "given up, or left to the kernel");
}

const struct scenario scenarios_rest[] = {
        { 106, "room-comes-back", "a home that is full for some seconds", room_comes_back },
        { 118, "one-of-two", "one of two home nodes fills up", one_of_two_fills_up },
        { 109, "snapshot", "a fork in the middle of a move", forks_for_a_while },
        { 110, "asked-again", "a reload forgives what would not move", resumed },
        { 111, "strict-rest", "strict memory with much that stays: not left to the kernel", strict_with_rest },
        { 112, "small-rest", "a small service whose libraries are elsewhere is stable", small_rest },
        { 145, "few-at-a-time", "a few pages elsewhere each minute, for a day", few_at_a_time },
        { 192, "pinned-where-crowded", "a tenth of what leaves a crowded node cannot move", pinned_where_crowded },
        { 193, "mostly-pinned", "nearly all of what leaves a crowded node cannot move: its CPUs are given back", mostly_pinned },
        { 181, "strict-elsewhere", "strict memory of free threads, from node to node", strict_elsewhere },
        { 0 },
};
