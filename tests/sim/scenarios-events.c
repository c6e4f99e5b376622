/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of rest and of being woken: a machine on which nothing happens is hardly looked at, what happens is seen soon, and nobody can keep the
 * daemon busy by making much happen. */
#include <inttypes.h>
#include <string.h>

#include "scenario.h"

#define STRICT                                                                                                                   \
        "daemon: {interval: 10s, max-interval: 5min}\n"                                                                          \
        "rules:\n- {name: all, match: {unit: 'app*'}, place: nodes, nodes: '1', memory: strict}\n"

static uint64_t cycles(const struct run *r) {
        return sim_manager(r->sim)->stats.n_cycles;
}

static bool is_narrowed(const struct sim_service *v) {
        return node_set_count(&v->allowed_mems) == 1;
}

/* Lets time pass until the service's memory nodes are given back; returns how long that took, or UINT64_MAX. */
static uint64_t until_widened(struct run *r, const struct sim_service *v, uint64_t limit_usec) {
        uint64_t began = sim_elapsed(r->sim);
        while (is_narrowed(v) && sim_elapsed(r->sim) - began < limit_usec)
                pass(r, 100 * USEC_PER_MSEC);
        return is_narrowed(v) ? UINT64_MAX : sim_elapsed(r->sim) - began;
}

/* At rest, with narrowed memory nodes, and all that is usual going on: threads wander, load goes up and down a little. */
static void at_rest(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, STRICT);
        struct sim_service *v[8];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string(i % 2 ? "app%u.service" : "other%u.service", i);
                v[i] = service(r, unit, 0.5, GIB, i / 2 % 2);
        }
        pass(r, MINUTES(20));
        expect(r, is_narrowed(v[1]) && is_narrowed(v[3]), "memory nodes were not narrowed");
        uint64_t before = cycles(r);
        pass(r, HOURS(12));
        expect(r, cycles(r) - before <= 12 * 12, "%" PRIu64 " cycles in twelve quiet hours", cycles(r) - before);
        expect(r, is_narrowed(v[1]), "its memory nodes were given back for no reason");
        expect_good_manners(r);
}

/* What stays as it is because nobody can do anything about it is no reason to look again and again. */
static void blocked_rests(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: 'app*'}, place: nodes, nodes: '1'}\n"
                 "- {name: dear, match: {unit: 'dear*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("app1.service", 1, 2 * GIB);
        p.start = node_set_of(0);
        p.shared_permille = 500;
        add(r, &p);
        p.unit = "app2.service";
        p.shared_permille = 0;
        p.policy = "bind:0";
        add(r, &p);
        pass(r, MINUTES(30));
        uint64_t before = cycles(r);
        pass(r, HOURS(4));
        expect(r, cycles(r) - before <= 4 * 12 * 3 / 2, "%" PRIu64 " cycles in four hours", cycles(r) - before);
        /* The same where it is the administrator who does not let us. */
        if (manager_bus_callbacks.pause(true, sim_manager(r->sim)) < 0)
                abort();
        service(r, "dear.service", 1, 2 * GIB, 0);
        pass(r, MINUTES(30));
        before = cycles(r);
        pass(r, HOURS(4));
        expect(r, cycles(r) - before <= 4 * 12 * 3 / 2, "%" PRIu64 " cycles in four paused hours", cycles(r) - before);
        if (manager_bus_callbacks.pause(false, sim_manager(r->sim)) < 0)
                abort();
        pass(r, MINUTES(1));
        expect_local(r, sim_find(r->sim, "dear.service"), 0.99);
        expect_good_manners(r);
}

/* The interval has backed off; a narrowed service begins to wait for memory. */
static void pressed(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, STRICT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(30) + dice(r, MINUTES(10)));
        expect(r, is_narrowed(v), "its memory nodes were not narrowed");
        uint64_t before = cycles(r);
        v->memory_stall = 0.2 + (double) dice(r, 60) / 100;
        uint64_t took = until_widened(r, v, MINUTES(10));
        /* Ten seconds is what the average takes to show the least of it. */
        expect(r, took <= SECONDS(15), "its memory nodes were given back after %.1f s", (double) took / USEC_PER_SEC);
        expect(r, cycles(r) - before <= 3, "it took %" PRIu64 " cycles to see it", cycles(r) - before);
        expect(r, sim_manager(r->sim)->last_wake == WAKE_PRESSURE, "woken by %s", wake_to_string(sim_manager(r->sim)->last_wake));
        v->memory_stall = 0;
        pass(r, MINUTES(30));
        expect(r, is_narrowed(v), "its memory nodes were not narrowed again");
        expect_good_manners(r);
}

/* Nobody waits yet, but the node that it was narrowed to fills up: it gets other nodes before the kernel has to swap. */
static void node_fills(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, STRICT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(30) + dice(r, MINUTES(5)));
        expect(r, is_narrowed(v), "its memory nodes were not narrowed");
        /* Down to a third of keep-free (5%). */
        uint64_t total = sim_topology(r->sim)->nodes[1].bytes_total, left = total * 5 / 300;
        sim_take_bytes(r->sim, 1, (int64_t) (sim_free_bytes(r->sim, 1) - left));
        uint64_t took = until_widened(r, v, MINUTES(10));
        expect(r, took <= SECONDS(17), "its memory nodes were given back after %.1f s", (double) took / USEC_PER_SEC);
        expect(r, sim_totals(r->sim).unplaced_bytes == 0, "memory could not be had");
}

/* A restart is seen when an interval has passed since the last cycle, not when the next is due. */
static void restarted(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: 'app*'}, place: compact}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        service(r, "other.service", 1, GIB, 1);
        pass(r, MINUTES(30) + dice(r, MINUTES(10)));
        uint64_t before = cycles(r), at = sim_now(r->sim);
        if (sim_restart(r->sim, v) < 0)
                abort();
        pass(r, SECONDS(13));
        expect(r, cycles(r) > before && sim_manager(r->sim)->last->started_usec > at, "it was not looked at");
        pass(r, MINUTES(2));
        expect_local(r, v, 0.99);
        /* What no rule names wakes nobody. */
        pass(r, MINUTES(30));
        before = cycles(r);
        struct sim_service *other = sim_find(r->sim, "other.service");
        for (unsigned i = 0; i < 60; i++) {
                if (sim_restart(r->sim, other) < 0)
                        abort();
                pass(r, SECONDS(2));
        }
        expect(r, cycles(r) - before <= 1, "%" PRIu64 " cycles for what no rule names", cycles(r) - before);
        expect_good_manners(r);
}

/* An interval of minutes is for what goes on as it was: who comes, or is started anew, does not wait for it. */
static void long_interval(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r,
              "daemon: {interval: 10min, max-interval: 10min}\nrules:\n- {name: all, match: {unit: 'app*'}, place: compact}\n");
        struct sim_spec p = spec("app1.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        add(r, &p);
        pass(r, MINUTES(60) + dice(r, MINUTES(20)));
        uint64_t before = cycles(r);
        p.unit = "app2.service";
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(3));
        expect_local(r, v, 0.99);
        pass(r, MINUTES(57));
        expect(r, cycles(r) - before <= 16, "%" PRIu64 " cycles in an hour for one newcomer", cycles(r) - before);
        /* A service that is restarted all the time is looked at twice a minute at most. */
        before = cycles(r);
        for (unsigned i = 0; i < 600; i++) {
                if (sim_restart(r->sim, v) < 0)
                        abort();
                pass(r, SECONDS(1));
        }
        expect(r, cycles(r) - before <= 10 * 2 * 5 / 2, "%" PRIu64 " cycles in ten minutes of restarts", cycles(r) - before);
        expect_good_manners(r);
}

static void disturb(struct sim *s, void *userdata) {
        struct sim_service *v = userdata;
        if (!v)
                return;
        /* A hundred at a time: a thousand in a second. Its pressure goes up and down, too. */
        for (unsigned i = 0; i < 100; i++)
                sim_disturb(s, v);
        v->memory_stall = sim_elapsed(s) / (7 * USEC_PER_SEC) % 2 ? 0.9 : 0;
        (void) sim_at(s, sim_elapsed(s) + 100 * USEC_PER_MSEC, disturb, sim_find(s, "app.service"));
}

static void storm(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, STRICT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(30));
        uint64_t before = cycles(r);
        const uint64_t events = sim_totals(r->sim).n_events;
        disturb(r->sim, v);
        pass(r, HOURS(1));
        expect(r, sim_totals(r->sim).n_events - events >= 3599 * 1000, "there was no storm");
        /* One in an interval, a second look where it is placed anew, and a few at once under pressure. */
        expect(r, cycles(r) - before <= 360 * 3 / 2, "%" PRIu64 " cycles in an hour of 1,000 events a second",
               cycles(r) - before);
        expect(r, cycles(r) - before >= 60, "it stopped looking");
}

/* A kernel that tells of no pressure: said once, nodes are looked after all the same, and rest is rest. */
static void no_pressure(struct run *r) {
        r->settings.no_psi = true;
        machine(r, 2, 8, 16 * GIB);
        rules(r, STRICT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(30));
        expect(r, is_narrowed(v), "its memory nodes were not narrowed");
        unsigned warnings = r->n_warnings;
        uint64_t before = cycles(r);
        v->memory_stall = 0.5;
        pass(r, HOURS(2) + dice(r, MINUTES(5)));
        expect(r, is_narrowed(v), "given back for what nobody can know");
        expect(r, cycles(r) - before <= 40, "%" PRIu64 " cycles in two hours", cycles(r) - before);
        expect(r, r->n_warnings == warnings, "it goes on warning");
        struct json_object *status = manager_bus_callbacks.status(sim_manager(r->sim)), *limits = NULL;
        unsigned n = 0;
        if (status && json_object_object_get_ex(status, "limitations", &limits))
                for (size_t i = 0; i < json_object_array_length(limits); i++)
                        n += strstr(json_object_get_string(json_object_array_get_idx(limits, i)), "pressure") != NULL;
        expect(r, n == 1, "the status tells of it %u times", n);
        json_object_put(status);
        sim_take_bytes(r->sim, 1, (int64_t) (sim_free_bytes(r->sim, 1) - 128 * MIB));
        uint64_t took = until_widened(r, v, MINUTES(10));
        expect(r, took <= SECONDS(17), "its memory nodes were given back after %.1f s", (double) took / USEC_PER_SEC);
}

/* It has outgrown its CPUs: that is told, once, and the interval does not stay short for it. */
static void cpus_short(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: 'app*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 3, 2 * GIB);
        p.n_threads = 32;
        p.start = node_set_of(0);
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(30));
        expect_home_count(r, v, 1);
        v->spec.cpus = 14;
        pass(r, MINUTES(4)); /* the planner is not driven by a moment */
        expect_home_count(r, v, 2);
        pass(r, MINUTES(30));
        v->spec.cpus = 60; /* more than there are: it waits for ever */
        pass(r, MINUTES(30));
        uint64_t before = cycles(r);
        pass(r, HOURS(4));
        expect(r, cycles(r) - before <= 4 * 12 * 2, "%" PRIu64 " cycles in four hours", cycles(r) - before);
        expect_good_manners(r);
}

/* Narrowed it waits for memory, and not narrowed it does not: that is not tried every minute. */
static void pressed_again(struct run *r) {
        machine(r, 2, 8, 8 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        unsigned n = 0;
        bool narrowed = false;
        for (unsigned i = 0; i < 12 * 360; i++) {
                n += is_narrowed(v) && !narrowed;
                narrowed = is_narrowed(v);
                v->memory_stall = narrowed ? 0.4 : 0;
                pass(r, SECONDS(10));
        }
        expect(r, n >= 3 && n <= 12, "narrowed %u times in twelve hours", n);
        /* What was long ago does not count. */
        v->memory_stall = 0;
        pass(r, HOURS(9));
        expect(r, is_narrowed(v), "never narrowed again");
        v->memory_stall = 0.4;
        (void) until_widened(r, v, MINUTES(10));
        v->memory_stall = 0;
        pass(r, MINUTES(15));
        expect(r, is_narrowed(v), "it is still waited for what was long ago");
}

/* Given back because the rule is another, not because memory was short: no reason to wait with narrowing it again. */
static void strict_and_not(struct run *r) {
        machine(r, 2, 8, 8 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        for (unsigned i = 0; i < 5; i++) {
                expect(r, is_narrowed(v), "not narrowed the %uth time", i + 1);
                rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, max-nodes: 1}\n");
                pass(r, SECONDS(90));
                expect(r, !is_narrowed(v), "not given back the %uth time", i + 1);
                rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, max-nodes: 1}\n");
                pass(r, SECONDS(120));
        }
}

const struct scenario scenarios_events[] = {
        { 60, "at-rest", "twelve quiet hours with narrowed memory nodes", at_rest },
        { 61, "pressed", "memory pressure while the interval is long", pressed },
        { 62, "node-fills", "a node that fills up while the interval is long", node_fills },
        { 63, "restarted", "a restart while the interval is long", restarted },
        { 64, "storm", "a thousand events a second for an hour", storm },
        { 65, "no-pressure", "a kernel without pressure information", no_pressure },
        { 66, "cpus-short", "a service that outgrows its CPUs", cpus_short },
        { 67, "blocked-rests", "what is blocked, and a pause", blocked_rests },
        { 68, "long-interval", "newcomers where the interval is ten minutes", long_interval },
        { 69, "pressed-again", "narrowing brings the pressure back each time", pressed_again },
        { 149, "strict-and-not", "memory: strict comes and goes", strict_and_not },
        { 0 },
};
