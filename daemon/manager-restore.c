/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving cpusets back: on exit where the configuration says so, on request, and for services that no rule manages any more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/journal.h"
#include "report/json.h"

/* A recorded cgroup that is not seen for this long is given back (or, gone, forgotten). */
#define ABSENT_LIMIT_USEC (10 * USEC_PER_MINUTE)
/* What could not be given back is tried again by itself after this, doubled each time. */
#define RESTORE_AGAIN_USEC      USEC_PER_MINUTE
#define RESTORE_AGAIN_DOUBLINGS 7u
/* … and no longer than this while memory runs short for it. */
#define RESTORE_SHORT_USEC (5 * USEC_PER_MINUTE)

static const char *outcome_word(enum restore_outcome outcome) {
        switch (outcome) {
        case RESTORE_DONE: return "restored";
        case RESTORE_GONE: return "gone";
        case RESTORE_NOT_OURS: return "changed-by-others";
        case RESTORE_FAILED: return "failed";
        }
        return "unknown";
}

static void answer_when_complete(struct manager *m) {
        if (!m->restore_call || m->n_awaited > 0 || m->n_restoring > m->n_restoring_services)
                return;
        int r = bus_reply_restore(m->restore_call, m->restore_results);
        if (r < 0)
                log_warning(r, "Could not answer a request to restore, ignoring: %s", strerror(-r));
        m->restore_call = sd_bus_message_unref(m->restore_call);
        json_object_put(m->restore_results);
        m->restore_results = NULL;
}

void manager_restore_result(struct manager *m, const char *unit, const char *cgroup, const char *outcome, const char *detail) {
        if (!m->restore_results)
                return;
        struct json_object *o = json_object_new_object();
        json_put_string(&o, "unit", unit);
        json_put_string(&o, "cgroup", cgroup);
        json_put_string(&o, "outcome", outcome);
        json_put_string(&o, "detail", detail ? detail : "");
        if (!o || json_object_array_add(m->restore_results, o) != 0) {
                json_object_put(o);
                log_warning(-ENOMEM, "%s: %s, which the answer to who asked does not say: out of memory", unit, outcome);
        }
}

/* Of a service: for the answer, where it is about that one. */
static void tell_awaited(struct manager *m, struct service_note *n, const char *unit, const char *outcome, const char *detail) {
        if (!n || !n->restore_awaited)
                return;
        n->restore_awaited = false;
        m->n_awaited--;
        manager_restore_result(m, unit, n->cgroup, outcome, detail);
}

static void await(struct manager *m, struct service_note *n) {
        m->n_awaited += !n->restore_awaited;
        n->restore_awaited = true;
}

void manager_restore_ended(struct manager *m) {
        m->n_restoring--;
        answer_when_complete(m);
}

/* What outlives the record's entry, which restoring removes. */
struct restore_job {
        struct manager *m;
        char *unit;
};

/* Not by itself before a while has passed, each time for longer. */
static void try_again_later(const struct manager *m, struct service_note *n) {
        n->restore_failed_usec = manager_now(m);
        n->n_restore_failed++;
}

static void on_restored(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata) {
        struct restore_job *j = userdata;
        struct manager *m = j->m;
        struct service_note *n = manager_find_note(m, cgroup);
        if (n) {
                n->restoring = n->restore_late = false;
                n->absent_since_usec = 0;
                if (outcome == RESTORE_FAILED || error < 0) /* or it is still on record */
                        try_again_later(m, n);
                else {
                        n->n_restore_failed = 0;
                        n->restore_asked = false;
                }
        }
        manager_tell_restored(m, j->unit, cgroup, outcome, error, detail);
        tell_awaited(m, n, j->unit, outcome_word(outcome), detail);
        free(j->unit);
        free(j);
        m->n_restoring_services--;
        manager_restore_ended(m);
}

static bool is_hung(const char *cgroup, void *userdata) {
        const struct restore_job *j = userdata;
        return service_note_hangs(manager_find_note(j->m, cgroup));
}

int manager_restore_one(struct manager *m, const char *cgroup) {
        const struct record_entry *e = record_find(m->record, cgroup);
        if (!e)
                return -ENOENT;
        struct service_note *n = manager_note(m, cgroup);
        const struct transition *t = transition_find(m, cgroup);
        if (n && t && transition_is_changing(t)) {
                if (n->restore_waits)
                        return -EALREADY;
                n->restore_waits = true;
                m->n_restoring++;
                m->n_restoring_services++;
                return 0;
        }
        struct restore_job *j = malloc(sizeof(*j));
        if (!n || !j || !(j->unit = strdup(e->unit))) {
                free(j);
                return -ENOMEM;
        }
        if (n->restoring) {
                free(j->unit);
                free(j);
                return -EALREADY;
        }
        j->m = m;
        n->restoring = true;
        n->restoring_usec = manager_now(m);
        m->n_restoring++;
        m->n_restoring_services++;
        /* Always the real operations: a daemon that was set to dry run must still be able to give back what it took before. */
        int r = restore_start(m->record, &m->env->act, n->cgroup, is_hung, on_restored, j);
        if (r < 0) {
                try_again_later(m, n);
                n->restoring = false;
                m->n_restoring--;
                m->n_restoring_services--;
                free(j->unit);
                free(j);
        }
        return r;
}

void manager_tell_late_restores(struct manager *m) {
        uint64_t now = manager_now(m);
        for (size_t i = 0; i < m->n_notes; i++) {
                struct service_note *n = m->notes[i];
                const struct record_entry *e = n->restoring || n->restore_waits ? record_find(m->record, n->cgroup) : NULL;
                const struct transition *t = n->restore_waits ? transition_find(m, n->cgroup) : NULL;
                const char *unit = e ? e->unit : n->cgroup;
                if (n->restoring && !n->restore_late && now - MIN2(n->restoring_usec, now) > CHANGE_LATE_USEC) {
                        n->restore_late = true;
                        journal_change_late(unit, n->cgroup, "giving its cpusets back");
                }
                if ((n->restoring && n->restore_late) || (t && transition_is_late(t)))
                        tell_awaited(m, n, unit, "failed", "a change of its cpuset has not come to an end, and is waited for");
        }
        answer_when_complete(m);
}

void manager_restore_waiting(struct manager *m, struct service_note *n) {
        if (!n || !n->restore_waits)
                return;
        n->restore_waits = false;
        int r = manager_restore_one(m, n->cgroup);
        if (r == -ENOENT) /* it gave way, and nothing of ours is left */
                tell_awaited(m, n, n->cgroup, outcome_word(RESTORE_NOT_OURS), "");
        else if (r < 0 && r != -EALREADY) {
                log_warning(r, "%s: could not begin to give its cpusets back: %s", n->cgroup, strerror(-r));
                tell_awaited(m, n, n->cgroup, "failed", strerror(-r));
        }
        m->n_restoring_services--;
        manager_restore_ended(m);
}

/* Restores those of the record's entries that `wanted` picks, for who waits for the answer where `asked`. The names are collected first: restoring removes entries. */
static unsigned restore_some(struct manager *m, bool (*wanted)(struct manager *, const struct record_entry *, const void *),
                             const void *arg, bool asked) {
        size_t n = 0;
        _cleanup_free_ char **names = calloc(m->record->n_entries + 1, sizeof(*names));
        if (!names) {
                log_error(-ENOMEM, "Out of memory while restoring");
                return 0;
        }
        for (size_t i = 0; i < m->record->n_entries; i++)
                if (wanted(m, m->record->entries[i], arg)) {
                        names[n] = strdup(m->record->entries[i]->cgroup);
                        if (names[n])
                                n++;
                        else
                                log_error(-ENOMEM, "Out of memory while restoring");
                }
        for (size_t i = 0; i < n; i++) {
                struct service_note *note = asked ? manager_note(m, names[i]) : NULL;
                if (note)
                        await(m, note);
                int r = manager_restore_one(m, names[i]);
                if (r < 0 && r != -EALREADY) {
                        log_warning(r, "%s: could not begin to give its cpusets back: %s", names[i], strerror(-r));
                        tell_awaited(m, note, names[i], "failed", strerror(-r));
                }
                free(names[i]);
        }
        return (unsigned) n;
}

static bool want_all(struct manager *m, const struct record_entry *e, const void *arg) {
        return true;
}

static bool want_unit(struct manager *m, const struct record_entry *e, const void *unit) {
        return text_matches(e->unit, unit) || text_matches(e->cgroup, unit);
}

/* By the kernel's word, where the look at the machine had its limits: these can be anybody's doing. */
static bool is_gone(struct manager *m, const struct record_entry *e) {
        const struct act *act = &m->env->act;
        const struct target t = { .cgroup = e->cgroup, .unit = e->unit, .owner = e->owner };
        struct cpuset_state state;
        return act->ops->get_cpuset(act->context, &t, &state) == -ENOENT;
}

/* Does memory run short that we keep from it? */
static bool is_kept_short(const struct cycle *c, const struct record_entry *e, const struct service_sample *s) {
        return e->changed_mems && e->ours.mems_set &&
               (s->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT ||
                plan_nodes_short(&c->observation->machine, &s->effective_mems, c->config->config->settings.keep_free_permille));
}

/* May it be tried (again) by itself? `s`: as it was seen; NULL: it was not. */
static bool is_due(const struct cycle *c, const struct record_entry *e, const struct service_note *n,
                   const struct service_sample *s) {
        if (n->n_restore_failed == 0)
                return true;
        uint64_t wait = RESTORE_AGAIN_USEC << MIN2(n->n_restore_failed - 1, RESTORE_AGAIN_DOUBLINGS);
        if (wait > RESTORE_SHORT_USEC && s && is_kept_short(c, e, s))
                wait = RESTORE_SHORT_USEC;
        return n->restore_failed_usec + wait <= c->started_usec;
}

/* Does what we set have the kernel pass over what cgroups inside of it were given? A plan that has no home for it, because of these, gives nothing back. */
static bool passes_over_inner(const struct manager *m, const struct record_entry *e, const struct service_sample *s) {
        struct node_set cpus = topology_nodes_of_cpus(m->topology, &e->ours.cpus),
                        mems = node_set_intersect(&s->inner_mems_allowed, &e->ours.mems);
        return (s->inner_mems && e->changed_mems && e->ours.mems_set && node_set_is_empty(&mems)) ||
               (sample_takes_inner_cpus(s) && e->changed_cpus && e->ours.cpus_set &&
                !node_set_is_subset(&s->inner_cpu_nodes, &cpus));
}

static bool want_orphan(struct manager *m, const struct record_entry *e, const void *arg) {
        const struct cycle *c = arg;
        struct service_note *n = manager_note(m, e->cgroup);
        if (!n || n->restoring || transition_find(m, e->cgroup))
                return false;
        ssize_t i = cycle_find(c, e->cgroup);
        const struct service_sample *s = i >= 0 ? &c->observation->services[i] : NULL;
        if (!is_due(c, e, n, s))
                return false;
        if (s) {
                /* Who came to have a policy of his own would be held on CPUs chosen for memory that he has no more. */
                bool managed = s->rule && s->rule->place != PLACE_IGNORE && s->rule->place != PLACE_FOLLOW &&
                               !s->holds_services && !sample_is_left_alone(s) && !passes_over_inner(m, e, s);
                return !managed && (manager_window_is_open(m, c) || is_kept_short(c, e, s));
        }
        if (!manager_window_is_open(m, c))
                return false;
        if (c->observation->truncated && !is_gone(m, e)) /* it may only have been left out */
                return false;
        if (n->absent_since_usec == 0)
                n->absent_since_usec = c->started_usec;
        return n->absent_since_usec + ABSENT_LIMIT_USEC < c->started_usec;
}

void manager_restore_orphans(struct manager *m, const struct cycle *c) {
        (void) restore_some(m, want_orphan, c, false);
}

static bool want_asked(struct manager *m, const struct record_entry *e, const void *arg) {
        const struct cycle *c = arg;
        const struct service_note *n = manager_find_note(m, e->cgroup);
        /* A dry run that was only just started has the request from the one before. */
        bool may = m->lock_fd >= 0 || !m->options.runtime_dir;
        ssize_t i = cycle_find(c, e->cgroup);
        return may && n && n->restore_asked && !n->restoring && !n->restore_waits &&
               is_due(c, e, n, i >= 0 ? &c->observation->services[i] : NULL);
}

void manager_restore_asked(struct manager *m, const struct cycle *c) {
        (void) restore_some(m, want_asked, c, false);
}

void manager_restore_all_for_exit(struct manager *m) {
        (void) restore_some(m, want_all, NULL, false);
}

int manager_restore_request(struct manager *m, const char *unit, sd_bus_message *call) {
        if (m->restore_call)
                return -EBUSY;
        /* A dry run that was asked to restore changes something after all, and only one may. */
        if ((m->record->n_entries > 0 || m->record->balancing_changed) && manager_take_lock(m) < 0)
                return -EPERM;
        m->restore_results = json_object_new_array();
        if (!m->restore_results)
                return -ENOMEM;
        m->restore_call = sd_bus_message_ref(call);

        /* What is restored must stay so: everything restored means a pause as well, both until `resume`. Held are all of them: a restart must not forget
         * which were asked for. */
        bool all = unit[0] == 0;
        struct transition *t, *next;
        for (t = LIST_FIRST(&m->transitions); t; t = next) {
                next = transition_next(t);
                const struct service_sample *s = transition_service(t);
                if (all || text_matches(s->unit, unit) || text_matches(s->cgroup, unit))
                        transition_cancel(t, "its cpusets are being restored");
        }
        if (all)
                m->paused = true;
        for (size_t i = 0; i < m->record->n_entries; i++)
                if (all || want_unit(m, m->record->entries[i], unit)) {
                        struct service_note *n = manager_note(m, m->record->entries[i]->cgroup);
                        if (n)
                                n->restore_asked = n->held = true;
                }
        manager_hold_save(m);
        /* One more than there are: what ends at once must not send the answer while others are still begun. */
        m->n_restoring++;
        unsigned started = all ? restore_some(m, want_all, NULL, true) : restore_some(m, want_unit, unit, true);
        if (all)
                (void) manager_balancing_restore(m); /* says itself what goes wrong */
        m->n_restoring--;
        manager_update_status(m);
        if (!all && started == 0) {
                m->restore_call = sd_bus_message_unref(m->restore_call);
                json_object_put(m->restore_results);
                m->restore_results = NULL;
                return -ENOENT;
        }
        manager_tell_late_restores(m); /* answers, where there is nothing to wait for */
        return 0;
}
