/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restoring as a row of asynchronous steps: ask for the former values, wait until the kernel has them, and where it refuses to clear, give
 * the parent's full set instead. Of a service manager's units it is given first in any case: with the last setting of a slice systemd takes the whole
 * controller away, and then threads keep the CPUs and memory nodes that they had (Linux 6.12, systemd 257). "Not given" is what it is told after that, so that its
 * settings say what they said before. CPUs go back first and by themselves: memory nodes can have to wait (act/waiting.h). */
#include "act/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cpuset.h"
#include "core/util.h"

/* A clearing that is not to be seen by then was refused. */
#define LOOK_LIMIT_USEC (2 * USEC_PER_SEC)
/* A set value can take the kernel longer: it may have memory to move, and the service manager waits for that. So often it is waited for. */
#define SET_LOOKS_MAX 5u
/* After the last reset: whatever the service manager writes, it has written by then. */
#define SETTLE_USEC (200 * USEC_PER_MSEC)

#define FOREIGN          "its cpuset was changed by somebody else after us"
#define ONE_SIDE_FOREIGN "one side was changed by somebody else after us, and left alone"

enum step {
        STEP_RESET, /* the former values */
        STEP_FULL,  /* the parent's full set: before clearing, or where that was refused */
        STEP_UNSET, /* systemd: the settings say "not given" again */
};

struct restore {
        struct record *record;
        struct act act;
        struct record_entry entry; /* a copy: entries move */
        struct target target;
        enum step step;
        bool cpus, mems;           /* the side that is restored now; both have the same steps */
        bool mems_next;            /* and then memory nodes */
        bool foreign;              /* another side was set by somebody else */
        bool full;                 /* some side was given the parent's full set */
        bool refused;              /* … because it was refused to be cleared, or has it for good */
        struct cpuset_value found; /* what was there, and taken to be as we know it, */
        struct cpuset_value
                given; /* and all that there is, where it had no limit: nobody else's either, least of all where we have given it */
        /* What came of the CPUs, where memory nodes followed. */
        bool cpus_back;
        int cpus_error;
        const char *cpus_detail;
        unsigned n_looks;
        struct cpuset_change change;
        restore_hangs hangs;
        restore_done done;
        void *userdata;
};

static struct restore *restore_free(struct restore *r) {
        free(r->entry.cgroup);
        free(r->entry.unit);
        free(r);
        return NULL;
}

static void finish(struct restore *r, enum restore_outcome outcome, int error, const char *detail) {
        if (outcome != RESTORE_FAILED) {
                error = record_forget(r->record, r->entry.cgroup);
                if (error == -ENOENT)
                        error = 0;
                if (error < 0)
                        detail = "it is restored, but the record of it could not be removed";
        }
        r->done(r->entry.cgroup, outcome, error, detail, r->userdata);
        restore_free(r);
}

static void begin_side(struct restore *r, const struct cpuset_state *s);
static void begin_step(struct restore *r, enum step step);

/* One side is done with. What went wrong with the CPUs keeps nobody from giving back the memory nodes. */
static void finish_side(struct restore *r, enum restore_outcome outcome, int error, const char *detail) {
        r->foreign |= outcome == RESTORE_NOT_OURS;
        if (r->mems_next && outcome != RESTORE_GONE) {
                struct cpuset_state state;
                r->cpus = r->mems_next = false;
                r->mems = true;
                r->cpus_back = outcome == RESTORE_DONE;
                r->cpus_error = error;
                r->cpus_detail = detail;
                int k = r->act.ops->get_cpuset(r->act.context, &r->target, &state);
                begin_side(r, k < 0 ? NULL : &state);
        } else if (r->cpus_error < 0 && outcome != RESTORE_GONE)
                finish(r, RESTORE_FAILED, r->cpus_error, r->cpus_detail);
        else if (outcome == RESTORE_NOT_OURS && r->cpus_back)
                finish(r, RESTORE_DONE, error, ONE_SIDE_FOREIGN);
        else
                finish(r, outcome, error, detail ? detail : r->cpus_detail);
}

static void finish_done(struct restore *r) {
        finish_side(r, RESTORE_DONE, 0,
                    r->foreign   ? ONE_SIDE_FOREIGN
                    : r->refused ? "the kernel refused to clear its cpuset, so it was given all that its parent has"
                                 : NULL);
}

static void begin_unset(struct restore *r) {
        r->change.value = (struct cpuset_value) { 0 };
        begin_step(r, STEP_UNSET);
}

static void finish_without_cgroup(struct restore *r) {
        if (r->target.owner != OWNER_SYSTEMD)
                finish_side(r, RESTORE_GONE, 0, NULL);
        else if (r->step == STEP_FULL)
                begin_unset(r);
        else
                finish_side(r, RESTORE_DONE, 0, "the unit is not running; its settings are reset for the next start");
}

/* Which sides are to be cleared, and are not? */
static void find_refused(const struct restore *r, const struct cpuset_state *s, struct cpuset_change *ret) {
        struct cpuset_change cpus = { .change_cpus = true }, mems = { .change_mems = true };
        *ret = (struct cpuset_change) {
                .change_cpus = r->cpus && !r->entry.before.cpus_set && !cpuset_in_force(s, &cpus),
                .change_mems = r->mems && !r->entry.before.mems_set && !cpuset_in_force(s, &mems),
        };
}

/* Are all sides that had a value configured as they were? What the kernel makes of such a value is its own business, as it was before. */
static bool set_sides_are_back(const struct restore *r, const struct cpuset_state *s) {
        return (!r->cpus || !r->entry.before.cpus_set || cpuset_cpus_equal(&s->configured, &r->entry.before)) &&
               (!r->mems || !r->entry.before.mems_set || cpuset_mems_equal(&s->configured, &r->entry.before));
}

/* Is what was to be cleared still set, to all that there is? */
static bool keeps_full(const struct restore *r, const struct cpuset_state *s) {
        return (r->cpus && !r->entry.before.cpus_set && s->configured.cpus_set) ||
               (r->mems && !r->entry.before.mems_set && s->configured.mems_set);
}

static bool is_back(const struct restore *r, const struct cpuset_state *s) {
        struct cpuset_change refused;
        find_refused(r, s, &refused);
        return set_sides_are_back(r, s) && !refused.change_cpus && !refused.change_mems;
}

static void begin_full(struct restore *r, const struct cpuset_state *s, const struct cpuset_change *refused) {
        r->full = true;
        r->change = *refused;
        r->change.value.cpus_set = refused->change_cpus;
        r->change.value.cpus = s->parent_effective_cpus;
        r->change.value.mems_set = refused->change_mems;
        r->change.value.mems = s->parent_effective_mems;
        begin_step(r, STEP_FULL);
}

static void on_waited(int result, const struct cpuset_state *state, void *userdata);

static int look(struct restore *r) {
        r->n_looks++;
        return cpuset_wait(&r->act, &r->target, &r->change, LOOK_LIMIT_USEC, on_waited, r);
}

/* The wait is over. Its result is not asked for more than whether there is a state: it knows of effective sets only. */
static void on_waited(int result, const struct cpuset_state *state, void *userdata) {
        struct restore *r = userdata;
        struct cpuset_change refused;

        if (result == -ENOENT) {
                finish_without_cgroup(r);
                return;
        }
        if (!state || (result < 0 && result != -EREMOTEIO)) {
                finish_side(r, RESTORE_FAILED, result, "its cpuset could not be read back");
                return;
        }
        find_refused(r, state, &refused);
        /* The unit has ended and its cgroup is not removed yet: the service manager writes no such cgroup, and sets it up anew before it is used again. */
        if (r->target.owner == OWNER_SYSTEMD && !state->populated && !is_back(r, state)) {
                finish_without_cgroup(r);
                return;
        }
        if (!set_sides_are_back(r, state) && r->n_looks < SET_LOOKS_MAX) {
                int k = look(r);
                if (k < 0)
                        finish_side(r, RESTORE_FAILED, k, "its cpuset could not be read back");
        } else if (!set_sides_are_back(r, state))
                finish_side(r, RESTORE_FAILED, -EREMOTEIO, "its former cpuset was asked for and did not take effect");
        else if (!refused.change_cpus && !refused.change_mems) {
                if (r->step == STEP_FULL && r->target.owner == OWNER_SYSTEMD)
                        begin_unset(r);
                else {
                        r->refused |= r->full && keeps_full(r, state);
                        finish_done(r);
                }
        } else if (r->step == STEP_RESET) {
                r->refused = true;
                begin_full(r, state, &refused);
        } else
                finish_side(r, RESTORE_FAILED, -EREMOTEIO, "its cpuset could be neither cleared nor widened to its parent's");
}

static void look_after_unset(void *userdata) {
        struct restore *r = userdata;
        struct cpuset_state state;
        int k = r->act.ops->get_cpuset(r->act.context, &r->target, &state);
        on_waited(k, k < 0 ? NULL : &state, r);
}

static void on_changed(int result, void *userdata) {
        struct restore *r = userdata;
        struct cpuset_state state;
        struct cpuset_change refused;
        int k;

        if (result == -ENOENT) {
                /* The unit is unknown, or the cgroup went away. */
                finish_side(r, RESTORE_GONE, 0, NULL);
                return;
        }
        if (result == -ESTALE) {
                /* Set while our turn was waited for. */
                finish_side(r, RESTORE_NOT_OURS, 0, FOREIGN);
                return;
        }
        if (result == -ENOSPC && r->step == STEP_RESET) {
                /* Told at once that clearing is refused. What else was asked for may not have been tried. */
                k = r->act.ops->get_cpuset(r->act.context, &r->target, &state);
                if (k >= 0) {
                        find_refused(r, &state, &refused);
                        if (refused.change_cpus || refused.change_mems) {
                                r->refused = true;
                                begin_full(r, &state, &refused);
                                return;
                        }
                }
        }
        if (result < 0) {
                finish_side(r, RESTORE_FAILED, result,
                            result != -EAGAIN ? "its former cpuset could not be set"
                            : r->cpus_back
                                    ? "its CPUs are given back; a thread of it hangs in the kernel, which changing its "
                                      "memory nodes would wait for"
                                    : "a thread of it hangs in the kernel, which changing its memory nodes would wait for");
                return;
        }
        if (r->step == STEP_UNSET)
                k = r->act.ops->call_later(r->act.context, SETTLE_USEC, look_after_unset, r);
        else
                k = look(r);
        if (k < 0)
                finish_side(r, RESTORE_FAILED, k, "its cpuset could not be read back");
}

static void begin_step(struct restore *r, enum step step) {
        r->step = step;
        r->n_looks = 0;
        struct cpuset_change change = r->change;
        struct cpuset_premise premise = { 0 };
        cpuset_premise_add(&premise, &r->entry.before);
        cpuset_premise_add(&premise, &r->entry.ours);
        cpuset_premise_add(&premise, &r->entry.seen);
        cpuset_premise_add(&premise, &r->found);
        if (r->given.cpus_set || r->given.mems_set)
                cpuset_premise_add(&premise, &r->given);
        change.premise = &premise;
        int k = change.change_mems && r->hangs && r->hangs(r->entry.cgroup, r->userdata)
                        ? -EAGAIN
                        : r->act.ops->set_cpuset(r->act.context, &r->target, &change, on_changed, r);
        if (k < 0)
                on_changed(k, r);
}

/* `s`: as it is now; NULL: there is no cgroup, or it cannot be read. */
static void begin_side(struct restore *r, const struct cpuset_state *s) {
        struct cpuset_change refused;
        if (s)
                r->given = (struct cpuset_value) { .cpus_set = !r->entry.before.cpus_set,
                                                   .mems_set = !r->entry.before.mems_set,
                                                   .cpus = s->parent_effective_cpus,
                                                   .mems = s->parent_effective_mems };
        /* Files that are as they were need no write, least of all one that is refused as the first was. A service manager may still have our
         * change in its queue, and is asked in any case. */
        if (s && r->target.owner == OWNER_CGROUPFS && is_back(r, s)) {
                finish_done(r);
                return;
        }
        /* Whom the kernel does not let clear one side, it does not let clear the other. */
        if (s && (r->full || r->target.owner == OWNER_SYSTEMD)) {
                find_refused(r, s, &refused);
                if (refused.change_cpus || refused.change_mems) {
                        begin_full(r, s, &refused);
                        return;
                }
        }
        r->change = (struct cpuset_change) { .change_cpus = r->cpus, .change_mems = r->mems, .value = r->entry.before };
        begin_step(r, STEP_RESET);
}

/* Takes out the sides that are somebody else's now. A side without a limit is as it was where there was none. */
static void choose_sides(struct restore *r, const struct cpuset_state *s) {
        const struct record_entry *e = &r->entry;
        r->cpus =
                e->changed_cpus && (record_explains_cpus(e, &s->configured) || (!e->before.cpus_set && cpuset_cpus_are_free(s)));
        r->mems =
                e->changed_mems && (record_explains_mems(e, &s->configured) || (!e->before.mems_set && cpuset_mems_are_free(s)));
        r->foreign = (e->changed_cpus && !r->cpus) || (e->changed_mems && !r->mems);
}

static int restore_new(struct record *record, const struct act *act, const struct record_entry *e, restore_hangs hangs,
                       restore_done done, void *userdata, struct restore **ret) {
        struct restore *r = malloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        *r = (struct restore) { .record = record, .act = *act, .entry = *e, .hangs = hangs, .done = done, .userdata = userdata };
        r->entry.cgroup = strdup(e->cgroup);
        r->entry.unit = strdup(e->unit);
        if (!r->entry.cgroup || !r->entry.unit) {
                restore_free(r);
                return -ENOMEM;
        }
        r->target = (struct target) { .cgroup = r->entry.cgroup, .unit = r->entry.unit, .owner = e->owner };
        *ret = r;
        return 0;
}

int restore_start(struct record *record, const struct act *act, const char *cgroup, restore_hangs hangs, restore_done done,
                  void *userdata) {
        const struct record_entry *e = record_find(record, cgroup);
        struct cpuset_state state;
        struct restore *r;

        if (!e)
                return -ENOENT;
        int k = restore_new(record, act, e, hangs, done, userdata, &r);
        if (k < 0)
                return k;
        k = act->ops->get_cpuset(act->context, &r->target, &state);
        if (k == -ENOENT && e->owner == OWNER_SYSTEMD) {
                r->cpus = e->changed_cpus;
                r->mems = e->changed_mems;
                r->found = e->ours;
        } else if (k == -ENOENT) {
                finish(r, RESTORE_GONE, 0, NULL);
                return 0;
        } else if (k < 0) {
                restore_free(r);
                return k;
        } else {
                choose_sides(r, &state);
                r->found = state.configured;
        }

        if (!r->cpus && !r->mems) {
                finish(r, RESTORE_NOT_OURS, 0, FOREIGN);
                return 0;
        }
        r->mems_next = r->cpus && r->mems;
        r->mems = r->mems && !r->cpus;
        begin_side(r, k < 0 ? NULL : &state);
        return 0;
}
