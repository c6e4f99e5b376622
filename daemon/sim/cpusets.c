/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpusets as the kernel has them, and the service manager that answers before it writes. A set outside the parent's is taken and ignored; an id that does
 * not exist is EINVAL; clearing a populated one can be refused. Memory left behind by a narrowing is moved by the kernel at once, if it had a set
 * before (kernel: cpuset_migrate_mm()). */
#include <string.h>

#include "act/cpuset.h"
#include "sim/sim-internal.h"

static void parent_effective(const struct sim *s, const struct sim_service *v, struct cpu_mask *cpus, struct node_set *mems) {
        struct node_set all = topology_nodes(s->topology), nodes = v->spec.parent_cpu_nodes;
        *cpus = (struct cpu_mask) { 0 };
        topology_cpus_of(s->topology, node_set_is_empty(&nodes) ? &all : &nodes, cpus);
        *mems = topology_nodes_with_memory(s->topology);
        if (!node_set_is_empty(&v->spec.parent_mems))
                *mems = node_set_intersect(mems, &v->spec.parent_mems);
}

void sim_effective(const struct sim *s, const struct sim_service *v, struct cpu_mask *cpus, struct node_set *mems) {
        parent_effective(s, v, cpus, mems);
        struct cpu_mask own_cpus = v->configured.cpus;
        cpu_mask_and(&own_cpus, cpus);
        if (v->configured.cpus_set && !cpu_mask_is_empty(&own_cpus))
                *cpus = own_cpus;
        struct node_set own_mems = node_set_intersect(&v->configured.mems, mems);
        if (v->configured.mems_set && !node_set_is_empty(&own_mems))
                *mems = own_mems;
}

void sim_refresh_allowed(struct sim *s, struct sim_service *v) {
        struct cpu_mask cpus;
        sim_effective(s, v, &cpus, &v->allowed_mems);
        for (unsigned n = 0; n < s->n_ids; n++) {
                struct cpu_mask on_node = s->topology->nodes[n].cpus;
                cpu_mask_and(&on_node, &cpus);
                v->allowed_cpus[n] = cpu_mask_count(&on_node);
        }
        sim_place_groups(s, v);
}

static void force_memory(struct sim *s, struct sim_service *v, const struct node_set *before) {
        for (unsigned from = 0; from < s->n_ids; from++) {
                if (!node_set_has(before, from) || node_set_has(&v->allowed_mems, from))
                        continue;
                for (int k = 0; k < _SIM_KIND_MAX; k++) {
                        uint64_t left = k == SIM_PINNED ? 0 : v->bytes[k][from];
                        NODE_SET_FOREACH (to, &v->allowed_mems) {
                                uint64_t part = MIN2(left, sim_usable(s, (unsigned) to));
                                sim_release(s, v, (enum sim_kind) k, from, part);
                                sim_take(s, (unsigned) to, part);
                                v->bytes[k][to] += part;
                                s->totals.forced_bytes += part;
                                left -= part;
                        }
                }
        }
}

/* What the kernel does with a write. */
static int write_value(struct sim *s, struct sim_service *v, const struct cpuset_change *c) {
        struct node_set all = topology_nodes(s->topology), all_mems = topology_nodes_with_memory(s->topology);
        struct node_set before = v->allowed_mems;
        struct cpu_mask all_cpus = { 0 };
        bool had_mems = v->configured.mems_set;
        int r = 0;
        topology_cpus_of(s->topology, &all, &all_cpus);
        if (c->change_cpus) {
                if (!c->value.cpus_set && v->configured.cpus_set && s->settings.refuse_clear && v->running)
                        r = -ENOSPC;
                else if (c->value.cpus_set && !cpu_mask_is_subset(&c->value.cpus, &all_cpus))
                        r = -EINVAL;
                else {
                        v->configured.cpus_set = c->value.cpus_set;
                        v->configured.cpus = c->value.cpus_set ? c->value.cpus : (struct cpu_mask) { 0 };
                }
        }
        if (c->change_mems) {
                if (!c->value.mems_set && v->configured.mems_set && s->settings.refuse_clear && v->running)
                        r = r < 0 ? r : -ENOSPC;
                else if (c->value.mems_set && !node_set_is_subset(&c->value.mems, &all_mems))
                        r = r < 0 ? r : -EINVAL;
                else {
                        v->configured.mems_set = c->value.mems_set;
                        v->configured.mems = c->value.mems_set ? c->value.mems : (struct node_set) { 0 };
                }
        }
        sim_refresh_allowed(s, v);
        if (had_mems)
                force_memory(s, v, &before);
        return r;
}

void sim_restrict_slice(struct sim *s, struct sim_service *service, const struct node_set *cpu_nodes,
                        const struct node_set *mems) {
        service->spec.parent_cpu_nodes = *cpu_nodes;
        service->spec.parent_mems = *mems;
        sim_refresh_allowed(s, service);
}

int sim_write_cpuset(struct sim *s, struct sim_service *v, const struct cpu_mask *cpus, const struct node_set *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        if (cpus) {
                c.value.cpus_set = !cpu_mask_is_empty(cpus);
                c.value.cpus = *cpus;
        }
        if (mems) {
                c.value.mems_set = !node_set_is_empty(mems);
                c.value.mems = *mems;
        }
        int r = write_value(s, v, &c);
        if (r >= 0 && v->spec.owner == OWNER_SYSTEMD)
                v->settings = v->configured;
        return r;
}

static int sim_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        struct sim *s = context;
        const struct sim_service *v = sim_by_cgroup(s, t->cgroup);
        int r = sim_operation(s);
        if (r < 0)
                return r;
        if (!v || !v->has_cgroup)
                return -ENOENT;
        *ret = (struct cpuset_state) { .configured = v->configured, .populated = v->running };
        sim_effective(s, v, &ret->effective_cpus, &ret->effective_mems);
        parent_effective(s, v, &ret->parent_effective_cpus, &ret->parent_effective_mems);
        return 0;
}

/* The answer to a change, or a call that was asked for: for the manager, so it ends with it. */
struct sim_answer {
        TAILQ_ENTRY(sim_answer) entry;
        struct sim *sim;
        struct sim_event event;
        ops_done done;
        ops_later later;
        void *userdata;
        int result;
};

static void give_answer(void *userdata) {
        struct sim_answer *a = userdata;
        TAILQ_REMOVE(&a->sim->answers, a, entry);
        sim_disarm(a->sim, &a->event);
        if (a->done)
                a->done(a->result, a->userdata);
        else
                a->later(a->userdata);
        free(a);
}

static int answer_later(struct sim *s, uint64_t delay_usec, const struct sim_answer *from) {
        struct sim_answer *a = malloc(sizeof(*a));
        if (!a)
                return -ENOMEM;
        *a = *from;
        a->sim = s;
        a->event = (struct sim_event) { .callback = give_answer, .userdata = a };
        TAILQ_INSERT_TAIL(&s->answers, a, entry);
        sim_arm(s, &a->event, s->now_usec + delay_usec);
        return 0;
}

void sim_finish_answers(struct sim *s) {
        struct sim_answer *a;
        while ((a = TAILQ_FIRST(&s->answers))) {
                a->result = -ECANCELED;
                give_answer(a);
        }
}

/* A change on its way through the service manager: it is written whether or not somebody waits for it. */
struct unit_write {
        struct sim_service *service;
        struct cpuset_change change;
};

static void apply_unit_write(struct sim *s, void *userdata) {
        struct unit_write *w = userdata;
        if (w->service->has_cgroup)
                (void) write_value(s, w->service, &w->change); /* it only logs what the kernel refuses */
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

/* It writes what it was asked for before it deals with the next request (systemd: manager_loop()): that one's answer comes later. */
static int ask_service_manager(struct sim *s, struct sim_service *v, const struct cpuset_change *c, uint64_t *ret_answer_usec) {
        *ret_answer_usec = MAX2(s->now_usec + s->settings.answer_usec, s->unit_written_usec) - s->now_usec;
        merge(&v->settings, c);
        if (v->lose_changes)
                return 0;
        struct unit_write *w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct unit_write) { v, *c };
        w->change.premise = NULL;
        uint64_t at = s->now_usec + MAX2(s->settings.apply_usec, *ret_answer_usec);
        int r = sim_call_at(s, at, apply_unit_write, w, true);
        if (r < 0)
                free(w);
        else
                s->unit_written_usec = MAX2(s->unit_written_usec, at);
        return r;
}

static int set_cpuset_now(struct sim *s, struct sim_service *v, enum owner owner, const struct cpuset_change *c, ops_done done,
                          void *userdata) {
        struct sim_answer answer = { .done = done, .userdata = userdata };
        uint64_t answer_usec = s->settings.answer_usec;
        int r = 0;
        s->totals.n_cpuset_writes++;
        if (!v)
                answer.result = -ENOENT;
        else if (v->has_cgroup && !cpuset_premise_holds(c->premise, c, &v->configured))
                answer.result = -ESTALE;
        else if (v->fail_set < 0)
                answer.result = v->fail_set;
        else if (c->change_mems && v->fail_mems < 0) {
                const struct cpuset_change cpus = { .change_cpus = c->change_cpus, .value = c->value };
                answer.result = v->fail_mems;
                if (owner == OWNER_CGROUPFS && v->has_cgroup && answer.result != -EAGAIN)
                        (void) write_value(s, v, &cpus);
        } else if (owner == OWNER_CGROUPFS)
                answer.result = v->has_cgroup ? write_value(s, v, c) : -ENOENT;
        else {
                r = ask_service_manager(s, v, c, &answer_usec);
                if (r < 0)
                        return r;
        }
        r = sim_operation(s);
        if (s->dead) /* it has asked, and does not live to see the answer */
                return r;
        answer.result = answer.result < 0 ? answer.result : r;
        return answer_later(s, v && v->write_usec > 0 ? v->write_usec : answer_usec, &answer);
}

/* One that waits for its turn. */
struct queued {
        struct sim *sim;
        struct sim_service *service;
        enum owner owner;
        struct cpuset_change change;
        struct cpuset_premise premise;
        ops_done done;
        void *userdata;
};

static void on_turn(int result, void *userdata) {
        struct queued *q = userdata;
        int r = result < 0 ? result : set_cpuset_now(q->sim, q->service, q->owner, &q->change, q->done, q->userdata);
        if (r < 0)
                q->done(r, q->userdata);
        free(q);
}

static int sim_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        struct sim *s = context;
        struct sim_service *v = sim_by_cgroup(s, t->cgroup);
        int r = sim_operation(s);
        if (r < 0)
                return r;
        if (t->owner == OWNER_NONE)
                return -EOPNOTSUPP;
        if (!v || v->queue_usec == 0)
                return set_cpuset_now(s, v, t->owner, c, done, userdata);
        struct queued *q = malloc(sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (struct queued) { s, v, t->owner, *c, { 0 }, done, userdata };
        if (c->premise) {
                q->premise = *c->premise;
                q->change.premise = &q->premise;
        }
        return answer_later(s, v->queue_usec, &(struct sim_answer) { .done = on_turn, .userdata = q });
}

static long sim_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        return -ENOSYS; /* bytes are moved by sim-mover.c: there are no addresses */
}

unsigned sim_balancing_mode(const struct sim *s) {
        return s->settings.balancing_rate_bytes > 0 && !s->settings.balancing_off;
}

static int sim_get_kernel_balancing(void *context, unsigned *ret) {
        struct sim *s = context;
        int r = sim_operation(s);
        if (r < 0)
                return r;
        if (s->settings.balancing_rate_bytes == 0)
                return -ENOENT;
        *ret = sim_balancing_mode(s);
        return 0;
}

static int sim_set_kernel_balancing(void *context, unsigned mode, ops_done done, void *userdata) {
        struct sim *s = context;
        int r = sim_operation(s);
        if (r < 0)
                return r;
        s->settings.balancing_off = mode == 0;
        r = sim_operation(s);
        if (s->dead)
                return r;
        const struct sim_answer answer = { .done = done, .userdata = userdata, .result = r };
        return answer_later(s, s->settings.answer_usec, &answer);
}

static int sim_call_later(void *context, uint64_t delay_usec, ops_later callback, void *userdata) {
        struct sim *s = context;
        int r = sim_operation(s);
        if (r < 0)
                return r;
        const struct sim_answer answer = { .later = callback, .userdata = userdata };
        return answer_later(s, delay_usec, &answer);
}

const struct act_ops sim_act_ops = {
        .name = "simulated",
        .get_cpuset = sim_get_cpuset,
        .set_cpuset = sim_set_cpuset,
        .move_pages = sim_move_pages,
        .get_kernel_balancing = sim_get_kernel_balancing,
        .set_kernel_balancing = sim_set_kernel_balancing,
        .call_later = sim_call_later,
};
