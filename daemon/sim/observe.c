/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager sees of the simulated machine: the same samples that host/ would make of files. */
#include <string.h>

#include "act/cpuset.h"
#include "sim/sim-internal.h"

#define SCREEN_BASE_USEC    500u
#define SCREEN_SERVICE_USEC 60u
#define DEEP_BASE_USEC      500u

static const struct rule *match(const struct config *config, const struct sim_service *v) {
        const char *comm = v->unit, *user = "root";
        const struct service_identity id = {
                .unit = v->unit,
                .slice = v->slice,
                .cgroup = v->cgroup,
                .users = &user,
                .n_users = 1,
                .comms = &comm,
                .n_comms = 1,
        };
        return config_match(config, &id);
}

/* As host/ does: all that a thread used since the last screen counts for the node where it is now. */
static void fill_cpu(const struct sim *s, struct sim_service *v, struct service_sample *o) {
        for (unsigned g = 0; g < v->n_groups; g++)
                if (v->group_node[g] >= 0)
                        o->cpu_usec_by_node[v->group_node[g]] += v->group_usec[g];
        memset(v->group_usec, 0, sizeof(v->group_usec));
        uint64_t all = sum_by_node(o->cpu_usec_by_node, s->n_ids);
        uint32_t left = 1000000;
        unsigned last = 0;
        /* Idle: by where its threads are. */
        for (unsigned n = 0; n < s->n_ids; n++) {
                double share = 0;
                if (all > 0)
                        share = (double) o->cpu_usec_by_node[n] / (double) all;
                else
                        for (unsigned g = 0; g < v->n_groups; g++)
                                share += v->group_node[g] == (int) n ? 1.0 / v->n_groups : 0;
                o->cpu_share_by_node[n] = MIN2((uint32_t) (share * 1000000), left);
                left -= o->cpu_share_by_node[n];
                if (o->cpu_share_by_node[n] > 0)
                        last = n;
        }
        o->cpu_share_by_node[last] += left;
}

static void fill_cpuset(const struct sim *s, const struct sim_service *v, const struct applied *ours, struct service_sample *o) {
        struct cpuset_state state;
        const struct target t = { .cgroup = v->cgroup, .unit = v->unit, .owner = v->spec.owner };
        if (sim_act_ops.get_cpuset((void *) s, &t, &state) < 0)
                return;
        o->effective_cpu_nodes = topology_nodes_of_cpus(s->topology, &state.effective_cpus);
        o->n_effective_cpus = cpu_mask_count(&state.effective_cpus);
        o->effective_mems = state.effective_mems;
        bool narrows_cpus = !cpuset_cpus_are_free(&state);
        bool narrows_mems = !cpuset_mems_are_free(&state); /* as host/ tells it: by what is set */
        o->admin_cpus = narrows_cpus && !(ours && ours->cpus);
        o->admin_mems = narrows_mems && !(ours && ours->mems);
        o->above_cpu_nodes = topology_nodes_of_cpus(s->topology, &state.parent_effective_cpus);
        o->above_mems = state.parent_effective_mems;
        o->inner_cpu_nodes = v->inner_cpu_nodes;
        o->inner_mems = v->inner_mems;
        o->inner_mems_allowed = v->inner_mems_allowed;
        o->holds_services = v->holds_services;
        o->whole_cpus = !narrows_cpus;
        o->whole_mems = !narrows_mems;
}

static int fill_processes(const struct sim_service *v, struct service_sample *o) {
        o->processes = calloc(v->n_processes, sizeof(*o->processes));
        if (!o->processes)
                return -ENOMEM;
        for (unsigned i = 0; i < v->n_processes; i++)
                o->processes[i] = (struct process_ref) { .pid = v->pid + (pid_t) i, .start_ticks = v->start_ticks };
        o->n_processes = v->n_processes;
        o->n_threads = MAX2(v->spec.n_threads, MAX2(v->n_groups, v->n_processes));
        return 0;
}

static int fill(struct sim *s, struct sim_service *v, const struct config *config, const struct applied *ours,
                uint64_t window_usec, struct service_sample *o) {
        service_sample_init(o);
        o->cgroup = strdup(v->cgroup);
        o->unit = strdup(v->unit);
        o->owner = v->spec.owner;
        int r = o->cgroup && o->unit ? service_sample_alloc(o, s->n_ids) : -ENOMEM;
        if (r >= 0)
                r = fill_processes(v, o);
        if (v->holds_services)
                o->owner = OWNER_NONE;
        if (r >= 0 && o->owner == OWNER_NONE)
                r = (o->owner_detail = strdup("it cannot be restricted in this scenario")) ? 0 : -ENOMEM;
        if (r < 0)
                return r;
        o->rule = match(config, v);
        v->managed = o->rule && o->rule->place != PLACE_IGNORE;
        for (unsigned n = 0; n < s->n_ids; n++)
                o->bytes_by_node[n] = sim_bytes_on(v, n);
        bool moves_shared = v->managed && o->rule->shared_pages == SHARED_PAGES_MOVE;
        for (unsigned n = 0; n < s->n_ids && moves_shared; n++) {
                o->mapped_file_by_node[n] = v->bytes[SIM_SHARED][n];
                o->shared_bytes += (v->lender ? v->lender : v)->bytes[SIM_SHARED][n];
        }
        fill_cpu(s, v, o);
        o->cpu_window_usec = MIN2(window_usec, s->now_usec - v->started_usec);
        fill_cpuset(s, v, ours, o);
        if (s->host.has_psi) {
                o->memory_pressure_centipercent = (int) (v->memory_pressure * 10000);
                o->cpu_pressure_centipercent = (int) (v->cpu_pressure * 10000);
        }
        o->kernel_moved_known = s->settings.balancing_counts && (sim_balancing_mode(s) != 0 || sim_demotes(s)) && v->managed;
        o->kernel_moved_bytes = o->kernel_moved_known ? v->kernel_moved_bytes : 0;
        o->kernel_demoted_bytes = o->kernel_moved_known ? v->demoted_bytes : 0;
        return 0;
}

void sim_read_pressure(void *context, const char *cgroup, struct pressure_totals *ret) {
        struct sim *s = context;
        const struct sim_service *v = sim_by_cgroup(s, cgroup);
        *ret = (struct pressure_totals) { 0 };
        if (!v || !v->has_cgroup)
                return;
        sim_catch_up(s);
        *ret = (struct pressure_totals) {
                .has_memory = true,
                .has_cpu = true,
                .memory_usec = (uint64_t) (v->memory_stalled_sec * USEC_PER_SEC),
                .cpu_usec = (uint64_t) (v->cpu_stalled_sec * USEC_PER_SEC),
        };
}

int sim_screen(void *context, const struct config *config, const struct applied *applied, size_t n_applied, uint64_t now_usec,
               struct observation **ret, uint64_t *ret_cpu_usec) {
        struct sim *s = context;
        struct observation *o = calloc(1, sizeof(*o));
        *ret_cpu_usec = 0;
        if (!o || !(o->services = calloc(s->n_services + 1, sizeof(*o->services)))) {
                observation_free(o);
                return -ENOMEM;
        }
        sim_catch_up(s);
        sim_measure_homes(s);
        uint64_t window = s->screened_usec > 0 ? s->now_usec - s->screened_usec : 0;
        int r = sim_read_machine(s, s->topology, &o->machine);
        for (size_t i = 0; r >= 0 && i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                if (!v->running)
                        continue;
                r = fill(s, v, config, applied_find(applied, n_applied, v->cgroup), window, &o->services[o->n_services++]);
        }
        if (r < 0) {
                observation_free(o);
                return r;
        }
        s->screened_usec = s->now_usec;
        *ret_cpu_usec = s->job_cost_usec = SCREEN_BASE_USEC + SCREEN_SERVICE_USEC * o->n_services;
        *ret = o;
        return 0;
}

static struct sim_service *by_process(const struct sim *s, const struct process_ref *p) {
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                if (v->running && p->pid == v->pid && p->start_ticks == v->start_ticks)
                        return v;
        }
        return NULL;
}

static int deep_alloc(unsigned n_ids, struct deep_sample **ret) {
        struct deep_sample *d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->n_ids = n_ids;
        d->bytes_by_node = calloc(n_ids, sizeof(uint64_t));
        d->movable_by_node = calloc(n_ids, sizeof(uint64_t));
        d->hugetlb_by_node = calloc(n_ids, sizeof(uint64_t));
        d->hugetlb_movable_by_node = calloc(n_ids, sizeof(uint64_t));
        d->open_by_node = calloc(n_ids, sizeof(uint64_t));
        if (!d->open_by_node || !d->bytes_by_node || !d->movable_by_node || !d->hugetlb_by_node || !d->hugetlb_movable_by_node) {
                deep_sample_free(d);
                return -ENOMEM;
        }
        *ret = d;
        return 0;
}

/* Pinned pages look like any other: that they are shows only when they are moved. */
bool sim_kind_moves(const struct sim_service *v, enum sim_kind kind, bool move_shared, bool override_policy) {
        return (override_policy || (!v->policy && kind != SIM_BOUND)) && (kind != SIM_SHARED || move_shared);
}

static bool is_named(const struct sim_service *v, const struct companions *c) {
        for (size_t i = 0; c && i < c->n_items; i++)
                for (size_t k = 0; k < c->items[i].n_processes; k++)
                        if (c->items[i].processes[k].pid == v->pid)
                                return true;
        return false;
}

bool sim_shares_with(const struct sim *s, const struct sim_service *v, const struct companions *companions) {
        const struct sim_service *lender = v->lender ? v->lender : v;
        for (size_t i = 0; i < s->n_services; i++) {
                const struct sim_service *o = s->services[i];
                if (o != v && o->running && (o == lender || o->lender == lender) && !is_named(o, companions))
                        return false;
        }
        return true;
}

/* What it maps of another's. */
static void add_borrowed(const struct sim_service *v, unsigned n_ids, bool moves, struct deep_sample *d) {
        for (unsigned n = 0; n < n_ids && v->lender; n++) {
                uint64_t bytes = v->lender->bytes[SIM_SHARED][n];
                d->bytes_by_node[n] += bytes;
                d->open_by_node[n] = bytes + v->bytes[SIM_SHARED][n];
                d->movable_by_node[n] += moves ? bytes : 0;
        }
}

int sim_read_deep(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                  const struct deep_options *options, struct deep_sample **ret) {
        struct sim *s = context;
        struct deep_sample *d;
        int r = deep_alloc(n_ids, &d);
        if (r < 0)
                return r;
        const struct sim_service *v = n_processes > 0 ? by_process(s, processes) : NULL;
        if (!v)
                d->n_vanished = n_processes;
        else {
                const char *policy = v->policy;
                d->n_processes_read = n_processes;
                d->self_managed = policy;
                bool told = options && options->move_shared, shared = told && sim_shares_with(s, v, options->companions),
                     override = options && options->override_policy;
                for (unsigned n = 0; n < n_ids; n++) {
                        d->bytes_by_node[n] = sim_bytes_on(v, n);
                        for (int k = 0; k < _SIM_KIND_MAX; k++)
                                d->movable_by_node[n] +=
                                        sim_kind_moves(v, (enum sim_kind) k, shared, override) ? v->bytes[k][n] : 0;
                        d->has_bound_mappings |= v->bytes[SIM_BOUND][n] > 0;
                }
                if (told)
                        add_borrowed(v, n_ids, shared, d);
                if (!policy && d->has_bound_mappings)
                        policy = "bind:0";
                if (policy && !(d->own_policy = strdup(policy))) {
                        deep_sample_free(d);
                        return -ENOMEM;
                }
                d->cpu_usec =
                        DEEP_BASE_USEC + (uint64_t) ((double) sim_bytes(s, v) / GIB * (double) s->settings.deep_usec_per_gib);
                s->job_cost_usec = MAX2(d->cpu_usec, MAX2(v->stuck_usec, v->map_usec));
        }
        *ret = d;
        return 0;
}

int sim_read_machine(void *context, const struct topology *t, struct machine_sample *ret) {
        const struct sim *s = context;
        ret->nodes = calloc(s->n_ids + 1u, sizeof(*ret->nodes));
        if (!ret->nodes)
                return -ENOMEM;
        ret->kernel_balancing = sim_balancing_mode(s);
        ret->kernel_demotes = sim_demotes(s);
        ret->kernel_moved_bytes = kernel_moves_pages(ret) ? s->totals.kernel_moved_bytes : 0;
        ret->kernel_demoted_bytes = kernel_moves_pages(ret) ? s->totals.demoted_bytes : 0;
        for (unsigned n = 0; n < s->n_ids; n++)
                ret->nodes[n] = (struct node_memory) {
                        .bytes_total = s->nodes[n].total,
                        .bytes_free = s->nodes[n].free,
                        .bytes_droppable = s->nodes[n].cache,
                        .bytes_low_mark = s->nodes[n].total / 1000 * s->settings.low_mark_permille,
                };
        return 0;
}
