/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine of manager-fixture.h: what is seen of it, and that whoever changes something is counted and refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager-fixture.h"

static int fx_load_topology(void *context, struct topology **ret) {
        struct topology *t = topology_new(N_NODES, N_CPUS);
        assert_non_null(t);
        for (unsigned cpu = 0; cpu < N_CPUS; cpu++) {
                unsigned node = cpu / (N_CPUS / N_NODES);
                cpu_mask_add(&t->nodes[node].cpus, cpu);
                t->nodes[node].n_cpus++;
                t->nodes[node].n_cores++;
                t->node_of_cpu[cpu] = (int16_t) node;
        }
        for (unsigned i = 0; i < N_NODES; i++) {
                t->nodes[i].present = true;
                t->nodes[i].bytes_total = 8 * GIB;
        }
        *ret = t;
        return 0;
}

static int fx_use_topology(void *context, const struct topology *t) {
        return 0;
}

static int fx_load_config(void *context, const char *main_file, const struct topology *t, struct config **ret,
                          struct config_errors *errors) {
        struct config *c = config_new();
        assert_non_null(c);
        c->settings.interval_usec = fx.interval_usec;
        c->settings.kernel_balancing = fx.balancing_setting;
        c->settings.dry_run = fx.dry_run;
        c->rules = calloc(2, sizeof(*c->rules));
        c->n_rules = 2;
        rule_init(&c->rules[0]);
        c->rules[0].name = strdup("left alone");
        c->rules[0].place = PLACE_IGNORE;
        assert_int_equal(string_list_add(&c->rules[0].match.patterns[MATCH_UNIT], "ignored*.service"), 0);
        rule_init(&c->rules[1]);
        c->rules[1].name = strdup("managed");
        c->rules[1].place = PLACE_NODES;
        c->rules[1].nodes = node_set_of(0);
        c->rules[1].cooldown_usec = 0;
        assert_int_equal(
                string_list_add(&c->rules[1].match.patterns[MATCH_UNIT], fx.other_rule ? "other*.service" : "managed*.service"),
                0);
        if (fx.migrate_rate_bytes > 0)
                c->settings.migrate_rate_bytes = fx.migrate_rate_bytes;
        if (fx.bonded || fx.shares)
                c->rules[1].shared_pages = SHARED_PAGES_MOVE;
        if (fx.bonded) {
                assert_int_equal(string_list_add(&c->rules[1].together_with, "managed"), 0);
        }
        *ret = c;
        return 0;
}

static void fx_service(struct service_sample *s, const struct config *config, const char *unit, pid_t first) {
        struct service_identity id = { .unit = unit, .slice = "system.slice", .cgroup = "" };
        service_sample_init(s);
        assert_int_equal(service_sample_alloc(s, N_NODES), 0);
        s->unit = strdup(unit);
        s->cgroup = format_string("/system.slice/%s", unit);
        s->rule = fx.unmatched ? NULL : config_match(config, &id);
        s->owner = OWNER_SYSTEMD;
        s->n_processes = MAX2(fx.n_processes, (size_t) 1);
        s->processes = calloc(s->n_processes, sizeof(*s->processes));
        for (size_t i = 0; i < s->n_processes; i++)
                s->processes[i] = (struct process_ref) { .pid = first + (pid_t) i, .start_ticks = 1 };
        s->n_threads = 4;
        s->bytes_by_node[fx.at_home ? 0 : 1] = fx.maps_alone ? 0 : GIB;
        s->cpu_total_usec = fx.maps_alone ? USEC_PER_SEC : s->cpu_total_usec;
        s->cpu_window_usec = 10 * USEC_PER_SEC;
        s->cpu_usec_by_node[0] = 10 * USEC_PER_SEC;
        s->cpu_share_by_node[0] = 1000000;
        node_set_add(&s->effective_cpu_nodes, 0);
        node_set_add(&s->effective_cpu_nodes, 1);
        s->effective_mems = s->effective_cpu_nodes;
        s->whole_cpus = s->whole_mems = true;
}

static struct node_memory fx_node_memory(void) {
        return (struct node_memory) { .bytes_total = 8 * GIB,
                                      .bytes_free = fx.pools ? 64 * MIB : 6 * GIB,
                                      .hugetlb_free_bytes = fx.pools ? 4 * GIB : 0 };
}

static int fx_screen(void *context, const struct config *config, const struct applied *applied, size_t n_applied,
                     uint64_t now_usec, struct observation **ret, uint64_t *ret_cpu_usec) {
        fx.n_screens++;
        *ret_cpu_usec = 100;
        if (fx.fail_screen < 0)
                return fx.fail_screen;
        struct observation *o = calloc(1, sizeof(*o));
        o->machine.nodes = calloc(N_NODES, sizeof(*o->machine.nodes));
        for (unsigned i = 0; i < N_NODES; i++)
                o->machine.nodes[i] = fx_node_memory();
        o->services = calloc(SERVICE_MAX + 1, sizeof(*o->services));
        for (; o->n_services < SERVICE_MAX && fx.services[o->n_services]; o->n_services++)
                fx_service(&o->services[o->n_services], config, fx.services[o->n_services],
                           4000 + (fx.pids_apart ? 10 * (pid_t) o->n_services : 0));
        o->truncated = fx.left_out;
        *ret = o;
        return 0;
}

/* Which process, of those that are read one after the other, is the stuck one? 0: none. */
static size_t fx_stuck_at(pid_t stuck, const struct process_ref *processes, size_t n, const struct companions *companions) {
        for (size_t i = 0; i < n; i++)
                if (processes[i].pid == stuck)
                        return i + 1;
        for (size_t i = 0; companions && i < companions->n_items; i++)
                for (size_t k = 0; k < companions->items[i].n_processes; k++, n++)
                        if (companions->items[i].processes[k].pid == stuck)
                                return n + 1;
        return 0;
}

/* Is it in the service's cgroup, not one of those that the reader was told of, and not to be left out? */
static bool fx_is_newcomer(pid_t stuck, const struct process_ref *processes, size_t n, const struct process_ref *aside,
                           size_t n_aside) {
        size_t number = (size_t) (stuck - 4000);
        if (!fx.shares || stuck < 4000 || number >= fx.n_processes + fx.n_newcomers || fx_stuck_at(stuck, processes, n, NULL) > 0)
                return false;
        return fx_stuck_at(stuck, aside, n_aside, NULL) == 0;
}

static int fx_read_deep(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                        const struct deep_options *options, struct deep_sample **ret) {
        size_t at = fx.stuck_pid > 0 ? fx_stuck_at(fx.stuck_pid, processes, n_processes, options->companions) : 0;
        if (at > 0) {
                atomic_store(&options->reading->number, at);
                return -EINPROGRESS;
        }
        if (options->move_shared && options->cgroup &&
            fx_is_newcomer(fx.stuck_pid, processes, n_processes, options->aside, options->n_aside)) {
                atomic_store(&options->reading->number, 0);
                atomic_store(&options->reading->newcomer_start_ticks, 1);
                atomic_store(&options->reading->newcomer, fx.stuck_pid);
                return -EINPROGRESS;
        }
        fx.n_read = n_processes;
        struct deep_sample *d = calloc(1, sizeof(*d));
        d->n_ids = n_ids;
        d->bytes_by_node = calloc(n_ids, sizeof(uint64_t));
        d->movable_by_node = calloc(n_ids, sizeof(uint64_t));
        d->hugetlb_by_node = calloc(n_ids, sizeof(uint64_t));
        d->hugetlb_movable_by_node = calloc(n_ids, sizeof(uint64_t));
        d->open_by_node = calloc(n_ids, sizeof(uint64_t));
        d->bytes_by_node[fx.at_home ? 0 : 1] = d->movable_by_node[fx.at_home ? 0 : 1] = GIB;
        if (fx.pools)
                d->hugetlb_by_node[1] = d->hugetlb_movable_by_node[1] = GIB;
        d->n_processes_read = !fx.vanish;
        d->n_vanished = fx.vanish ? n_processes : 0;
        *ret = d;
        return 0;
}

static int fx_read_machine(void *context, const struct topology *t, struct machine_sample *ret) {
        if (!fx.sees_nodes)
                return -ENOMEM;
        *ret = (struct machine_sample) { .nodes = calloc(NODE_BEYOND + 1, sizeof(*ret->nodes)) };
        assert_non_null(ret->nodes);
        for (unsigned i = fx.taken_away; i < N_NODES; i++)
                ret->nodes[i] = fx_node_memory();
        return 0;
}

static void fx_read_pressure(void *context, const char *cgroup, struct pressure_totals *ret) {
        *ret = (struct pressure_totals) { 0 };
}

/* Any way of changing something ends here. */
static int fx_mover_new(void *context, const struct act *act, const struct topology *t, const char *cgroup,
                        const struct process_ref *processes, size_t n_processes, const struct move_goal *goal,
                        struct env_mover **ret) {
        fx.n_changes++;
        if (!fx.moves)
                return -EPERM;
        *ret = calloc(1, sizeof(**ret));
        assert_non_null(*ret);
        (*ret)->n_own = n_processes;
        (*ret)->at = fx.moved_pid > 0 ? fx_stuck_at(fx.moved_pid, processes, n_processes, goal->companions) : 0;
        (*ret)->at_newcomer =
                goal->move_shared && fx_is_newcomer(fx.stuck_pid, processes, n_processes, goal->aside, goal->n_aside);
        return 0;
}

static int fx_mover_slice(struct env_mover *m, uint64_t budget_bytes) {
        if (!fx.moves)
                return -EPERM;
        if (fx.slice_error < 0)
                return fx.slice_error;
        if (fx.shared_unsure || fx.shared_surely)
                m->result.failed_shared = GIB / fx.host.page_bytes;
        m->result.shared_unsure = fx.shared_unsure;
        if (fx.slice_bytes > 0) {
                uint64_t bytes = MIN2(MIN2(fx.slice_bytes, budget_bytes), GIB - m->result.moved_bytes);
                m->result.moved_bytes += bytes;
                fx.moved_bytes += bytes;
                return m->result.moved_bytes < GIB;
        }
        return (fx.moved_pid > 0 && m->at > 0) || (fx.stuck_pid > 0 && m->at_newcomer) ? -EINPROGRESS : 0;
}

static const struct move_result *fx_mover_result(const struct env_mover *m) {
        return &m->result;
}

static void fx_mover_see_room(struct env_mover *m, const uint64_t *bytes_by_node) {
}

static size_t fx_mover_waits_for_companion(const struct env_mover *m) {
        return m->at - MIN2(m->at, m->n_own);
}

static struct env_mover *fx_mover_free(struct env_mover *m) {
        free(m);
        return NULL;
}

int fx_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        if (fx.no_cgroup || fx.fail_cpuset < 0)
                return fx.no_cgroup ? -ENOENT : fx.fail_cpuset;
        *ret = (struct cpuset_state) { .populated = true };
        for (unsigned cpu = 0; cpu < N_CPUS; cpu++)
                cpu_mask_add(&ret->effective_cpus, cpu);
        for (unsigned i = 0; i < N_NODES; i++)
                node_set_add(&ret->effective_mems, i);
        ret->parent_effective_cpus = ret->effective_cpus;
        ret->parent_effective_mems = ret->effective_mems;
        return 0;
}

static int fx_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        fx.n_changes++;
        if (!fx.accept_changes)
                return -EPERM;
        if (fx.held_cgroup && strcmp(t->cgroup, fx.held_cgroup) == 0) {
                assert_null(fx.held_change.done);
                fx.held_change.done = done;
                fx.held_change.userdata = userdata;
                return 0;
        }
        done(0, userdata);
        return 0;
}

void fx_release_change(void) {
        ops_done done = fx.held_change.done;
        assert_non_null(done);
        fx.held_cgroup = NULL;
        fx.held_change.done = NULL;
        done(0, fx.held_change.userdata);
}

static int fx_get_balancing(void *context, unsigned *ret) {
        *ret = fx.balancing;
        return fx.no_balancing ? -ENOENT : 0;
}

static int fx_set_balancing(void *context, unsigned mode, ops_done done, void *userdata) {
        fx.n_balancing_sets++;
        if (fx.fail_balancing < 0)
                return fx.fail_balancing;
        if (fx.hold_balancing) {
                assert_true(fx.n_held_balancing < ARRAY_SIZE(fx.held_balancing));
                unsigned i = fx.n_held_balancing++;
                fx.held_balancing[i].mode = mode;
                fx.held_balancing[i].done = done;
                fx.held_balancing[i].userdata = userdata;
                return 0;
        }
        if (!fx.lose_balancing)
                fx.balancing = mode;
        done(0, userdata);
        return 0;
}

void fx_release_balancing(void) {
        fx.hold_balancing = false;
        while (fx.n_held_balancing > 0) {
                unsigned i = --fx.n_held_balancing;
                fx.balancing = fx.held_balancing[i].mode;
                fx.held_balancing[i].done(0, fx.held_balancing[i].userdata);
        }
}

const struct act_ops fx_act_ops = {
        .name = "counting",
        .get_cpuset = fx_get_cpuset,
        .set_cpuset = fx_set_cpuset,
        .get_kernel_balancing = fx_get_balancing,
        .set_kernel_balancing = fx_set_balancing,
};

void fx_machine_ops(struct environment_ops *ops) {
        ops->load_topology = fx_load_topology;
        ops->use_topology = fx_use_topology;
        ops->load_config = fx_load_config;
        ops->screen = fx_screen;
        ops->read_deep = fx_read_deep;
        ops->read_machine = fx_read_machine;
        ops->read_pressure = fx_read_pressure;
        ops->mover_new = fx_mover_new;
        ops->mover_slice = fx_mover_slice;
        ops->mover_result = fx_mover_result;
        ops->mover_see_room = fx_mover_see_room;
        ops->mover_waits_for_companion = fx_mover_waits_for_companion;
        ops->mover_free = fx_mover_free;
}
