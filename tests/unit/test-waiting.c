/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that hang in the kernel are found before their service's memory nodes are changed, and those that only wait for a disk are not taken for such. */
#include "act/waiting.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "act-fixture.h"
#include "act/ops.h"
#include "host/cgroup.h"

static struct fixture fx;

static void put_thread(int tid, char state, unsigned n_sleeps) {
        _cleanup_free_ char *stat = format_string(
                                    "%d (some (odd) name) %c 1 1 1 0 -1 4194304 0 0 0 0 5 6 0 0 20 0 1 0 900 1 1 1 1 1 "
                                    "1 1 1 0 0 0 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                                    tid, state),
                            *status = format_string("Name:\tx\nState:\t%c\nvoluntary_ctxt_switches:\t%u\n"
                                                    "nonvoluntary_ctxt_switches:\t99\n",
                                                    state, n_sleeps),
                            *directory = format_string("proc/%d/task/%d", tid, tid);
        _cleanup_free_ char *file = format_string("%s/status.new", directory),
                            *old = format_string("%s/%s/status.new", fx.path, directory),
                            *fresh = format_string("%s/%s/status", fx.path, directory),
                            *stat_file = format_string("%s/stat", directory);
        assert_true(stat && status && file && old && fresh && stat_file);
        fixture_write(&fx, stat_file, stat);
        fixture_write(&fx, file, status);
        assert_int_equal(rename(old, fresh), 0); /* in one piece, for whoever reads meanwhile */
}

static int setup(void **state) {
        fixture_new(&fx);
        fixture_write(&fx, "cg/a/cgroup.threads", "11\n12\n");
        fixture_write(&fx, "cg/a/cpuset.cpus", "");
        fixture_write(&fx, "cg/a/cpuset.mems", "");
        fixture_write(&fx, "cg/b/below/deep/cgroup.threads", "13\n14\nx\n99999999999\n");
        put_thread(11, 'S', 5);
        put_thread(12, 'R', 5);
        put_thread(13, 'S', 5);
        return 0;
}

static int teardown(void **state) {
        fixture_done(&fx);
        return 0;
}

static void test_found(void **state) {
        pid_t tid = 0;
        assert_int_equal(cgroup_find_waiting(&fx.host, "/a", &tid), 0);
        assert_int_equal(cgroup_find_waiting(&fx.host, "/b", &tid), 0); /* 14 has ended */
        assert_int_equal(cgroup_find_waiting(&fx.host, "/gone", &tid), 0);
        put_thread(13, 'D', 5);
        assert_int_equal(cgroup_find_waiting(&fx.host, "/a", &tid), 0);
        assert_int_equal(cgroup_find_waiting(&fx.host, "/b", &tid), 1);
        assert_int_equal(tid, 13);
        put_thread(13, 'S', 5);
        fixture_write(&fx, "cg/b/.control/cgroup.threads", "12\n"); /* systemd's, in a delegated unit */
        put_thread(12, 'D', 5);
        assert_int_equal(cgroup_find_waiting(&fx.host, "/b", &tid), 1);
        assert_int_equal(tid, 12);
}

/* As deep as the daemon looks for services, it looks for who hangs in them. */
static void test_deep(void **state) {
        struct strbuf path = { 0 };
        pid_t tid = 0;
        strbuf_append(&path, "cg/a");
        for (unsigned i = 0; i < CGROUP_DEPTH_MAX; i++)
                strbuf_append(&path, "/d");
        strbuf_append(&path, "/cgroup.threads");
        _cleanup_free_ char *file = strbuf_steal(&path);
        assert_non_null(file);
        fixture_write(&fx, file, "13\n");
        put_thread(13, 'D', 5);
        assert_int_equal(cgroup_find_waiting(&fx.host, "/a", &tid), 1);
        assert_int_equal(tid, 13);
}

/* Giving one cgroup the controller gives it to those beside it, and on old kernels waits for them. */
static void test_enabling(void **state) {
        pid_t tid = 0;
        fixture_write(&fx, "cg/s.slice/cgroup.threads", "");
        fixture_write(&fx, "cg/s.slice/one.service/cgroup.threads", "11\n");
        fixture_write(&fx, "cg/s.slice/two.service/cgroup.threads", "15\n");
        put_thread(15, 'D', 5);
        assert_int_equal(cpuset_find_waiting(&fx.host, "/s.slice/one.service", true, false, &tid), 0);
        assert_int_equal(cpuset_find_waiting(&fx.host, "/s.slice/one.service", false, true, &tid), 1);
        assert_int_equal(tid, 15);
        /* It has it already, or what is beside it does not get it along with it. */
        fixture_write(&fx, "cg/s.slice/one.service/cpuset.cpus", "");
        assert_int_equal(cpuset_find_waiting(&fx.host, "/s.slice/one.service", true, true, &tid), 0);
        fixture_write(&fx, "cg/s.slice/inner/cpuset.cpus", "");
        fixture_write(&fx, "cg/s.slice/inner/x/cgroup.threads", "11\n");
        assert_int_equal(cpuset_find_waiting(&fx.host, "/s.slice/inner/x", true, true, &tid), 0);
        assert_int_equal(cpuset_find_waiting(&fx.host, "/gone", true, true, &tid), 0);

        assert_true(enabling_cpuset_waits("6.1.0-56-amd64"));
        assert_true(enabling_cpuset_waits("5.15.0"));
        assert_false(enabling_cpuset_waits("6.2"));
        assert_false(enabling_cpuset_waits("6.12.117+deb13-amd64"));
        assert_false(enabling_cpuset_waits("7.0-rc1"));
        assert_false(enabling_cpuset_waits("nonsense"));
}

static atomic_bool done;

static void *sleep_often(void *userdata) {
        for (unsigned n = 6; !atomic_load(&done); n++) {
                put_thread(13, 'D', n);
                usleep(10000);
        }
        return NULL;
}

/* Each time it is seen it waits, but not all the time. */
static void test_busy_disk(void **state) {
        pthread_t thread;
        pid_t tid = 0;
        put_thread(13, 'D', 5);
        atomic_store(&done, false);
        assert_int_equal(pthread_create(&thread, NULL, sleep_often, NULL), 0);
        int r = cgroup_find_waiting(&fx.host, "/b", &tid);
        atomic_store(&done, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(r, 0);
}

static void on_done(int r, void *userdata) {
        *(int *) userdata = r;
}

/* Memory nodes are not changed then; CPUs, for which nobody waits, are. */
static void test_not_changed(void **state) {
        struct act act;
        const struct target t = { "/a", NULL, OWNER_CGROUPFS };
        struct cpuset_change c = { .change_mems = true, .value = { .mems_set = true, .mems = node_set_of(1) } };
        int result = 7;
        put_thread(12, 'D', 5);
        assert_int_equal(act_real_new(&fx.host, NULL, &act), 0);
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, &result), 0);
        assert_int_equal(result, -EAGAIN);
        _cleanup_free_ char *mems = fixture_read(&fx, "cg/a/cpuset.mems");
        assert_string_equal(mems, "");
        c = (struct cpuset_change) { .change_cpus = true, .value.cpus_set = true };
        cpu_mask_add(&c.value.cpus, 3);
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, &result), 0);
        assert_int_equal(result, 0);
        _cleanup_free_ char *cpus = fixture_read(&fx, "cg/a/cpuset.cpus");
        assert_string_equal(cpus, "3");
        act_real_done(&act);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_found, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_enabling, setup, teardown),
                cmocka_unit_test_setup_teardown(test_busy_disk, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_changed, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
