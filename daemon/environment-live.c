/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The environment of the daemon itself: opening the machine, the bus, the worker threads and what changes the machine, and ending them. */
#include "environment-live-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "report/journal.h"

/* Reading numa_maps and moving pages each get their own company; more threads would only contend for the same mmap locks. */
#define WORKER_THREADS  4u
#define WORKER_LATE_MAX 32u
/* A write to a cgroup's files is replaced by another thread after this; with so many that do not return no more are begun. */
#define WRITE_DEADLINE_USEC (60 * USEC_PER_SEC)
#define WRITES_LATE_MAX     (WORKER_LATE_MAX / 2)

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

static const struct job_ops blocking_job_ops = { run_blocking_job, done_blocking_job, NULL };

static int run_blocking(void *pool, int (*run)(void *arg), ops_done done, void *arg) {
        if (worker_pool_n_late(pool) >= WRITES_LATE_MAX)
                return -EBUSY;
        struct blocking_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct blocking_job){ run, done, arg };
        int r = worker_submit(pool, &blocking_job_ops, j, WRITE_DEADLINE_USEC);
        if (r < 0)
                free(j);
        return r;
}

static int open_act(struct live *l) {
        struct act_real_options options = { .bus = l->bus, .event = l->event, .run_blocking = run_blocking, .pool = l->pool };
        int r = act_real_new_with(l->host, &options, &l->act);
        l->have_act = r >= 0;
        return r;
}

static void live_free(struct live *l) {
        if (l->stuck)
                return; /* a stuck thread uses it all; the process ends now and takes everything along */
        (void) worker_pool_free(l->pool, 0);
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
        if ((r = worker_pool_new(l->event, WORKER_THREADS, WORKER_LATE_MAX, &l->pool)) < 0 || (r = open_bus(l)) < 0 ||
            (r = open_act(l)) < 0) {
                log_error(r, "Cannot get ready: %s", strerror(-r));
                live_free(l);
                return r;
        }
        *ret = (struct environment){
                .ops = &environment_live_ops,
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
        *e = (struct environment){ 0 };
}
