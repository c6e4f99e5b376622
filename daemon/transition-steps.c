/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of a transition that change something: cpusets (recorded first, read back after) and pages (slice by slice on a worker, at the
 * allowed rate). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cpuset.h"
#include "report/journal.h"
#include "transition.h"

/* A service manager answers before it has written the cgroup: the kernel is asked until it says so, for this long at most. */
#define READ_BACK_LIMIT_USEC (10 * USEC_PER_SEC)

/* A slice should take about this long: it bounds how late we notice that a move must stop. Call sizes: kernel facts say that throughput is
 * flat from about 1,280 pages, so nothing is gained above 4,096. */
#define SLICE_TARGET_USEC     (50 * USEC_PER_MSEC)
#define SLICE_START_BYTES     (2 * MIB)
#define SLICE_MIN_BYTES       (256 * KIB)
#define SLICE_MAX_BYTES       (16 * MIB)
#define ROOM_CHECK_EVERY_USEC USEC_PER_SEC

/* After an undo the same placement is not tried again for this long. */
#define UNDONE_HOLD_USEC (15 * USEC_PER_MINUTE)

/* Cpusets */

static enum phase phase_after_change(const struct transition *t) {
        return t->phase == PHASE_WIDEN ? PHASE_MOVE : PHASE_VERIFY;
}

static void on_in_force(int result, const struct cpuset_state *last, void *userdata) {
        struct transition *t = userdata;
        t->changing = t->change_late = false;
        t->refused |= result == -EREMOTEIO;
        if (result < 0) {
                transition_fail(t, result,
                                result == -EREMOTEIO ? "the cpuset that was asked for did not take effect"
                                                     : "its cpuset could not be read back");
                return;
        }
        if (t->phase == PHASE_NARROW) {
                t->narrow_usec = manager_now(t->m) - t->change_began_usec;
                if (t->change.change_mems && transition_placement(t)->widen_mems)
                        history_record_widened(&t->m->history, t->target.cgroup, manager_now(t->m));
        }
        transition_enter(t, phase_after_change(t));
}

static void on_changed(int result, void *userdata) {
        struct transition *t = userdata;
        t->refused |= result < 0 && result != -ENOENT && result != -ECANCELED;
        if (result >= 0)
                result = cpuset_wait(manager_act(t->m), &t->target, &t->change, READ_BACK_LIMIT_USEC, on_in_force, t);
        if (result < 0) {
                t->changing = t->change_late = false;
                transition_fail(t, result, "its cpuset could not be changed");
        }
}

/* Records, then changes; the phase goes on when the kernel says that the change is in force. */
static void begin_change(struct transition *t, const struct cpuset_state *state) {
        struct manager *m = t->m;
        const struct act *act = manager_act(m);
        int r = record_before_change(m->record, &t->target, state, &t->change);
        if (r < 0) {
                transition_fail(t, r, "the change could not be recorded, so it was not made");
                return;
        }
        t->changing = true;
        t->change_began_usec = manager_now(m);
        r = act->ops->set_cpuset(act->context, &t->target, &t->change, on_changed, t);
        if (r < 0) {
                t->changing = t->change_late = false;
                t->refused = r != -ENOMEM;
                transition_fail(t, r, "its cpuset could not be changed");
        }
}

/* Is there a cpuset to look at? `follow`, lone processes and machines without cgroup v2 have none that matters. */
static bool has_cpuset(const struct transition *t) {
        return t->m->host->has_cpuset && t->target.owner != OWNER_NONE;
}

static int read_state(struct transition *t, struct cpuset_state *ret) {
        const struct act *act = manager_act(t->m);
        int r = act->ops->get_cpuset(act->context, &t->target, ret);
        if (r < 0)
                transition_fail(t, r, r == -ENOENT ? "the service ended" : "its cpuset could not be read");
        return r;
}

void transition_widen(struct transition *t) {
        const struct placement *p = transition_placement(t);
        struct cpuset_state state;

        if (!has_cpuset(t)) {
                transition_enter(t, PHASE_MOVE);
                return;
        }
        if (read_state(t, &state) < 0)
                return;
        t->before = state;
        t->change = (struct cpuset_change){ 0 };
        if (p->move_memory && !node_set_is_subset(&p->home_mems, &state.effective_mems)) {
                if (!state.configured.mems_set || !node_set_is_subset(&p->home_mems, &state.parent_effective_mems)) {
                        transition_fail(t, -EACCES, "the cgroups above it do not allow memory on its home nodes");
                        return;
                }
                t->change.change_mems = t->change.value.mems_set = true;
                t->change.value.mems = node_set_union(&state.configured.mems, &p->home_mems);
        }
        struct cpu_mask home = { 0 };
        topology_cpus_of(t->m->topology, &p->home_cpus, &home);
        const struct history_entry *h = history_find(&t->m->history, t->target.cgroup);
        t->tests = p->restrict_cpus && h && h->refused;
        if (t->tests) {
                /* Threads run away from their memory for a while, which is less than moving it for nothing again. */
                t->change.change_cpus = t->change.value.cpus_set = true;
                t->change.value.cpus = home;
        } else if (p->restrict_cpus && state.configured.cpus_set && !cpu_mask_is_subset(&home, &state.configured.cpus)) {
                t->change.change_cpus = t->change.value.cpus_set = true;
                t->change.value.cpus = state.configured.cpus;
                cpu_mask_or(&t->change.value.cpus, &home);
        }
        if (!t->change.change_cpus && !t->change.change_mems)
                transition_enter(t, PHASE_MOVE);
        else
                begin_change(t, &state);
}

void transition_narrow(struct transition *t) {
        const struct placement *p = transition_placement(t);
        struct cpuset_state state;

        if (!has_cpuset(t)) {
                transition_enter(t, PHASE_VERIFY);
                return;
        }
        if (read_state(t, &state) < 0)
                return;
        const struct record_entry *e = record_find(t->m->record, t->target.cgroup);
        struct cpuset_change *c = &t->change;
        *c = (struct cpuset_change){ 0 };

        if (p->restrict_cpus) {
                c->value.cpus_set = true;
                topology_cpus_of(t->m->topology, &p->home_cpus, &c->value.cpus);
                c->change_cpus = !state.configured.cpus_set || !cpu_mask_equal(&c->value.cpus, &state.configured.cpus);
        } else if (e && e->changed_cpus && e->ours.cpus_set && record_explains_cpus(e, &state.configured)) {
                /* Restricted under an earlier rule, free now. Clearing can be refused; the parent's full set has the same effect. */
                c->value.cpus_set = true;
                c->value.cpus = e->before.cpus_set ? e->before.cpus : state.parent_effective_cpus;
                c->change_cpus = !cpu_mask_equal(&c->value.cpus, &state.effective_cpus);
        }
        if (p->narrow_mems) {
                c->value.mems_set = true;
                c->value.mems = p->home_mems;
                c->change_mems = !state.configured.mems_set || !node_set_equal(&c->value.mems, &state.configured.mems);
        } else if (e && e->changed_mems && e->ours.mems_set && record_explains_mems(e, &state.configured)) {
                c->value.mems_set = true;
                c->value.mems = e->before.mems_set ? e->before.mems : state.parent_effective_mems;
                c->change_mems = !node_set_equal(&c->value.mems, &state.effective_mems);
        }
        if (!c->change_cpus && !c->change_mems)
                transition_enter(t, PHASE_VERIFY);
        else
                begin_change(t, &state);
}

void transition_undo(struct transition *t) {
        struct manager *m = t->m;
        struct service_note *n = manager_note(m, t->target.cgroup);
        if (n)
                n->undone_until_usec = manager_now(m) + UNDONE_HOLD_USEC;
        int r = manager_restore_one(m, t->target.cgroup);
        if (r < 0)
                log_error(r, "%s: could not begin to give its cpusets back: %s", t->target.unit, strerror(-r));
        transition_enter(t, PHASE_DONE);
}

/* Pages */

static void add_result(struct move_result *total, const struct move_result *r) {
        total->moved_bytes += r->moved_bytes;
        total->moved_pages += r->moved_pages;
        for (size_t i = 0; i < ARRAY_SIZE(total->moved_from); i++)
                total->moved_from[i] += r->moved_from[i];
        total->huge_moved += r->huge_moved;
        total->asked_pages += r->asked_pages;
        /* Each pass meets the same stubborn pages again: the last pass's word counts. */
        total->failed_shared = r->failed_shared;
        total->failed_busy = r->failed_busy;
        total->failed_no_memory = r->failed_no_memory;
        total->failed_gone += r->failed_gone;
        total->failed_other = r->failed_other;
        total->skipped_policy_bytes = r->skipped_policy_bytes;
        total->skipped_room_bytes = r->skipped_room_bytes;
        total->n_calls += r->n_calls;
        total->longest_slice_usec = MAX2(total->longest_slice_usec, r->longest_slice_usec);
        total->process_vanished |= r->process_vanished;
}

static int run_slice(void *arg) {
        struct transition *t = arg;
        return t->m->env->ops->mover_slice(t->mover, t->slice_budget_bytes);
}

/* Do the home nodes still have room, now? Others allocate too while we move: looked at each second, and whenever what was there is used up. */
static bool has_room(struct transition *t, uint64_t moved_bytes) {
        uint64_t now = manager_now(t->m);
        t->room_left_bytes -= MIN2(t->room_left_bytes, moved_bytes);
        if (now < t->next_room_check_usec && t->room_left_bytes > 0)
                return true;
        t->next_room_check_usec = now + ROOM_CHECK_EVERY_USEC;
        unsigned keep_free = t->m->config->config->settings.keep_free_permille;
        struct machine_sample machine = { 0 };
        if (t->m->env->ops->read_machine(t->m->env->context, t->m->topology, &machine) < 0)
                return true; /* the mover keeps its own count all the same */
        t->room_left_bytes = 0;
        NODE_SET_FOREACH (node, &transition_placement(t)->home_mems)
                t->room_left_bytes += node_room_bytes(&machine.nodes[node], keep_free);
        machine_sample_done(&machine);
        return t->room_left_bytes > 0;
}

static void end_pass(struct transition *t) {
        add_result(&t->total, t->m->env->ops->mover_result(t->mover));
        /* The first pass ends at what the plan gave it. If there were more pages than that, it is no lack of memory. */
        t->next_room_check_usec = 0;
        if (t->n_passes == 1 && t->total.skipped_room_bytes > 0 && has_room(t, 0))
                t->total.skipped_room_bytes = 0;
        transition_drop_mover(t);
        t->mover_moved_bytes = 0;
        transition_enter(t, t->n_passes == 1 ? PHASE_NARROW : PHASE_VERIFY);
}

static void adapt_slice(struct transition *t, uint64_t took_usec) {
        if (took_usec > SLICE_TARGET_USEC * 2)
                t->slice_bytes = MAX2(t->slice_bytes / 2, (uint64_t) SLICE_MIN_BYTES);
        else if (took_usec < SLICE_TARGET_USEC / 2)
                t->slice_bytes = MIN2(t->slice_bytes * 2, (uint64_t) SLICE_MAX_BYTES);
}

static const char *explain_move_error(int error) {
        switch (error) {
        case -EACCES: return "the kernel does not allow its memory on the home nodes (its cpuset)";
        case -EPERM: return "not permitted to move its pages (CAP_SYS_NICE)";
        case -ENOSYS: return "this kernel cannot move pages";
        case -ECANCELED: return "the daemon stops";
        default: return "its pages could not be moved";
        }
}

static void done_slice(int result, void *arg) {
        struct transition *t = arg;
        struct manager *m = t->m;
        uint64_t now = manager_now(m);
        const struct move_result *r = m->env->ops->mover_result(t->mover);

        t->slice_running = false;
        uint64_t moved = r->moved_bytes - t->mover_moved_bytes;
        t->mover_moved_bytes = r->moved_bytes;
        throttle_take(&m->machine_throttle, moved, now);
        throttle_take(&t->throttle, moved, now);
        adapt_slice(t, now > t->slice_began_usec ? now - t->slice_began_usec : 0);

        if (t->slice_late) {
                struct service_note *n = manager_find_note(m, t->target.cgroup);
                if (n)
                        n->stuck = false;
        }
        if (result < 0) {
                add_result(&t->total, r);
                transition_drop_mover(t);
                transition_fail(t, result, explain_move_error(result));
        } else if (t->cancelled || result == 0)
                end_pass(t);
        else if (!has_room(t, moved)) {
                t->why_partial = "the home nodes are full up to keep-free";
                end_pass(t);
        } else
                transition_slice_due(t);
}

static void late_slice(void *arg) {
        struct transition *t = arg;
        struct service_note *n = manager_note(t->m, t->target.cgroup);
        if (n)
                n->stuck = true;
        t->slice_late = true;
        journal_stuck(t->target.unit, t->target.cgroup, "moving its pages");
        transition_cancel(t, "a process of it did not respond while its pages were moved");
}

static const struct job_ops slice_ops = { run_slice, done_slice, late_slice };

void transition_slice_due(void *userdata) {
        struct transition *t = userdata;
        struct manager *m = t->m;
        uint64_t now = manager_now(m);
        uint64_t when =
                MAX2(throttle_when(&m->machine_throttle, t->slice_bytes, now), throttle_when(&t->throttle, t->slice_bytes, now));
        int r;

        if (when > now)
                r = transition_arm(t, when - now);
        else {
                uint64_t allowed = MIN2(throttle_available(&m->machine_throttle, now), throttle_available(&t->throttle, now));
                t->slice_budget_bytes = MIN2(t->slice_bytes, MAX2(allowed, m->host->page_bytes));
                if (t->room_left_bytes > 0) /* where there is none, the mover's own account ends it */
                        t->slice_budget_bytes = MIN2(t->slice_budget_bytes, t->room_left_bytes);
                t->slice_began_usec = now;
                t->slice_running = true;
                r = manager_submit(m, &slice_ops, t, SLICE_DEADLINE_USEC);
                if (r < 0)
                        t->slice_running = false;
        }
        if (r < 0)
                transition_fail(t, r, "its pages could not be moved");
}

void transition_move(struct transition *t) {
        struct manager *m = t->m;
        const struct placement *p = transition_placement(t);
        const struct service_sample *s = &t->seen->observation->services[t->seen_index];

        t->n_passes++;
        if (!p->move_memory || s->n_processes == 0) {
                transition_enter(t, PHASE_NARROW);
                return;
        }
        _cleanup_(transition_goal_done) struct transition_goal g;
        int r = transition_make_goal(t, &g);
        t->room_left_bytes = 0;
        NODE_SET_FOREACH (node, &p->home_mems)
                t->room_left_bytes += r >= 0 ? g.room[node] : 0;
        if (r >= 0)
                r = m->env->ops->mover_new(m->env->context, manager_act(m), m->topology, t->target.cgroup, s->processes,
                                           s->n_processes, &g.goal, &t->mover);
        if (r < 0) {
                transition_fail(t, r, "its pages could not be moved");
                return;
        }
        if (t->slice_bytes == 0)
                t->slice_bytes = SLICE_START_BYTES;
        t->next_room_check_usec = 0;
        transition_slice_due(t);
}
