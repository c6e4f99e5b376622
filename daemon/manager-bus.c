/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager tells and takes over D-Bus. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/history-json.h"
#include "report/journal.h"
#include "report/view.h"

static struct json_object *view(struct manager *m, size_t i, bool explain) {
        const struct cycle *c = m->last;
        const struct service_sample *s = &c->observation->services[i];
        const struct placement *p = &c->plan->placements[i];
        const struct transition *t = transition_find(m, s->cgroup);
        enum service_state state = t ? STATE_MOVING : p->state == STATE_MOVING ? STATE_STABLE : p->state;
        const char *reason = t ? transition_describe(t) : NULL;
        if (!explain)
                return view_service(m->topology, s, p, state, reason);
        struct explanation e;
        int r = cycle_explain(m, c, i, &e);
        if (r < 0) {
                errno = -r;
                return NULL;
        }
        errno = ENOMEM;
        struct json_object *o = view_explain(m->topology, s, p, &e, state, reason);
        explanation_done(&e);
        return o;
}

struct json_object *manager_list_json(struct manager *m) {
        struct json_object *array = json_object_new_array();
        if (!array || !m->last)
                return array;
        for (size_t i = 0; i < m->last->observation->n_services; i++) {
                struct json_object *o = view(m, i, false);
                if (!o) {
                        json_object_put(array);
                        return NULL;
                }
                json_object_array_add(array, o);
        }
        return array;
}

static struct json_object *on_list(void *userdata) {
        return manager_list_json(userdata);
}

static struct json_object *on_explain(const char *unit, void *userdata) {
        struct manager *m = userdata;
        errno = ENOENT;
        if (!m->last)
                return NULL;
        const struct observation *o = m->last->observation;
        /* A cgroup path names one service; a unit name can occur in several containers: the host's own comes first. */
        ssize_t found = -1;
        for (size_t i = 0; i < o->n_services; i++) {
                const struct service_sample *s = &o->services[i];
                if (text_matches(s->cgroup, unit))
                        return view(m, i, true);
                if (text_matches(s->unit, unit) && (found < 0 || s->owner == OWNER_SYSTEMD))
                        found = (ssize_t) i;
        }
        return found < 0 ? NULL : view(m, (size_t) found, true);
}

static void add_int(struct json_object *o, const char *key, uint64_t value) {
        json_object_object_add(o, key, json_object_new_int64((int64_t) MIN2(value, (uint64_t) INT64_MAX)));
}

static void add_stuck(struct json_object *array, const char *who, const char *what) {
        _cleanup_free_ char *text = format_string("%s: %s", who, what);
        if (text)
                json_object_array_add(array, json_object_new_string(text));
}

/* What has begun and does not come to an end, in sentences. */
static void add_all_stuck(struct manager *m, struct json_object *array) {
        if (m->screen_late)
                add_stuck(array, "looking at the machine", "has not come to an end, and nothing is decided until it does");
        for (size_t i = 0; i < m->n_notes; i++) {
                const struct service_note *n = m->notes[i];
                const struct transition *t = transition_find(m, n->cgroup);
                if (n->stuck)
                        add_stuck(array, n->cgroup, "a process of it does not respond");
                if (n->restore_late || (t && transition_is_changing(t) && transition_is_late(t)))
                        add_stuck(array, n->cgroup, "a change of its cpuset has not come to an end");
        }
}

static struct json_object *cycles_by_reason(const struct manager *m) {
        struct json_object *o = json_object_new_object();
        for (int w = 0; o && w < _WAKE_MAX; w++)
                add_int(o, wake_to_string((enum wake) w), m->stats.by_wake[w]);
        return o;
}

static struct json_object *on_status(void *userdata) {
        struct manager *m = userdata;
        struct json_object *o = json_object_new_object(), *states = json_object_new_object(), *limits = json_object_new_array(),
                           *stuck = json_object_new_array();
        if (!o || !states || !limits || !stuck) {
                json_object_put(o);
                json_object_put(states);
                json_object_put(limits);
                json_object_put(stuck);
                return NULL;
        }
        uint64_t now = manager_now(m), counts[_SERVICE_STATE_MAX] = { 0 };
        size_t n_services = 0, n_managed = 0;
        if (m->last) {
                n_services = m->last->observation->n_services;
                for (size_t i = 0; i < n_services; i++) {
                        const struct service_sample *s = &m->last->observation->services[i];
                        enum service_state state = m->last->plan->placements[i].state;
                        n_managed += s->rule != NULL;
                        if (transition_find(m, s->cgroup))
                                state = STATE_MOVING;
                        else if (state == STATE_MOVING)
                                state = STATE_STABLE;
                        counts[state]++;
                }
        }
        json_object_object_add(o, "version", json_object_new_string(PACKAGE_VERSION));
        add_int(o, "uptime_usec", now - m->stats.started_usec);
        json_object_object_add(o, "paused", json_object_new_boolean(m->paused));
        json_object_object_add(o, "dry_run", json_object_new_boolean(manager_is_dry(m)));
        json_object_object_add(o, "config",
                               json_object_new_string(m->options.config_file ? m->options.config_file
                                                                             : SYSCONFDIR "/numabalanced/numabalanced.yaml"));
        add_int(o, "rules", m->config->config->n_rules);
        add_int(o, "interval_usec", m->interval_usec);
        add_int(o, "next_cycle_usec",
                m->next_cycle_usec == USEC_INFINITY || m->next_cycle_usec < now ? 0 : m->next_cycle_usec - now);
        add_int(o, "services", n_services);
        add_int(o, "managed", n_managed);
        for (int s = 0; s < _SERVICE_STATE_MAX; s++)
                add_int(states, service_state_to_string((enum service_state) s), counts[s]);
        json_object_object_add(o, "states", states);
        add_int(o, "cycles", m->stats.n_cycles);
        json_object_object_add(o, "last_cycle_reason", json_object_new_string(wake_to_string(m->last_wake)));
        json_object_object_add(o, "cycles_by_reason", cycles_by_reason(m));
        json_object_object_add(o, "watched", manager_watch_json(m));
        add_int(o, "last_cycle_cpu_usec", m->stats.last_cycle_cpu_usec);
        add_int(o, "observe_cpu_usec", m->stats.total_observe_cpu_usec);
        add_int(o, "moves", m->stats.n_moves);
        add_int(o, "moves_failed", m->stats.n_failed);
        add_int(o, "moved_bytes", m->stats.moved_bytes);
        add_int(o, "changed_cgroups", m->record->n_entries);
        (void) manager_balancing_look(m); /* as it is now; what this kernel does not have is told as such */
        _cleanup_free_ char *balancing = manager_balancing_describe(m);
        add_int(o, "kernel_balancing", m->balancing.mode);
        json_object_object_add(o, "kernel_balancing_setting",
                               json_object_new_string(balancing_setting_to_string(m->config->config->settings.kernel_balancing)));
        json_object_object_add(o, "kernel_balancing_state", json_object_new_string(balancing ? balancing : ""));
        if (m->record->balancing_changed)
                add_int(o, "kernel_balancing_before", m->record->balancing_before);
        for (char **l = m->limitations; *l; l++)
                json_object_array_add(limits, json_object_new_string(*l));
        if (manager_hotplugged(m))
                json_object_array_add(limits, json_object_new_string(HOTPLUGGED_TEXT));
        json_object_object_add(o, "limitations", limits);
        add_all_stuck(m, stuck);
        json_object_object_add(o, "stuck", stuck);
        return o;
}

static int on_reload(char **ret_error, void *userdata) {
        return manager_reload(userdata, ret_error);
}

static int on_pause(bool paused, void *userdata) {
        struct manager *m = userdata;
        if (m->paused != paused)
                log_notice(paused ? "Paused: nothing is changed until resume" : "Resumed");
        m->paused = paused;
        if (!paused) {
                for (size_t i = 0; i < m->n_notes; i++)
                        m->notes[i]->held = false;
                manager_forgive(m);
                manager_balancing_forgive(m);
                manager_wake_for(m, 0, WAKE_REQUEST);
        } else {
                struct transition *t, *next;
                for (t = LIST_FIRST(&m->transitions); t; t = next) {
                        next = transition_next(t);
                        transition_cancel(t, "paused by the administrator");
                }
        }
        manager_hold_save(m);
        manager_update_status(m);
        return 0;
}

static int on_plan(sd_bus_message *call, void *userdata) {
        return manager_request_plan(userdata, call);
}

static int on_advise(uint64_t mcpu, uint64_t bytes, sd_bus_message *call, void *userdata) {
        return manager_request_advice(userdata, mcpu, bytes, call);
}

static struct json_object *on_remembered(void *userdata) {
        const struct manager *m = userdata;
        return history_to_json(&m->history);
}

static struct json_object *on_history(const char *unit, void *userdata) {
        struct manager *m = userdata;
        return events_list(m->events, unit);
}

static int on_restore(const char *unit, sd_bus_message *call, void *userdata) {
        return manager_restore_request(userdata, unit, call);
}

const struct bus_callbacks manager_bus_callbacks = {
        .status = on_status,
        .list = on_list,
        .explain = on_explain,
        .reload = on_reload,
        .pause = on_pause,
        .restore = on_restore,
        .plan = on_plan,
        .advise = on_advise,
        .history = on_history,
        .remembered = on_remembered,
};

/* Whoever asks us, and whoever owns the units, is behind that connection: without it we would run on deaf and unable to change
 * anything. The service manager starts us anew, which takes everything up from the record. */
static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        log_error(0, "The connection to the system bus was lost");
        manager_begin_exit(userdata, EXIT_FAILURE);
        return 0;
}

int manager_watch_bus(struct manager *m) {
        return sd_bus_match_signal(m->bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                   "Disconnected", on_disconnected, m);
}
