/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario on a simulation: who arrives when, and what happens then. */
#include <string.h>

#include "report/journal.h"
#include "sim/scenario-file.h"
#include "sim/sim-internal.h"

/* One service of a row of them. */
struct arrival {
        const struct scenario_service *service;
        unsigned number;
};

/* "web-%.service" → "web-3.service" */
static char *numbered(const char *unit, unsigned number, unsigned count) {
        const char *percent = strchr(unit, '%');
        if (!percent || count == 1)
                return strdup(unit);
        return format_string("%.*s%u%s", (int) (percent - unit), unit, number, percent + 1);
}

/* One of a row is called so: its name begins and ends as the pattern, with a number in between. */
static bool is_numbered(const struct scenario_service *v, const char *unit) {
        const char *percent = strchr(v->unit, '%');
        size_t before = percent ? (size_t) (percent - v->unit) : 0, n = strlen(unit), after = percent ? strlen(percent + 1) : 0;
        if (!percent || v->count == 1)
                return strcmp(v->unit, unit) == 0;
        if (n <= before + after || strncmp(unit, v->unit, before) != 0 || strcmp(unit + n - after, percent + 1) != 0 ||
            unit[before] == '0')
                return false;
        char digits[16];
        unsigned number;
        if (n - before - after >= sizeof(digits))
                return false;
        memcpy(digits, unit + before, n - before - after);
        digits[n - before - after] = 0;
        return parse_uint(digits, &number) == 0 && number <= v->count;
}

bool scenario_names(const struct scenario_file *f, const char *unit) {
        for (size_t i = 0; i < f->n_services; i++)
                if (is_numbered(&f->services[i], unit))
                        return true;
        return false;
}

static void arrive(struct sim *s, void *userdata) {
        const struct arrival *a = userdata;
        _cleanup_free_ char *unit = numbered(a->service->unit, a->number, a->service->count);
        if (!unit)
                sim_abort_no_memory();
        struct sim_spec spec = a->service->spec;
        spec.unit = unit;
        spec.slice = a->service->slice;
        spec.policy = a->service->policy;
        int r = sim_add(s, &spec, NULL);
        if (r < 0)
                log_warning(r, "%s does not arrive: %s", unit, r == -EEXIST ? "it is there already" : strerror(-r));
}

static void leave(struct sim *s, void *userdata) {
        const struct arrival *a = userdata;
        _cleanup_free_ char *unit = numbered(a->service->unit, a->number, a->service->count);
        if (!unit)
                sim_abort_no_memory();
        struct sim_service *v = sim_find(s, unit);
        if (v)
                sim_end(s, v);
}

static void happen_to_daemon(struct sim *s, enum scenario_action action) {
        struct manager *m = sim_manager(s);
        int r = 0;
        switch (action) {
        case ACTION_PAUSE:
        case ACTION_RESUME:
                if (m)
                        r = manager_bus_callbacks.pause(action == ACTION_PAUSE, m);
                break;
        case ACTION_KILL: sim_kill_manager(s); break;
        case ACTION_START:
                if (!m)
                        r = sim_start_manager(s, s->runtime_dir);
                break;
        default: break;
        }
        if (r < 0)
                log_warning(r, "What the scenario asks of the daemon failed: %s", strerror(-r));
}

static void happen(struct sim *s, void *userdata) {
        const struct scenario_event *e = userdata;
        if (!e->unit) {
                happen_to_daemon(s, e->action);
                return;
        }
        struct sim_service *v = sim_find(s, e->unit);
        if (!v) {
                log_warning(0, "%s: no such service now, so nothing happens to it", e->unit);
                return;
        }
        switch (e->action) {
        case ACTION_END: sim_end(s, v); break;
        case ACTION_RESTART: (void) sim_restart(s, v); break;
        case ACTION_FORK: sim_fork(s, v, 1, 10 * USEC_PER_MINUTE); break;
        case ACTION_STUCK: v->stuck_usec = 60 * USEC_PER_MINUTE; break;
        case ACTION_RESPOND: v->stuck_usec = 0; break;
        case ACTION_REFUSE_CPUSET: v->fail_set = -EACCES; break;
        case ACTION_ALLOW_CPUSET: v->fail_set = 0; break;
        case ACTION_CHANGE:
                if (e->has_cpus)
                        v->spec.cpus = e->cpus;
                if (e->has_memory)
                        v->base_bytes = v->spec.bytes = e->memory_bytes;
                if (e->has_growth)
                        v->spec.growth_bytes = (int64_t) e->growth_bytes;
                break;
        default: break;
        }
}

static int schedule(struct sim *s, uint64_t at_usec, void (*callback)(struct sim *s, void *userdata), const struct arrival *a) {
        struct arrival *copy = malloc(sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        *copy = *a;
        int r = sim_call_at(s, s->now_usec + at_usec, callback, copy, true);
        if (r < 0)
                free(copy);
        return r;
}

int scenario_begin(const struct scenario_file *f, struct sim *s) {
        for (size_t i = 0; i < f->n_services; i++) {
                const struct scenario_service *v = &f->services[i];
                for (unsigned k = 1; k <= v->count; k++) {
                        struct arrival a = { .service = v, .number = k };
                        int r = 0;
                        if (v->arrives_usec == 0)
                                arrive(s, &a);
                        else
                                r = schedule(s, v->arrives_usec, arrive, &a);
                        if (r >= 0 && v->ends_usec > 0)
                                r = schedule(s, v->ends_usec, leave, &a);
                        if (r < 0)
                                return r;
                }
        }
        for (size_t i = 0; i < f->n_events; i++) {
                int r = sim_call_at(s, s->now_usec + f->events[i].at_usec, happen, &f->events[i], false);
                if (r < 0)
                        return r;
        }
        return 0;
}
