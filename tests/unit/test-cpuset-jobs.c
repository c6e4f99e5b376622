/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hundreds of changes of units at once, before a service manager behind a bus that, as the system bus does, lets nobody wait for more than 128 answers. */
#include "act/cpuset-jobs.h"

#include <errno.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "act-fixture.h"

#define ANSWERS_MAX 128u /* dbus-daemon, bus/config-parser.c */
#define CHANGES     300u
#define SERVICE     "/x.service"

static struct fixture fx;
static sd_event *event;
static sd_bus *server, *client;
static struct act act;

/* The service manager: takes what comes, and answers all of it now and then. */
static sd_bus_message *asked[CHANGES];
static size_t n_asked, most_asked, n_refused, n_taken;
static bool silent;

static unsigned n_done, n_failed, n_late, n_busy, n_again;

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        if (!sd_bus_message_is_method_call(m, "org.freedesktop.systemd1.Manager", "SetUnitProperties"))
                return 0;
        if (n_asked >= ANSWERS_MAX) {
                n_refused++;
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many");
        }
        asked[n_asked++] = sd_bus_message_ref(m);
        n_taken++;
        most_asked = MAX2(most_asked, n_asked);
        return 1;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        for (size_t i = 0; i < n_asked && !silent; i++) {
                (void) sd_bus_reply_method_return(asked[i], NULL);
                sd_bus_message_unref(asked[i]);
        }
        if (!silent)
                n_asked = 0;
        assert_true(sd_event_source_set_time_relative(source, 2 * USEC_PER_MSEC) >= 0);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int setup(void **state) {
        int fds[2];
        sd_id128_t id;
        fixture_new(&fx);
        fixture_write(&fx, "cg" SERVICE "/cgroup.threads", "");
        n_asked = most_asked = n_refused = n_taken = 0;
        n_done = n_failed = n_late = n_busy = n_again = 0;
        silent = false;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_true(sd_id128_randomize(&id) >= 0);
        assert_true(sd_bus_new(&server) >= 0 && sd_bus_set_fd(server, fds[0], fds[0]) >= 0 &&
                    sd_bus_set_server(server, 1, id) >= 0 && sd_bus_set_anonymous(server, 1) >= 0);
        assert_true(sd_bus_new(&client) >= 0 && sd_bus_set_fd(client, fds[1], fds[1]) >= 0 &&
                    sd_bus_set_anonymous(client, 1) >= 0);
        assert_true(sd_bus_start(server) >= 0 && sd_bus_start(client) >= 0);
        assert_true(sd_bus_add_object(server, NULL, "/org/freedesktop/systemd1", on_call, NULL) >= 0);
        assert_true(sd_bus_attach_event(server, event, 0) >= 0 && sd_bus_attach_event(client, event, 0) >= 0);
        assert_true(sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, USEC_PER_MSEC, 1, on_tick, NULL) >= 0);
        assert_int_equal(act_real_new_with(&fx.host, &(struct act_real_options) { .bus = client }, &act), 0);
        return 0;
}

/* The service manager is not waited for for long. */
static void be_impatient(void) {
        const struct act_real_options o = { .bus = client, .answer_limit_usec = 20 * USEC_PER_MSEC };
        act_real_done(&act);
        assert_int_equal(act_real_new_with(&fx.host, &o, &act), 0);
}

static int teardown(void **state) {
        for (size_t i = 0; i < n_asked; i++)
                sd_bus_message_unref(asked[i]);
        act_real_done(&act);
        sd_bus_close_unref(client);
        sd_bus_close_unref(server);
        sd_event_unref(event);
        fixture_done(&fx);
        return 0;
}

static const struct target target = { SERVICE, "x.service", OWNER_SYSTEMD };

static int begin(bool mems, ops_done done) {
        struct cpuset_change c = { .change_cpus = !mems, .change_mems = mems };
        return act.ops->set_cpuset(act.context, &target, &c, done, NULL);
}

static void on_done(int result, void *userdata) {
        n_done++;
        n_failed += result < 0;
        n_late += result == -ETIMEDOUT;
        n_busy += result == -EBUSY;
}

/* As restoring does, the next change is begun when one is done. */
static void on_first_done(int result, void *userdata) {
        on_done(result, userdata);
        n_again += begin(true, on_done) == 0;
}

static void test_all_are_answered(void **state) {
        for (unsigned i = 0; i < CHANGES; i++)
                assert_int_equal(begin(i % 2, on_first_done), 0);
        while (n_done < 2 * CHANGES)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(n_again, CHANGES);
        assert_int_equal(n_failed, 0);
        assert_int_equal(n_refused, 0);
        assert_true(most_asked <= 2 * UNIT_JOBS_MAX);
}

/* The bus goes: all are told, those that waited as well. */
static void test_bus_goes(void **state) {
        silent = true;
        for (unsigned i = 0; i < CHANGES; i++)
                assert_int_equal(begin(i % 2, on_done), 0);
        while (n_asked < 2 * UNIT_JOBS_MAX)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(n_done, 0);
        sd_bus_close(server);
        while (n_done < CHANGES)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(n_failed, CHANGES);
}

static void run_until_done(unsigned n) {
        while (n_done < n)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

/* For whom nobody waits any more, the bus does: nothing else takes his place, and who waits for that is told. Once all are answered it goes on. */
static void test_answers_too_late(void **state) {
        be_impatient();
        silent = true;
        for (unsigned i = 0; i < CHANGES; i++)
                assert_int_equal(begin(i % 2, on_done), 0);
        while (n_done < CHANGES || n_asked < 2 * UNIT_JOBS_MAX)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(n_failed, CHANGES);
        assert_int_equal(n_asked, 2 * UNIT_JOBS_MAX);
        assert_int_equal(n_refused, 0);
        assert_int_equal(n_late, 2 * UNIT_JOBS_MAX);
        assert_int_equal(n_busy, CHANGES - 2 * UNIT_JOBS_MAX);
        assert_int_equal(begin(false, on_done), -EBUSY);
        assert_int_equal(begin(true, on_done), -EBUSY);
        silent = false;
        int r;
        while ((r = begin(true, on_done)) == -EBUSY)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(r, 0);
        while (n_done < CHANGES + 1 || n_taken < 2 * UNIT_JOBS_MAX + 1) /* in time or not */
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(n_refused, 0);
}

/* A cgroup's files, as somebody writes them. */
static void put_cpusets(const char *cpus, const char *mems) {
        fixture_write(&fx, "cg/y.service/cgroup.procs", "");
        fixture_write(&fx, "cg/y.service/cgroup.threads", "");
        fixture_write(&fx, "cg/y.service/cpuset.cpus", cpus);
        fixture_write(&fx, "cg/y.service/cpuset.mems", mems);
        fixture_write(&fx, "cg/y.service/cpuset.cpus.effective", "0-7\n");
        fixture_write(&fx, "cg/y.service/cpuset.mems.effective", "0-3\n");
        fixture_write(&fx, "cg/cpuset.cpus.effective", "0-7\n");
        fixture_write(&fx, "cg/cpuset.mems.effective", "0-3\n");
}

static void on_result(int result, void *userdata) {
        *(int *) userdata = result;
        on_done(result, NULL);
}

/* To CPU 5 or node 2, decided while there was nothing set, or CPUs 0-1 and node 1. */
static int begin_other(enum owner owner, bool mems, int *result) {
        const struct target t = { "/y.service", "y.service", owner };
        struct cpuset_premise p = { .n = 2 };
        struct cpuset_change c = { .change_cpus = !mems, .change_mems = mems, .premise = &p };
        c.value = (struct cpuset_value) { .cpus_set = true, .mems_set = true, .mems = node_set_of(2) };
        cpu_mask_add(&c.value.cpus, 5);
        p.values[1] = (struct cpuset_value) { .cpus_set = true, .mems_set = true, .mems = node_set_of(1) };
        cpu_mask_add(&p.values[1].cpus, 0);
        cpu_mask_add(&p.values[1].cpus, 1);
        *result = 1;
        int r = act.ops->set_cpuset(act.context, &t, &c, on_result, result);
        memset(&p, 0xff, sizeof(p)); /* it is not kept */
        return r;
}

/* Behind others in the queue, and somebody sets the same meanwhile: it is not asked for, and whoever comes after it is. */
static void test_set_while_queued(void **state) {
        static const struct {
                const char *cpus, *mems;
                int of_cpus, of_mems;
        } cases[] = {
                { "\n", "\n", 0, 0 },          { "0-1\n", "1\n", 0, 0 },           { "0\n", "1\n", -ESTALE, 0 },
                { "\n", "0-1\n", 0, -ESTALE }, { "5\n", "2\n", -ESTALE, -ESTALE }, /* just as it was to be: theirs all the same */
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                int of_cpus, of_mems;
                silent = true;
                n_done = n_failed = n_taken = 0;
                put_cpusets("\n", "\n");
                for (unsigned k = 0; k < 2 * UNIT_JOBS_MAX; k++)
                        assert_int_equal(begin(k % 2, on_done), 0);
                assert_int_equal(begin_other(OWNER_SYSTEMD, false, &of_cpus), 0);
                assert_int_equal(begin_other(OWNER_SYSTEMD, true, &of_mems), 0);
                assert_int_equal(begin(false, on_done), 0);
                while (n_asked < 2 * UNIT_JOBS_MAX)
                        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
                put_cpusets(cases[i].cpus, cases[i].mems);
                silent = false;
                run_until_done(2 * UNIT_JOBS_MAX + 3);
                assert_int_equal(of_cpus, cases[i].of_cpus);
                assert_int_equal(of_mems, cases[i].of_mems);
                unsigned n_stale = (of_cpus < 0) + (of_mems < 0);
                assert_int_equal(n_failed, n_stale);
                assert_int_equal(n_taken, 2 * UNIT_JOBS_MAX + 3 - n_stale);
        }
}

/* The same where we write, on another thread, that begins late. */
static struct {
        int (*run)(void *arg);
        ops_done done;
        void *arg;
} late_job;

static int run_late(void *pool, int (*run)(void *arg), ops_done done, void *arg) {
        late_job.run = run;
        late_job.done = done;
        late_job.arg = arg;
        return 0;
}

static void test_set_before_the_thread_begins(void **state) {
        const struct act_real_options o = { .bus = client, .run_blocking = run_late };
        int result;
        act_real_done(&act);
        assert_int_equal(act_real_new_with(&fx.host, &o, &act), 0);
        for (int stale = 0; stale < 2; stale++) {
                put_cpusets("\n", "\n");
                assert_int_equal(begin_other(OWNER_CGROUPFS, false, &result), 0);
                put_cpusets(stale ? "0\n" : "0-1\n", "\n");
                late_job.done(late_job.run(late_job.arg), late_job.arg);
                assert_int_equal(result, stale ? -ESTALE : 0);
                _cleanup_free_ char *cpus = fixture_read(&fx, "cg/y.service/cpuset.cpus");
                assert_non_null(cpus);
                assert_int_equal(cpus[0], stale ? '0' : '5');
        }
}

/* Nothing is left of what is abandoned, and nobody hears of it. */
static void test_abandoned(void **state) {
        silent = true;
        for (unsigned i = 0; i < CHANGES; i++)
                assert_int_equal(begin(i % 2, on_done), 0);
        while (n_asked < 2 * UNIT_JOBS_MAX)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        act_real_done(&act);
        assert_int_equal(n_done, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_all_are_answered),
                TEST(test_bus_goes),
                TEST(test_answers_too_late),
                TEST(test_set_while_queued),
                TEST(test_set_before_the_thread_begins),
                TEST(test_abandoned),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
