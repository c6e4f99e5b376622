/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deciding half of a cycle: asks the planner, has each placement carried out in its turn (manager-place.c), forgets who is gone,
 * and picks the time of the next look. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"

/* Services whose cgroup is gone: forget what was said about them after this. */
#define NOTE_FORGET_USEC (10 * USEC_PER_MINUTE)

static int compare_turns(const void *a, const void *b, void *userdata) {
        const struct cycle *c = userdata;
        size_t i = *(const size_t *) a, k = *(const size_t *) b;
        const struct rule *p = c->observation->services[i].rule, *q = c->observation->services[k].rule;
        unsigned first = p ? p->priority : 0, second = q ? q->priority : 0;
        return first != second ? (first > second ? -1 : 1) : (i > k) - (i < k);
}

/* What is due begins in order of its rules' priority: there are fewer turns than there may be services. */
static bool decide_all(struct manager *m, struct cycle *c) {
        size_t n = c->observation->n_services, n_due = 0;
        _cleanup_free_ size_t *due = calloc(n + 1, sizeof(*due));
        bool wants = false;
        for (size_t i = 0; i < n; i++)
                if (due && c->plan->placements[i].act)
                        due[n_due++] = i;
                else
                        wants |= manager_place(m, c, i);
        if (n_due > 1)
                qsort_r(due, n_due, sizeof(*due), compare_turns, c);
        for (size_t i = 0; i < n_due; i++)
                wants |= manager_place(m, c, due[i]);
        return wants;
}

/* Services with a transition that were not seen this time. */
static void tell_absent_transitions(struct manager *m, struct cycle *c) {
        struct transition *t, *next;
        for (t = LIST_FIRST(&m->transitions); t; t = next) {
                next = transition_next(t);
                if (cycle_find(c, transition_cgroup(t)) < 0)
                        transition_observed(t, c, -1);
        }
}

static void forget_notes(struct manager *m, uint64_t now) {
        size_t kept = 0;
        for (size_t i = 0; i < m->n_notes; i++) {
                struct service_note *n = m->notes[i];
                cycle_forget_kept(n, now);
                bool busy = n->held || n->stuck || n->n_aside > 0 || n->restoring || transition_find(m, n->cgroup) ||
                            record_find(m->record, n->cgroup);
                if (!busy && n->last_seen_usec + NOTE_FORGET_USEC < now) {
                        service_note_free(n);
                        continue;
                }
                m->notes[kept++] = n;
        }
        m->n_notes = kept;
}

/* What waits for a window is not to miss the beginning of it by the length of max-interval. By the clock as it is now: if that is set meanwhile, the next
 * cycle asks again. */
static uint64_t until_window_usec(const struct manager *m, const struct settings *s) {
        unsigned minutes = settings_window_opens_in(s, m->env->ops->week_minute(m->env->context));
        return minutes > 0 ? minutes * USEC_PER_MINUTE : UINT64_MAX;
}

static void choose_interval(struct manager *m, const struct cycle *c, bool wants) {
        const struct settings *s = &c->config->config->settings;
        /* Where we narrowed memory nodes we must see pressure in time to widen them again. */
        if (wants || manager_is_blind(m))
                m->interval_usec = s->interval_usec;
        else
                m->interval_usec = MIN2(MAX2(m->interval_usec, s->interval_usec) * 2, s->max_interval_usec);
        /* The second look comes soon: only it knows what the services use. */
        if (m->stats.n_cycles <= 1)
                manager_wake(m, m->options.once ? USEC_PER_SEC + USEC_PER_SEC / 10 : manager_measured_in_usec(m, c));
        else
                manager_wake_for(m, MIN2(m->interval_usec, until_window_usec(m, s)), WAKE_TIMER);
}

/* Who asks what would be done, and --once, get a plan of its own. */
static int ask_planner(struct manager *m, struct cycle *c, const struct plan_input *in) {
        struct plan_input whole;
        bool follows = !c->look_only && !m->options.once && m->last && cycle_plan_input(m, m->whole, &whole);
        return plan_next(in, follows ? &whole : NULL, follows ? m->last->plan : NULL, &c->plan, &c->planned_whole);
}

/* The history gets this observation, the samples who has set what, and the cycle its plan. */
static int make_plan(struct manager *m, struct cycle *c) {
        const struct observation *o = c->observation;
        _cleanup_free_ struct applied *applied = NULL;
        size_t n_applied = 0;
        int r = history_update(&m->history, o->services, o->n_services, m->topology->n_ids, c->started_usec);
        if (r >= 0)
                r = manager_applied(m, &applied, &n_applied);
        if (r < 0)
                return r;
        manager_find_foreign(m, c, applied);
        struct plan_input in = {
                .topology = m->topology,
                .machine = &o->machine,
                .config = c->config->config,
                .samples = o->services,
                .n_samples = o->n_services,
                .history = &m->history,
                .applied = applied,
                .n_applied = n_applied,
                .now_usec = c->started_usec,
        };
        r = ask_planner(m, c, &in);
        return r < 0 ? r : cycle_keep_input(c, &in);
}

static void give_up(struct manager *m, struct cycle *c, int error) {
        log_error(error, "Could not make a plan: %s", strerror(-error));
        cycle_unref(c);
        manager_look_failed(m, error);
        if (m->options.once)
                manager_begin_exit(m, EXIT_FAILURE);
        else
                manager_wake_for(m, m->interval_usec, WAKE_TIMER);
}

/* Does any service still want something? */
static bool carry_out(struct manager *m, struct cycle *c) {
        bool changes = !manager_is_dry(m) && !m->paused;
        int r = changes ? plan_remember(c->plan, c->observation->services, &m->history, c->started_usec) : 0;
        if (r < 0)
                log_error(r, "Could not remember homes: %s", strerror(-r));
        bool wants = decide_all(m, c);
        tell_absent_transitions(m, c);
        manager_tell_late_restores(m);
        manager_restore_asked(m, c);
        if (changes)
                manager_restore_orphans(m, c);
        return wants;
}

void manager_decide(struct manager *m, struct cycle *c) {
        int r = make_plan(m, c);
        if (r < 0) {
                give_up(m, c, r);
                return;
        }
        if (c->look_only) {
                manager_looked(m, c);
                return;
        }
        manager_balancing_check(m, manager_window_is_open(m, c));
        struct cycle *old = m->last;
        m->last = c;
        if (c->planned_whole) {
                cycle_unref(m->whole);
                m->whole = cycle_ref(c);
        }
        bool reloaded = c->config != m->config; /* decided by rules that are no longer in force: look only */
        bool wants = !reloaded && carry_out(m, c);
        cycle_unref(old);
        forget_notes(m, c->started_usec);
        manager_update_status(m);
        if (m->options.once && m->options.once_is_complete(m)) {
                manager_begin_exit(m, m->options.once_print(m) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
                return;
        }
        manager_looked(m, c);
        manager_watch_update(m, c);
        if (reloaded) /* the look that the reload asked for: while this one was under way it counted as that */
                manager_wake_for(m, 0, WAKE_REQUEST);
        else
                choose_interval(m, c, wants);
}
