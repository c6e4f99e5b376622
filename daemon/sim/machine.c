/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated machine's memory and who has it; services that begin, end, fork and begin again. */
#include <stdio.h>
#include <string.h>

#include "sim/sim-internal.h"

void sim_abort_no_memory(void) {
        (void) fputs("out of memory\n", stderr);
        abort();
}

uint64_t sim_random(uint64_t *seed) {
        uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* Memory of nodes */

static uint64_t low_mark(const struct sim *s, unsigned node) {
        return s->nodes[node].total / 1000 * s->settings.low_mark_permille;
}

uint64_t sim_usable(const struct sim *s, unsigned node) {
        const struct sim_node *n = &s->nodes[node];
        uint64_t have = n->free + n->cache, low = low_mark(s, node);
        return have > low ? have - low : 0;
}

void sim_take(struct sim *s, unsigned node, uint64_t bytes) {
        struct sim_node *n = &s->nodes[node];
        if (n->free < bytes + low_mark(s, node)) {
                uint64_t drop = MIN2(bytes + low_mark(s, node) - n->free, n->cache);
                n->cache -= drop;
                n->free += drop;
        }
        n->free -= MIN2(bytes, n->free);
}

void sim_take_bytes(struct sim *s, unsigned node, int64_t bytes) {
        if (bytes > 0)
                sim_take(s, node, (uint64_t) bytes);
        else
                s->nodes[node].free = MIN2(s->nodes[node].free + (uint64_t) -bytes, s->nodes[node].total);
}

uint64_t sim_free_bytes(const struct sim *s, unsigned node) {
        return s->nodes[node].free;
}

uint64_t sim_allocate(struct sim *s, struct sim_service *v, enum sim_kind kind, unsigned node, uint64_t bytes) {
        uint64_t got = 0;
        for (unsigned i = 0; i < s->nodes[node].n_order && got < bytes; i++) {
                unsigned to = s->nodes[node].order[i];
                if (!node_set_has(&v->allowed_mems, to))
                        continue;
                uint64_t part = MIN2(bytes - got, sim_usable(s, to));
                sim_take(s, to, part);
                v->bytes[kind][to] += part;
                got += part;
        }
        return got;
}

void sim_release(struct sim *s, struct sim_service *v, enum sim_kind kind, unsigned node, uint64_t bytes) {
        bytes = MIN2(bytes, v->bytes[kind][node]);
        v->bytes[kind][node] -= bytes;
        s->nodes[node].free += bytes;
}

uint64_t sim_bytes_on(const struct sim_service *v, unsigned node) {
        uint64_t sum = 0;
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                sum += v->bytes[k][node];
        return sum;
}

uint64_t sim_bytes(const struct sim *s, const struct sim_service *v) {
        uint64_t sum = 0;
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                for (unsigned n = 0; n < s->n_ids; n++)
                        sum += v->bytes[k][n];
        return sum;
}

/* Services */

void sim_spec_init(struct sim_spec *p) {
        *p = (struct sim_spec) { .owner = OWNER_SYSTEMD, .cpus = 1, .n_processes = 1 };
}

static size_t position(const struct sim *s, const char *cgroup) {
        return FIRST_NOT_BEFORE(i, s->n_services, strcmp(s->services[i]->cgroup, cgroup) < 0);
}

struct sim_service *sim_by_cgroup(const struct sim *s, const char *cgroup) {
        size_t i = position(s, cgroup);
        return i < s->n_services && strcmp(s->services[i]->cgroup, cgroup) == 0 ? s->services[i] : NULL;
}

struct sim_service *sim_find(const struct sim *s, const char *unit) {
        if (unit[0] == '/')
                return sim_by_cgroup(s, unit);
        for (size_t i = 0; i < s->n_services; i++)
                if (strcmp(s->services[i]->unit, unit) == 0)
                        return s->services[i];
        return NULL;
}

size_t sim_n_services(const struct sim *s) {
        return s->n_services;
}

struct sim_service *sim_service(const struct sim *s, size_t i) {
        return s->services[i];
}

static struct sim_service *service_free(struct sim_service *v) {
        if (!v)
                return NULL;
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                free(v->bytes[k]);
        free(v->used_on);
        free(v->allowed_cpus);
        free(v->unit);
        free(v->slice);
        free(v->cgroup);
        free(v->policy);
        free(v);
        return NULL;
}

void sim_services_free(struct sim *s) {
        for (size_t i = 0; i < s->n_services; i++)
                service_free(s->services[i]);
        free(s->services);
}

static struct sim_service *service_new(const struct sim *s, const struct sim_spec *p) {
        struct sim_service *v = calloc(1, sizeof(*v));
        if (!v)
                return NULL;
        v->unit = strdup(p->unit);
        v->slice = strdup(p->slice ? p->slice : "system.slice");
        v->policy = p->policy ? strdup(p->policy) : NULL;
        v->cgroup = v->unit && v->slice ? format_string("/%s/%s", v->slice, v->unit) : NULL;
        bool fine = v->cgroup && (v->policy || !p->policy);
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                fine = (v->bytes[k] = calloc(s->n_ids, sizeof(uint64_t))) && fine;
        v->used_on = calloc(s->n_ids, sizeof(*v->used_on));
        v->allowed_cpus = calloc(s->n_ids, sizeof(*v->allowed_cpus));
        if (!fine || !v->used_on || !v->allowed_cpus)
                return service_free(v);
        return v;
}

int sim_random_node(struct sim *s, const struct sim_service *v) {
        unsigned n = 0;
        int chosen = -1;
        for (unsigned i = 0; i < s->n_ids; i++)
                if (v->allowed_cpus[i] > 0 && sim_random(&s->seed) % ++n == 0)
                        chosen = (int) i;
        return chosen;
}

void sim_place_groups(struct sim *s, struct sim_service *v) {
        for (unsigned g = 0; g < v->n_groups; g++)
                if (v->group_node[g] < 0 || v->allowed_cpus[v->group_node[g]] == 0)
                        v->group_node[g] = (int16_t) sim_random_node(s, v);
}

static void fill_kind(struct sim *s, struct sim_service *v, enum sim_kind kind, uint64_t bytes) {
        unsigned n_start = node_set_count(&v->spec.start);
        uint64_t got = 0;
        if (bytes == 0)
                return;
        if (n_start > 0) {
                NODE_SET_FOREACH (node, &v->spec.start)
                        got += sim_allocate(s, v, kind, (unsigned) node, bytes / n_start);
        } else
                for (unsigned g = 0; g < v->n_groups; g++)
                        if (v->group_node[g] >= 0)
                                got += sim_allocate(s, v, kind, (unsigned) v->group_node[g], bytes / v->n_groups);
        /* What the division left over is less than a page. */
        s->totals.unplaced_bytes += bytes - got > 4096 ? bytes - got : 0;
}

static void begin(struct sim *s, struct sim_service *v) {
        const struct sim_spec *p = &v->spec;
        double cpus = p->cpus > 0 ? p->cpus : 0;
        v->n_processes = MAX2(MIN2(p->n_processes, SIM_PROCESSES_MAX), 1u);
        unsigned threads = p->n_threads > 0 ? p->n_threads : (unsigned) cpus + (cpus > (unsigned) cpus);
        v->n_groups = MAX2(MIN2(threads, SIM_GROUPS_MAX), 1u);
        v->running = v->has_cgroup = true;
        v->pid = s->next_pid;
        s->next_pid += (pid_t) SIM_PROCESSES_MAX;
        v->started_usec = s->now_usec;
        v->start_ticks = s->now_usec / 10000;
        v->base_bytes = p->bytes;
        v->growth_rest = 0;
        v->cpu_pressure = v->memory_pressure = 0;
        v->unshare_usec = 0;
        v->configured = v->settings;
        sim_refresh_allowed(s, v);
        for (unsigned g = 0; g < SIM_GROUPS_MAX; g++)
                v->group_node[g] = -1;
        sim_place_groups(s, v);
        memset(v->group_usec, 0, sizeof(v->group_usec));
        uint64_t pinned = p->bytes / 1000 * p->pinned_permille, shared = p->bytes / 1000 * p->shared_permille,
                 bound = p->bytes / 1000 * p->bound_permille;
        fill_kind(s, v, SIM_PINNED, pinned);
        fill_kind(s, v, SIM_SHARED, shared);
        fill_kind(s, v, SIM_BOUND, bound);
        fill_kind(s, v, SIM_PLAIN, p->bytes - MIN2(p->bytes, pinned + shared + bound));
        s->totals.least_bytes += sim_least_bytes(s, v);
        v->home = v->home_before = (struct node_set) { 0 };
        v->home_usec = v->first_home_usec = 0;
        sim_tell_cgroup(s, v);
}

int sim_add(struct sim *s, const struct sim_spec *spec, struct sim_service **ret) {
        if (s->n_services >= SIM_SERVICES_MAX)
                return -ENOSPC;
        if (array_reserve(&s->services, &s->capacity, s->n_services + 1, sizeof(struct sim_service *)) < 0)
                return -ENOMEM;
        struct sim_service *v = service_new(s, spec);
        if (!v)
                return -ENOMEM;
        size_t i = position(s, v->cgroup);
        if (i < s->n_services && strcmp(s->services[i]->cgroup, v->cgroup) == 0) {
                service_free(v);
                return -EEXIST;
        }
        v->spec = *spec;
        v->spec.unit = v->unit;
        v->spec.slice = v->slice;
        v->spec.policy = v->policy;
        memmove(&s->services[i + 1], &s->services[i], (s->n_services - i) * sizeof(struct sim_service *));
        s->services[i] = v;
        s->n_services++;
        begin(s, v);
        if (ret)
                *ret = v;
        return 0;
}

void sim_end(struct sim *s, struct sim_service *v) {
        if (!v->running)
                return;
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                for (unsigned n = 0; n < s->n_ids; n++)
                        sim_release(s, v, (enum sim_kind) k, n, UINT64_MAX);
        v->running = v->has_cgroup = false;
        v->configured = (struct cpuset_value) { 0 };
        if (v->spec.owner != OWNER_SYSTEMD)
                v->settings = (struct cpuset_value) { 0 };
        sim_tell_cgroup(s, v);
}

void sim_disturb(struct sim *s, struct sim_service *v) {
        sim_tell_cgroup(s, v);
}

int sim_restart(struct sim *s, struct sim_service *v) {
        if (v->running)
                sim_end(s, v);
        begin(s, v);
        return 0;
}

/* What a fork leaves mapped by two processes cannot be moved until one of them has written to it. */
void sim_fork(struct sim *s, struct sim_service *v, unsigned n_more, uint64_t share_usec) {
        if (!v->running)
                return;
        v->n_processes = MIN2(v->n_processes + n_more, SIM_PROCESSES_MAX);
        v->unshare_usec = s->now_usec + share_usec;
        for (unsigned n = 0; n < s->n_ids; n++) {
                v->bytes[SIM_SHARED][n] += v->bytes[SIM_PLAIN][n];
                v->bytes[SIM_PLAIN][n] = 0;
        }
}
