/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A few threads for work that can block on somebody else's process. Completion is told on the event loop; a job that exceeds its
 * deadline is told as late, and its thread is replaced, so that a stuck process delays nobody else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct worker_pool;

struct job_ops {
        /* On a worker thread. The result is handed to done(). */
        int (*run)(void *arg);
        /* On the event loop, exactly once per submitted job, however late. `arg` must stay valid until then. */
        void (*done)(int result, void *arg);
        /* On the event loop, at most once and before done(): the deadline has passed and the job still runs. May be NULL. */
        void (*late)(void *arg);
        /* Begins before those that wait, and on one thread more where all are busy. Of this kind there must be only one at a time. */
        bool vital;
};

/* Threads are started as needed, at most `n_threads`, plus one for each late job up to `max_late`, and one for a vital job. Returns 0 or negative errno. */
int worker_pool_new(sd_event *event, unsigned n_threads, unsigned max_late, struct worker_pool **ret);

/* Stops taking jobs; drops those not begun (their done() is called with -ECANCELED) and waits for the running ones for up to
 * `wait_usec`. Returns true when all have ended. False: threads are stuck and still use the pool and their jobs' arguments, which must not be freed
 * but left to the process's exit. */
bool worker_pool_free(struct worker_pool *p, uint64_t wait_usec);

/* `ops` must be static. deadline_usec is counted from when the job begins to run; 0: none. -ENOMEM, -ESHUTDOWN, -EAGAIN (no
 * thread, or all that there may be are stuck). What waits for a thread when that happens is not begun: its done() is told -EBUSY. */
int worker_submit(struct worker_pool *p, const struct job_ops *ops, void *arg, uint64_t deadline_usec);

/* Jobs that are past their deadline and have not returned. */
unsigned worker_pool_n_late(const struct worker_pool *p);
