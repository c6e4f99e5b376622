/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager tells and takes over D-Bus. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager.h"
#include "report/format.h"
#include "report/history-json.h"
#include "report/journal.h"
#include "report/json.h"
#include "report/view.h"

/* What it is at this moment, which the last plan cannot know. */
static enum service_state state_of(const struct placement *p, const struct transition *t) {
        return t ? STATE_MOVING : p->state == STATE_MOVING ? STATE_STABLE : p->state;
}

static struct json_object *view(struct manager *m, size_t i, bool explain) {
        const struct cycle *c = m->last;
        const struct service_sample *s = &c->observation->services[i];
        const struct placement *p = &c->plan->placements[i];
        const struct transition *t = transition_find(m, s->cgroup);
        enum service_state state = state_of(p, t);
        const struct service_note *n = manager_find_note(m, s->cgroup);
        const char *reason = t                                       ? transition_describe(t)
                             : n && n->held && state == STATE_STABLE ? MANAGER_HELD_TEXT /* the plan may be older than that */
                                                                     : NULL;
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
        for (size_t i = 0; array && m->last && i < m->last->observation->n_services; i++)
                json_append(&array, view(m, i, false));
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

static void append_stuck(struct json_object **array, const char *who, const char *what) {
        _cleanup_free_ char *text = format_string("%s: %s", who, what);
        json_append_string(array, text);
}

static void append_process(struct json_object **array, const char *who, pid_t pid) {
        _cleanup_free_ char *text = pid > 0 ? format_string("process %d of it does not respond", (int) pid) : NULL;
        append_stuck(array, who, text ? text : "a process of it does not respond");
}

/* What has begun and does not come to an end, in sentences. */
static struct json_object *stuck_json(struct manager *m) {
        struct json_object *array = json_object_new_array();
        if (m->screen_late)
                append_stuck(&array, "looking at the machine", "has not come to an end, and nothing is decided until it does");
        for (size_t i = 0; i < m->n_notes; i++) {
                const struct service_note *n = m->notes[i];
                const struct transition *t = transition_find(m, n->cgroup);
                if (n->stuck)
                        append_process(&array, n->cgroup, n->stuck_pid);
                if (n->without_companions)
                        append_stuck(&array, n->cgroup, "a process of a service that it is kept together with does not respond");
                for (unsigned k = 0; k < n->n_aside; k++)
                        append_process(&array, n->cgroup, n->aside[k].pid);
                if (n->restore_late || (t && transition_is_changing(t) && transition_is_late(t)))
                        append_stuck(&array, n->cgroup, "a change of its cpuset has not come to an end");
        }
        return array;
}

static struct json_object *limitations_json(struct manager *m) {
        struct json_object *array = json_object_new_array();
        for (char **l = m->limitations; *l; l++)
                json_append(&array, json_object_new_string(*l));
        if (manager_hotplugged(m))
                json_append(&array, json_object_new_string(HOTPLUGGED_TEXT));
        if (m->last && m->last->observation->truncated)
                json_append(&array, json_object_new_string(LEFT_OUT_TEXT));
        return array;
}

static struct json_object *cycles_by_reason(const struct manager *m) {
        struct json_object *o = json_object_new_object();
        for (int w = 0; w < _WAKE_MAX; w++)
                json_put_int(&o, wake_to_string((enum wake) w), m->stats.by_wake[w]);
        return o;
}

static void put_services(struct manager *m, struct json_object **o) {
        uint64_t counts[_SERVICE_STATE_MAX] = { 0 };
        size_t n_services = m->last ? m->last->observation->n_services : 0, n_managed = 0;
        for (size_t i = 0; i < n_services; i++) {
                const struct service_sample *s = &m->last->observation->services[i];
                n_managed += s->rule != NULL;
                counts[state_of(&m->last->plan->placements[i], transition_find(m, s->cgroup))]++;
        }
        struct json_object *states = json_object_new_object();
        for (int s = 0; s < _SERVICE_STATE_MAX; s++)
                json_put_int(&states, service_state_to_string((enum service_state) s), counts[s]);
        json_put_int(o, "services", n_services);
        json_put_int(o, "managed", n_managed);
        json_put(o, "states", states);
}

static void put_balancing(struct manager *m, struct json_object **o) {
        (void) manager_balancing_look(m); /* as it is now; what this kernel does not have is told as such */
        _cleanup_free_ char *state = manager_balancing_describe(m);
        json_put_int(o, "kernel_balancing", m->balancing.mode);
        json_put_string(o, "kernel_balancing_setting", balancing_setting_to_string(m->config->config->settings.kernel_balancing));
        json_put_string(o, "kernel_balancing_state", state ? state : "");
        if (m->last)
                json_put_bool(o, "kernel_demotion", m->last->observation->machine.kernel_demotes);
        if (m->record->balancing_changed)
                json_put_int(o, "kernel_balancing_before", m->record->balancing_before);
}

/* By a path that is one for others, too. */
static void put_config(const struct manager *m, struct json_object **o) {
        const char *file = m->options.config_file;
        _cleanup_free_ char *here = file && file[0] != '/' ? realpath(".", NULL) : NULL,
                            *whole = here ? format_string("%s/%s", here, file) : NULL;
        json_put_string(o, "config", file ? file : SYSCONFDIR "/numabalanced/numabalanced.yaml");
        if (file)
                json_put_exact(o, "config_file", whole ? whole : file);
}

static struct json_object *on_status(void *userdata) {
        struct manager *m = userdata;
        struct json_object *o = json_object_new_object();
        uint64_t now = manager_now(m);
        json_put_string(&o, "version", PACKAGE_VERSION);
        json_put_int(&o, "uptime_usec", now - m->stats.started_usec);
        json_put_bool(&o, "paused", m->paused);
        json_put_bool(&o, "dry_run", manager_is_dry(m));
        put_config(m, &o);
        json_put_int(&o, "rules", m->config->config->n_rules);
        json_put_int(&o, "interval_usec", m->interval_usec);
        json_put_int(&o, "next_cycle_usec",
                     m->next_cycle_usec == USEC_INFINITY || m->next_cycle_usec < now ? 0 : m->next_cycle_usec - now);
        put_services(m, &o);
        json_put_int(&o, "cycles", m->stats.n_cycles);
        json_put_string(&o, "last_cycle_reason", wake_to_string(m->last_wake));
        json_put(&o, "cycles_by_reason", cycles_by_reason(m));
        json_put(&o, "watched", manager_watch_json(m));
        json_put_int(&o, "last_cycle_cpu_usec", m->stats.last_cycle_cpu_usec);
        json_put_int(&o, "observe_cpu_usec", m->stats.total_observe_cpu_usec);
        json_put_int(&o, "moves", m->stats.n_moves);
        json_put_int(&o, "moves_failed", m->stats.n_failed);
        json_put_int(&o, "moved_bytes", m->stats.moved_bytes);
        json_put_int(&o, "changed_cgroups", m->record->n_entries);
        put_balancing(m, &o);
        json_put(&o, "limitations", limitations_json(m));
        json_put(&o, "stuck", stuck_json(m));
        errno = ENOMEM;
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
                        m->notes[i]->held = m->notes[i]->restore_asked = false;
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
