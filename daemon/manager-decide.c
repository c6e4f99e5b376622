/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deciding half of a cycle: asks the planner, holds back what may not be done now and says so, starts what may, and picks
 * the time of the next look. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"

/* Services whose cgroup is gone: forget what was said about them after this. */
#define NOTE_FORGET_USEC (10 * USEC_PER_MINUTE)
/* Of one service so much is said at once, and after that one thing in so long. */
#define SAY_OFTEN      6u
#define SAY_AGAIN_USEC (60 * USEC_PER_MINUTE)
/* As long as so few looks at what is shared were in vain, the next ones come at the normal interval: for a quarter of an hour. */
#define SHARED_LOOKS_SOON 3u

static bool window_is_open(const struct manager *m, const struct cycle *c) {
        return settings_window_open(&c->config->config->settings, m->env->ops->week_minute(m->env->context));
}

/* Those that wait for a stuck process take nobody's turn. */
unsigned manager_n_active(const struct manager *m) {
        unsigned n = 0;
        for (struct transition *t = LIST_FIRST(&m->transitions); t; t = transition_next(t))
                n += !transition_is_late(t);
        return n;
}

/* Why a change that is due may not be made now; NULL: it may. */
static const char *hold_reason(const struct manager *m, const struct cycle *c, const struct service_sample *s,
                               const struct service_note *n) {
        if (manager_is_dry(m))
                return "dry run";
        if (m->paused)
                return "paused by the administrator";
        if (n->held)
                return "restored by the administrator, waits for resume";
        if (n->restoring)
                return "its former cpusets are being restored";
        if (n->stuck || n->n_aside > 0)
                return "a process of it does not respond to being read";
        if (!window_is_open(m, c))
                return "outside the windows for changes";
        if (n->undone_until_usec > c->started_usec)
                return "a move made things worse and was undone, not tried again for a while";
        return NULL;
}

static int set_reason(struct placement *p, const char *hold) {
        char *reason = format_string("%s (%s)", p->reason, hold);
        if (!reason)
                return -ENOMEM;
        free(p->reason);
        p->reason = reason;
        return 0;
}

/* What goes back and forth (one of two nodes is full, then the other, then neither) is always another thing than before, and yet nothing new. */
static bool may_say(struct service_note *n, uint64_t now) {
        uint64_t forgotten = n->n_said > 0 ? (now - MIN2(n->said_usec, now)) / SAY_AGAIN_USEC : 0;
        n->n_said -= (unsigned) MIN2(forgotten, (uint64_t) n->n_said);
        n->said_usec = n->n_said > 0 ? n->said_usec + forgotten * SAY_AGAIN_USEC : now;
        if (n->n_said == SAY_OFTEN)
                return false;
        n->n_said++;
        return true;
}

/* One line in the journal where something new is said of the service, none where it is the same as before. Is it new? What is not said because enough
 * was said is said later, if it is still so. */
static bool say(struct manager *m, struct service_note *n, const struct service_sample *s, const struct placement *p) {
        bool same = n->last_state == p->state && node_set_equal(&n->last_home, &p->home_mems) &&
                    (p->state != STATE_BLOCKED || (n->last_reason && text_same_but_for_amounts(n->last_reason, p->reason)));
        if (same || ((p->state == STATE_BLOCKED || manager_is_dry(m)) && !may_say(n, manager_now(m))))
                return false;
        char *copy = strdup(p->reason);
        if (copy) {
                free(n->last_reason);
                n->last_reason = copy;
        }
        n->last_state = p->state;
        n->last_home = p->home_mems;
        if (p->state == STATE_BLOCKED)
                manager_tell_blocked(m, s, p->reason);
        else if (manager_is_dry(m))
                manager_tell_decision(m, s, p, true);
        return true;
}

/* By when it was first seen, not by this cycle's window: a deep read makes the next cycle come soon. */
static bool is_measured(const struct manager *m, const struct cycle *c, const struct service_sample *s,
                        const struct service_note *n) {
        return (s->cpu_window_usec > 0 && c->started_usec - n->first_seen_usec >= WARM_UP_USEC / 2) ||
               history_is_placed(&m->history, s->cgroup);
}

#define JUST_APPEARED "just appeared, being measured"

void manager_foresee(struct manager *m, struct cycle *c, size_t i) {
        const struct service_sample *s = &c->observation->services[i];
        struct placement *p = &c->plan->placements[i];
        struct service_note *n = manager_find_note(m, s->cgroup);
        if (!s->rule || !p->act || transition_find(m, s->cgroup))
                return;
        if (n)
                n->keep_deep |= s->deep; /* read already: the cycle that decides need not wait for another read */
        const char *hold = !n || n->first_seen_usec == 0 || !is_measured(m, c, s, n) ? JUST_APPEARED : hold_reason(m, c, s, n);
        if (!hold)
                return;
        p->act = false;
        p->state = STATE_PENDING;
        (void) set_reason(p, hold);
}

/* Where services keep appearing, one early look measures all of an interval's. */
static void wake_to_measure(struct manager *m) {
        uint64_t now = manager_now(m), delay = WARM_UP_USEC, interval = manager_events_apart_usec(m);
        if (!m->options.once && m->measure_usec > 0 && m->measure_usec + interval > now + delay)
                delay = m->measure_usec > now ? m->measure_usec - now : m->measure_usec + interval - now;
        else
                m->measure_usec = now + delay;
        manager_wake(m, delay);
}

/* What is left behind because it is shared after a fork can be its own again soon: not to be missed by the length of an interval. */
static bool awaits_sharers(const struct manager *m, const char *cgroup) {
        const struct history_entry *h = history_find(&m->history, cgroup);
        return h && h->shared_processes > 0 && h->n_shared_looks <= SHARED_LOOKS_SOON;
}

/* Returns true where the service still wants something, so that the next look should come at the normal interval. */
static bool decide_one(struct manager *m, struct cycle *c, size_t i) {
        const struct service_sample *s = &c->observation->services[i];
        struct placement *p = &c->plan->placements[i];

        struct service_note *n = s->rule ? manager_note(m, s->cgroup) : manager_find_note(m, s->cgroup);
        if (n) {
                n->last_seen_usec = c->started_usec;
                n->absent_since_usec = 0;
        }
        struct transition *t = transition_find(m, s->cgroup);
        if (t) {
                p->act = false;
                p->state = STATE_MOVING;
                transition_observed(t, c, (ssize_t) i);
                if (!transition_find(m, s->cgroup)) {
                        /* It ended with this observation; the plan was made before, for a service on its way. */
                        p->state = STATE_STABLE;
                        char *reason = strdup("the move has just ended, the next look tells how it sits");
                        if (reason) {
                                free(p->reason);
                                p->reason = reason;
                        }
                }
                return true;
        }
        if (!s->rule)
                return false;
        if (!n)
                return true;
        if (n->first_seen_usec == 0)
                n->first_seen_usec = c->started_usec;
        n->waits_for_turn = n->keep_deep = false;
        if (p->wants_deep && !s->deep) {
                if (n->stuck || n->reading || n->deep_again_usec > c->started_usec)
                        (void) set_reason(p, n->stuck     ? "a process of it does not respond to being read"
                                             : n->reading ? "its memory map is being read, which takes long"
                                                          : "its memory map could not be read, tried again later");
                else {
                        n->wants_deep = true;
                        if (!n->deep_put_off)
                                manager_wake(m, DEEP_SOON_USEC);
                }
        }
        if (!p->act) {
                if (p->state == STATE_BLOCKED) /* and it stays so, until something happens: that is no change */
                        return say(m, n, s, p);
                if (p->state == STATE_STABLE) {
                        n->last_state = STATE_STABLE;
                        n->last_home = p->home_mems;
                }
                return p->state == STATE_PENDING || awaits_sharers(m, s->cgroup);
        }
        if (!is_measured(m, c, s, n)) {
                n->keep_deep = s->deep;
                /* Just appeared: what it uses is not known yet. */
                p->act = false;
                p->state = STATE_PENDING;
                n->waits_for_turn = true;
                (void) set_reason(p, JUST_APPEARED);
                wake_to_measure(m);
                return true;
        }
        const char *hold = hold_reason(m, c, s, n);
        if (!hold && manager_balancing_undid(m, c, i)) {
                p->act = false;
                p->state = STATE_BLOCKED;
                enum undone_by by = history_undone_by(history_find(&m->history, s->cgroup));
                _cleanup_free_ char *why = format_string("%s taken back the last move, the next waits", undone_by_to_string(by));
                if (why)
                        (void) set_reason(p, why);
                say(m, n, s, p);
                return true;
        }
        if (!hold && (manager_n_active(m) >= TRANSITIONS_MAX || (p->move_memory && transition_has_process_of(m, s)))) {
                n->waits_for_turn = true;
                hold = "waits for its turn";
        }
        if (hold) {
                n->keep_deep = s->deep; /* or every other plan would wait for a deep read again */
                p->act = false;
                p->state = STATE_PENDING;
                (void) set_reason(p, hold);
                /* What only the administrator can change is not looked at again and again. */
                return say(m, n, s, p) || !(manager_is_dry(m) || m->paused || n->held);
        }
        int r = transition_start(m, c, i);
        if (r < 0) {
                p->state = STATE_PENDING;
                (void) set_reason(p, strerror(-r));
                log_warning(r, "%s: could not begin to move it, trying again later: %s", s->unit, strerror(-r));
                return true;
        }
        p->state = STATE_MOVING;
        n->last_state = STATE_MOVING;
        n->last_home = p->home_mems;
        return true;
}

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
                        wants |= decide_one(m, c, i);
        if (n_due > 1)
                qsort_r(due, n_due, sizeof(*due), compare_turns, c);
        for (size_t i = 0; i < n_due; i++)
                wants |= decide_one(m, c, due[i]);
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

static void choose_interval(struct manager *m, const struct cycle *c, bool wants) {
        const struct settings *s = &c->config->config->settings;
        /* Where we narrowed memory nodes we must see pressure in time to widen them again. */
        if (wants || manager_is_blind(m))
                m->interval_usec = s->interval_usec;
        else
                m->interval_usec = MIN2(MAX2(m->interval_usec, s->interval_usec) * 2, s->max_interval_usec);
        /* The second look comes soon: only it knows what the services use. */
        if (m->stats.n_cycles <= 1)
                manager_wake(m, m->options.once ? USEC_PER_SEC + USEC_PER_SEC / 10 : WARM_UP_USEC);
        else
                manager_wake_for(m, m->interval_usec, WAKE_TIMER);
}

/* Who asks what would be done, and --once, get a plan of its own. */
static int make_plan(struct manager *m, struct cycle *c, const struct plan_input *in) {
        struct plan_input whole;
        bool follows = !c->look_only && !m->options.once && m->last && cycle_plan_input(m, m->whole, &whole);
        return plan_next(in, follows ? &whole : NULL, follows ? m->last->plan : NULL, &c->plan, &c->planned_whole);
}

void manager_decide(struct manager *m, struct cycle *c) {
        const struct observation *o = c->observation;
        uint64_t now = c->started_usec;
        _cleanup_free_ struct applied *applied = NULL;
        size_t n_applied = 0;

        int r = history_update(&m->history, o->services, o->n_services, m->topology->n_ids, now);
        if (r >= 0)
                r = manager_applied(m, &applied, &n_applied);
        if (r >= 0)
                manager_find_foreign(m, c, applied);
        if (r >= 0) {
                struct plan_input in = {
                        .topology = m->topology,
                        .machine = &o->machine,
                        .config = c->config->config,
                        .samples = o->services,
                        .n_samples = o->n_services,
                        .history = &m->history,
                        .applied = applied,
                        .n_applied = n_applied,
                        .now_usec = now,
                };
                r = make_plan(m, c, &in);
                if (r >= 0)
                        r = cycle_keep_input(c, &in);
        }
        if (r < 0) {
                log_error(r, "Could not make a plan: %s", strerror(-r));
                cycle_unref(c);
                manager_look_failed(m, r);
                if (m->options.once)
                        manager_begin_exit(m, EXIT_FAILURE);
                else
                        manager_wake_for(m, m->interval_usec, WAKE_TIMER);
                return;
        }
        if (c->look_only) {
                manager_looked(m, c);
                return;
        }

        manager_balancing_check(m, window_is_open(m, c));

        bool reloaded = c->config != m->config; /* decided by rules that are no longer in force: look only */
        bool wants = reloaded;
        struct cycle *old = m->last;
        m->last = c;
        if (c->planned_whole) {
                cycle_unref(m->whole);
                m->whole = cycle_ref(c);
        }
        if (!reloaded) {
                r = manager_is_dry(m) || m->paused ? 0 : plan_remember(c->plan, o->services, &m->history, now);
                if (r < 0)
                        log_error(r, "Could not remember homes: %s", strerror(-r));
                wants |= decide_all(m, c);
                tell_absent_transitions(m, c);
                manager_tell_late_restores(m);
                manager_restore_asked(m, c);
                if (!manager_is_dry(m) && !m->paused && window_is_open(m, c))
                        manager_restore_orphans(m, c);
        }
        cycle_unref(old);
        forget_notes(m, now);
        manager_update_status(m);
        if (m->options.once && m->options.once_is_complete(m)) {
                manager_begin_exit(m, m->options.once_print(m) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
                return;
        }
        manager_looked(m, c);
        manager_watch_update(m, c);
        choose_interval(m, c, wants);
}
