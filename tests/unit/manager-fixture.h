/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager on a machine of two nodes that is made up, with a clock that goes only when told to, and a peer on its bus. One service, on node 0
 * with its CPU time and on node 1 with its memory; every try to change something is counted and refused. */
#pragma once

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager.h"
#include "once.h"
#include "report/journal.h"
#include "unit.h"

#define N_NODES     2u
#define N_CPUS      8u
#define JOBS_MAX    16u
#define TIMERS_MAX  8u
#define SERVICE_MAX 8u

struct env_timer {
        bool used, armed;
        uint64_t at_usec;
        env_callback callback;
        void *userdata;
};

struct env_mover {
        struct move_result result;
        size_t n_own, at; /* the process that it gets stuck at, counted with the companions' after its own; 0: none */
};

static struct {
        struct environment env;
        struct host host;
        struct manager *manager;
        sd_bus *client; /* whoever is at the other end of the manager's bus */
        char directory[64];
        uint64_t now;
        unsigned n_screens, n_changes;
        bool accept_changes; /* of cpusets: counted, and have no effect */
        int fail_screen;
        struct {
                const struct job_ops *ops;
                void *arg;
                uint64_t deadline_usec, late_usec; /* 0: never */
                bool hangs;
        } jobs[JOBS_MAX];
        unsigned n_threads; /* so many jobs run at the same time, and one more for each that is late; 0: any number */
        bool hangs;         /* no job comes to an end */
        pid_t stuck_pid;    /* reading this process's memory map does not, until this is 0 again */
        bool moves;         /* movers are made, and move nothing; */
        pid_t moved_pid;    /* who finds out who shares its pages gets stuck at this process, until this is 0 again */
        size_t n_processes; /* of each service, from 4000 on */
        size_t n_read;      /* of the last memory map */
        unsigned n_jobs;
        struct env_timer timers[TIMERS_MAX];
        const char *services[SERVICE_MAX]; /* units, in order of name; NULL: no more */
        uint64_t interval_usec;
        bool at_home;
        bool maps_alone;                      /* memory maps alone tell where memory is; and nobody runs */
        struct env_timer each;                /* after_each(): to be called by the test */
        unsigned balancing, n_balancing_sets; /* kernel.numa_balancing, and how often it was to be set */
        bool no_balancing, lose_balancing;    /* this kernel has none; what is set has no effect */
        int fail_balancing;
        bool hold_balancing; /* who sets it takes his time, until fx_release_balancing() */
        unsigned n_held_balancing;
        struct {
                unsigned mode;
                ops_done done;
                void *userdata;
        } held_balancing[4];
        enum balancing_setting balancing_setting; /* of the configuration */
        bool dry_run;
        bool bonded;     /* they share memory, and are kept together */
        bool pids_apart; /* the second service's processes begin at 4010, and so on */
} fx;

/* Of the program numabalanced, for --once only. */
bool once_is_complete(const struct manager *m) {
        return true;
}
int once_print(struct manager *m) {
        return 0;
}

static uint64_t fx_now(void *context) {
        return fx.now;
}
static unsigned fx_week_minute(void *context) {
        return 0;
}

static int fx_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret) {
        for (size_t i = 0; i < TIMERS_MAX; i++)
                if (!fx.timers[i].used) {
                        fx.timers[i] = (struct env_timer){ .used = true, .callback = callback, .userdata = userdata };
                        *ret = &fx.timers[i];
                        return 0;
                }
        return -ENOMEM;
}
static int fx_timer_set(struct env_timer *t, uint64_t at_usec) {
        t->armed = true;
        t->at_usec = at_usec;
        return 0;
}
static struct env_timer *fx_timer_free(struct env_timer *t) {
        if (t)
                *t = (struct env_timer){ 0 };
        return NULL;
}
static int fx_after_each(void *context, env_callback callback, void *userdata) {
        fx.each.callback = callback;
        fx.each.userdata = userdata;
        return 0;
}
static int fx_leave(void *context, int status) {
        return 0;
}
static void fx_notify(void *context, const char *state) {
}

static int fx_submit(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        assert_true(fx.n_jobs < JOBS_MAX);
        fx.jobs[fx.n_jobs].ops = ops;
        fx.jobs[fx.n_jobs].hangs = false;
        fx.jobs[fx.n_jobs].deadline_usec = deadline_usec;
        fx.jobs[fx.n_jobs].late_usec = deadline_usec > 0 ? fx.now + deadline_usec : 0;
        fx.jobs[fx.n_jobs++].arg = arg;
        return 0;
}
static bool fx_stop_jobs(void *context, uint64_t wait_usec) {
        for (unsigned i = 0; i < fx.n_jobs; i++)
                fx.jobs[i].ops->done(-ECANCELED, fx.jobs[i].arg);
        fx.n_jobs = 0;
        return true;
}

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
        assert_int_equal(string_list_add(&c->rules[1].match.patterns[MATCH_UNIT], "managed*.service"), 0);
        if (fx.bonded) {
                c->rules[1].shared_pages = SHARED_PAGES_MOVE;
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
        s->rule = config_match(config, &id);
        s->owner = OWNER_SYSTEMD;
        s->n_processes = MAX2(fx.n_processes, (size_t) 1);
        s->processes = calloc(s->n_processes, sizeof(*s->processes));
        for (size_t i = 0; i < s->n_processes; i++)
                s->processes[i] = (struct process_ref){ .pid = first + (pid_t) i, .start_ticks = 1 };
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

static int fx_screen(void *context, const struct config *config, const struct applied *applied, size_t n_applied,
                     uint64_t now_usec, struct observation **ret, uint64_t *ret_cpu_usec) {
        fx.n_screens++;
        *ret_cpu_usec = 100;
        if (fx.fail_screen < 0)
                return fx.fail_screen;
        struct observation *o = calloc(1, sizeof(*o));
        o->machine.nodes = calloc(N_NODES, sizeof(*o->machine.nodes));
        for (unsigned i = 0; i < N_NODES; i++)
                o->machine.nodes[i] = (struct node_memory){ .bytes_total = 8 * GIB, .bytes_free = 6 * GIB };
        o->services = calloc(SERVICE_MAX + 1, sizeof(*o->services));
        for (; o->n_services < SERVICE_MAX && fx.services[o->n_services]; o->n_services++)
                fx_service(&o->services[o->n_services], config, fx.services[o->n_services],
                           4000 + (fx.pids_apart ? 10 * (pid_t) o->n_services : 0));
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
static int fx_read_deep(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                        const struct deep_options *options, struct deep_sample **ret) {
        size_t at = fx.stuck_pid > 0 ? fx_stuck_at(fx.stuck_pid, processes, n_processes, options->companions) : 0;
        if (at > 0) {
                atomic_store(options->reading, at);
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
        d->n_processes_read = 1;
        *ret = d;
        return 0;
}
static int fx_read_machine(void *context, const struct topology *t, struct machine_sample *ret) {
        return -ENOMEM;
}
static void fx_read_pressure(void *context, const char *cgroup, struct pressure_totals *ret) {
        *ret = (struct pressure_totals){ 0 };
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
        return 0;
}
static int fx_mover_slice(struct env_mover *m, uint64_t budget_bytes) {
        if (!fx.moves)
                return -EPERM;
        return fx.moved_pid > 0 && m->at > 0 ? -EINPROGRESS : 0;
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
static int fx_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        *ret = (struct cpuset_state){ .populated = true };
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
        done(0, userdata);
        return 0;
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
/* All that was held back happens, the last asked for first: units that are started have no order. */
static inline void fx_release_balancing(void) {
        fx.hold_balancing = false;
        while (fx.n_held_balancing > 0) {
                unsigned i = --fx.n_held_balancing;
                fx.balancing = fx.held_balancing[i].mode;
                fx.held_balancing[i].done(0, fx.held_balancing[i].userdata);
        }
}

static const struct environment_ops fx_ops = {
        .now = fx_now,
        .week_minute = fx_week_minute,
        .timer_new = fx_timer_new,
        .timer_set = fx_timer_set,
        .timer_free = fx_timer_free,
        .after_each = fx_after_each,
        .leave = fx_leave,
        .notify = fx_notify,
        .submit = fx_submit,
        .stop_jobs = fx_stop_jobs,
        .load_topology = fx_load_topology,
        .use_topology = fx_use_topology,
        .load_config = fx_load_config,
        .screen = fx_screen,
        .read_deep = fx_read_deep,
        .read_machine = fx_read_machine,
        .read_pressure = fx_read_pressure,
        .mover_new = fx_mover_new,
        .mover_slice = fx_mover_slice,
        .mover_result = fx_mover_result,
        .mover_see_room = fx_mover_see_room,
        .mover_waits_for_companion = fx_mover_waits_for_companion,
        .mover_free = fx_mover_free,
};
static const struct act_ops fx_act_ops = { .name = "counting",
                                           .get_cpuset = fx_get_cpuset,
                                           .set_cpuset = fx_set_cpuset,
                                           .get_kernel_balancing = fx_get_balancing,
                                           .set_kernel_balancing = fx_set_balancing };

/* Does every thread hang, none of them for long enough to have been replaced? */
static inline bool fx_is_full(void) {
        unsigned n = 0;
        for (unsigned i = 0; i < fx.n_jobs; i++)
                n += fx.jobs[i].hangs && fx.jobs[i].late_usec > 0;
        return fx.n_threads > 0 && fx.stuck_pid > 0 && n >= fx.n_threads;
}

/* The first job that does not hang; a read that gets stuck goes on hanging, as its thread would. */
static inline bool fx_run_job(void) {
        for (unsigned i = 0; i < fx.n_jobs; i++) {
                if (fx.jobs[i].hangs && (fx.stuck_pid > 0 || fx.moved_pid > 0))
                        continue;
                if (fx_is_full())
                        return false;
                const struct job_ops *ops = fx.jobs[i].ops;
                void *arg = fx.jobs[i].arg;
                int result = ops->run(arg);
                if (result == -EINPROGRESS) {
                        fx.jobs[i].hangs = true;
                        if (fx.jobs[i].deadline_usec > 0) /* counts from when it begins */
                                fx.jobs[i].late_usec = fx.now + fx.jobs[i].deadline_usec;
                        continue;
                }
                memmove(fx.jobs + i, fx.jobs + i + 1, (--fx.n_jobs - i) * sizeof(fx.jobs[0]));
                ops->done(result, arg);
                return true;
        }
        return false;
}

/* Lets everything happen that is due at this moment: jobs, timers, messages. */
static inline void fx_settle(void) {
        for (bool busy = true; busy;) {
                busy = false;
                for (unsigned i = 0; i < fx.n_jobs; i++)
                        if ((fx.hangs || fx.jobs[i].hangs) && fx.jobs[i].late_usec > 0 && fx.now >= fx.jobs[i].late_usec) {
                                fx.jobs[i].late_usec = 0;
                                if (fx.jobs[i].ops->late)
                                        fx.jobs[i].ops->late(fx.jobs[i].arg);
                        }
                busy = (!fx.hangs && fx_run_job()) || busy;
                for (size_t i = 0; i < TIMERS_MAX; i++)
                        if (fx.timers[i].armed && fx.timers[i].at_usec <= fx.now) {
                                fx.timers[i].armed = false;
                                fx.timers[i].callback(fx.timers[i].userdata);
                                busy = true;
                        }
                /* The peer's answers come back by its own callbacks. */
                while (sd_bus_process(fx.env.bus, NULL) > 0 || sd_bus_process(fx.client, NULL) > 0)
                        busy = true;
        }
}

/* Lets so much time pass, from one timer to the next. */
static inline void fx_pass(uint64_t usec) {
        uint64_t end = fx.now + usec;
        fx_settle();
        while (fx.now < end) {
                uint64_t next = end;
                for (size_t i = 0; i < TIMERS_MAX; i++)
                        if (fx.timers[i].armed && fx.timers[i].at_usec < next)
                                next = MAX2(fx.timers[i].at_usec, fx.now + 1);
                for (unsigned i = 0; i < fx.n_jobs; i++)
                        if (fx.jobs[i].hangs && fx.jobs[i].late_usec > fx.now && fx.jobs[i].late_usec < next)
                                next = fx.jobs[i].late_usec;
                fx.now = next;
                fx_settle();
        }
}

static inline void fx_start_manager(void) {
        struct manager_options options = { .runtime_dir = fx.directory };
        assert_int_equal(manager_new(&options, &fx.env, &fx.manager), 0);
        assert_int_equal(manager_start(fx.manager), 0);
}

static inline void fx_connect(void) {
        int fds[2];
        sd_id128_t id;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        assert_true(sd_id128_randomize(&id) >= 0);
        assert_true(sd_bus_new(&fx.env.bus) >= 0);
        assert_true(sd_bus_set_fd(fx.env.bus, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_set_server(fx.env.bus, true, id) >= 0);
        assert_true(sd_bus_start(fx.env.bus) >= 0);
        assert_true(sd_bus_new(&fx.client) >= 0);
        assert_true(sd_bus_set_fd(fx.client, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_start(fx.client) >= 0);
}

/* Ends this manager and begins another on the same machine, as a restart of the daemon does. */
static inline void fx_stop_manager(void) {
        fx.manager = manager_free(fx.manager);
        fx.client = sd_bus_close_unref(fx.client);
        fx.env.bus = sd_bus_close_unref(fx.env.bus);
}
static inline void fx_restart(void) {
        fx_stop_manager();
        fx_connect();
        fx_start_manager();
}

static int fx_setup(void **state) {
        memset(&fx, 0, sizeof(fx));
        (void) snprintf(fx.directory, sizeof(fx.directory), "/tmp/numabalanced-test-XXXXXX");
        assert_non_null(mkdtemp(fx.directory));
        log_open(LOG_TARGET_CONSOLE, LOG_CRIT);
        fx.host = (struct host){
                .root_fd = -EBADF,
                .live = true,
                .has_cpuset = true,
                .has_memory_controller = true,
                .has_systemd = true,
                .page_bytes = 4096,
                .ticks_per_sec = 100,
        };
        fx.env = (struct environment){ .ops = &fx_ops, .host = &fx.host, .act = { .ops = &fx_act_ops } };
        fx.now = 100 * USEC_PER_SEC;
        fx.interval_usec = 10 * USEC_PER_SEC;
        fx_connect();
        return 0;
}

static int fx_teardown(void **state) {
        static const char *const names[] = { "lock", "record.json", "hold.json", "hold.json.bad" };
        fx_stop_manager();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = format_string("%s/%s", fx.directory, names[i]);
                (void) unlink(path);
        }
        return rmdir(fx.directory);
}
