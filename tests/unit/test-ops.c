/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dry run changes nothing; bit arrays for the service manager; blocking writes leave the loop. */
#include "act/ops.h"

#include <systemd/sd-event.h>

#include "act-fixture.h"
#include "act/simulated.h"
#include "act/systemd-units.h"
#include "host/kernel-balancing.h"

static int result;

static void on_done(int r, void *userdata) {
        result = r;
}

static void later(void *userdata) {
        (*(unsigned *) userdata)++;
}

static void test_null(void **state) {
        struct simulated *sim;
        struct act inner, dry;
        struct cpuset_state s;
        struct cpuset_change c = { .change_mems = true };
        const struct target t = { "/a", NULL, OWNER_CGROUPFS };
        assert_int_equal(simulated_new(2, 2, &sim), 0);
        simulated_act(sim, &inner);
        assert_int_equal(simulated_add_cgroup(sim, "/a", NULL), 0);
        assert_int_equal(simulated_add_process(sim, 5, "/a"), 0);
        struct simulated_mapping m = { .start = 0x10000, .n_pages = 1, .node = 1 };
        assert_int_equal(simulated_add_mapping(sim, 5, &m), 0);

        assert_int_equal(act_null_new(&inner, &dry), 0);
        result = 7;
        assert_int_equal(dry.ops->set_cpuset(dry.context, &t, &c, on_done, NULL), -EROFS);
        assert_int_equal(result, 7);
        assert_int_equal(dry.ops->get_cpuset(dry.context, &t, &s), 0);
        void *address = (void *) 0x10000;
        int node = 0, status = 77;
        assert_int_equal(dry.ops->move_pages(dry.context, 5, 1, &address, &node, false, &status), -EROFS);
        assert_int_equal(status, 77);
        assert_int_equal(dry.ops->move_pages(dry.context, 5, 1, &address, NULL, false, &status), 0);
        assert_int_equal(status, 1);
        unsigned mode = 7;
        simulated_knobs(sim)->kernel_balancing = 2;
        assert_int_equal(dry.ops->set_kernel_balancing(dry.context, 0, on_done, NULL), -EROFS);
        assert_int_equal(result, 7);
        assert_int_equal(dry.ops->get_kernel_balancing(dry.context, &mode), 0);
        assert_int_equal(mode, 2);
        unsigned n = 0;
        assert_int_equal(dry.ops->call_later(dry.context, 5, later, &n), 0);
        simulated_advance(sim, 5);
        assert_int_equal(n, 1);
        assert_int_equal(simulated_counts(sim)->sets + simulated_counts(sim)->move_calls, 0);
        act_null_done(&dry);
        simulated_free(sim);
}

/* The real ones, of a machine that is a directory. */
static void test_kernel_balancing(void **state) {
        struct fixture fx;
        struct act act;
        unsigned mode = 7;
        fixture_new(&fx);
        assert_int_equal(act_real_new(&fx.host, NULL, &act), 0);
        assert_int_equal(act.ops->set_kernel_balancing(act.context, 1, on_done, NULL), -ENOENT); /* a kernel without */
        fixture_write(&fx, KERNEL_BALANCING_FILE, "0\n");
        result = 7;
        assert_int_equal(act.ops->set_kernel_balancing(act.context, 1, on_done, NULL), 0);
        assert_int_equal(result, 0);
        assert_int_equal(act.ops->get_kernel_balancing(act.context, &mode), 0);
        assert_int_equal(mode, 1);
        _cleanup_free_ char *text = fixture_read(&fx, KERNEL_BALANCING_FILE);
        assert_string_equal(text, "1\n");
        fx.host.live = false; /* another machine's files */
        result = 7;
        assert_int_equal(act.ops->set_kernel_balancing(act.context, 0, on_done, NULL), -EROFS);
        assert_int_equal(result, 7);
        assert_int_equal(act.ops->get_kernel_balancing(act.context, &mode), 0);
        assert_int_equal(mode, 1);
        act_real_done(&act);
        fixture_done(&fx);
}

static void test_bit_array(void **state) {
        struct cpu_mask m = { 0 };
        uint8_t bytes[sizeof(m)];
        assert_int_equal(systemd_bit_array(m.words, ARRAY_SIZE(m.words), bytes), 0);
        cpu_mask_add(&m, 0);
        cpu_mask_add(&m, 9);
        cpu_mask_add(&m, 65);
        assert_int_equal(systemd_bit_array(m.words, ARRAY_SIZE(m.words), bytes), 9);
        static const uint8_t expected[] = { 1, 2, 0, 0, 0, 0, 0, 0, 2 };
        assert_memory_equal(bytes, expected, sizeof(expected));
        cpu_mask_add(&m, CPU_ID_MAX);
        assert_int_equal(systemd_bit_array(m.words, ARRAY_SIZE(m.words), bytes), sizeof(bytes));
        assert_int_equal(bytes[sizeof(bytes) - 1], 0x80);
}

/* What a worker pool is, as far as act/ sees it. */
static struct {
        int (*run)(void *arg);
        ops_done done;
        void *arg;
} job;

static int take_job(void *pool, int (*run)(void *arg), ops_done done, void *arg) {
        if (pool)
                return *(int *) pool;
        job.run = run;
        job.done = done;
        job.arg = arg;
        return 0;
}

static void test_blocking_writes_are_handed_over(void **state) {
        struct fixture fx;
        struct act act;
        const struct target t = { "/a", NULL, OWNER_CGROUPFS };
        struct cpuset_change c = { .change_mems = true, .value = { .mems_set = true, .mems = node_set_of(1) } };
        fixture_new(&fx);
        fixture_write(&fx, "cg/a/cpuset.cpus", "");
        fixture_write(&fx, "cg/a/cpuset.mems", "");

        struct act_real_options options = { .run_blocking = take_job };
        assert_int_equal(act_real_new_with(&fx.host, &options, &act), 0);
        result = 7;
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, NULL), 0);
        assert_int_equal(result, 7);
        _cleanup_free_ char *before = fixture_read(&fx, "cg/a/cpuset.mems");
        assert_string_equal(before, "");
        job.done(job.run(job.arg), job.arg);
        assert_int_equal(result, 0);
        _cleanup_free_ char *after = fixture_read(&fx, "cg/a/cpuset.mems");
        assert_string_equal(after, "1");
        act_real_done(&act);

        int no = -ESHUTDOWN;
        options.pool = &no;
        assert_int_equal(act_real_new_with(&fx.host, &options, &act), 0);
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, NULL), -ESHUTDOWN);
        act_real_done(&act);
        fixture_done(&fx);
}

static void test_roads(void **state) {
        struct fixture fx;
        struct act act;
        struct cpuset_change c = { .change_mems = true };
        struct target t = { "/a", "a.service", OWNER_SYSTEMD };
        unsigned n = 0;
        fixture_new(&fx);
        assert_int_equal(act_real_new(&fx.host, NULL, &act), 0);
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, NULL), -ENOTCONN);
        t.owner = OWNER_NONE;
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, NULL), -EOPNOTSUPP);
        assert_int_equal(act.ops->call_later(act.context, 0, later, &n), -EOPNOTSUPP);
        fx.host.live = false; /* a captured machine cannot be changed */
        t.owner = OWNER_CGROUPFS;
        assert_int_equal(act.ops->set_cpuset(act.context, &t, &c, on_done, NULL), -EROFS);
        void *address = &fx;
        int status;
        assert_int_equal(act.ops->move_pages(act.context, getpid(), 1, &address, NULL, false, &status), -EROFS);
        act_real_done(&act);
        fixture_done(&fx);
}

static void test_call_later(void **state) {
        struct fixture fx;
        struct act act;
        unsigned n = 0;
        sd_event *event;
        fixture_new(&fx);
        assert_true(sd_event_new(&event) >= 0);
        struct act_real_options options = { .event = event };
        assert_int_equal(act_real_new_with(&fx.host, &options, &act), 0);
        assert_int_equal(act.ops->call_later(act.context, 1000, later, &n), 0);
        assert_int_equal(act.ops->call_later(act.context, USEC_PER_MINUTE, later, &n), 0);
        while (n == 0)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_true(sd_event_run(event, 10000) >= 0);
        assert_int_equal(n, 1);
        act_real_done(&act); /* drops the other */
        sd_event_unref(event);
        fixture_done(&fx);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_null),      cmocka_unit_test(test_kernel_balancing),
                cmocka_unit_test(test_bit_array), cmocka_unit_test(test_blocking_writes_are_handed_over),
                cmocka_unit_test(test_roads),     cmocka_unit_test(test_call_later),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
