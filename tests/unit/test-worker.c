/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker pool: completion on the loop, late jobs told and replaced, nothing dropped without a word. */
#include "worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "core/util.h"
#include "unit.h"

struct probe {
        pthread_t loop_thread;
        int run_result, done_result;
        unsigned n_run, n_done, n_late, *remaining;
        bool done_on_loop;
        int block_fd; /* run() waits until this pipe closes; -1: does not */
};

static int probe_run(void *arg) {
        struct probe *p = arg;
        __atomic_add_fetch(&p->n_run, 1, __ATOMIC_RELEASE);
        if (p->block_fd >= 0) {
                char c;
                ssize_t n = read(p->block_fd, &c, 1);
                (void) n;
        }
        return p->run_result;
}

static void probe_done(int result, void *arg) {
        struct probe *p = arg;
        p->n_done++;
        p->done_result = result;
        p->done_on_loop = pthread_equal(pthread_self(), p->loop_thread) != 0;
        if (p->remaining)
                --*p->remaining;
}

static void probe_late(void *arg) {
        struct probe *p = arg;
        p->n_late++;
        assert_int_equal(p->n_done, 0);
}

static const struct job_ops probe_ops = { probe_run, probe_done, probe_late, false };
static const struct job_ops vital_ops = { probe_run, probe_done, probe_late, true };

static sd_event *new_event(void) {
        sd_event *event;
        assert_true(sd_event_new(&event) >= 0);
        return event;
}

static struct worker_pool *new_pool(sd_event *event, unsigned n, unsigned late) {
        struct worker_pool *pool;
        assert_int_equal(worker_pool_new(event, n, late, &pool), 0);
        return pool;
}

static void test_many_jobs_complete_on_the_loop(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 3, 1);
        enum { N = 200 };
        static struct probe probes[N];
        unsigned remaining = N;
        for (int i = 0; i < N; i++) {
                probes[i] = (struct probe) {
                        .loop_thread = pthread_self(), .run_result = i, .remaining = &remaining, .block_fd = -1
                };
                assert_int_equal(worker_submit(pool, &probe_ops, &probes[i], USEC_PER_MINUTE), 0);
        }
        while (remaining > 0)
                assert_true(sd_event_run(event, USEC_PER_SEC) >= 0);
        for (int i = 0; i < N; i++) {
                assert_int_equal(probes[i].n_run, 1);
                assert_int_equal(probes[i].n_done, 1);
                assert_int_equal(probes[i].n_late, 0);
                assert_int_equal(probes[i].done_result, i);
                assert_true(probes[i].done_on_loop);
        }
        assert_true(worker_pool_free(pool, USEC_PER_SEC));
        sd_event_unref(event);
}

/* One thread, one job that hangs: the next job must still run, and the late one is told as done when it returns. */
static void test_a_stuck_job_delays_nobody(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 2);
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        unsigned remaining = 1;
        struct probe stuck = { .loop_thread = pthread_self(), .run_result = 7, .block_fd = fds[0] };
        struct probe next = { .loop_thread = pthread_self(), .remaining = &remaining, .block_fd = -1 };
        assert_int_equal(worker_submit(pool, &probe_ops, &stuck, 10 * USEC_PER_MSEC), 0);
        assert_int_equal(worker_submit(pool, &probe_ops, &next, USEC_PER_MINUTE), 0);
        while (remaining > 0)
                assert_true(sd_event_run(event, USEC_PER_SEC) >= 0);
        assert_int_equal(next.n_done, 1);
        assert_int_equal(stuck.n_late, 1);
        assert_int_equal(stuck.n_done, 0);
        assert_int_equal(worker_pool_n_late(pool), 1);

        close(fds[1]); /* it comes back */
        while (stuck.n_done == 0)
                assert_true(sd_event_run(event, USEC_PER_SEC) >= 0);
        assert_int_equal(stuck.done_result, 7);
        assert_int_equal(stuck.n_late, 1);
        assert_int_equal(worker_pool_n_late(pool), 0);
        assert_true(worker_pool_free(pool, USEC_PER_SEC));
        close(fds[0]);
        sd_event_unref(event);
}

static void test_freeing_cancels_what_is_queued(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 0);
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        struct probe running = { .loop_thread = pthread_self(), .block_fd = fds[0] };
        struct probe queued = { .loop_thread = pthread_self(), .block_fd = -1 };
        assert_int_equal(worker_submit(pool, &probe_ops, &running, 0), 0);
        while (__atomic_load_n(&running.n_run, __ATOMIC_ACQUIRE) == 0)
                usleep(1000);
        assert_int_equal(worker_submit(pool, &probe_ops, &queued, 0), 0);
        close(fds[1]);
        /* The thread may take the queued job before it sees the stop; either way each is told exactly once. */
        assert_true(worker_pool_free(pool, 5 * USEC_PER_SEC));
        assert_int_equal(running.n_done, 1);
        assert_int_equal(queued.n_done, 1);
        assert_true(queued.n_run == 1 ? queued.done_result == 0 : queued.done_result == -ECANCELED);
        close(fds[0]);
        sd_event_unref(event);
}

/* Left to the exit: freeing must not wait for ever for a thread that hangs. */
static void test_freeing_gives_up_on_a_stuck_thread(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 0);
        static int fds[2];
        assert_int_equal(pipe(fds), 0);
        static struct probe stuck;
        stuck = (struct probe) { .loop_thread = pthread_self(), .block_fd = fds[0] };
        assert_int_equal(worker_submit(pool, &probe_ops, &stuck, 0), 0);
        while (__atomic_load_n(&stuck.n_run, __ATOMIC_ACQUIRE) == 0)
                usleep(1000);
        assert_false(worker_pool_free(pool, 20 * USEC_PER_MSEC));
        assert_int_equal(stuck.n_done, 0);
        sd_event_unref(event);
}

/* All threads that there may be are stuck: no more work is taken, until one comes back. */
static void test_all_stuck(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 0);
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        struct probe stuck = { .loop_thread = pthread_self(), .block_fd = fds[0] }, next = stuck;
        next.block_fd = -1;
        assert_int_equal(worker_submit(pool, &probe_ops, &stuck, 10 * USEC_PER_MSEC), 0);
        while (stuck.n_late == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_int_equal(worker_submit(pool, &probe_ops, &next, USEC_PER_MINUTE), -EAGAIN);
        close(fds[1]);
        while (stuck.n_done == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_int_equal(worker_submit(pool, &probe_ops, &next, USEC_PER_MINUTE), 0);
        while (next.n_done == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_true(worker_pool_free(pool, USEC_PER_SEC));
        close(fds[0]);
        sd_event_unref(event);
}

/* Jobs that were taken wait for no thread that never comes: they are told, once all threads that there may be are stuck. */
static void test_all_stuck_with_a_queue(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 1);
        enum { N_STUCK = 2, N = 5 };
        int fds[2];
        unsigned remaining = N;
        struct probe probes[N];
        assert_int_equal(pipe(fds), 0);
        for (int i = 0; i < N; i++) {
                probes[i] = (struct probe) { .loop_thread = pthread_self(), .remaining = &remaining, .block_fd = fds[0] };
                assert_int_equal(worker_submit(pool, &probe_ops, &probes[i], 10 * USEC_PER_MSEC), 0);
        }
        for (int i = 0; i < 100 && remaining > N_STUCK; i++)
                assert_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        assert_int_equal(remaining, N_STUCK);
        for (int i = N_STUCK; i < N; i++) {
                assert_int_equal(probes[i].n_run, 0);
                assert_int_equal(probes[i].done_result, -EBUSY);
        }
        assert_int_equal(worker_pool_n_late(pool), N_STUCK);
        /* Whatever must go on does, again and again, and no thread more hangs for it. */
        for (int i = 0; i < 3; i++) {
                unsigned left = 1;
                struct probe vital = { .loop_thread = pthread_self(), .run_result = 3, .remaining = &left, .block_fd = -1 };
                struct probe other = vital;
                assert_int_equal(worker_submit(pool, &vital_ops, &vital, USEC_PER_MINUTE), 0);
                assert_int_equal(worker_submit(pool, &probe_ops, &other, USEC_PER_MINUTE), -EAGAIN);
                while (left > 0)
                        assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
                assert_int_equal(vital.done_result, 3);
        }
        close(fds[1]);
        while (remaining > 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        struct probe next = { .loop_thread = pthread_self(), .block_fd = -1 };
        assert_int_equal(worker_submit(pool, &probe_ops, &next, USEC_PER_MINUTE), 0);
        while (next.n_done == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_true(worker_pool_free(pool, USEC_PER_SEC));
        close(fds[0]);
        sd_event_unref(event);
}

/* Where none is stuck yet, but all are busy, perhaps for minutes, and may never come back. */
static void test_vital_beside_busy_threads(void **state) {
        sd_event *event = new_event();
        struct worker_pool *pool = new_pool(event, 1, 1);
        int fds[2];
        unsigned left = 1;
        assert_int_equal(pipe(fds), 0);
        struct probe stuck = { .loop_thread = pthread_self(), .block_fd = fds[0] }, busy = stuck;
        struct probe vital = { .loop_thread = pthread_self(), .remaining = &left, .block_fd = -1 };
        assert_int_equal(worker_submit(pool, &probe_ops, &stuck, 10 * USEC_PER_MSEC), 0);
        while (stuck.n_late == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_int_equal(worker_submit(pool, &probe_ops, &busy, USEC_PER_MINUTE), 0);
        while (__atomic_load_n(&busy.n_run, __ATOMIC_ACQUIRE) == 0)
                usleep(1000);
        for (int i = 0; i < 2; i++) {
                left = 1;
                assert_int_equal(worker_submit(pool, &vital_ops, &vital, USEC_PER_MINUTE), 0);
                for (int k = 0; k < 20 && left > 0; k++)
                        assert_true(sd_event_run(event, 250 * USEC_PER_MSEC) >= 0);
                assert_int_equal(left, 0);
        }
        assert_int_equal(busy.n_done, 0);
        close(fds[1]);
        while (stuck.n_done == 0 || busy.n_done == 0)
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) >= 0);
        assert_true(worker_pool_free(pool, USEC_PER_SEC));
        close(fds[0]);
        sd_event_unref(event);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_many_jobs_complete_on_the_loop),
                cmocka_unit_test(test_a_stuck_job_delays_nobody),
                cmocka_unit_test(test_freeing_cancels_what_is_queued),
                cmocka_unit_test(test_freeing_gives_up_on_a_stuck_thread),
                cmocka_unit_test(test_all_stuck),
                cmocka_unit_test(test_all_stuck_with_a_queue),
                cmocka_unit_test(test_vital_beside_busy_threads),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
