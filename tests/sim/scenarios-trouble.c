/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of refusal: what must not be done, and how little is done in vain where the machine, the service or the administrator says no. */
#include <inttypes.h>

#include "scenario.h"

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

/* A home that fills up while we move there: a neighbour that nobody manages grows at the same time. */
static void keep_free(struct run *r) {
        machine(r, 2, 8, 8 * GIB);
        rules(r, "daemon: {keep-free: 10%, migrate-rate: 256M}\n"
                 "rules:\n- {name: here, match: {unit: 'app*'}, place: nodes, nodes: '0'}\n");
        struct sim_spec p = spec("neighbour.service", 1, 2 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (720 * GIB); /* 200 MiB a second */
        p.limit_bytes = 4 * GIB;
        p.parent_cpu_nodes = node_set_of(0);
        add(r, &p);
        struct sim_service *v = service(r, "app.service", 2, 5 * GIB, 1);
        pass(r, MINUTES(20));
        expect(r, sim_free_bytes(r->sim, 0) + MIB >= sim_topology(r->sim)->nodes[0].bytes_total / 10,
               "node 0 was filled past keep-free");
        expect(r, v->moved_bytes > 0, "nothing was moved, and there was room");
        struct sim_totals t = sim_totals(r->sim);
        /* The neighbour's growth is noticed a second late at most. */
        expect(r, t.past_keep_free_bytes <= 256 * MIB, "%" PRIu64 " MiB past keep-free",
               (uint64_t) (t.past_keep_free_bytes / MIB));
        expect(r, r->n_given_up == 0 && r->n_moved > 0, "what came home is not told as moved");
        expect(r, t.n_returns == 0 && t.unplaced_bytes == 0, "ping-pong, or memory that could not be had");
        uint64_t moved = t.moved_bytes;
        pass(r, HOURS(6));
        expect(r, sim_totals(r->sim).moved_bytes <= moved + 64 * MIB, "it goes on moving where there is no room");
}

/* Pinned and shared pages stay; trying costs little and is not repeated for ever. */
static void pinned(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 200;
        p.shared_permille = 100;
        p.bound_permille = 100;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(20));
        uint64_t plain = v->bytes[SIM_PLAIN][1];
        expect(r, plain + 64 * MIB >= 4 * GIB / 10 * 6, "%" PRIu64 " MiB that could move have not",
               (uint64_t) ((4 * GIB / 10 * 6 - plain) / MIB));
        pass(r, DAYS(1));
        expect(r, r->n_decisions <= 12, "%u tries in a day at what does not move", r->n_decisions);
        expect(r, v->bytes[SIM_PINNED][0] > 0 && v->bytes[SIM_SHARED][0] > 0 && v->bytes[SIM_BOUND][0] > 0,
               "the simulation moved what it must not");
        expect_good_manners(r);
}

/* A task policy of its own: the service looks after itself. */
static void self_managed(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.policy = "bind:0";
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(2));
        expect(r, v->moved_bytes == 0, "pages of a service with a policy of its own were moved");
        expect_home_count(r, v, 2);
        expect(r, r->n_blocked <= 2, "said %u times that it is left alone", r->n_blocked);
}

static void end_service(struct sim *s, void *userdata) {
        sim_end(s, userdata);
}

/* The process vanishes while its pages move; the next one of that unit is looked after like any other. */
static void vanishes(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\n" ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p), *other = service(r, "other.service", 2, GIB, 1);
        expect(r, sim_at(r->sim, SECONDS(3) + dice(r, SECONDS(14)), end_service, v) >= 0, "no memory");
        pass(r, MINUTES(5));
        expect(r, v->moved_bytes > 0 && !v->running, "it did not end in the middle of its move");
        expect_local(r, other, 0.99);
        if (sim_restart(r->sim, v) < 0)
                abort();
        pass(r, MINUTES(10));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
        expect_good_manners(r);
}

/* Ended and gone: what was on record of it is forgotten in time, and its unit's settings are reset. */
static void gone(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        expect_home_count(r, v, 1);
        expect(r, sim_manager(r->sim)->record->n_entries == 1, "not on record");
        sim_end(r->sim, v);
        pass(r, HOURS(1));
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "still on record an hour after it ended");
        expect(r, !v->settings.cpus_set, "the unit's setting outlives its record");
        if (sim_restart(r->sim, v) < 0)
                abort();
        pass(r, MINUTES(5));
        expect_home_count(r, v, 1);
}

/* Reading its map does not return: said once, left alone, and all others are served. */
static void stuck_reader(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("stuck.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->stuck_usec = HOURS(1);
        p.unit = "fine.service";
        struct sim_service *fine = add(r, &p);
        pass(r, MINUTES(10));
        expect_local(r, fine, 0.99);
        expect(r, r->n_stuck == 1, "said %u times that it is stuck", r->n_stuck);
        expect(r, v->moved_bytes == 0, "it was moved without having been read");
        v->stuck_usec = 0;
        pass(r, HOURS(2));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

static void make_stuck(struct sim *s, void *userdata) {
        ((struct sim_service *) userdata)->stuck_usec = MINUTES(30);
}

/* The same in the middle of its move: it takes nobody's turn. */
static void stuck_mover(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 256M}\n" ALL_COMPACT);
        struct sim_spec p = spec("stuck.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        expect(r, sim_at(r->sim, SECONDS(6), make_stuck, v) >= 0, "no memory");
        pass(r, MINUTES(3));
        struct sim_service *late[6];
        for (unsigned i = 0; i < 6; i++) {
                _cleanup_free_ char *unit = format_string("late%u.service", i);
                p.unit = unit;
                p.bytes = GIB;
                late[i] = add(r, &p);
        }
        pass(r, MINUTES(15));
        for (unsigned i = 0; i < 6; i++)
                expect_local(r, late[i], 0.99);
        expect(r, r->n_stuck >= 1, "nobody said that it is stuck");
        v->stuck_usec = 0;
        pass(r, HOURS(2));
        expect_local(r, v, 0.99);
        expect(r, sim_totals(r->sim).past_keep_free_bytes == 0, "past keep-free");
}

static void paused(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        expect(r, manager_bus_callbacks.pause(true, sim_manager(r->sim)) >= 0, "cannot be paused");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(2));
        expect(r, v->moved_bytes == 0 && sim_totals(r->sim).n_cpuset_writes == 0, "something was changed in a pause");
        expect(r, manager_bus_callbacks.pause(false, sim_manager(r->sim)) >= 0, "cannot be resumed");
        pass(r, MINUTES(10));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

/* Monday 08:00; changes from 22:00 on. */
static void window(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, dice(r, 2) == 0 ? "daemon:\n  windows: ['Mon..Sun 22:00-06:00']\n" ALL_COMPACT
                                 : "daemon:\n  max-interval: 1d\n  windows: ['Mon..Sun 22:00-22:10']\n" ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(13) + MINUTES(59));
        expect(r, v->moved_bytes == 0 && sim_totals(r->sim).n_cpuset_writes == 0, "something was changed outside of the window");
        /* Every interval of the day is no time to read memory maps for what is done at night. */
        uint64_t n_cycles = sim_manager(r->sim)->stats.n_cycles;
        expect(r, n_cycles <= 200, "it looked %" PRIu64 " times", n_cycles);
        pass(r, MINUTES(4));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

static void dry(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {dry-run: true}\n" ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        pass(r, HOURS(3));
        expect(r, v->moved_bytes == 0 && sim_totals(r->sim).n_cpuset_writes == 0, "a dry run changed something");
        expect(r, r->n_decisions >= 1 && r->n_decisions <= 3, "%u decisions were said of one", r->n_decisions);
}

/* memory: strict, and it outgrows its node: widened in time, nothing is denied to it. */
static void strict_pressure(struct run *r) {
        machine(r, 2, 8, 8 * GIB);
        rules(r, "rules:\n- {name: s, match: {unit: '*'}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (6 * GIB);
        p.limit_bytes = 10 * GIB;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(5));
        expect(r, node_set_count(&v->allowed_mems) == 1, "strict memory was not narrowed");
        pass(r, HOURS(2));
        struct sim_totals t = sim_totals(r->sim);
        expect(r, sim_bytes(r->sim, v) + 64 * MIB >= 10 * GIB, "it has only %" PRIu64 " MiB of 10 GiB",
               (uint64_t) (sim_bytes(r->sim, v) / MIB));
        expect(r, t.forced_bytes <= MIB, "the kernel had to move %" PRIu64 " MiB", (uint64_t) (t.forced_bytes / MIB));
        expect(r, node_set_count(&v->allowed_mems) == 2, "its memory is still narrowed");
}

/* Forks share everything for a while: what cannot move now is tried again later, and not all the time. */
static void forks(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        sim_fork(r->sim, v, 3, MINUTES(30));
        pass(r, MINUTES(29));
        expect(r, r->n_decisions <= 4, "%u tries at pages that are all shared", r->n_decisions);
        pass(r, HOURS(3));
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

const struct scenario scenarios_trouble[] = {
        { 11, "keep-free", "a home that fills up during the move", keep_free },
        { 12, "pinned", "pinned, shared and bound pages: little is tried in vain", pinned },
        { 13, "self-managed", "a policy of its own is respected", self_managed },
        { 16, "vanishes", "a process that ends in the middle of its move", vanishes },
        { 17, "gone", "a cgroup that is gone is forgotten, its unit reset", gone },
        { 18, "stuck-reader", "a memory map that cannot be read", stuck_reader },
        { 19, "stuck-mover", "a move that does not return", stuck_mover },
        { 20, "paused", "a pause changes nothing, resume does", paused },
        { 21, "window", "nothing is changed outside of the windows", window },
        { 22, "dry-run", "a dry run changes nothing and says so once", dry },
        { 23, "strict", "strict memory under pressure is widened", strict_pressure },
        { 25, "fork", "pages shared by a fork", forks },
        { 0 },
};
