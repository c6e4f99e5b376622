/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of one service's placement: what the planner would have be done is held back with its reason, or begun. What is new of
 * it goes to the journal once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"

/* As long as so few looks at what is shared were in vain, the next ones come at the normal interval: for a quarter of an hour. */
#define SHARED_LOOKS_SOON 3u
/* Of one service so much is said at once, and after that one thing in so long. */
#define SAY_OFTEN      6u
#define SAY_AGAIN_USEC (60 * USEC_PER_MINUTE)
#define JUST_APPEARED  "just appeared, being measured"

/* One service in one cycle. */
struct turn {
        struct manager *m;
        struct cycle *c;
        size_t index; /* in the observation */
        const struct service_sample *s;
        struct placement *p;
        struct service_note *n; /* NULL: nothing is remembered of it */
};

static struct turn turn_of(struct manager *m, struct cycle *c, size_t index) {
        return (struct turn) {
                .m = m,
                .c = c,
                .index = index,
                .s = &c->observation->services[index],
                .p = &c->plan->placements[index],
        };
}

bool manager_window_is_open(const struct manager *m, const struct cycle *c) {
        return settings_window_open(&c->config->config->settings, m->env->ops->week_minute(m->env->context));
}

/* Those that wait for a stuck process take nobody's turn. */
unsigned manager_n_active(const struct manager *m) {
        unsigned n = 0;
        for (struct transition *t = LIST_FIRST(&m->transitions); t; t = transition_next(t))
                n += !transition_is_late(t);
        return n;
}

static const char OUTSIDE_WINDOWS[] = "outside the windows for changes";

/* Why a change that is due may not be made now; NULL: it may. */
static const char *hold_reason(const struct turn *t) {
        const struct manager *m = t->m;
        const struct service_note *n = t->n;
        if (manager_is_dry(m))
                return "dry run";
        if (m->paused)
                return "paused by the administrator";
        if (n->held)
                return MANAGER_HELD_TEXT;
        if (n->restoring)
                return "its former cpusets are being restored";
        if (service_note_hangs(n)) /* also where memory runs short */
                return "a process of it does not respond to being read";
        if (!manager_window_is_open(m, t->c) && !t->p->relieves)
                return OUTSIDE_WINDOWS;
        if (n->undone_until_usec > t->c->started_usec)
                return "a move made things worse and was undone, not tried again for a while";
        return NULL;
}

/* Without memory the planner's reason stands alone. */
static void add_to_reason(struct placement *p, const char *hold) {
        char *reason = format_string("%s (%s)", p->reason, hold);
        if (!reason)
                return;
        free(p->reason);
        p->reason = reason;
}

static void hold_back(struct placement *p, enum service_state state, const char *hold) {
        p->act = false;
        p->state = state;
        add_to_reason(p, hold);
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
static bool say(const struct turn *t) {
        struct service_note *n = t->n;
        const struct placement *p = t->p;
        bool same = n->last_state == p->state && node_set_equal(&n->last_home, &p->home_mems) &&
                    (p->state != STATE_BLOCKED || (n->last_reason && text_same_but_for_amounts(n->last_reason, p->reason)));
        /* What the kernel has undone manager_tell_undone() has said. */
        bool tells = p->state == STATE_BLOCKED ? !p->undone_alone : manager_is_dry(t->m);
        if (same || (tells && !may_say(n, manager_now(t->m))))
                return false;
        char *copy = strdup(p->reason);
        if (copy) {
                free(n->last_reason);
                n->last_reason = copy;
        }
        n->last_state = p->state;
        n->last_home = p->home_mems;
        if (tells && p->state == STATE_BLOCKED)
                manager_tell_blocked(t->m, t->s, p->reason);
        else if (tells)
                manager_tell_decision(t->m, t->s, p, true);
        return true;
}

/* By when it was first seen, not by this cycle's window: a deep read makes the next cycle come soon. */
static bool is_measured(const struct turn *t) {
        return (t->s->cpu_window_usec > 0 && t->c->started_usec - t->n->first_seen_usec >= WARM_UP_USEC / 2) ||
               history_is_placed(&t->m->history, t->s->cgroup);
}

uint64_t manager_measured_in_usec(const struct manager *m, const struct cycle *c) {
        uint64_t now = manager_now(m);
        return MAX2(c->started_usec + WARM_UP_USEC, now + DEEP_SOON_USEC) - now;
}

/* Where services keep appearing, one early look measures all of an interval's. */
static void wake_to_measure(struct manager *m, const struct cycle *c) {
        uint64_t now = manager_now(m), delay = manager_measured_in_usec(m, c), interval = manager_events_apart_usec(m);
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

void manager_foresee(struct manager *m, struct cycle *c, size_t i) {
        struct turn t = turn_of(m, c, i);
        if (!t.s->rule || !t.p->act || transition_find(m, t.s->cgroup))
                return;
        t.n = manager_find_note(m, t.s->cgroup);
        if (t.n)
                t.n->keep_deep |= t.s->deep; /* read already: the cycle that decides need not wait for another read */
        const char *hold = !t.n || t.n->first_seen_usec == 0 || !is_measured(&t) ? JUST_APPEARED : hold_reason(&t);
        if (hold)
                hold_back(t.p, STATE_PENDING, hold);
}

static void observe_transition(const struct turn *t, struct transition *transition) {
        t->p->act = false;
        t->p->state = STATE_MOVING;
        transition_observed(transition, t->c, (ssize_t) t->index);
        if (transition_find(t->m, t->s->cgroup))
                return;
        /* It ended with this observation; the plan was made before, for a service on its way. */
        t->p->state = STATE_STABLE;
        char *reason = strdup("the move has just ended, the next look tells how it sits");
        if (reason) {
                free(t->p->reason);
                t->p->reason = reason;
        }
}

/* The planner cannot tell without the service's memory map. */
static void want_map(const struct turn *t) {
        struct service_note *n = t->n;
        if (n->stuck || n->reading || n->deep_again_usec > t->c->started_usec) {
                add_to_reason(t->p, n->stuck     ? "a process of it does not respond to being read"
                                    : n->reading ? "its memory map is being read, which takes long"
                                                 : "its memory map could not be read, tried again later");
                return;
        }
        n->wants_deep = true;
        if (!n->deep_put_off)
                manager_wake(t->m, DEEP_SOON_USEC);
}

/* Nothing is to be done for it. Does it want something all the same? */
static bool leave(const struct turn *t) {
        if (t->p->state == STATE_BLOCKED) /* and it stays so, until something happens: that is no change */
                return say(t);
        if (t->p->state == STATE_STABLE) {
                t->n->last_state = STATE_STABLE;
                t->n->last_home = t->p->home_mems;
        }
        return t->p->state == STATE_PENDING || awaits_sharers(t->m, t->s->cgroup);
}

/* What it uses is not known yet. */
static void measure_first(const struct turn *t) {
        t->n->keep_deep = t->s->deep;
        t->n->waits_for_turn = true;
        hold_back(t->p, STATE_PENDING, JUST_APPEARED);
        wake_to_measure(t->m, t->c);
}

/* The kernel has undone the last move, which was said when it was found, and would undo this one. */
static void block_as_undone(const struct turn *t) {
        enum undone_by by = history_undone_by(history_find(&t->m->history, t->s->cgroup));
        _cleanup_free_ char *why = format_string("%s taken back the last move, the next waits", undone_by_to_string(by));
        t->p->act = false;
        t->p->state = STATE_BLOCKED;
        if (why)
                add_to_reason(t->p, why);
}

/* Does it want to be looked at soon? What only the administrator can change, or what has its time, is not looked at again and again. */
static bool postpone(const struct turn *t, const char *hold) {
        t->n->keep_deep = t->s->deep; /* or every other plan would wait for a deep read again */
        hold_back(t->p, STATE_PENDING, hold);
        return say(t) || !(manager_is_dry(t->m) || t->m->paused || t->n->held || hold == OUTSIDE_WINDOWS);
}

static void begin(const struct turn *t) {
        int r = transition_start(t->m, t->c, t->index);
        if (r < 0) {
                t->p->state = STATE_PENDING;
                add_to_reason(t->p, strerror(-r));
                log_warning(r, "%s: could not begin to move it, trying again later: %s", t->s->unit, strerror(-r));
                return;
        }
        t->p->state = STATE_MOVING;
        t->n->last_state = STATE_MOVING;
        t->n->last_home = t->p->home_mems;
}

/* Those whose rule has a rate of its own can take days, whatever the machine could do. */
static unsigned n_slow(const struct manager *m) {
        unsigned n = 0;
        for (struct transition *t = LIST_FIRST(&m->transitions); t; t = transition_next(t))
                n += !transition_is_late(t) && transition_service(t)->rule->migrate_rate_bytes > 0;
        return n;
}

static bool others_go_first(const struct turn *t) {
        return manager_n_active(t->m) >= TRANSITIONS_MAX ||
               (t->s->rule->migrate_rate_bytes > 0 && n_slow(t->m) >= TRANSITIONS_SLOW_MAX) ||
               (t->p->move_memory && transition_has_process_of(t->m, t->s));
}

/* Memory that we keep from it runs short: it gets that back now, and all else that is due waits for its time. */
static void relieve(const struct turn *t) {
        t->p->mems_alone = true;
        if (t->p->move_memory)
                add_to_reason(t->p, "moving its pages has to wait");
        t->p->move_memory = false;
        t->p->bytes_to_move = 0;
}

/* A change is due. Does the service still want something afterwards? */
static bool change(const struct turn *t) {
        if (!is_measured(t)) {
                measure_first(t);
                return true;
        }
        const char *hold = hold_reason(t);
        if (hold)
                return postpone(t, hold);
        if (t->p->relieves && t->n->relief_again_usec > t->c->started_usec) /* the planner asks for it in each cycle */
                return postpone(t, "which has just failed, and is tried again soon");
        if (t->p->relieves && (!manager_window_is_open(t->m, t->c) || others_go_first(t))) {
                relieve(t);
                begin(t);
                return true;
        }
        if (manager_balancing_undid(t->m, t->c, t->index)) {
                block_as_undone(t);
                return true;
        }
        if (others_go_first(t)) {
                t->n->waits_for_turn = true;
                return postpone(t, "waits for its turn");
        }
        begin(t);
        return true;
}

bool manager_place(struct manager *m, struct cycle *c, size_t i) {
        struct turn t = turn_of(m, c, i);
        t.n = t.s->rule ? manager_note(m, t.s->cgroup) : manager_find_note(m, t.s->cgroup);
        if (t.n) {
                t.n->last_seen_usec = c->started_usec;
                t.n->absent_since_usec = 0;
        }
        struct transition *transition = transition_find(m, t.s->cgroup);
        if (transition) {
                observe_transition(&t, transition);
                return true;
        }
        if (!t.s->rule)
                return false;
        if (!t.n)
                return true;
        if (t.n->first_seen_usec == 0)
                t.n->first_seen_usec = c->started_usec;
        t.n->waits_for_turn = t.n->keep_deep = false;
        if (t.p->wants_deep && !t.s->deep)
                want_map(&t);
        return t.p->act ? change(&t) : leave(&t);
}
