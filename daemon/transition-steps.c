/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of a transition that change cpusets: recorded first, read back after. Pages are moved in transition-move.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cpuset.h"
#include "report/journal.h"
#include "transition.h"

/* A service manager answers before it has written the cgroup: the kernel is asked until it says so, for this long at most. */
#define READ_BACK_LIMIT_USEC (10 * USEC_PER_SEC)

/* Threads that are free are here now and there then: a distance that was measured is no closer than this to the next one. */
#define ABOUT_AS_FAR 1.05

/* After an undo the same placement is not tried again for this long. */
#define UNDONE_HOLD_USEC (15 * USEC_PER_MINUTE)

#define HANGS         "a process of it does not respond to being read, which changing its memory nodes would wait for"
#define SET_MEANWHILE "somebody else has set its cpuset meanwhile, which is left as it is"

/* Cpusets */

static enum phase phase_after_change(const struct transition *t) {
        return t->phase == PHASE_WIDEN ? PHASE_MOVE : t->mems_follow ? PHASE_NARROW : PHASE_VERIFY;
}

/* Were its memory nodes to be given back because memory is short, and not because its rule or its home is another? */
static bool is_pressed(const struct transition *t) {
        const struct service_sample *s = transition_sample(t);
        const struct machine_sample *machine = &t->decided->observation->machine;
        const struct node_set *home = &transition_placement(t)->home_mems;
        unsigned keep_free = t->decided->config->config->settings.keep_free_permille;
        return s->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT ||
               plan_nodes_short(machine, &s->effective_mems, keep_free) ||
               (!node_set_is_empty(home) && plan_nodes_short(machine, home, keep_free));
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
                if (t->change.change_mems && transition_placement(t)->widen_mems && is_pressed(t))
                        history_record_widened(&t->m->history, t->target.cgroup, transition_sample(t)->rule->cooldown_usec,
                                               manager_now(t->m));
        }
        transition_enter(t, phase_after_change(t));
}

/* May something of the change be there, or come yet? What was refused as a whole leaves nothing to give back. */
static bool is_written(const struct transition *t, int result) {
        const struct act *act = manager_act(t->m);
        struct cpuset_state now;
        if (result >= 0 || result == -ETIMEDOUT)
                return true;
        return act->ops->get_cpuset(act->context, &t->target, &now) >= 0 &&
               (!cpuset_cpus_equal(&now.configured, &t->before.configured) ||
                !cpuset_mems_equal(&now.configured, &t->before.configured));
}

/* That may be there for longer, with the same effect as ours: then the next plan is not to take it for ours again. */
static void fail_as_foreign(struct transition *t) {
        t->note->doubted = true;
        transition_fail(t, -ESTALE, SET_MEANWHILE);
}

/* Somebody else's is there now, and nothing of ours: as if we had not meant to. */
static void give_way(struct transition *t) {
        struct manager *m = t->m;
        int r = record_take_back(m->record, t->target.cgroup, t->was_noted ? &t->noted : NULL);
        if (r < 0)
                log_warning(r, "%s: could not take back what was noted of it, ignoring: %s", t->target.unit, strerror(-r));
        fail_as_foreign(t);
}

static void on_changed(int result, void *userdata) {
        struct transition *t = userdata;
        if (result == -ESTALE) {
                t->changing = t->change_late = false;
                give_way(t);
                return;
        }
        t->written = t->phase == PHASE_WIDEN && is_written(t, result);
        t->refused |= result < 0 && result != -ENOENT && result != -ECANCELED && result != -EAGAIN && result != -EBUSY;
        if (result >= 0)
                result = cpuset_wait(manager_act(t->m), &t->target, &t->change, READ_BACK_LIMIT_USEC, on_in_force, t);
        if (result < 0) {
                t->changing = t->change_late = false;
                transition_fail(t, result,
                                result == -EAGAIN
                                        ? "a thread of it hangs in the kernel, which changing its memory nodes would wait for"
                                        : "its cpuset could not be changed");
        }
}

/* What may be there: what was when it began, and all that is on record. */
static void known_values(const struct transition *t, struct cpuset_premise *ret) {
        *ret = (struct cpuset_premise) { 0 };
        cpuset_premise_add(ret, &t->before.configured);
        if (!t->was_noted)
                return;
        cpuset_premise_add(ret, &t->noted.before);
        cpuset_premise_add(ret, &t->noted.ours);
        cpuset_premise_add(ret, &t->noted.seen);
}

/* Records, then changes; the phase goes on when the kernel says that the change is in force. */
static void begin_change(struct transition *t, const struct cpuset_state *state) {
        struct manager *m = t->m;
        const struct act *act = manager_act(m);
        const struct record_entry *e = record_find(m->record, t->target.cgroup);
        struct cpuset_premise premise;
        struct cpuset_change change = t->change;
        t->was_noted = e != NULL;
        t->noted = e ? *e : (struct record_entry) { 0 };
        t->noted.cgroup = t->noted.unit = NULL;
        known_values(t, &premise);
        /* Also of the first change: the look that it was decided on is seconds old. */
        if (manager_is_foreign(e, state, &change) || !cpuset_premise_holds(&premise, &change, &state->configured)) {
                fail_as_foreign(t);
                return;
        }
        if (change.change_mems && service_note_hangs(t->note)) {
                transition_fail(t, -EAGAIN, HANGS);
                return;
        }
        change.premise = &premise;
        int r = record_before_change(m->record, &t->target, state, &t->change);
        if (r < 0) {
                transition_fail(t, r,
                                r == -EFBIG ? "the record of what was changed is full, so no more is"
                                            : "the change could not be recorded, so it was not made");
                return;
        }
        t->changing = true;
        t->change_began_usec = manager_now(m);
        r = act->ops->set_cpuset(act->context, &t->target, &change, on_changed, t);
        if (r < 0) {
                t->changing = t->change_late = false;
                if (r == -ESTALE) {
                        give_way(t);
                        return;
                }
                t->refused = r != -ENOMEM && r != -EBUSY && r != -EAGAIN; /* these are ours */
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

/* Where its memory is now about as far from the new CPUs as from those that it uses, or nearer: then each slice brings it nearer, and what it allocates meanwhile
 * is at home. Else they come last, so that its threads stay with the larger part. With the kernel's own balancing its pages follow its threads, and what we
 * move home would go back to them. And what was refused before is tried before anything is moved for it. */
static bool cpus_go_first(const struct transition *t) {
        const struct placement *p = transition_placement(t);
        const struct service_sample *s = transition_sample(t);
        const struct topology *topology = t->m->topology;
        const struct history_entry *h = history_find(&t->m->history, t->target.cgroup);
        if ((h && h->refused) || !p->move_memory)
                return h && h->refused;
        return (t->m->balancing.mode & 1) ||
               sample_distance_from(s, topology, &p->home_cpus) <= sample_distance(s, topology) * ABOUT_AS_FAR;
}

void transition_widen(struct transition *t) {
        const struct placement *p = transition_placement(t);
        struct cpuset_state state;

        if (!p->mems_alone && transition_waits_for_companion(t)) /* not on CPUs away from its memory */
                return;
        if (has_cpuset(t)) {
                if (read_state(t, &state) < 0)
                        return;
                t->before = state;
        }
        if (p->mems_alone || !has_cpuset(t)) { /* memory nodes alone: that narrows nothing */
                transition_enter(t, p->mems_alone ? PHASE_NARROW : PHASE_MOVE);
                return;
        }
        t->change = (struct cpuset_change) { 0 };
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
        bool in_force = state.configured.cpus_set && cpu_mask_equal(&home, &state.configured.cpus);
        t->cpus_first = p->restrict_cpus && !in_force && cpus_go_first(t);
        if (t->cpus_first) {
                t->change.change_cpus = t->change.value.cpus_set = true;
                t->change.value.cpus = home;
        } else if (p->restrict_cpus && p->move_memory && !state.configured.cpus_set) {
                /* All that it has anyway: restrains nothing, and tells whether it can be restricted before anything is moved for that. */
                t->probed = t->change.change_cpus = t->change.value.cpus_set = true;
                t->change.value.cpus = state.effective_cpus;
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

static void narrow_cpus(const struct transition *t, const struct cpuset_state *state, struct cpuset_change *c) {
        const struct placement *p = transition_placement(t);
        const struct record_entry *e = record_find(t->m->record, t->target.cgroup);
        if (p->restrict_cpus) {
                c->value.cpus_set = true;
                topology_cpus_of(t->m->topology, &p->home_cpus, &c->value.cpus);
                c->change_cpus = !state->configured.cpus_set || !cpu_mask_equal(&c->value.cpus, &state->configured.cpus);
        } else if (e && e->changed_cpus && e->ours.cpus_set && record_explains_cpus(e, &state->configured)) {
                /* Restricted under an earlier rule, free now. Clearing can be refused; the parent's full set has the same effect. */
                c->value.cpus_set = true;
                c->value.cpus = e->before.cpus_set ? e->before.cpus : state->parent_effective_cpus;
                c->change_cpus =
                        e->before.cpus_set ? !cpuset_cpus_equal(&c->value, &state->configured) : !cpuset_cpus_are_free(state);
        }
}

static void narrow_mems(const struct transition *t, const struct cpuset_state *state, struct cpuset_change *c) {
        const struct placement *p = transition_placement(t);
        const struct record_entry *e = record_find(t->m->record, t->target.cgroup);
        if (p->narrow_mems) {
                c->value.mems_set = true;
                c->value.mems = p->home_mems;
                c->change_mems = !state->configured.mems_set || !node_set_equal(&c->value.mems, &state->configured.mems);
        } else if (e && e->changed_mems && e->ours.mems_set && record_explains_mems(e, &state->configured)) {
                c->value.mems_set = true;
                c->value.mems = e->before.mems_set ? e->before.mems : state->parent_effective_mems;
                c->change_mems =
                        e->before.mems_set ? !cpuset_mems_equal(&c->value, &state->configured) : !cpuset_mems_are_free(state);
        }
}

void transition_narrow(struct transition *t) {
        struct cpuset_state state;

        if (!has_cpuset(t)) {
                transition_enter(t, PHASE_VERIFY);
                return;
        }
        if (read_state(t, &state) < 0)
                return;
        struct cpuset_change *c = &t->change;
        *c = (struct cpuset_change) { 0 };
        if (!t->mems_follow && !transition_placement(t)->mems_alone) /* else they have just been changed */
                narrow_cpus(t, &state, c);
        narrow_mems(t, &state, c);
        /* With memory left behind the kernel would move it all at once, and hold up whoever writes: first it is counted. */
        t->mems_wait = c->change_mems && !t->counted && !node_set_is_subset(&state.effective_mems, &c->value.mems);
        c->change_mems &= !t->mems_wait;
        t->mems_follow = c->change_cpus && c->change_mems;
        c->change_mems &= !t->mems_follow;
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
