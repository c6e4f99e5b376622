/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that the manager needs of the outside: time, jobs beside its own thread, ways to look at the machine and to change it. Two implementations:
 * live (environment-live.c: event loop, worker threads, this machine) and simulated (sim/: virtual time, a machine in memory), so that
 * what is simulated is the manager itself. All is called on one thread; jobs alone may run on others. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "act/mover.h"
#include "act/ops.h"
#include "config/config-load.h"
#include "core/backoff.h"
#include "core/plan.h"
#include "host/host.h"
#include "host/observe.h"
#include "watch/watch.h"
#include "worker.h"

typedef void (*env_callback)(void *userdata);

struct env_timer; /* one-shot, armed again and again */
struct env_watch; /* tells early: as struct watch of watch/watch.h */
struct env_mover; /* moves one service's pages: as struct mover of act/mover.h */

struct environment_ops {
        /* CLOCK_BOOTTIME in µs, as of this turn of the loop. */
        uint64_t (*now)(void *context);
        /* CPU time so far of the thread that calls. NULL: what the loop itself does costs nothing. */
        uint64_t (*cpu_usec)(void *context);
        /* Minute of the local week, Monday 00:00 = 0. */
        unsigned (*week_minute)(void *context);

        /* A timer that is not armed yet. It may come up to `slack_usec` late. `callback` may free it. */
        int (*timer_new)(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret);
        /* Arms it for `at_usec` of now()'s clock, in place of what it was armed for. */
        int (*timer_set)(struct env_timer *t, uint64_t at_usec);
        struct env_timer *(*timer_free)(struct env_timer *t); /* takes NULL */
        /* Calls back after each thing that the loop has done; once for the life of the environment. */
        int (*after_each)(void *context, env_callback callback, void *userdata);
        /* Ends the loop. */
        int (*leave)(void *context, int status);
        /* Tells the service manager (sd_notify(3)). With "RELOADING=1" the implementation adds the time that the protocol asks for. */
        void (*notify)(void *context, const char *state);

        /* Being told early, as watch_new() and watch_set() of watch/watch.h. */
        int (*watch_new)(void *context, watch_callback callback, void *userdata, struct env_watch **ret);
        int (*watch_set)(struct env_watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret);
        struct env_watch *(*watch_free)(struct env_watch *w); /* takes NULL */

        /* worker_submit() of worker.h. */
        int (*submit)(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec);
        /* worker_pool_free(): false where a job is stuck; then all that it uses must be left to the process's end. Again: the same answer. */
        bool (*stop_jobs)(void *context, uint64_t wait_usec);

        /* Looking at the machine. screen() and read_deep() are called in jobs: observer_screen() and observe_deep() of host/observe.h. */
        int (*load_topology)(void *context, struct topology **ret);
        /* Told which topology is in force before the first screen, and whenever another is; it must stay until the next. */
        int (*use_topology)(void *context, const struct topology *t);
        /* As config_load(); `main_file` NULL: what is read where nobody names a file. */
        int (*load_config)(void *context, const char *main_file, const struct topology *t, struct config **ret,
                           struct config_errors *errors);
        /* `ret_cpu_usec`: what it cost, also where it failed. */
        int (*screen)(void *context, const struct config *config, const struct applied *applied, size_t n_applied,
                      uint64_t now_usec, struct observation **ret, uint64_t *ret_cpu_usec);
        int (*read_deep)(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                         const struct deep_options *options, struct deep_sample **ret);
        /* machine_sample_read(). Quick, cannot block. */
        int (*read_machine)(void *context, const struct topology *t, struct machine_sample *ret);
        /* How long the processes of a cgroup have been stalled so far; in jobs. What is not to be had is marked so. */
        void (*read_pressure)(void *context, const char *cgroup, struct pressure_totals *ret);

        /* The mover of act/mover.h; slice() is called in a job. `act`: how pages are moved, real or dry. */
        int (*mover_new)(void *context, const struct act *act, const struct topology *t, const char *cgroup,
                         const struct process_ref *processes, size_t n_processes, const struct move_goal *goal,
                         struct env_mover **ret);
        int (*mover_slice)(struct env_mover *m, uint64_t budget_bytes);
        const struct move_result *(*mover_result)(const struct env_mover *m);
        void (*mover_see_room)(struct env_mover *m, const uint64_t *bytes_by_node);
        size_t (*mover_waits_for_companion)(const struct env_mover *m);
        struct env_mover *(*mover_free)(struct env_mover *m); /* takes NULL */
};

struct environment {
        const struct environment_ops *ops;
        void *context;
        const struct host *host; /* what the machine has and lacks; a simulation opens nothing of it */
        struct act act;          /* how cpusets are changed */
        sd_event *event;         /* for signals, the bus and the watchdog; NULL: there are none of these */
        sd_bus *bus;             /* system bus, attached to the loop; NULL: none */
};

/* environment-live.c: this machine, or what was captured of one below a root. Logs what goes wrong. */
struct live_options {
        const char *root; /* "/" */
        bool once;        /* one cycle in the foreground: works without a bus */
};
int environment_live_new(const struct live_options *options, struct environment *ret);
/* Runs the loop until leave(). Returns its status, or negative errno. */
int environment_live_run(struct environment *e);
/* Where jobs are stuck it frees nothing: the process is about to end. Jobs must have been stopped. */
void environment_live_done(struct environment *e);
