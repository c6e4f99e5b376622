/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the simulation:
 *
 *     clock.c        a heap of what is due; timers and jobs on it
 *     machine.c      services come and go; whose bytes are where
 *     physics.c      what a tick does: threads, growth, the kernel's own balancing
 *     cpusets.c      the kernel's and the service manager's side of act/ops.h
 *     observe.c      what the manager sees
 *     sim-watch.c    what the manager is told early
 *     sim-mover.c    what move_pages(2) does, by the byte
 *     measure.c      totals
 *     simulation.c   the table of struct environment; running
 *     sim-manager.c  starting and killing the manager */
#pragma once

#include <sys/queue.h>

#include "manager.h"
#include "sim/simulation.h"

#define SIM_WORKERS   4u
#define SIM_HOURS_MAX (24u * 366u)

struct sim_event {
        uint64_t when_usec, order;
        size_t index; /* in the heap */
        bool armed;
        void (*callback)(void *userdata);
        void *userdata;
};

struct sim_job {
        TAILQ_ENTRY(sim_job) entry;
        struct sim *sim;
        const struct job_ops *ops;
        void *arg;
        uint64_t deadline_usec;
        int result;
        bool running, late;
        struct sim_event step, limit;
};
TAILQ_HEAD(sim_jobs, sim_job);

/* Something of the machine's, not of the manager's: goes on when the manager is killed. */
struct sim_later {
        TAILQ_ENTRY(sim_later) entry;
        struct sim *sim;
        struct sim_event event;
        void (*callback)(struct sim *s, void *userdata);
        void *userdata;
        bool owned; /* userdata is freed with it */
};
TAILQ_HEAD(sim_laters, sim_later);

struct sim_answer;
TAILQ_HEAD(sim_answers, sim_answer);
_Static_assert(SIM_NEWS_MAX == _WATCH_KIND_MAX, "one for each kind");

struct sim_node {
        uint64_t total, free, cache; /* bytes */
        double load;                 /* CPUs wanted in this tick */
        unsigned *order;             /* all ids with memory, nearest first */
        unsigned n_order;
};

struct sim {
        struct sim_settings settings;
        uint64_t seed;
        struct topology *topology;
        unsigned n_ids;
        struct sim_node *nodes;

        struct sim_service **services; /* sorted by cgroup */
        size_t n_services, capacity;
        pid_t next_pid;

        /* Time */
        uint64_t now_usec, physics_usec, order;
        struct sim_event **heap;
        size_t n_heap, heap_capacity;
        struct sim_event tick;
        struct sim_laters laters;

        /* The manager and its environment */
        struct environment env;
        struct host host;
        struct manager *manager;
        char *runtime_dir;
        char *config_name, *config_text;
        size_t config_size;
        env_callback after_each;
        void *after_each_userdata;
        const volatile sig_atomic_t *interrupted; /* NULL: nobody interrupts */
        bool left, dead, stopping;
        uint64_t n_operations, die_at, fail_at; /* see sim_die_at() and sim_fail_at(); 0: never */
        int fail_with;
        uint64_t call_after; /* 0: nobody, or done */
        void (*called)(void *userdata);
        void *called_userdata;
        int exit_status;
        struct sim_jobs queued, running;
        unsigned n_busy;
        uint64_t job_cost_usec; /* of the job that is being run */
        struct sim_answers answers;
        uint64_t unit_written_usec; /* by then the service manager has written all that it was asked for so far */
        uint64_t screened_usec;
        struct env_watch *watch; /* the manager's; NULL: it does not watch */

        /* Measured */
        struct sim_totals totals;
        double local, local_weight, hour_local, hour_weight;
        double *hours;
        size_t n_hours, hours_capacity;
        uint64_t hour_at_usec;
        void (*each_hour)(struct sim *s, void *userdata);
        void *each_hour_userdata;
};

/* clock.c */
void sim_arm(struct sim *s, struct sim_event *e, uint64_t when_usec);
void sim_disarm(struct sim *s, struct sim_event *e);
struct sim_event *sim_next_event(const struct sim *s); /* NULL: none */
int sim_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret);
int sim_timer_set(struct env_timer *t, uint64_t at_usec);
struct env_timer *sim_timer_free(struct env_timer *t);
int sim_submit(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec);
bool sim_stop_jobs(void *context, uint64_t wait_usec);
/* `owned`: userdata is freed after the call, or when it never comes. Not where this fails. */
int sim_call_at(struct sim *s, uint64_t when_usec, void (*callback)(struct sim *s, void *userdata), void *userdata, bool owned);
void sim_forget_laters(struct sim *s);

/* machine.c */
void sim_abort_no_memory(void) __attribute__((noreturn));
/* Gets bytes for the service, on the node or as near to it as its cpuset has room. Returns how many it got. */
uint64_t sim_allocate(struct sim *s, struct sim_service *v, enum sim_kind kind, unsigned node, uint64_t bytes);
void sim_release(struct sim *s, struct sim_service *v, enum sim_kind kind, unsigned node, uint64_t bytes);
/* How much the kernel can still put on a node without dropping below its low watermark; droppable page cache is dropped for it. */
uint64_t sim_usable(const struct sim *s, unsigned node);
void sim_take(struct sim *s, unsigned node, uint64_t bytes); /* at most sim_usable() */
void sim_place_groups(struct sim *s, struct sim_service *v);
/* One of the nodes whose CPUs it may use, by chance; -1: none. */
int sim_random_node(struct sim *s, const struct sim_service *v);
struct sim_service *sim_by_cgroup(const struct sim *s, const char *cgroup);
void sim_services_free(struct sim *s);

/* sim-manager.c */
/* The manager is about to do, or has just done, what can be seen from outside. Negative errno: it is dead, or is to be told this. */
int sim_operation(struct sim *s);

/* physics.c */
void sim_catch_up(struct sim *s); /* to now */
unsigned sim_hour_of_day(const struct sim *s);

/* cpusets.c */
void sim_effective(const struct sim *s, const struct sim_service *v, struct cpu_mask *cpus, struct node_set *mems);
void sim_refresh_allowed(struct sim *s, struct sim_service *v);
extern const struct act_ops sim_act_ops;
unsigned sim_balancing_mode(const struct sim *s); /* kernel.numa_balancing */
static inline bool sim_demotes(const struct sim *s) {
        return s->settings.demotion_rate_bytes > 0;
}
void sim_finish_answers(struct sim *s); /* all at once: nobody waits for them any more */

/* observe.c */
int sim_screen(void *context, const struct config *config, const struct applied *applied, size_t n_applied, uint64_t now_usec,
               struct observation **ret, uint64_t *ret_cpu_usec);
int sim_read_deep(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                  const struct deep_options *options, struct deep_sample **ret);
/* Of this kind, as far as the rule allows to move it. */
bool sim_kind_moves(const struct sim_service *v, enum sim_kind kind, bool move_shared, bool override_policy);
/* Is what it shares mapped by nobody but itself and these? */
bool sim_shares_with(const struct sim *s, const struct sim_service *v, const struct companions *companions);
int sim_read_machine(void *context, const struct topology *t, struct machine_sample *ret);
void sim_read_pressure(void *context, const char *cgroup, struct pressure_totals *ret);

/* sim-watch.c */
int sim_watch_new(void *context, watch_callback callback, void *userdata, struct env_watch **ret);
int sim_watch_set(struct env_watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret);
struct env_watch *sim_watch_free(struct env_watch *w);
void sim_tell_cgroup(struct sim *s, struct sim_service *v);
/* In the last tick it waited for so much of its time. */
void sim_tell_pressure(struct sim *s, struct sim_service *v, double memory_stall, double cpu_stall);

/* sim-mover.c */
int sim_mover_new(void *context, const struct act *act, const struct topology *t, const char *cgroup,
                  const struct process_ref *processes, size_t n_processes, const struct move_goal *goal, struct env_mover **ret);
int sim_mover_slice(struct env_mover *m, uint64_t budget_bytes);
const struct move_result *sim_mover_result(const struct env_mover *m);
void sim_mover_see_room(struct env_mover *m, const uint64_t *bytes_by_node);
size_t sim_mover_waits_for_companion(const struct env_mover *m);
struct env_mover *sim_mover_free(struct env_mover *m);

/* measure.c */
void sim_measure_tick(struct sim *s, uint64_t usec);
void sim_measure_homes(struct sim *s);
/* What must move at least for all of a service to be local, wherever that is. */
uint64_t sim_least_bytes(const struct sim *s, const struct sim_service *v);
