/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kill -9 between any two operations of a life: whatever was done by then, the next daemon knows of it, goes on, and can give all back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "scenario.h"

/* What the next daemon is there for. */
enum afterwards {
        GOES_ON,  /* the same rules; later it leaves and gives back */
        NO_RULES, /* no rule matches any more */
        LEAVES,   /* stopped at once, on-exit: restore */
        _AFTERWARDS_MAX,
};
static const char *const words[] = { "it goes on", "no rule is left", "it is stopped at once" };

#define RULES(node)                                                                                                              \
        "daemon: {on-exit: restore, migrate-rate: 1G, kernel-balancing: off}\n"                                                  \
        "rules:\n- {name: all, match: {unit: '*.service'}, place: nodes, nodes: '" node                                          \
        "', memory: strict, cooldown: 10s, app-policy: override}\n"
#define OTHER_RULES "daemon: {on-exit: restore}\nrules:\n- {name: none, match: {unit: 'nobody.service'}, place: compact}\n"

#define N_SERVICES 3
/* Of the moments. */
#define EACH (SANITIZED ? 7u : 1u)

struct life {
        struct sim_service *v[N_SERVICES];
        struct cpuset_value before[N_SERVICES], settings[N_SERVICES];
};

static void forget_files(const struct run *r) {
        static const char *const names[] = { "record.json", "hold.json", "record.json.bad" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = format_string("%s/%s", r->runtime_dir, names[i]);
                (void) unlink(path);
        }
}

/* systemd's, somebody else's, and one with CPUs of the administrator's. */
static void begin(struct run *r, struct life *l, bool refuse_clear, uint64_t apply_usec) {
        r->settings.refuse_clear = refuse_clear;
        r->settings.apply_usec = apply_usec;
        r->settings.balancing_rate_bytes = MIB;
        machine(r, 4, 8, 8 * GIB);
        forget_files(r);
        struct node_set two = node_set_of(0), none = { 0 };
        node_set_add(&two, 3);
        struct cpu_mask cpus = { 0 };
        topology_cpus_of(sim_topology(r->sim), &two, &cpus);
        for (unsigned i = 0; i < N_SERVICES; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                struct sim_spec p = spec(unit, 2, 256 * MIB);
                p.start = two;
                p.owner = i == 1 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
                l->v[i] = add(r, &p);
        }
        if (sim_write_cpuset(r->sim, l->v[2], &cpus, &none) < 0)
                abort();
        for (unsigned i = 0; i < N_SERVICES; i++) {
                l->before[i] = l->v[i]->configured;
                l->settings[i] = l->v[i]->settings;
        }
}

/* Placed, placed elsewhere, and given back. Ends early where the daemon dies. */
static void live(struct run *r) {
        rules(r, RULES("1"));
        pass(r, SECONDS(40));
        if (!sim_manager(r->sim))
                return;
        rules(r, RULES("2"));
        pass(r, SECONDS(40));
        if (sim_manager(r->sim))
                (void) sim_stop_manager(r->sim);
}

static bool value_is(const struct cpuset_value *a, const struct cpuset_value *b) {
        return a->cpus_set == b->cpus_set && a->mems_set == b->mems_set && (!a->cpus_set || cpu_mask_equal(&a->cpus, &b->cpus)) &&
               (!a->mems_set || node_set_equal(&a->mems, &b->mems));
}

/* As without us: the same files, or where a cleared one was refused, all that there is; and the unit's settings. */
static void expect_as_before(struct run *r, const struct life *l, const char *when) {
        struct node_set all = topology_nodes(sim_topology(r->sim));
        for (unsigned i = 0; i < N_SERVICES; i++) {
                const struct sim_service *v = l->v[i];
                struct cpuset_value free_value = v->configured;
                if (!l->before[i].cpus_set && free_value.cpus_set) {
                        struct cpu_mask cpus = { 0 };
                        topology_cpus_of(sim_topology(r->sim), &all, &cpus);
                        if (cpu_mask_equal(&free_value.cpus, &cpus))
                                free_value.cpus_set = false;
                }
                if (!l->before[i].mems_set && free_value.mems_set && node_set_equal(&free_value.mems, &all))
                        free_value.mems_set = false;
                expect(r, value_is(&free_value, &l->before[i]), "%s: %s does not have its cpusets back", when, v->unit);
                expect(r, v->spec.owner != OWNER_SYSTEMD || value_is(&v->settings, &l->settings[i]),
                       "%s: %s has settings of ours", when, v->unit);
        }
        expect(r, !sim_settings(r->sim)->balancing_off, "%s: the kernel's balancing is off", when);
}

static void come_back(struct run *r, struct life *l, enum afterwards how, const char *when) {
        switch (how) {
        case GOES_ON:
                rules(r, RULES("2"));
                pass(r, MINUTES(5));
                for (unsigned i = 0; i < N_SERVICES; i++)
                        expect(r, sim_bytes_on(l->v[i], 2) >= sim_bytes(r->sim, l->v[i]) / 100 * 95, "%s: %s is not at home",
                               when, l->v[i]->unit);
                break;
        case NO_RULES:
                rules(r, OTHER_RULES);
                pass(r, MINUTES(15));
                expect(r, sim_manager(r->sim)->record->n_entries == 0, "%s: something is still on record", when);
                expect_as_before(r, l, when);
                break;
        default: rules(r, RULES("2"));
        }
        int k = sim_stop_manager(r->sim);
        expect(r, k == 0, "%s: leaving ended with %d", when, k);
        pass(r, SECONDS(10));
        expect_as_before(r, l, when);
}

/* The next one is killed as well, somewhere, and services are started anew in between. */
static void die_again(struct run *r, struct life *l, uint64_t n) {
        for (unsigned i = 0; i < N_SERVICES; i++)
                if ((n + i) % 2 == 0 && l->v[i]->spec.owner == OWNER_SYSTEMD)
                        (void) sim_restart(r->sim, l->v[i]);
        sim_die_at(r->sim, n * 31 % 97 + 1);
        rules(r, RULES("2"));
        pass(r, SECONDS(60));
        sim_kill_manager(r->sim);
        sim_die_at(r->sim, 0);
}

static void die_everywhere(struct run *r, bool refuse_clear, uint64_t apply_usec, bool twice) {
        struct life l;
        on_disk(r);
        for (uint64_t n = 1; !r->failure; n += EACH) {
                bool died = false;
                for (int how = 0; how < _AFTERWARDS_MAX && !r->failure; how++) {
                        _cleanup_free_ char *when = format_string("killed at operation %" PRIu64 ", then %s", n, words[how]);
                        begin(r, &l, refuse_clear, apply_usec);
                        sim_die_at(r->sim, n);
                        live(r);
                        died = sim_n_operations(r->sim) >= n;
                        sim_die_at(r->sim, 0);
                        pass(r, twice ? 0 : SECONDS(5));
                        if (died && twice)
                                die_again(r, &l, n);
                        if (died)
                                come_back(r, &l, (enum afterwards) how, when);
                        else
                                expect_as_before(r, &l, "not killed at all");
                        if (r->verbose)
                                (void) printf("%s: %s\n", when, died ? "done" : "it lived on");
                        if (r->failure || (!died && how > 0))
                                break;
                        r->sim = sim_free(r->sim);
                        if (!died)
                                break;
                }
                if (!died) {
                        expect(r, n > 50, "only %" PRIu64 " operations", n);
                        break;
                }
        }
}

/* One operation fails, or is told to have: what was wanted is there in the end all the same, and all can be given back. */
static void fail_everywhere(struct run *r, int error) {
        struct life l;
        bool failed = true;
        on_disk(r);
        for (uint64_t n = 1; failed && !r->failure; n += EACH) {
                _cleanup_free_ char *when = format_string("operation %" PRIu64 " fails (%s)", n, strerror(-error));
                begin(r, &l, n % 2, 10 * USEC_PER_MSEC);
                sim_fail_at(r->sim, n, error);
                rules(r, RULES("1"));
                pass(r, SECONDS(40));
                rules(r, RULES("2"));
                pass(r, MINUTES(40));
                for (unsigned i = 0; i < N_SERVICES; i++)
                        expect(r, sim_bytes_on(l.v[i], 2) >= sim_bytes(r->sim, l.v[i]) / 100 * 95, "%s: %s is not at home", when,
                               l.v[i]->unit);
                expect_home_count(r, l.v[0], 1);
                expect_home_count(r, l.v[1], 1);
                (void) sim_stop_manager(r->sim);
                failed = sim_n_operations(r->sim) >= n;
                sim_fail_at(r->sim, 0, 0);
                if (failed)
                        come_back(r, &l, NO_RULES, when);
                expect_as_before(r, &l, when);
                if (r->verbose)
                        (void) printf("%s: %s\n", when, failed ? "done" : "there is none");
                if (!r->failure && failed)
                        r->sim = sim_free(r->sim);
                expect(r, failed || n > 50, "only %" PRIu64 " operations", n);
        }
}

/* Something happens at any moment of a placement, … */
struct happening {
        struct run *r;
        struct life *l;
        int what;
};
enum { NO_RULE, IGNORED, RESTORED, PAUSED, ELSEWHERE, RESTARTED, HUNG, STOPPED, _HAPPENING_MAX };
static const char *const happenings[] = { "no rule is left", "ignored",   "restored", "paused",
                                          "elsewhere",       "restarted", "hung",     "stopped" };

static void let_go(struct sim *s, void *userdata) {
        struct life *l = userdata;
        for (unsigned i = 0; i < N_SERVICES; i++)
                l->v[i]->stuck_usec = 0;
}

static void happens(void *userdata) {
        struct happening *h = userdata;
        struct run *r = h->r;
        switch (h->what) {
        case NO_RULE: rules(r, OTHER_RULES); break;
        case IGNORED: rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: ignore}\n"); break;
        case RESTORED:
                for (int k = -EBUSY; k == -EBUSY; pass(r, USEC_PER_MSEC))
                        k = manager_restore_request(sim_manager(r->sim), "", NULL);
                break;
        case PAUSED: expect(r, manager_bus_callbacks.pause(true, sim_manager(r->sim)) >= 0, "cannot be paused"); break;
        case ELSEWHERE: rules(r, RULES("2")); break;
        case RESTARTED:
                for (unsigned i = 0; i < N_SERVICES; i++)
                        if (h->l->v[i]->spec.owner == OWNER_SYSTEMD)
                                (void) sim_restart(r->sim, h->l->v[i]);
                break;
        case HUNG:
                for (unsigned i = 0; i < N_SERVICES; i++)
                        h->l->v[i]->stuck_usec = MINUTES(3);
                if (sim_at(r->sim, sim_elapsed(r->sim) + SECONDS(10), let_go, h->l) < 0)
                        abort();
                break;
        default: manager_begin_exit(sim_manager(r->sim), 0);
        }
}

static void expect_at_home(struct run *r, const struct life *l, unsigned node, const char *when) {
        for (unsigned i = 0; i < N_SERVICES; i++)
                expect(r, sim_bytes_on(l->v[i], node) >= sim_bytes(r->sim, l->v[i]) / 100 * 95, "%s: %s is not at home", when,
                       l->v[i]->unit);
}

/* … and in the end it is as it should be then, and all can be given back. */
static void expect_settled(struct run *r, const struct life *l, int what, const char *when) {
        struct manager *m = sim_manager(r->sim);
        switch (what) {
        case NO_RULE:
        case IGNORED:
        case RESTORED:
                expect(r, m->record->n_entries == 0 && m->n_restoring == 0, "%s: something is still on record", when);
                expect_as_before(r, l, when);
                break;
        case PAUSED:
                expect(r, m->n_transitions == 0, "%s: something is still moved", when);
                expect(r, manager_bus_callbacks.pause(false, m) >= 0, "cannot be resumed");
                pass(r, MINUTES(5));
                expect_at_home(r, l, 1, when);
                break;
        case ELSEWHERE: expect_at_home(r, l, 2, when); break;
        case RESTARTED:
        case HUNG: expect_at_home(r, l, 1, when); break;
        default: expect(r, m->n_restoring == 0 && m->n_transitions == 0, "%s: has not come to an end", when);
        }
}

static void happen_everywhere(struct run *r, bool refuse_clear) {
        struct life l;
        bool happened = true;
        on_disk(r);
        for (uint64_t n = 1; happened && !r->failure; n += EACH)
                for (int what = 0; what < _HAPPENING_MAX && happened && !r->failure; what++) {
                        _cleanup_free_ char *when = format_string("%s after operation %" PRIu64, happenings[what], n);
                        struct happening h = { r, &l, what };
                        begin(r, &l, refuse_clear, 10 * USEC_PER_MSEC);
                        rules(r, RULES("1"));
                        sim_call_after(r->sim, n, happens, &h);
                        pass(r, SECONDS(40));
                        happened = sim_n_operations(r->sim) >= n;
                        sim_call_after(r->sim, 0, NULL, NULL);
                        pass(r, MINUTES(what == PAUSED || what == STOPPED ? 1 : 15));
                        if (happened)
                                expect_settled(r, &l, what, when);
                        (void) sim_stop_manager(r->sim);
                        pass(r, SECONDS(10));
                        expect_as_before(r, &l, when);
                        expect(r, happened || n > 50, "only %" PRIu64 " operations", n);
                        if (r->verbose)
                                (void) printf("%s: %s\n", when, happened ? "done" : "there is none");
                        if (!r->failure && happened)
                                r->sim = sim_free(r->sim);
                }
}

static void interrupted_old(struct run *r) {
        happen_everywhere(r, true);
}

static void interrupted_new(struct run *r) {
        r->record_lines = true;
        happen_everywhere(r, false);
}

static void fails_busy(struct run *r) {
        fail_everywhere(r, -EBUSY);
}

static void fails_late(struct run *r) {
        r->record_lines = true;
        fail_everywhere(r, -ETIMEDOUT);
}

static void killed_old(struct run *r) {
        die_everywhere(r, true, 10 * USEC_PER_MSEC, false);
}

/* … where a cleared cpuset is taken, the record is appended to, what was asked of the service manager comes when the next daemon runs already, and that one is killed, too. */
static void killed_slow(struct run *r) {
        r->record_lines = true;
        die_everywhere(r, false, SECONDS(1), true);
}

const struct scenario scenarios_killed[] = {
        { 138, "killed-everywhere", "kill -9 between any two operations: all is known, and given back", killed_old },
        { 139, "killed-slowly", "twice, with a service manager that writes when the next one runs", killed_slow },
        { 140, "fails-busy", "each operation fails once, as busy", fails_busy },
        { 141, "fails-late", "the same without an answer", fails_late },
        { 143, "interrupted", "reloaded, paused, restored, … at any moment of a placement", interrupted_old },
        { 144, "interrupted-new", "the same where a cleared cpuset is taken, with a record that is appended to",
          interrupted_new },
        { 0 },
};
