/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing cpusets, and waiting for one. */
#include "act/cpuset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* The first looks are so far apart; then each is half as long after the one before as it has been waited for: while thousands of cgroups are given back,
 * who looks at all of them all the time has no time for anything else. */
#define LOOK_EVERY_USEC   (50 * USEC_PER_MSEC)
#define LOOK_SELDOM_USEC  (500 * USEC_PER_MSEC)
#define LOOK_WAITED_SHARE 2u

bool cpuset_cpus_equal(const struct cpuset_value *a, const struct cpuset_value *b) {
        return a->cpus_set == b->cpus_set && (!a->cpus_set || cpu_mask_equal(&a->cpus, &b->cpus));
}

bool cpuset_mems_equal(const struct cpuset_value *a, const struct cpuset_value *b) {
        return a->mems_set == b->mems_set && (!a->mems_set || node_set_equal(&a->mems, &b->mems));
}

bool cpuset_cpus_are_free(const struct cpuset_state *s) {
        return !s->configured.cpus_set || cpu_mask_is_subset(&s->parent_effective_cpus, &s->configured.cpus);
}

bool cpuset_mems_are_free(const struct cpuset_state *s) {
        return !s->configured.mems_set || node_set_is_subset(&s->parent_effective_mems, &s->configured.mems);
}

bool cpuset_premise_holds(const struct cpuset_premise *p, const struct cpuset_change *c, const struct cpuset_value *configured) {
        bool cpus = !p || !c->change_cpus, mems = !p || !c->change_mems;
        for (size_t i = 0; p && i < p->n; i++) {
                cpus |= cpuset_cpus_equal(&p->values[i], configured);
                mems |= cpuset_mems_equal(&p->values[i], configured);
        }
        return cpus && mems;
}

void cpuset_premise_add(struct cpuset_premise *p, const struct cpuset_value *v) {
        p->values[p->n++] = *v;
}

static bool cpus_in_force(const struct cpuset_state *s, const struct cpuset_value *v) {
        if (!v->cpus_set) /* one that is wholly outside the parent's restrains nothing, and would once the parent has more */
                return cpuset_cpus_are_free(s) && cpu_mask_equal(&s->effective_cpus, &s->parent_effective_cpus);
        if (!cpuset_cpus_equal(&s->configured, v)) /* what is there may have the same effect, but was not asked for */
                return false;
        struct cpu_mask want = v->cpus;
        cpu_mask_and(&want, &s->parent_effective_cpus);
        return cpu_mask_equal(&s->effective_cpus, &want);
}

static bool mems_in_force(const struct cpuset_state *s, const struct cpuset_value *v) {
        if (!v->mems_set)
                return cpuset_mems_are_free(s) && node_set_equal(&s->effective_mems, &s->parent_effective_mems);
        if (!cpuset_mems_equal(&s->configured, v))
                return false;
        struct node_set want = node_set_intersect(&v->mems, &s->parent_effective_mems);
        return node_set_equal(&s->effective_mems, &want);
}

bool cpuset_in_force(const struct cpuset_state *s, const struct cpuset_change *c) {
        return (!c->change_cpus || cpus_in_force(s, &c->value)) && (!c->change_mems || mems_in_force(s, &c->value));
}

struct wait {
        struct act act;
        char *cgroup, *unit;
        struct target target;
        struct cpuset_change change;
        uint64_t left_usec, waited_usec;
        cpuset_wait_done done;
        void *userdata;
};

static void wait_finish(struct wait *w, int result, const struct cpuset_state *last) {
        w->done(result, last, w->userdata);
        free(w->cgroup);
        free(w->unit);
        free(w);
}

static void look(void *userdata) {
        struct wait *w = userdata;
        struct cpuset_state state;

        int r = w->act.ops->get_cpuset(w->act.context, &w->target, &state);
        if (r < 0)
                wait_finish(w, r, NULL);
        else if (cpuset_in_force(&state, &w->change))
                wait_finish(w, 0, &state);
        else if (w->left_usec == 0)
                wait_finish(w, -EREMOTEIO, &state);
        else {
                uint64_t delay = MAX2(LOOK_EVERY_USEC, w->waited_usec / LOOK_WAITED_SHARE);
                delay = MIN2(w->left_usec, MIN2(delay, LOOK_SELDOM_USEC));
                w->left_usec -= delay;
                w->waited_usec += delay;
                r = w->act.ops->call_later(w->act.context, delay, look, w);
                if (r < 0)
                        wait_finish(w, r, &state);
        }
}

int cpuset_wait(const struct act *act, const struct target *t, const struct cpuset_change *c, uint64_t limit_usec,
                cpuset_wait_done done, void *userdata) {
        struct wait *w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct wait) {
                .act = *act,
                .cgroup = strdup(t->cgroup),
                .unit = t->unit ? strdup(t->unit) : NULL,
                .change = *c,
                .left_usec = limit_usec,
                .done = done,
                .userdata = userdata,
        };
        if (!w->cgroup || (t->unit && !w->unit)) {
                free(w->cgroup);
                free(w->unit);
                free(w);
                return -ENOMEM;
        }
        w->target = (struct target) { .cgroup = w->cgroup, .unit = w->unit, .owner = t->owner };
        look(w);
        return 0;
}
