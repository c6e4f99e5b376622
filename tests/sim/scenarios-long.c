/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A week of a large machine: many services by day and by night, growth, deaths, newcomers, and the kernel's own balancing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "scenario.h"

#define WEEK_NODES    16u
#define WEEK_SERVICES 200u
#define WEEK_DAYS     (SANITIZED ? 1u : 7u)

static void make_service(struct run *r, unsigned i) {
        _cleanup_free_ char *unit = format_string("%s%03u.service", i % 10 == 0 ? "big" : i % 3 == 0 ? "night" : "day", i);
        struct sim_spec p = spec(unit, 0.2 + (double) dice(r, 100) / 100 * (i % 10 == 0 ? 6 : 0.6),
                                 (128 + dice(r, i % 10 == 0 ? 12000 : 1500)) * MIB);
        p.duty.given = true;
        for (unsigned h = 0; h < 24; h++) {
                bool on = (h >= 7 && h < 19) == (i % 3 != 0);
                p.duty.permille[h] = on ? 800 + (unsigned) dice(r, 200) : 50 + (unsigned) dice(r, 100);
        }
        if (dice(r, 8) == 0) {
                p.growth_bytes = (int64_t) (dice(r, 64) * MIB);
                p.limit_bytes = p.bytes * 2;
        }
        p.pinned_permille = dice(r, 20) == 0 ? 50 : 0;
        p.shared_permille = dice(r, 10) == 0 ? 100 : 0;
        p.n_processes = 1 + (unsigned) dice(r, 4);
        struct sim_service *v = add(r, &p);
        if (dice(r, 40) == 0)
                v->fail_set = -EACCES;
}

static void each_hour(struct sim *s, void *userdata) {
        struct run *r = userdata;
        /* Some end and begin again. */
        for (unsigned k = 0; k < 2; k++) {
                struct sim_service *v = sim_service(s, dice(r, sim_n_services(s)));
                if (v->running && dice(r, 2))
                        sim_end(s, v);
                else
                        (void) sim_restart(s, v);
        }
}

static void week(struct run *r) {
        r->settings.tick_usec = SECONDS(30);
        r->settings.balancing_rate_bytes = MIB;
        r->settings.page_cache_permille = 150;
        machine(r, WEEK_NODES, 16, 64 * GIB);
        rules(r, "daemon: {interval: 2min, max-interval: 10min}\n"
                 "rules:\n- {name: big, match: {unit: 'big*'}, place: compact}\n"
                 "- {name: ignored, match: {unit: 'day*5.service'}, place: ignore}\n"
                 "- {name: rest, match: {unit: '*'}, place: compact, max-nodes: 1}\n");
        for (unsigned i = 0; i < WEEK_SERVICES; i++)
                make_service(r, i);
        sim_each_hour(r->sim, each_hour, r);
        const char *hours = getenv("SIM_WEEK_HOURS"); /* for looking into a part of it */
        unsigned n_hours = 0;
        pass(r, hours && parse_uint(hours, &n_hours) >= 0 ? HOURS(n_hours) : DAYS(WEEK_DAYS));
        struct sim_totals t = sim_totals(r->sim);
        if (r->verbose)
                (void) printf("locality %.4f, %u changes of home, %u returns, moved %" PRIu64 " GiB, least %" PRIu64
                              " GiB, kernel %" PRIu64 " GiB, %u cpuset writes, %" PRIu64 " cycles\n",
                              t.locality, t.n_changes, t.n_returns, (uint64_t) (t.moved_bytes / GIB),
                              (uint64_t) (t.least_bytes / GIB), (uint64_t) (t.kernel_moved_bytes / GIB), t.n_cpuset_writes,
                              sim_manager(r->sim)->stats.n_cycles);
        expect(r, t.locality >= 0.9, "locality %.3f over the week", t.locality);
        expect(r, t.n_changes <= WEEK_SERVICES + WEEK_DAYS * 120, "%u changes of home", t.n_changes);
        /* What is moved for those whose cpuset is refused comes to nothing, and is counted by itself. */
        uint64_t in_vain = 0, all_bytes = 0;
        unsigned n_refused = 0;
        for (size_t i = 0; i < sim_n_services(r->sim); i++)
                all_bytes += sim_bytes(r->sim, sim_service(r->sim, i));
        for (size_t i = 0; i < sim_n_services(r->sim); i++)
                if (sim_service(r->sim, i)->fail_set < 0) {
                        in_vain += sim_service(r->sim, i)->moved_bytes;
                        n_refused++;
                }
        /* Beside what must move: homes are left for others when their CPUs are crowded by day or by night. */
        expect(r, t.moved_bytes - in_vain <= t.least_bytes + WEEK_DAYS * all_bytes / 2,
               "%" PRIu64 " GiB were moved, the least is %" PRIu64 " GiB", (uint64_t) ((t.moved_bytes - in_vain) / GIB),
               (uint64_t) (t.least_bytes / GIB));
        expect(r, sim_manager(r->sim)->stats.total_observe_cpu_usec <= sim_elapsed(r->sim) / 100 + SECONDS(10),
               "observing took %.0f s", (double) sim_manager(r->sim)->stats.total_observe_cpu_usec / USEC_PER_SEC);
        expect(r, in_vain <= (uint64_t) n_refused * 2 * GIB, "%" PRIu64 " GiB were moved in vain for %u services",
               (uint64_t) (in_vain / GIB), n_refused);
        if (r->verbose)
                (void) printf("in vain %" PRIu64 " GiB for %u refused\n", (uint64_t) (in_vain / GIB), n_refused);
        expect_good_manners(r);
}

/* A large machine from its first minute: observing has a budget of one percent of a CPU, and all come home all the same, soon. */
static void budget(struct run *r) {
        r->settings.tick_usec = SECONDS(5);
        machine(r, WEEK_NODES, 16, 64 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *v[120];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%03u.service", i);
                struct sim_spec p = spec(unit, 1, (1024 + dice(r, 4096)) * MIB);
                for (unsigned k = 0; k < 3; k++)
                        node_set_add(&p.start, (unsigned) dice(r, WEEK_NODES));
                v[i] = add(r, &p);
        }
        pass(r, MINUTES(60));
        unsigned n_home = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                n_home += sim_locality(r->sim, v[i]) > 0.98;
        expect(r, n_home == ARRAY_SIZE(v), "%u of %zu are at home after an hour", n_home, ARRAY_SIZE(v));
        expect(r, sim_manager(r->sim)->stats.total_observe_cpu_usec <= sim_elapsed(r->sim) / 100 + SECONDS(10),
               "observing took %.0f s", (double) sim_manager(r->sim)->stats.total_observe_cpu_usec / USEC_PER_SEC);
        expect_moved_at_most(r, 1.1);
        expect_good_manners(r);
}

/* Somebody wants to see everything ten times a second: as far as the budget goes. */
static void hasty(struct run *r) {
        machine(r, 4, 16, 64 * GIB);
        rules(r, "daemon: {interval: 100ms, max-interval: 100ms}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        for (unsigned i = 0; i < 60; i++) {
                _cleanup_free_ char *unit = format_string("app%03u.service", i);
                service(r, unit, 0.5, 512 * MIB, i % 4);
        }
        pass(r, MINUTES(5));
        uint64_t began = sim_elapsed(r->sim), before = sim_manager(r->sim)->stats.total_observe_cpu_usec;
        pass(r, MINUTES(5));
        uint64_t spent = sim_manager(r->sim)->stats.total_observe_cpu_usec - before;
        expect(r, spent <= (sim_elapsed(r->sim) - began) / 90, "observing took %.1f s of five minutes",
               (double) spent / USEC_PER_SEC);
        expect(r, spent >= (sim_elapsed(r->sim) - began) / 200, "the budget is hardly used: %.1f s",
               (double) spent / USEC_PER_SEC);
}

const struct scenario scenarios_long[] = {
        { 35, "budget", "120 services are home within an hour, on one percent of a CPU", budget },
        { 36, "hasty", "an interval that scan-cpu does not pay for", hasty },
        { 90, "week", "a week of 16 nodes and 200 services by day and night", week },
        { 0 },
};
