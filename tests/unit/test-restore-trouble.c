/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restoring where something comes in between: a unit that stops or starts again, a change that is lost or refused, a thread that hangs, a
 * record that cannot be written. */
#include "restore-fixture.h"

static void test_stopped_unit_is_not_narrow_at_its_next_start(void **state) {
        we_set("2-3", "1");
        assert_int_equal(simulated_remove_cgroup(sim, CGROUP), 0);
        restore_now(RESTORE_DONE);
        assert_non_null(seen.detail);
        assert_settings(false, false);
        assert_int_equal(simulated_add_cgroup(sim, CGROUP, "x.service"), 0);
        assert_effective("0-7", "0-3");
}

static void test_stopped_unit_whose_cgroup_remains(void **state) {
        admin_sets("0-5", NULL);
        we_set("2-3", "1");
        assert_int_equal(simulated_empty_cgroup(sim, CGROUP), 0);
        restore_now(RESTORE_DONE);
        assert_settings(true, false);
}

static void test_restarted_unit(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        we_set("2-3", "1");
        assert_int_equal(simulated_remove_cgroup(sim, CGROUP), 0);
        assert_int_equal(simulated_add_cgroup(sim, CGROUP, "x.service"), 0);
        assert_effective("2-3", "1"); /* it came back with our settings */
        restore_now(RESTORE_DONE);
        assert_effective("0-7", "0-3");
        assert_settings(false, false);
}

static void remove_it(void *userdata) {
        assert_int_equal(simulated_remove_cgroup(sim, CGROUP), 0);
}

/* It stops while the parent's set is in its settings: that must not stay there either. */
static void test_stops_half_way(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        we_set("2-3", "1");
        assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), 0);
        assert_int_equal(act.ops->call_later(act.context, 2050 * USEC_PER_MSEC, remove_it, NULL), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.outcome, RESTORE_DONE);
        assert_settings(false, false);
}

static void test_changes_get_lost(void **state) {
        we_set("2-3", "1");
        simulated_knobs(sim)->lose_changes = true;
        restore_now(RESTORE_FAILED);
        assert_int_equal(seen.error, -EREMOTEIO);
        assert_effective("2-3", "1");
}

static void test_refused_change(void **state) {
        we_set("2-3", "1");
        simulated_knobs(sim)->fail_set = -ENOTCONN;
        restore_now(RESTORE_FAILED);
        assert_int_equal(seen.error, -ENOTCONN);
}

/* A thread of it hangs in the kernel, so memory nodes have to wait: CPUs do not, and memory nodes follow once it goes on. */
static void test_hung_thread(void **state) {
        admin_sets(NULL, "0-2");
        we_set("2-3", "1");
        simulated_knobs(sim)->fail_mems = -EAGAIN;
        restore_now(RESTORE_FAILED);
        assert_int_equal(seen.error, -EAGAIN);
        assert_effective("0-7", "1");
        simulated_knobs(sim)->fail_mems = 0;
        memset(&seen, 0, sizeof(seen));
        restore_now(RESTORE_DONE);
        assert_effective("0-7", "0-2");
}

static void test_hung_thread_where_clearing_is_refused(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        we_set("2-3", "1");
        simulated_knobs(sim)->fail_mems = -EAGAIN;
        restore_now(RESTORE_FAILED);
        assert_effective("0-7", "1");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(false, true);
        simulated_knobs(sim)->fail_mems = 0;
        memset(&seen, 0, sizeof(seen));
        restore_now(RESTORE_DONE);
        assert_effective("0-7", "0-3");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(false, false);
}

/* What is wrong with the one side does not keep the other from being given back. */
static void test_cpus_that_cannot_be_given_back(void **state) {
        struct cpuset_change elsewhere = change_to("9", NULL);
        we_set("2-3", "1");
        struct record_entry *e = record_find(record, CGROUP);
        e->before.cpus_set = true; /* no such CPU (any more) */
        e->before.cpus = elsewhere.value.cpus;
        restore_now(RESTORE_FAILED);
        assert_effective("2-3", "0-3");
}

static void test_dry_run_fails(void **state) {
        struct act dry;
        we_set("2-3", "1");
        assert_int_equal(act_null_new(&act, &dry), 0);
        assert_int_equal(restore_start(record, &dry, CGROUP, NULL, on_done, &seen), 0);
        assert_int_equal(seen.outcome, RESTORE_FAILED);
        assert_int_equal(seen.error, -EROFS);
        assert_effective("2-3", "1");
        act_null_done(&dry);
}

static int cannot_tell(void *context, const struct target *t, struct cpuset_state *ret) {
        return -EIO;
}

/* Nobody knows whether it is as we have set it: nothing is changed, and who asked is told at once. */
static void test_unreadable_cpuset(void **state) {
        we_set("2-3", "1");
        struct act_ops ops = *act.ops;
        ops.get_cpuset = cannot_tell;
        const struct act unreadable = { .ops = &ops, .context = act.context };
        uint64_t sets = simulated_counts(sim)->sets;
        assert_int_equal(restore_start(record, &unreadable, CGROUP, NULL, on_done, &seen), -EIO);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 0);
        assert_int_equal(simulated_counts(sim)->sets, sets);
        restore_now(RESTORE_DONE);
}

static void test_record_that_cannot_be_written(void **state) {
        we_set("2-3", "1");
        fixture_write(&fx, "record.json.tmp/in-the-way", "");
        assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.outcome, RESTORE_DONE);
        assert_true(seen.error < 0);
        assert_non_null(record_find(record, CGROUP));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                SYSTEMD(test_stopped_unit_is_not_narrow_at_its_next_start),
                SYSTEMD(test_stopped_unit_whose_cgroup_remains),
                SYSTEMD(test_restarted_unit),
                SYSTEMD(test_stops_half_way),
                SYSTEMD(test_changes_get_lost),
                BOTH(test_refused_change),
                BOTH(test_hung_thread),
                BOTH(test_hung_thread_where_clearing_is_refused),
                BOTH(test_cpus_that_cannot_be_given_back),
                BOTH(test_dry_run_fails),
                BOTH(test_unreadable_cpuset),
                BOTH(test_record_that_cannot_be_written),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
