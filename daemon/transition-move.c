/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The step of a transition that moves pages: slice by slice on a worker, each as large as its time allows (core/pace.h), at the allowed rate, in turn with
 * others, and held back where the service's pressure rises or its home fills up. */
#include <errno.h>
#include <string.h>

#include "core/kernel-memory.h"
#include "report/journal.h"
#include "transition.h"

/* Pressure is looked at so often, room where it runs out, and what a paused move waits for. */
#define LOOK_EVERY_USEC (250 * USEC_PER_MSEC)

static void add_result(struct move_result *total, const struct move_result *r) {
        total->moved_bytes += r->moved_bytes;
        total->moved_pages += r->moved_pages;
        for (size_t i = 0; i < ARRAY_SIZE(total->moved_from); i++)
                total->moved_from[i] += r->moved_from[i];
        total->huge_moved += r->huge_moved;
        total->asked_pages += r->asked_pages;
        /* Each pass meets the same stubborn pages again: the last pass's word counts. */
        total->failed_shared = r->failed_shared;
        total->shared_unsure = r->shared_unsure;
        total->failed_busy = r->failed_busy;
        total->failed_no_memory = r->failed_no_memory;
        total->failed_gone += r->failed_gone;
        total->failed_other = r->failed_other;
        total->skipped_policy_bytes = r->skipped_policy_bytes;
        total->skipped_room_bytes = r->skipped_room_bytes;
        total->n_calls += r->n_calls;
        total->remembered_pages = r->remembered_pages;
        total->calls_usec += r->calls_usec;
        total->longest_call_usec = MAX2(total->longest_call_usec, r->longest_call_usec);
        total->longest_slice_usec = MAX2(total->longest_slice_usec, r->longest_slice_usec);
        total->process_vanished |= r->process_vanished;
}

void transition_take_result(struct transition *t) {
        if (!t->mover)
                return;
        add_result(&t->total, t->m->env->ops->mover_result(t->mover));
        transition_drop_mover(t);
        t->mover_moved_bytes = 0;
}

/* Passes */

/* How long the service was held back, by what it waited for. */
static void begin_hold(struct transition *t, enum hold_cause cause) {
        t->holds = true;
        t->hold_cause = cause;
        t->hold_began_usec = manager_now(t->m);
}

static void end_hold(struct transition *t) {
        if (t->holds)
                t->held_usec[t->hold_cause] += manager_now(t->m) - t->hold_began_usec;
        t->holds = false;
}

void transition_end_pass_time(struct transition *t) {
        end_hold(t);
        if (t->pass_began_usec > 0)
                t->moving_usec += manager_now(t->m) - t->pass_began_usec;
        t->pass_began_usec = 0;
        turn_leave(t);
}

static void end_pass(struct transition *t) {
        transition_end_pass_time(t);
        transition_take_result(t);
        /* The first pass ends at what the plan gave it. If there were more pages than that, it is no lack of memory. */
        t->next_room_check_usec = 0;
        if (t->n_passes == 1 && t->total.skipped_room_bytes > 0) {
                (void) transition_look_at_room(t);
                if (t->room_left_bytes > 0)
                        t->total.skipped_room_bytes = 0;
        }
        transition_enter(t, t->n_passes == 1 ? PHASE_NARROW : PHASE_VERIFY);
}

static const char *explain_move_error(int error) {
        switch (error) {
        case -EACCES: return "the kernel does not allow its memory on the home nodes (its cpuset)";
        case -EPERM: return "not permitted to move its pages (CAP_SYS_NICE)";
        case -ENOSYS: return "this kernel cannot move pages";
        case -ECANCELED: return "the daemon stops";
        case -EAGAIN:
        case -EBUSY: return "so many processes do not respond that no thread is left to move its pages";
        default: return "its pages could not be moved";
        }
}

/* The move as such has failed. */
static void fail_move(struct transition *t, int error) {
        t->unable = error == -EAGAIN || error == -EBUSY; /* of worker.h: movers say neither */
        transition_fail(t, error, explain_move_error(error));
}

/* Moving does more harm than good. What has come home stays; where that is not all, whatever else was planned is not done. */
static void give_up(struct transition *t) {
        if (t->backoff.cause == HOLD_ROOM || t->n_passes > 1) {
                t->why_partial = t->backoff.give_up;
                end_pass(t);
                return;
        }
        transition_fail(t, -EBUSY, t->backoff.give_up);
}

/* Slices */

static int run_slice(void *arg) {
        struct transition *t = arg;
        const struct environment *env = t->m->env;
        if (t->looks)
                env->ops->read_pressure(env->context, t->target.cgroup, &t->pressure);
        return t->slice_budget_bytes > 0 ? env->ops->mover_slice(t->mover, t->slice_budget_bytes) : 1;
}

/* Takes in what the slice's job has seen beside moving. */
static void look_around(struct transition *t) {
        uint64_t now = manager_now(t->m);
        struct backoff_look look = { .now_usec = now,
                                     .memory_permille = -1,
                                     .cpu_permille = -1,
                                     .room_bytes = UINT64_MAX,
                                     .near_bytes = transition_near_bytes(t) };
        if (t->looks && t->pressure.has_memory)
                look.memory_permille = pressure_share(&t->memory_meter, t->pressure.memory_usec, now);
        if (t->looks && t->pressure.has_cpu)
                look.cpu_permille = pressure_share(&t->cpu_meter, t->pressure.cpu_usec, now);
        if (t->looks)
                t->next_look_usec = now + LOOK_EVERY_USEC;
        if (transition_look_at_room(t))
                look.room_bytes = t->room_left_bytes + t->pool_left_bytes;
        if (t->room_left_bytes + t->pool_left_bytes < look.near_bytes)
                t->next_room_check_usec = MIN2(t->next_room_check_usec, now + LOOK_EVERY_USEC);
        backoff_look(&t->backoff, &look);
}

/* Pages that it dealt with in vain; those that are only remembered as such cost nothing. */
static uint64_t failed_pages(const struct move_result *r) {
        uint64_t failed = r->failed_shared + r->failed_busy + r->failed_no_memory + r->failed_other;
        return failed - MIN2(failed, r->remembered_pages);
}

/* What a slice teaches: what it dealt with, and how long the service could be kept from that. Reading and asking keep it from nothing. */
static void learn_from_slice(struct transition *t, const struct move_result *r, uint64_t moved_bytes) {
        uint64_t failed = failed_pages(r), calls_usec = r->calls_usec - t->mover_calls_usec;
        uint64_t more = failed > t->mover_failed_pages ? failed - t->mover_failed_pages : 0;
        pace_slice_done(&t->note->pace, moved_bytes + more * t->m->host->page_bytes,
                        calls_usec > 0 ? calls_usec : r->last_slice_usec);
        t->mover_calls_usec = r->calls_usec;
        t->mover_failed_pages = failed;
}

static void account_slice(struct transition *t, const struct move_result *r, uint64_t moved) {
        struct manager *m = t->m;
        uint64_t now = manager_now(m);
        if (t->slice_budget_bytes > 0) {
                learn_from_slice(t, r, moved);
                t->rest_until_usec = now + backoff_rest_usec(&t->backoff, r->last_slice_usec);
        }
        t->mover_moved_bytes = r->moved_bytes;
        throttle_take(&m->machine_throttle, moved, now);
        throttle_take(transition_throttle(t), moved, now);
        t->served_bytes += moved;
        transition_take_room(t, moved); /* also where it was the last slice */
}

static void end_slice(struct transition *t, int result) {
        const struct move_result *r = t->m->env->ops->mover_result(t->mover);
        uint64_t moved = r->moved_bytes - t->mover_moved_bytes;

        account_slice(t, r, moved);
        if (t->slice_late && t->at_companion) {
                t->note->without_companions = false;
                hung_release(t->m, &t->hung);
        } else if (t->slice_late)
                t->note->stuck = false;
        if (result < 0) {
                fail_move(t, result);
                return;
        }
        if (t->cancelled || result == 0) {
                end_pass(t);
                return;
        }
        look_around(t);
        if (t->backoff.give_up)
                give_up(t);
        else
                transition_slice_due(t);
}

static void done_slice(int result, void *arg) {
        struct transition *t = arg;
        struct manager *m = t->m;

        t->slice_running = false;
        end_slice(t, result); /* may be the end of the transition */
        turn_pass_on(m, manager_now(m));
}

static void late_slice(void *arg) {
        struct transition *t = arg;
        t->slice_late = true;
        size_t number = t->m->env->ops->mover_waits_for_companion(t->mover);
        t->at_companion = number > 0;
        if (t->at_companion) {
                t->note->without_companions = true;
                t->hung = hung_leave_out(t->m, t->seen, &t->companions, number - 1);
        } else {
                t->note->stuck = true;
                t->note->stuck_pid = 0;
        }
        journal_stuck(t->target.unit, t->target.cgroup, t->at_companion,
                      t->at_companion ? "reading its memory map" : "moving its pages");
        transition_cancel(t, t->at_companion ? "a process of a service that it is kept together with did not respond"
                                             : "a process of it did not respond while its pages were moved");
        transition_give_back(t); /* nobody knows when it responds */
}

static const struct job_ops slice_ops = { run_slice, done_slice, late_slice, false };

/* Slices begin */

static int begin_job(struct transition *t, uint64_t budget_bytes, uint64_t now) {
        t->slice_budget_bytes = budget_bytes;
        t->slice_began_usec = now;
        t->looks = t->m->host->has_psi && now >= t->next_look_usec;
        t->slice_running = true;
        int r = manager_submit(t->m, &slice_ops, t, SLICE_DEADLINE_USEC);
        if (r < 0)
                t->slice_running = false;
        return r;
}

static int begin_slice(struct transition *t, uint64_t now) {
        uint64_t allowed =
                MIN2(throttle_available(&t->m->machine_throttle, now), throttle_available(transition_throttle(t), now));
        uint64_t budget = MIN2(t->wanted_bytes, MAX2(allowed, t->m->host->page_bytes));
        uint64_t room = t->room_left_bytes + t->pool_left_bytes;
        budget = MIN2(budget, MAX2(room, t->m->host->page_bytes)); /* where there is none, the look after it tells */
        return begin_job(t, budget, now);
}

void transition_slice_due(void *userdata) {
        struct transition *t = userdata;
        struct manager *m = t->m;
        uint64_t now = manager_now(m);
        enum hold_cause cause;
        int r;

        if (!manager_window_is_open(m, t->decided)) { /* the next window finds what has come home at home */
                transition_cancel(t, "the window for changes has ended");
                return;
        }
        if (!t->mover) { /* it is its turn, perhaps */
                transition_enter(t, t->phase);
                return;
        }
        end_hold(t);
        turn_leave(t);
        if (t->backoff.level >= BACKOFF_PAUSED) {
                if (now < t->next_pause_look_usec) {
                        begin_hold(t, t->backoff.cause);
                        r = transition_arm(t, t->next_pause_look_usec - now);
                } else {
                        t->next_pause_look_usec = now + LOOK_EVERY_USEC;
                        begin_hold(t, t->backoff.cause);
                        r = begin_job(t, 0, now);
                }
        } else {
                t->wanted_bytes = pace_slice_bytes(&t->note->pace);
                uint64_t when = turn_when(t, now, &cause);
                if (when > now) {
                        begin_hold(t, cause);
                        r = transition_arm(t, when - now);
                } else
                        r = begin_slice(t, now);
        }
        if (r < 0)
                fail_move(t, r);
        turn_pass_on(m, now);
}

static void begin_backoff(struct transition *t) {
        const struct service_sample *s = transition_sample(t);
        bool restricted = transition_placement(t)->restrict_cpus && (t->cpus_first || t->n_passes > 1);
        backoff_init(&t->backoff, s->memory_pressure_centipercent / 10, s->cpu_pressure_centipercent / 10, restricted);
}

/* Its timer, transition_slice_due(), is set for when the kernel has had its time. Where there is none, it goes on. */
static bool waits_for_kernel(struct transition *t) {
        const struct placement *p = transition_placement(t);
        bool begins = t->n_passes == 0 && !t->kernel_went_first && t->cpus_first && p->move_memory && p->pages_how == PAGES_HOME;
        uint64_t usec =
                begins ? kernel_goes_first_usec(transition_sample(t)->rule, t->m->balancing.mode, &p->home_cpus, &p->home_mems)
                       : 0;
        end_hold(t);
        if (usec == 0 || transition_arm(t, usec) < 0)
                return false;
        t->kernel_went_first = true;
        begin_hold(t, HOLD_KERNEL);
        return true;
}

void transition_move(struct transition *t) {
        struct manager *m = t->m;
        const struct placement *p = transition_placement(t);
        const struct service_sample *s = &t->seen->observation->services[t->seen_index];

        if (transition_waits_for_companion(t) || waits_for_kernel(t))
                return;
        t->n_passes++;
        if (!p->move_memory || s->n_processes == 0) {
                transition_enter(t, PHASE_NARROW);
                return;
        }
        _cleanup_(transition_goal_done) struct transition_goal g = { 0 };
        int r = transition_make_goal(t, &g);
        t->room_left_bytes = t->pool_left_bytes = 0;
        NODE_SET_FOREACH (node, &p->home_mems)
                t->room_left_bytes += r >= 0 ? g.room[node] : 0;
        if (r >= 0)
                r = m->env->ops->mover_new(m->env->context, manager_act(m), m->topology, t->target.cgroup, s->processes,
                                           s->n_processes, &g.goal, &t->mover);
        if (r < 0) {
                transition_fail(t, r, "its pages could not be moved");
                return;
        }
        t->companions = g.companions;
        g.companions = (struct companions) { 0 };
        t->mover_failed_pages = t->mover_calls_usec = 0;
        begin_backoff(t);
        t->pass_began_usec = manager_now(m);
        t->next_room_check_usec = 0;
        transition_slice_due(t);
}
