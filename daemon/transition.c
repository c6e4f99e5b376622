/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One service's way home, as a small state machine on the event loop. Make before break: cpusets are widened first and narrowed last; a verification by the
 * next observation ends it, and only what that says is reported. */
#include "transition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sample.h"
#include "report/journal.h"

/* Passes over the memory: the first, and sweeps for what was allocated elsewhere while the CPUs were still free. */
#define PASSES_MAX 4u
/* Less than this off home is not worth another pass. */
#define LEFTOVER_BYTES    (256 * KIB)
#define LEFTOVER_PERMILLE 2u
/* The next look after the last step: threads need a moment to be seen at home. */
#define VERIFY_DELAY_USEC (500 * USEC_PER_MSEC)

const struct service_sample *transition_service(const struct transition *t) {
        return transition_sample(t);
}

const char *transition_cgroup(const struct transition *t) {
        return t->target.cgroup;
}

struct transition *transition_next(struct transition *t) {
        return LIST_NEXT(t, entry);
}

bool transition_is_late(const struct transition *t) {
        return t->slice_late || t->change_late;
}

bool transition_is_changing(const struct transition *t) {
        return t->changing;
}

struct transition *transition_find(const struct manager *m, const char *cgroup) {
        struct transition *t;
        LIST_FOREACH(t, &m->transitions, entry)
        if (strcmp(t->target.cgroup, cgroup) == 0)
                return t;
        return NULL;
}

struct transition *transition_free(struct transition *t) {
        if (!t)
                return NULL;
        LIST_REMOVE(t, entry);
        t->m->n_transitions--;
        t->m->env->ops->timer_free(t->timer);
        transition_drop_mover(t);
        cycle_unref(t->seen);
        cycle_unref(t->decided);
        struct manager *m = t->m;
        free(t);
        if (!m->exiting)
                turn_pass_on(m, manager_now(m));
        return NULL;
}

int transition_arm(struct transition *t, uint64_t delay_usec) {
        const struct environment *env = t->m->env;
        /* Exact enough for handing a turn on: slices take milliseconds. */
        int r = t->timer ? 0 : env->ops->timer_new(env->context, USEC_PER_MSEC / 2, transition_slice_due, t, &t->timer);
        return r < 0 ? r : env->ops->timer_set(t->timer, manager_now(t->m) + delay_usec);
}

/* What it found pinned, for the service's next move, which looks what of it is due again. */
static void keep_stubborn(const struct transition *t) {
        const struct move_result *r = t->mover ? t->m->env->ops->mover_result(t->mover) : NULL;
        struct service_note *n = r && r->stubborn ? manager_find_note(t->m, t->target.cgroup) : NULL;
        struct stubborn *kept;
        int error = n ? stubborn_copy(r->stubborn, 0, &kept) : -ENOENT;
        if (error == -ENOMEM)
                log_warning(error, "%s: could not remember what would not move, it is tried again: %s", t->target.unit,
                            strerror(-error));
        if (error < 0)
                return;
        stubborn_free(n->stubborn);
        n->stubborn = kept;
}

void transition_drop_mover(struct transition *t) {
        keep_stubborn(t);
        t->mover = t->m->env->ops->mover_free(t->mover);
        companions_done(&t->companions);
}

void transition_enter(struct transition *t, enum phase phase) {
        if (t->cancelled && phase != PHASE_UNDO) {
                t->error = -ECANCELED;
                transition_finish(t, NULL);
                return;
        }
        t->phase = phase;
        switch (phase) {
        case PHASE_WIDEN: transition_widen(t); break;
        case PHASE_MOVE: transition_move(t); break;
        case PHASE_NARROW: transition_narrow(t); break;
        case PHASE_VERIFY:
                t->verify_from_usec = manager_now(t->m);
                manager_wake(t->m, VERIFY_DELAY_USEC);
                break;
        case PHASE_UNDO: transition_undo(t); break;
        case PHASE_DONE: transition_finish(t, NULL); break;
        }
}

void transition_give_back(struct transition *t) {
        bool wrote = t->phase == PHASE_WIDEN ? t->written : t->phase == PHASE_MOVE && (t->cpus_first || t->probed);
        if (!wrote)
                return;
        int r = manager_restore_one(t->m, t->target.cgroup);
        if (r < 0)
                log_error(r, "%s: could not begin to give its cpusets back: %s", t->target.unit, strerror(-r));
}

void transition_fail(struct transition *t, int error, const char *why) {
        if (!t->cancelled)
                transition_give_back(t);
        /* Why it was cancelled says more than what came of the step that was still under way. */
        t->error = t->cancelled ? -ECANCELED : error;
        t->why = t->cancelled ? t->why : why;
        transition_finish(t, NULL);
}

void transition_cancel(struct transition *t, const char *why) {
        t->cancelled = true;
        t->why = why;
        /* While a slice or a change runs, its end comes back to transition_enter(). */
        if (t->slice_running || t->changing)
                return;
        t->error = -ECANCELED;
        transition_finish(t, NULL);
}

bool transition_has_process_of(const struct manager *m, const struct service_sample *s) {
        const struct transition *t;
        LIST_FOREACH(t, &m->transitions, entry) {
                const struct service_sample *o = &t->seen->observation->services[t->seen_index];
                if (!transition_placement(t)->move_memory || strcmp(o->cgroup, s->cgroup) == 0)
                        continue;
                for (size_t i = 0, k = 0; i < o->n_processes && k < s->n_processes;) { /* both ascending */
                        pid_t a = o->processes[i].pid, b = s->processes[k].pid;
                        if (process_ref_equal(&o->processes[i], &s->processes[k]))
                                return true;
                        i += a <= b;
                        k += b <= a;
                }
        }
        return false;
}

bool transition_goes_to(const struct transition *t, const char *cgroup) {
        ssize_t i = cycle_find(t->decided, cgroup);
        return i >= 0 && node_set_equal(&t->decided->plan->placements[i].home_mems, &transition_placement(t)->home_mems);
}

bool transition_wants_observation(const struct transition *t) {
        return t->phase == PHASE_VERIFY;
}

bool transition_accepts(const struct transition *t, uint64_t read_began_usec) {
        return t->phase == PHASE_VERIFY && read_began_usec >= t->verify_from_usec;
}

/* What others map will be others' in the next pass, too, but for what was only taken to be because processes of its own came meanwhile. */
static uint64_t surely_refused_bytes(const struct transition *t) {
        uint64_t refused = transition_refused_bytes(t),
                 unsure = t->total.shared_unsure ? t->total.failed_shared * t->m->host->page_bytes : 0;
        return refused - MIN2(unsure, refused);
}

static bool wants_another_pass(const struct transition *t, const struct service_sample *s, uint64_t left) {
        const struct placement *p = transition_placement(t);
        uint64_t total = sum_by_node(s->bytes_by_node, t->m->topology->n_ids);
        if (!p->move_memory || t->n_passes >= PASSES_MAX || left <= MAX2(LEFTOVER_BYTES, total / 1000 * LEFTOVER_PERMILLE))
                return false;
        /* What the last pass could not move will not move now either. */
        return left > surely_refused_bytes(t);
}

/* The move has come to rest; memory nodes that are to be narrowed are, if what is left elsewhere allows it. False: nothing is to be narrowed. */
static bool narrows_late(struct transition *t, const struct service_sample *s) {
        if (!t->mems_wait || t->counted || !manager_window_is_open(t->m, t->decided))
                return false;
        t->counted = true;
        if (transition_may_narrow(t, s))
                transition_enter(t, PHASE_NARROW);
        else
                transition_fail(t, -EBUSY,
                                "too much of its memory is still elsewhere (pinned, shared, bound or without room), which "
                                "narrowing its memory nodes would have the kernel move all at once");
        return true;
}

/* Is the service another rule's by now, or nobody's? Under a newer configuration all that is under way was cancelled. */
static bool lost_its_rule(const struct transition *t, const struct cycle *c, size_t index) {
        return c->config == t->decided->config && c->observation->services[index].rule != transition_sample(t)->rule;
}

void transition_observed(struct transition *t, struct cycle *c, ssize_t index) {
        struct manager *m = t->m;
        if (t->changing && !t->change_late && manager_now(m) - t->change_began_usec > CHANGE_LATE_USEC) {
                t->change_late = true;
                journal_change_late(t->target.unit, t->target.cgroup, "changing its cpuset");
        }
        if (index < 0) {
                /* Between the steps that come back by themselves there is nothing to wait for any more. */
                if (t->phase == PHASE_VERIFY)
                        transition_fail(t, -ESRCH, "the service ended");
                return;
        }
        if (!t->cancelled && lost_its_rule(t, c, (size_t) index)) {
                transition_cancel(t, "the rule that it is moved by does not match it any more");
                return;
        }
        if (t->phase != PHASE_VERIFY)
                return;
        /* An observation that began before the last step was done shows threads and pages where they were. */
        if (c->started_usec < t->verify_from_usec) {
                manager_wake(m, VERIFY_DELAY_USEC);
                return;
        }
        const struct service_sample *s = &c->observation->services[index];
        if (!s->deep) {
                const struct service_note *n = manager_find_note(m, t->target.cgroup);
                if (n && n->reading && !n->stuck)
                        return; /* the end of that wakes us */
                manager_wake(m, VERIFY_DELAY_USEC);
                if (++t->n_shallow > 3 && !narrows_late(t, s))
                        transition_finish(t, NULL); /* its memory map cannot be read: reported as not verified */
                return;
        }
        cycle_unref(t->seen);
        t->seen = cycle_ref(c);
        t->seen_index = (size_t) index;
        if (wants_another_pass(t, s, transition_left_bytes(t, s))) {
                transition_enter(t, PHASE_MOVE);
                return;
        }
        if (transition_made_worse(t, s)) {
                t->why = "it made things worse, so its CPUs are given back";
                t->error = -EXDEV;
                transition_enter(t, PHASE_UNDO);
                return;
        }
        if (!narrows_late(t, s))
                transition_finish(t, s);
}

const char *transition_describe(const struct transition *t) {
        static char text[160]; /* the event loop's only */
        static const char *const words[] = {
                "widening its cpusets", "moving", "narrowing its cpusets", "verifying", "undoing", "done"
        };
        uint64_t done = t->total.moved_bytes + (t->mover ? t->mover_moved_bytes : 0);
        unsigned level = t->phase == PHASE_MOVE ? t->backoff.level : 0;
        (void) snprintf(text, sizeof(text), "%s: %" PRIu64 "M of %" PRIu64 "M moved%s%s", words[t->phase],
                        (uint64_t) (done / MIB), (uint64_t) (transition_placement(t)->bytes_to_move / MIB),
                        level >= BACKOFF_PAUSED ? ", paused for "
                        : level > 0             ? ", slowed for "
                                                : "",
                        level > 0 ? hold_cause_to_string(t->backoff.cause) : "");
        return text;
}

int transition_start(struct manager *m, struct cycle *c, size_t index) {
        const struct service_sample *s = &c->observation->services[index];
        const struct placement *p = &c->plan->placements[index];
        uint64_t now = manager_now(m);

        struct service_note *note = manager_note(m, s->cgroup);
        struct transition *t = note ? calloc(1, sizeof(*t)) : NULL;
        if (!t)
                return -ENOMEM;
        /* From here on it is under way, until finish() says otherwise. Who gets only memory nodes back stays at home where it lives. */
        const struct history_entry *h = p->mems_alone ? history_find(&m->history, s->cgroup) : NULL;
        const struct node_set home = h && h->placed ? h->home : p->home;
        int r = history_record_placed(&m->history, s->cgroup, &home, now);
        if (r < 0) {
                free(t);
                return r;
        }
        if (p->move_memory)
                history_record_little(&m->history, s->cgroup, p->little, s->rule->cooldown_usec, now);
        t->m = m;
        t->decided = cycle_ref(c);
        t->index = index;
        t->seen = cycle_ref(c);
        t->seen_index = index;
        t->target = (struct target) { .cgroup = s->cgroup, .unit = s->unit, .owner = s->owner };
        t->started_usec = now;
        t->note = note;
        throttle_set_rate(&note->throttle, s->rule->migrate_rate_bytes, now); /* one that was never set begins full */
        LIST_INSERT_HEAD(&m->transitions, t, entry);
        m->n_transitions++;
        manager_tell_decision(m, s, p, false);
        transition_enter(t, PHASE_WIDEN);
        return 0;
}
