/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated machine's cgroups, with the kernel's cpuset semantics, and a service manager that answers first and writes later. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cpuset.h"
#include "act/simulated-internal.h"
#include "core/util.h"

/* cgroups */

static struct sim_cgroup *find_cgroup(const struct simulated *s, const char *path) {
        struct sim_cgroup *c;
        LIST_FOREACH(c, &s->cgroups, entry)
        if (strcmp(c->path, path) == 0)
                return c;
        return NULL;
}

static struct sim_unit *find_unit(const struct simulated *s, const char *name) {
        struct sim_unit *u;
        LIST_FOREACH(u, &s->units, entry)
        if (strcmp(u->name, name) == 0)
                return u;
        return NULL;
}

static void effective_of(const struct simulated *s, const char *path, struct cpu_mask *cpus, struct node_set *mems) {
        if (strcmp(path, "/") == 0 || path[0] == 0) {
                struct node_set all = topology_nodes(s->topology);
                *cpus = (struct cpu_mask) { 0 };
                topology_cpus_of(s->topology, &all, cpus);
                *mems = topology_nodes_with_memory(s->topology);
                return;
        }
        _cleanup_free_ char *parent = strdup(path);
        if (!parent)
                abort();
        *strrchr(parent, '/') = 0;
        effective_of(s, parent, cpus, mems);

        const struct sim_cgroup *c = find_cgroup(s, path);
        struct cpu_mask own_cpus = c ? c->configured.cpus : (struct cpu_mask) { 0 };
        cpu_mask_and(&own_cpus, cpus);
        if (!cpu_mask_is_empty(&own_cpus))
                *cpus = own_cpus;
        struct node_set own_mems = c ? node_set_intersect(&c->configured.mems, mems) : (struct node_set) { 0 };
        if (!node_set_is_empty(&own_mems))
                *mems = own_mems;
}

int sim_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        const struct simulated *s = context;
        const struct sim_cgroup *c = find_cgroup(s, t->cgroup);
        if (!c)
                return -ENOENT;
        *ret = (struct cpuset_state) { .configured = c->configured, .populated = !c->empty };
        effective_of(s, t->cgroup, &ret->effective_cpus, &ret->effective_mems);
        _cleanup_free_ char *parent = strdup(t->cgroup);
        if (!parent)
                return -ENOMEM;
        *strrchr(parent, '/') = 0;
        effective_of(s, parent, &ret->parent_effective_cpus, &ret->parent_effective_mems);
        return 0;
}

/* What the kernel does with a write. */
static int write_value(struct simulated *s, struct sim_cgroup *c, const struct cpuset_change *change) {
        const struct cpuset_value *v = &change->value;
        struct cpu_mask all_cpus;
        struct node_set all_mems;
        int r = 0;
        effective_of(s, "/", &all_cpus, &all_mems);

        if (change->change_cpus) {
                if (!v->cpus_set && c->configured.cpus_set && s->knobs.refuse_clear)
                        r = -ENOSPC;
                else if (v->cpus_set && !cpu_mask_is_subset(&v->cpus, &all_cpus))
                        r = -EINVAL;
                else {
                        c->configured.cpus_set = v->cpus_set;
                        c->configured.cpus = v->cpus_set ? v->cpus : (struct cpu_mask) { 0 };
                }
        }
        if (change->change_mems) {
                if (!v->mems_set && c->configured.mems_set && s->knobs.refuse_clear)
                        r = r < 0 ? r : -ENOSPC;
                else if (v->mems_set && !node_set_is_subset(&v->mems, &all_mems))
                        r = r < 0 ? r : -EINVAL;
                else {
                        c->configured.mems_set = v->mems_set;
                        c->configured.mems = v->mems_set ? v->mems : (struct node_set) { 0 };
                }
        }
        return r;
}

/* The service manager */

struct unit_job {
        struct simulated *s;
        char *unit;
        char *cgroup; /* with the next two: of one that waits for its turn */
        enum owner owner;
        struct cpuset_premise *premise;
        struct cpuset_change change;
        ops_done done;
        void *userdata;
        int result;
};

static void unit_job_free(struct unit_job *j) {
        free(j->unit);
        free(j->cgroup);
        free(j->premise);
        free(j);
}

static void unit_apply(void *userdata) {
        struct unit_job *j = userdata;
        struct sim_cgroup *c;
        LIST_FOREACH(c, &j->s->cgroups, entry)
        if (c->unit && !c->empty && strcmp(c->unit, j->unit) == 0)
                (void) write_value(j->s, c, &j->change); /* it only logs what the kernel refuses */
        unit_job_free(j);
}

static void unit_answer(void *userdata) {
        struct unit_job *j = userdata;
        j->done(j->result, j->userdata);
        unit_job_free(j);
}

static void on_turn(void *userdata);

void sim_drop_job(const struct sim_event *e) {
        if (e->callback == unit_apply || e->callback == unit_answer || e->callback == on_turn)
                unit_job_free(e->userdata);
}

static void merge(struct cpuset_value *into, const struct cpuset_change *c) {
        if (c->change_cpus) {
                into->cpus_set = c->value.cpus_set;
                into->cpus = c->value.cpus;
        }
        if (c->change_mems) {
                into->mems_set = c->value.mems_set;
                into->mems = c->value.mems;
        }
}

static int start_job(struct simulated *s, const struct unit_job *from, uint64_t delay_usec, ops_later callback) {
        struct unit_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = *from;
        j->unit = strdup(from->unit);
        j->change.premise = NULL;
        return sim_call_later(s, delay_usec, callback, j);
}

static int set_now(struct simulated *s, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        int fails = c->change_mems && s->knobs.fail_mems < 0 ? s->knobs.fail_mems : s->knobs.fail_set;
        struct sim_cgroup *cgroup = find_cgroup(s, t->cgroup);
        s->counts.sets++;
        if (cgroup && !cpuset_premise_holds(c->premise, c, &cgroup->configured)) {
                done(-ESTALE, userdata);
                return 0;
        }
        if (t->owner == OWNER_CGROUPFS) {
                done(fails < 0 ? fails : cgroup ? write_value(s, cgroup, c) : -ENOENT, userdata);
                return 0;
        }
        if (t->owner != OWNER_SYSTEMD)
                return -EOPNOTSUPP;
        struct unit_job job = { .s = s, .unit = (char *) t->unit, .change = *c, .done = done, .userdata = userdata };
        struct sim_unit *u = find_unit(s, t->unit);
        job.result = fails < 0 ? fails : u ? 0 : -ENOENT;
        if (job.result == 0) {
                merge(&u->settings, c);
                int r = s->knobs.lose_changes ? 0 : start_job(s, &job, s->knobs.apply_usec, unit_apply);
                if (r < 0)
                        return r;
        }
        return start_job(s, &job, s->knobs.answer_usec, unit_answer);
}

static void on_turn(void *userdata) {
        struct unit_job *j = userdata;
        const struct target t = { .cgroup = j->cgroup, .unit = j->unit, .owner = j->owner };
        int r = set_now(j->s, &t, &j->change, j->done, j->userdata);
        if (r < 0)
                j->done(r, j->userdata);
        unit_job_free(j);
}

int sim_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        struct simulated *s = context;
        if (s->knobs.queue_usec == 0)
                return set_now(s, t, c, done, userdata);
        struct unit_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct unit_job) { .s = s,
                                 .unit = strdup(t->unit),
                                 .cgroup = strdup(t->cgroup),
                                 .owner = t->owner,
                                 .change = *c,
                                 .done = done,
                                 .userdata = userdata };
        if (c->premise) {
                j->premise = malloc(sizeof(*j->premise));
                if (j->premise)
                        *j->premise = *c->premise;
                j->change.premise = j->premise;
        }
        if (!j->unit || !j->cgroup || (c->premise && !j->premise)) {
                unit_job_free(j);
                return -ENOMEM;
        }
        return sim_call_later(s, s->knobs.queue_usec, on_turn, j);
}

/* Making and ending things */

int simulated_add_cgroup(struct simulated *s, const char *path, const char *unit) {
        _cleanup_free_ char *parent = strdup(path);
        if (!parent)
                return -ENOMEM;
        *strrchr(parent, '/') = 0;
        if (parent[0] && !find_cgroup(s, parent)) {
                int r = simulated_add_cgroup(s, parent, NULL);
                if (r < 0)
                        return r;
        }
        struct sim_cgroup *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->path = strdup(path);
        LIST_INSERT_HEAD(&s->cgroups, c, entry);
        if (!unit)
                return 0;
        c->unit = strdup(unit);
        struct sim_unit *u = find_unit(s, unit);
        if (u) { /* started again: with the settings that it has */
                c->configured = u->settings;
                return 0;
        }
        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;
        u->name = strdup(unit);
        LIST_INSERT_HEAD(&s->units, u, entry);
        return 0;
}

int simulated_remove_cgroup(struct simulated *s, const char *path) {
        struct sim_cgroup *c = find_cgroup(s, path);
        if (!c)
                return -ENOENT;
        LIST_REMOVE(c, entry);
        free(c->path);
        free(c->unit);
        free(c);
        return 0;
}

int simulated_empty_cgroup(struct simulated *s, const char *path) {
        struct sim_cgroup *c = find_cgroup(s, path);
        if (!c)
                return -ENOENT;
        c->empty = true;
        return 0;
}

void simulated_forget_unit(struct simulated *s, const char *unit) {
        struct sim_unit *u = find_unit(s, unit);
        if (!u)
                return;
        LIST_REMOVE(u, entry);
        free(u->name);
        free(u);
}

int simulated_write_cpuset(struct simulated *s, const char *path, const char *cpus, const char *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        struct sim_cgroup *cgroup = find_cgroup(s, path);
        if (!cgroup)
                return -ENOENT;
        int r = cpus ? cpu_mask_parse(cpus, &c.value.cpus) : 0;
        if (r >= 0 && mems)
                r = node_set_parse(mems, &c.value.mems);
        c.value.cpus_set = !cpu_mask_is_empty(&c.value.cpus);
        c.value.mems_set = !node_set_is_empty(&c.value.mems);
        return r < 0 ? r : write_value(s, cgroup, &c);
}

int simulated_unit_settings(const struct simulated *s, const char *unit, struct cpuset_value *ret) {
        const struct sim_unit *u = find_unit(s, unit);
        if (!u)
                return -ENOENT;
        *ret = u->settings;
        return 0;
}

void sim_free_cgroups(struct simulated *s) {
        while (!LIST_EMPTY(&s->cgroups))
                (void) simulated_remove_cgroup(s, LIST_FIRST(&s->cgroups)->path);
        while (!LIST_EMPTY(&s->units))
                simulated_forget_unit(s, LIST_FIRST(&s->units)->name);
}
