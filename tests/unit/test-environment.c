/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This machine's environment: what changes cgroups does not wait behind processes that do not let themselves be read or moved. */
#include "environment-live.c" // NOLINT(bugprone-suspicious-include): its threads are counted here

#include "act-fixture.h"

#define HUNG_MAX (4 * WORKER_THREADS)

struct probe {
        int fd; /* run() waits until this pipe closes */
        unsigned *left;
};

static int probe_run(void *arg) {
        const struct probe *p = arg;
        char c;
        return (int) read(p->fd, &c, 1);
}

static void probe_done(int result, void *arg) {
        --*((struct probe *) arg)->left;
}

static const struct job_ops probe_ops = { probe_run, probe_done, NULL, false };

static void on_changed(int result, void *userdata) {
        *(bool *) userdata = true;
}

static void test_changes_do_not_wait_for_readers(void **state) {
        struct fixture fx;
        struct environment env = { 0 };
        struct probe probes[HUNG_MAX];
        int pipe_fds[2];
        unsigned left = HUNG_MAX;
        fixture_new(&fx);
        fixture_write(&fx, "cg/x/cgroup.procs", "");
        log_open(LOG_TARGET_CONSOLE, LOG_CRIT);
        assert_int_equal(environment_live_new(&(struct live_options) { .root = fx.path, .once = true }, &env), 0);
        struct live *l = env.context;
        if (!l)
                abort();
        l->host->live = true; /* as if: nothing below this root is a cgroup file system */
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        for (unsigned i = 0; i < HUNG_MAX; i++) {
                probes[i] = (struct probe) { pipe_fds[0], &left };
                assert_int_equal(env.ops->submit(env.context, &probe_ops, &probes[i], 0), 0);
        }
        bool changed = false;
        const struct target t = { .cgroup = "/x", .unit = "x", .owner = OWNER_CGROUPFS };
        const struct cpuset_change clear = { .change_cpus = true };
        assert_int_equal(env.act.ops->set_cpuset(env.act.context, &t, &clear, on_changed, &changed), 0);
        for (unsigned i = 0; i < 60 && !changed; i++)
                assert_true(sd_event_run(env.event, USEC_PER_SEC) >= 0);
        assert_true(changed);
        assert_int_equal(left, HUNG_MAX);
        close(pipe_fds[1]);
        while (left > 0)
                assert_true(sd_event_run(env.event, USEC_PER_SEC) >= 0);
        close(pipe_fds[0]);
        assert_true(env.ops->stop_jobs(env.context, 10 * USEC_PER_SEC));
        environment_live_done(&env);
        fixture_done(&fx);
}

/* One whose end wants more. */
struct heir {
        struct environment *env;
        int read, changed; /* what it was told */
        bool ended;
};

static int heir_run(void *arg) {
        return 0;
}

static void on_heir_changed(int result, void *userdata) {
        ((struct heir *) userdata)->changed = result;
}

static void heir_done(int result, void *arg) {
        static const struct target t = { .cgroup = "/x", .unit = "x", .owner = OWNER_CGROUPFS };
        static const struct cpuset_change clear = { .change_cpus = true };
        static const struct job_ops none = { heir_run, heir_done, NULL, false };
        struct heir *h = arg;
        h->read = h->env->ops->submit(h->env->context, &none, h, 0);
        h->changed = h->env->act.ops->set_cpuset(h->env->act.context, &t, &clear, on_heir_changed, h);
        h->ended = true;
}

static const struct job_ops heir_ops = { heir_run, heir_done, NULL, false };

/* The end of jobs is told while all is taken apart: what is then wanted is refused, of whichever threads. */
static void test_stopping(void **state) {
        struct fixture fx;
        struct environment env = { 0 };
        fixture_new(&fx);
        fixture_write(&fx, "cg/x/cgroup.procs", "");
        log_open(LOG_TARGET_CONSOLE, LOG_CRIT);
        assert_int_equal(environment_live_new(&(struct live_options) { .root = fx.path, .once = true }, &env), 0);
        struct live *l = env.context;
        if (!l)
                abort();
        l->host->live = true;
        struct heir reads = { .env = &env }, writes = { .env = &env };
        assert_int_equal(env.ops->submit(env.context, &heir_ops, &reads, 0), 0);
        assert_int_equal(worker_submit(l->writers, &heir_ops, &writes, 0), 0);
        assert_true(env.ops->stop_jobs(env.context, 10 * USEC_PER_SEC));
        assert_true(reads.ended && writes.ended);
        assert_int_equal(reads.read, -ESHUTDOWN);
        assert_int_equal(reads.changed, -ESHUTDOWN);
        assert_int_equal(writes.read, -ESHUTDOWN);
        assert_int_equal(writes.changed, -ESHUTDOWN);
        assert_true(env.ops->stop_jobs(env.context, 0)); /* the same answer */
        environment_live_done(&env);
        fixture_done(&fx);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changes_do_not_wait_for_readers),
                cmocka_unit_test(test_stopping),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
