/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulation as the manager's environment, and its time. */
#include "sim/simulation.h"

#include <string.h>

#include "config/config-private.h"
#include "sim/sim-internal.h"

void sim_settings_init(struct sim_settings *p) {
        *p = (struct sim_settings) {
                .seed = 1,
                .start_week_minute = 8 * 60,
                .tick_usec = USEC_PER_SEC,
                .wander_usec = USEC_PER_MINUTE,
                .move_rate_bytes = GIB,
                .low_mark_permille = 10,
                .cold_permille = 250,
                .answer_usec = 2 * USEC_PER_MSEC,
                .apply_usec = 10 * USEC_PER_MSEC,
                .refuse_clear = true,
                .deep_usec_per_gib = 10 * USEC_PER_MSEC,
        };
}

/* ---- the table ---- */

static uint64_t env_now(void *context) {
        return sim_now(context);
}

static unsigned env_week_minute(void *context) {
        return sim_week_minute(context);
}

static int env_after_each(void *context, env_callback callback, void *userdata) {
        struct sim *s = context;
        s->after_each = callback;
        s->after_each_userdata = userdata;
        return 0;
}

static int env_leave(void *context, int status) {
        struct sim *s = context;
        s->left = true;
        s->exit_status = status;
        return 0;
}

static void env_notify(void *context, const char *state) {
}

static int env_use_topology(void *context, const struct topology *t) {
        return 0; /* it is this machine's, whatever copy of it the manager holds */
}

static int copy_devices(const struct topology *t, struct topology *c) {
        if (t->n_devices == 0)
                return 0;
        c->devices = calloc(t->n_devices, sizeof(*c->devices));
        if (!c->devices)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_devices; i++) {
                c->devices[i].nodes = t->devices[i].nodes;
                c->devices[i].name = strdup(t->devices[i].name);
                if (!c->devices[i].name)
                        return -ENOMEM;
                c->n_devices++;
        }
        return 0;
}

static int copy_table(const uint32_t *from, size_t n, uint32_t **ret) {
        if (!from)
                return 0;
        *ret = malloc(n * sizeof(*from));
        if (!*ret)
                return -ENOMEM;
        memcpy(*ret, from, n * sizeof(*from));
        return 0;
}

static int env_load_topology(void *context, struct topology **ret) {
        const struct topology *t = sim_topology(context);
        _cleanup_(topology_freep) struct topology *c = topology_new(t->n_ids, t->n_cpu_ids);
        size_t n = (size_t) t->n_ids * t->n_ids;
        if (!c || copy_devices(t, c) < 0 || copy_table(t->latency_nsec, n, &c->latency_nsec) < 0 ||
            copy_table(t->bandwidth_mibps, n, &c->bandwidth_mibps) < 0)
                return -ENOMEM;
        memcpy(c->nodes, t->nodes, t->n_ids * sizeof(*t->nodes));
        memcpy(c->distance, t->distance, n * sizeof(*t->distance));
        memcpy(c->node_of_cpu, t->node_of_cpu, t->n_cpu_ids * sizeof(*t->node_of_cpu));
        *ret = TAKE_PTR(c);
        return 0;
}

static int env_load_config(void *context, const char *main_file, const struct topology *t, struct config **ret,
                           struct config_errors *errors) {
        const struct sim *s = context;
        return config_parse_buffer(s->config_name, s->config_text, s->config_size, t, ret, errors);
}

static const struct environment_ops sim_ops = {
        .now = env_now,
        .week_minute = env_week_minute,
        .timer_new = sim_timer_new,
        .timer_set = sim_timer_set,
        .timer_free = sim_timer_free,
        .after_each = env_after_each,
        .leave = env_leave,
        .notify = env_notify,
        .watch_new = sim_watch_new,
        .watch_set = sim_watch_set,
        .watch_free = sim_watch_free,
        .submit = sim_submit,
        .stop_jobs = sim_stop_jobs,
        .load_topology = env_load_topology,
        .use_topology = env_use_topology,
        .load_config = env_load_config,
        .screen = sim_screen,
        .read_deep = sim_read_deep,
        .read_machine = sim_read_machine,
        .read_pressure = sim_read_pressure,
        .mover_new = sim_mover_new,
        .mover_slice = sim_mover_slice,
        .mover_result = sim_mover_result,
        .mover_see_room = sim_mover_see_room,
        .mover_waits_for_companion = sim_mover_waits_for_companion,
        .mover_free = sim_mover_free,
};

/* ---- making it ---- */

/* The ids with memory, nearest first; of equally near ones the lower. */
static int order_nodes(struct sim *s, unsigned from) {
        struct sim_node *n = &s->nodes[from];
        n->order = calloc(s->n_ids, sizeof(*n->order));
        if (!n->order)
                return -ENOMEM;
        for (unsigned to = 0; to < s->n_ids; to++) {
                if (!s->topology->nodes[to].present || s->topology->nodes[to].bytes_total == 0)
                        continue;
                unsigned i = n->n_order++;
                for (; i > 0 && topology_distance(s->topology, from, n->order[i - 1]) > topology_distance(s->topology, from, to);
                     i--)
                        n->order[i] = n->order[i - 1];
                n->order[i] = to;
        }
        return 0;
}

static int make_nodes(struct sim *s) {
        s->nodes = calloc(s->n_ids, sizeof(*s->nodes));
        if (!s->nodes)
                return -ENOMEM;
        for (unsigned i = 0; i < s->n_ids; i++) {
                struct sim_node *n = &s->nodes[i];
                n->total = s->topology->nodes[i].bytes_total;
                n->cache = n->total / 1000 * s->settings.page_cache_permille;
                n->free = n->total - n->cache - n->total / 50; /* the kernel's own part */
                int r = order_nodes(s, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void on_tick(void *userdata) {
        struct sim *s = userdata;
        sim_catch_up(s);
        sim_arm(s, &s->tick, s->now_usec + MAX2(s->settings.tick_usec, USEC_PER_MSEC));
}

int sim_new(struct topology *t, const struct sim_settings *settings, struct sim **ret) {
        struct sim *s = calloc(1, sizeof(*s));
        if (!s) {
                topology_free(t);
                return -ENOMEM;
        }
        s->topology = t;
        s->settings = *settings;
        s->seed = settings->seed;
        s->n_ids = t->n_ids;
        s->next_pid = 1000;
        s->now_usec = s->physics_usec = SIM_START_USEC;
        s->hour_at_usec = SIM_START_USEC + 60 * USEC_PER_MINUTE;
        TAILQ_INIT(&s->laters);
        TAILQ_INIT(&s->queued);
        TAILQ_INIT(&s->running);
        TAILQ_INIT(&s->answers);
        s->tick = (struct sim_event) { .callback = on_tick, .userdata = s };
        s->host = (struct host) {
                .root_fd = -EBADF,
                .live = true,
                .cgroup_mount = (char *) "sys/fs/cgroup",
                .has_cpuset = true,
                .has_memory_controller = true,
                .has_systemd = true,
                .has_psi = !settings->no_psi,
                .page_bytes = 4096,
                .ticks_per_sec = 100,
        };
        s->env = (struct environment) {
                .ops = &sim_ops,
                .context = s,
                .host = &s->host,
                .act = { .ops = &sim_act_ops, .context = s },
        };
        int r = make_nodes(s);
        if (r < 0) {
                sim_free(s);
                return r;
        }
        sim_arm(s, &s->tick, s->now_usec + MAX2(settings->tick_usec, USEC_PER_MSEC));
        *ret = s;
        return 0;
}

struct sim *sim_free(struct sim *s) {
        if (!s)
                return NULL;
        if (s->manager)
                sim_kill_manager(s);
        sim_forget_laters(s);
        sim_services_free(s);
        for (unsigned i = 0; s->nodes && i < s->n_ids; i++)
                free(s->nodes[i].order);
        free(s->nodes);
        free(s->heap);
        free(s->hours);
        free(s->runtime_dir);
        free(s->config_name);
        free(s->config_text);
        topology_free(s->topology);
        free(s);
        return NULL;
}

struct sim_settings *sim_settings(struct sim *s) {
        return &s->settings;
}

const struct topology *sim_topology(const struct sim *s) {
        return s->topology;
}

struct environment *sim_environment(struct sim *s) {
        return &s->env;
}

struct manager *sim_manager(struct sim *s) {
        return s->manager;
}

/* ---- time ---- */

uint64_t sim_now(const struct sim *s) {
        return s->now_usec;
}

uint64_t sim_elapsed(const struct sim *s) {
        return s->now_usec - SIM_START_USEC;
}

void sim_run(struct sim *s, uint64_t usec) {
        uint64_t until = s->now_usec + usec;
        struct sim_event *e;
        while ((e = sim_next_event(s)) && e->when_usec <= until) {
                s->now_usec = e->when_usec;
                sim_disarm(s, e);
                e->callback(e->userdata);
                if (s->dead)
                        sim_kill_manager(s);
                if (s->call_after > 0 && s->n_operations >= s->call_after) {
                        s->call_after = 0;
                        s->called(s->called_userdata);
                }
                if (s->interrupted && *s->interrupted)
                        return;
                if (s->after_each)
                        s->after_each(s->after_each_userdata);
        }
        s->now_usec = until;
        sim_catch_up(s);
        sim_measure_homes(s);
}

void sim_heed(struct sim *s, const volatile sig_atomic_t *interrupted) {
        s->interrupted = interrupted;
}

int sim_at(struct sim *s, uint64_t elapsed_usec, void (*callback)(struct sim *s, void *userdata), void *userdata) {
        return sim_call_at(s, SIM_START_USEC + elapsed_usec, callback, userdata, false);
}

void sim_each_hour(struct sim *s, void (*callback)(struct sim *s, void *userdata), void *userdata) {
        s->each_hour = callback;
        s->each_hour_userdata = userdata;
}
