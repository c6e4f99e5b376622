/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The environment of the daemon itself: sd-event for time (environment-live-loop.c), worker threads for jobs, host/ and act/ for the
 * machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "environment-live.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "report/journal.h"

/* Reading numa_maps and moving pages each get their own company; more threads would only contend for the same mmap locks. */
#define WORKER_THREADS  4u
#define WORKER_LATE_MAX 32u
/* Writes to cgroups' files have threads of their own: what is to be given back must not wait behind processes that let nobody read or move them. One that
 * does not return is replaced by another thread after this; with so many no more are begun. */
#define WRITE_THREADS       2u
#define WRITE_DEADLINE_USEC (60 * USEC_PER_SEC)
#define WRITES_LATE_MAX     (WORKER_LATE_MAX / 2)

/* Being told early: the watcher goes by another name. */

static int live_watch_new(void *context, watch_callback callback, void *userdata, struct env_watch **ret) {
        const struct live *l = context;
        struct watch *w;
        int r = watch_new(l->event, l->host, callback, userdata, &w);
        if (r >= 0)
                *ret = (struct env_watch *) w;
        return r;
}

static int live_watch_set(struct env_watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret) {
        return watch_set((struct watch *) w, wishes, n, ret);
}

static struct env_watch *live_watch_free(struct env_watch *w) {
        watch_free((struct watch *) w);
        return NULL;
}

/* Jobs */

static int live_submit(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        const struct live *l = context;
        return l->stopping ? -ESHUTDOWN : worker_submit(l->pool, ops, arg, deadline_usec);
}

/* Changes that are under way come first; those who read have the rest of the time. Both end in any case: no callback may come afterwards. One that comes
 * now may want a job of either, which may be gone. */
static bool live_stop_jobs(void *context, uint64_t wait_usec) {
        struct live *l = context;
        uint64_t until = live_monotonic_usec() + wait_usec, now;
        l->stopping = true;
        l->stuck |= !worker_pool_free(TAKE_PTR(l->writers), wait_usec);
        now = live_monotonic_usec();
        l->stuck |= !worker_pool_free(TAKE_PTR(l->pool), until - MIN2(until, now));
        return !l->stuck;
}

/* The machine */

static int live_load_topology(void *context, struct topology **ret) {
        const struct live *l = context;
        return topology_load(l->host, ret);
}

static int live_use_topology(void *context, const struct topology *t) {
        struct live *l = context;
        struct observer *o;
        int r = observer_new(l->host, t, &o);
        if (r < 0)
                return r;
        if (l->host->live)
                observer_set_incremental(o, !l->options.once);
        observer_free(l->observer);
        l->observer = o;
        return 0;
}

static int live_load_config(void *context, const char *main_file, const struct topology *t, struct config **ret,
                            struct config_errors *errors) {
        const struct live *l = context;
        struct config_source source = { .root = l->options.root, .main_file = main_file, .topology = t };
        return config_load(&source, ret, errors);
}

static int live_screen(void *context, const struct config *config, const struct applied *applied, size_t n_applied,
                       uint64_t now_usec, struct observation **ret, uint64_t *ret_cpu_usec) {
        const struct live *l = context;
        uint64_t before = thread_cpu_nsec();
        int r = observer_screen(l->observer, config, applied, n_applied, now_usec, ret);
        *ret_cpu_usec = (thread_cpu_nsec() - before) / 1000;
        return r;
}

static int live_read_deep(void *context, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                          const struct deep_options *options, struct deep_sample **ret) {
        const struct live *l = context;
        return observe_deep(l->host, n_ids, processes, n_processes, options, ret);
}

static int live_read_machine(void *context, const struct topology *t, struct machine_sample *ret) {
        const struct live *l = context;
        return machine_sample_read(l->host, t, ret);
}

static void live_read_pressure(void *context, const char *cgroup, struct pressure_totals *ret) {
        const struct live *l = context;
        cgroup_read_stalls(l->host, cgroup, ret);
}

/* Pages: the mover goes by another name. */

static int live_mover_new(void *context, const struct act *act, const struct topology *t, const char *cgroup,
                          const struct process_ref *processes, size_t n_processes, const struct move_goal *goal,
                          struct env_mover **ret) {
        const struct live *l = context;
        struct mover *m;
        int r = mover_new(act, l->host, t, cgroup, processes, n_processes, goal, &m);
        if (r >= 0)
                *ret = (struct env_mover *) m;
        return r;
}

static int live_mover_slice(struct env_mover *m, uint64_t budget_bytes) {
        return mover_slice((struct mover *) m, budget_bytes);
}

static const struct move_result *live_mover_result(const struct env_mover *m) {
        return mover_result((const struct mover *) m);
}

static void live_mover_see_room(struct env_mover *m, const uint64_t *bytes_by_node) {
        mover_see_room((struct mover *) m, bytes_by_node);
}

static size_t live_mover_waits_for_companion(const struct env_mover *m) {
        return mover_waits_for_companion((const struct mover *) m);
}

static struct env_mover *live_mover_free(struct env_mover *m) {
        mover_free((struct mover *) m);
        return NULL;
}

static const struct environment_ops live_ops = {
        .now = live_now,
        .cpu_usec = live_cpu_usec,
        .week_minute = live_week_minute,
        .timer_new = live_timer_new,
        .timer_set = live_timer_set,
        .timer_free = live_timer_free,
        .after_each = live_after_each,
        .leave = live_leave,
        .notify = live_notify,
        .watch_new = live_watch_new,
        .watch_set = live_watch_set,
        .watch_free = live_watch_free,
        .submit = live_submit,
        .stop_jobs = live_stop_jobs,
        .load_topology = live_load_topology,
        .use_topology = live_use_topology,
        .load_config = live_load_config,
        .screen = live_screen,
        .read_deep = live_read_deep,
        .read_machine = live_read_machine,
        .read_pressure = live_read_pressure,
        .mover_new = live_mover_new,
        .mover_slice = live_mover_slice,
        .mover_result = live_mover_result,
        .mover_see_room = live_mover_see_room,
        .mover_waits_for_companion = live_mover_waits_for_companion,
        .mover_free = live_mover_free,
};

/* Making it */

static int open_bus(struct live *l) {
        if (!l->host->live)
                return 0;
        int r = sd_bus_open_system(&l->bus);
        if (r < 0) {
                l->bus = NULL;
                if (l->options.once)
                        return 0; /* one cycle in the foreground works without */
                log_warning(r, "No system bus, so no numabalancectl and no changes to systemd units: %s", strerror(-r));
                return 0;
        }
        return sd_bus_attach_event(l->bus, l->event, SD_EVENT_PRIORITY_NORMAL);
}

/* A write that can block, on a worker: the adapter between act/ and the pool. */
struct blocking_job {
        int (*run)(void *arg);
        ops_done done;
        void *arg;
};

static int run_blocking_job(void *arg) {
        const struct blocking_job *j = arg;
        return j->run(j->arg);
}

static void done_blocking_job(int result, void *arg) {
        struct blocking_job *j = arg;
        j->done(result, j->arg);
        free(j);
}

static const struct job_ops blocking_job_ops = { run_blocking_job, done_blocking_job, NULL, false };

static int run_blocking(void *live, int (*run)(void *arg), ops_done done, void *arg) {
        const struct live *l = live;
        if (l->stopping)
                return -ESHUTDOWN;
        if (worker_pool_n_late(l->writers) >= WRITES_LATE_MAX)
                return -EBUSY;
        struct blocking_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct blocking_job) { run, done, arg };
        int r = worker_submit(l->writers, &blocking_job_ops, j, WRITE_DEADLINE_USEC);
        if (r < 0)
                free(j);
        return r;
}

static int open_act(struct live *l) {
        struct act_real_options options = { .bus = l->bus, .event = l->event, .run_blocking = run_blocking, .pool = l };
        int r = act_real_new_with(l->host, &options, &l->act);
        l->have_act = r >= 0;
        return r;
}

static void live_free(struct live *l) {
        if (l->stuck)
                return; /* a stuck thread uses it all; the process ends now and takes everything along */
        (void) worker_pool_free(l->pool, 0);
        (void) worker_pool_free(l->writers, 0);
        observer_free(l->observer);
        if (l->have_act)
                act_real_done(&l->act);
        host_free(l->host);
        sd_bus_flush_close_unref(l->bus);
        sd_event_unref(l->event);
        free(l);
}

int environment_live_new(const struct live_options *options, struct environment *ret) {
        struct live *l = calloc(1, sizeof(*l));
        if (!l)
                return log_error(-ENOMEM, "Out of memory");
        l->options = *options;
        int r = sd_event_new(&l->event);
        if (r >= 0)
                r = host_open(options->root, &l->host);
        if (r < 0) {
                log_error(r, "Cannot open the machine below %s: %s", options->root, strerror(-r));
                live_free(l);
                return r;
        }
        if ((r = worker_pool_new(l->event, WORKER_THREADS, WORKER_LATE_MAX, &l->pool)) < 0 ||
            (r = worker_pool_new(l->event, WRITE_THREADS, WRITES_LATE_MAX, &l->writers)) < 0 || (r = open_bus(l)) < 0 ||
            (r = open_act(l)) < 0) {
                log_error(r, "Cannot get ready: %s", strerror(-r));
                live_free(l);
                return r;
        }
        *ret = (struct environment) {
                .ops = &live_ops,
                .context = l,
                .host = l->host,
                .act = l->act,
                .event = l->event,
                .bus = l->bus,
        };
        return 0;
}

int environment_live_run(struct environment *e) {
        return sd_event_loop(e->event);
}

void environment_live_done(struct environment *e) {
        if (e->context)
                live_free(e->context);
        *e = (struct environment) { 0 };
}
