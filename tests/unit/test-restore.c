/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restoring on a simulated machine: every outcome, for both roads, on kernels that refuse to clear and on those that do not. */
#include "act/restore.h"

#include "act-fixture.h"
#include "act/cpuset.h"
#include "act/simulated.h"

#define CGROUP "/system.slice/x.service"

static struct fixture fx;
static struct simulated *sim;
static struct act act;
static struct record *record;
static struct target target;

static struct {
        unsigned calls;
        enum restore_outcome outcome;
        int error;
        const char *detail;
} seen;

static void on_done(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata) {
        assert_string_equal(cgroup, CGROUP);
        assert_ptr_equal(userdata, &seen);
        seen.calls++;
        seen.outcome = outcome;
        seen.error = error;
        seen.detail = detail;
}

static int setup_owner(enum owner owner) {
        char path[128];
        fixture_new(&fx);
        (void) snprintf(path, sizeof(path), "%s/record.json", fx.path);
        assert_int_equal(record_open(path, &record), 0);
        assert_int_equal(simulated_new(4, 2, &sim), 0);
        assert_int_equal(simulated_add_cgroup(sim, CGROUP, owner == OWNER_SYSTEMD ? "x.service" : NULL), 0);
        simulated_act(sim, &act);
        simulated_knobs(sim)->answer_usec = 1000;
        simulated_knobs(sim)->apply_usec = 120000;
        target = (struct target){ CGROUP, "x.service", owner };
        memset(&seen, 0, sizeof(seen));
        return 0;
}

static int setup_systemd(void **state) {
        return setup_owner(OWNER_SYSTEMD);
}

static int setup_cgroupfs(void **state) {
        return setup_owner(OWNER_CGROUPFS);
}

static int teardown(void **state) {
        record_free(record);
        simulated_free(sim);
        fixture_done(&fx);
        return 0;
}

static void ignore_result(int result, void *userdata) {
        assert_int_equal(result, 0);
}

static struct cpuset_change change_to(const char *cpus, const char *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        c.value.cpus_set = cpus && cpu_mask_parse(cpus, &c.value.cpus) == 0 && !cpu_mask_is_empty(&c.value.cpus);
        c.value.mems_set = mems && node_set_parse(mems, &c.value.mems) == 0 && !node_set_is_empty(&c.value.mems);
        return c;
}

/* Sets it as somebody would who is not us, through the owner. */
static void admin_sets(const char *cpus, const char *mems) {
        struct cpuset_change c = change_to(cpus, mems);
        assert_int_equal(act.ops->set_cpuset(act.context, &target, &c, ignore_result, NULL), 0);
        simulated_advance(sim, USEC_PER_SEC);
}

static void we_set(const char *cpus, const char *mems) {
        struct cpuset_state now;
        struct cpuset_change c = change_to(cpus, mems);
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &now), 0);
        assert_int_equal(record_before_change(record, &target, &now, &c), 0);
        admin_sets(cpus, mems);
}

static void restore_now(enum restore_outcome expected) {
        assert_int_equal(restore_start(record, &act, CGROUP, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.outcome, expected);
        if (expected == RESTORE_FAILED)
                assert_non_null(record_find(record, CGROUP));
        else
                assert_null(record_find(record, CGROUP));
}

static void assert_effective(const char *cpus, const char *mems) {
        struct cpuset_state s;
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &s), 0);
        _cleanup_free_ char *c = cpu_mask_format(&s.effective_cpus), *m = node_set_format(&s.effective_mems);
        assert_string_equal(c, cpus);
        assert_string_equal(m, mems);
}

static void assert_settings(bool cpus_set, bool mems_set) {
        struct cpuset_value v;
        assert_int_equal(simulated_unit_settings(sim, "x.service", &v), 0);
        assert_int_equal(v.cpus_set, cpus_set);
        assert_int_equal(v.mems_set, mems_set);
}

static void test_not_on_record(void **state) {
        assert_int_equal(restore_start(record, &act, CGROUP, on_done, &seen), -ENOENT);
        assert_int_equal(seen.calls, 0);
}

static void test_cleared(void **state) {
        we_set("2-3", "1");
        assert_effective("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_null(seen.detail);
        assert_effective("0-7", "0-3");
}

static void test_former_values_come_back(void **state) {
        admin_sets("0-5", "0-2");
        we_set("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_null(seen.detail);
        assert_effective("0-5", "0-2");
}

static void test_only_the_side_that_we_changed(void **state) {
        admin_sets("0-5", "0-2");
        we_set(NULL, "1");
        admin_sets("4", NULL);
        restore_now(RESTORE_DONE);
        assert_effective("4", "0-2");
}

static void test_clearing_refused(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        we_set("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_non_null(seen.detail);
        assert_effective("0-7", "0-3");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(false, false); /* says what it said before */
}

static void test_clearing_refused_of_one_side(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        admin_sets("0-5", NULL);
        we_set("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_effective("0-5", "0-3");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(true, false);
}

/* After a refused clearing the files hold the parent's full set. The next time that is not taken for somebody's wish. */
static void test_twice_with_clearing_refused(void **state) {
        test_clearing_refused(state);
        memset(&seen, 0, sizeof(seen));
        we_set("4-5", "2");
        restore_now(RESTORE_DONE);
        assert_effective("0-7", "0-3");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(false, false);
}

/* Killed when the parent's full set was written and the settings not yet cleared. */
static void test_killed_after_widening(void **state) {
        we_set("2-3", "1");
        admin_sets("0-7", "0-3");
        restore_now(RESTORE_DONE);
        assert_effective("0-7", "0-3");
        if (target.owner == OWNER_SYSTEMD)
                assert_settings(false, false);
}

/* The service manager waits while the kernel moves memory. */
static void test_slow_service_manager(void **state) {
        admin_sets("0-5", "0-2");
        we_set("2-3", "1");
        simulated_knobs(sim)->apply_usec = 7 * USEC_PER_SEC;
        restore_now(RESTORE_DONE);
        assert_effective("0-5", "0-2");
}

/* The parent does not have all: full is what the parent has. */
static void test_refused_below_a_narrow_parent(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        assert_int_equal(simulated_write_cpuset(sim, "/system.slice", "0-3", "0-1"), 0);
        we_set("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_effective("0-3", "0-1");
}

static void test_somebody_else_changed_it(void **state) {
        we_set("2-3", "1");
        admin_sets("4-5", "3");
        uint64_t sets = simulated_counts(sim)->sets;
        restore_now(RESTORE_NOT_OURS);
        assert_int_equal(simulated_counts(sim)->sets, sets);
        assert_effective("4-5", "3");
}

static void test_somebody_else_changed_one_side(void **state) {
        we_set("2-3", "1");
        admin_sets("4-5", NULL);
        restore_now(RESTORE_DONE);
        assert_non_null(seen.detail);
        assert_effective("4-5", "0-3");
}

static void test_recorded_and_never_made(void **state) {
        struct cpuset_state now;
        struct cpuset_change c = change_to("2-3", "1");
        admin_sets("0-5", NULL);
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &now), 0);
        assert_int_equal(record_before_change(record, &target, &now, &c), 0);
        restore_now(RESTORE_DONE);
        assert_effective("0-5", "0-3");
}

/* The cgroup was never ours to write: nothing to give back, and nothing to fail. */
static void test_refused_from_the_start(void **state) {
        struct cpuset_state now;
        struct cpuset_change c = change_to("2-3", "1");
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &now), 0);
        assert_int_equal(record_before_change(record, &target, &now, &c), 0);
        simulated_knobs(sim)->fail_set = -EPERM;
        restore_now(RESTORE_DONE);
        assert_int_equal(simulated_counts(sim)->sets, 0);
}

static void test_gone(void **state) {
        we_set("2-3", "1");
        assert_int_equal(simulated_remove_cgroup(sim, CGROUP), 0);
        if (target.owner == OWNER_SYSTEMD)
                simulated_forget_unit(sim, "x.service");
        restore_now(RESTORE_GONE);
}

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
        assert_int_equal(restore_start(record, &act, CGROUP, on_done, &seen), 0);
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
        assert_int_equal(restore_start(record, &dry, CGROUP, on_done, &seen), 0);
        assert_int_equal(seen.outcome, RESTORE_FAILED);
        assert_int_equal(seen.error, -EROFS);
        assert_effective("2-3", "1");
        act_null_done(&dry);
}

static void test_record_that_cannot_be_written(void **state) {
        we_set("2-3", "1");
        fixture_write(&fx, "record.json.tmp/in-the-way", "");
        assert_int_equal(restore_start(record, &act, CGROUP, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.outcome, RESTORE_DONE);
        assert_true(seen.error < 0);
        assert_non_null(record_find(record, CGROUP));
}

/* cpuset_wait() */

static int wait_result;
static bool wait_had_state;

static void on_waited(int result, const struct cpuset_state *last, void *userdata) {
        wait_result = result;
        wait_had_state = last != NULL;
}

static void test_wait(void **state) {
        struct cpuset_change c = change_to("2-3", NULL);
        wait_result = 1;
        assert_int_equal(act.ops->set_cpuset(act.context, &target, &c, ignore_result, NULL), 0);
        assert_int_equal(cpuset_wait(&act, &target, &c, USEC_PER_SEC, on_waited, NULL), 0);
        simulated_advance(sim, 100 * USEC_PER_MSEC);
        assert_int_equal(wait_result, 1); /* answered, and not yet in force */
        simulated_advance(sim, 50 * USEC_PER_MSEC);
        assert_int_equal(wait_result, 0);

        c = change_to("9", NULL); /* no such CPU: the manager says yes, the kernel no */
        assert_int_equal(act.ops->set_cpuset(act.context, &target, &c, ignore_result, NULL), 0);
        wait_result = 1;
        assert_int_equal(cpuset_wait(&act, &target, &c, USEC_PER_SEC, on_waited, NULL), 0);
        simulated_advance(sim, 999 * USEC_PER_MSEC);
        assert_int_equal(wait_result, 1);
        simulated_advance(sim, USEC_PER_MSEC);
        assert_int_equal(wait_result, -EREMOTEIO);
        assert_true(wait_had_state);

        assert_int_equal(cpuset_wait(&act, &target, &c, USEC_PER_SEC, on_waited, NULL), 0);
        assert_int_equal(simulated_remove_cgroup(sim, CGROUP), 0);
        simulated_advance(sim, USEC_PER_SEC);
        assert_int_equal(wait_result, -ENOENT);
        assert_false(wait_had_state);
}

int main(void) {
#define SYSTEMD(f)  cmocka_unit_test_setup_teardown(f, setup_systemd, teardown)
#define CGROUPFS(f) cmocka_unit_test_setup_teardown(f, setup_cgroupfs, teardown)
#define BOTH(f)     SYSTEMD(f), CGROUPFS(f)
        const struct CMUnitTest tests[] = {
                BOTH(test_not_on_record),
                BOTH(test_cleared),
                BOTH(test_former_values_come_back),
                BOTH(test_only_the_side_that_we_changed),
                BOTH(test_clearing_refused),
                BOTH(test_clearing_refused_of_one_side),
                BOTH(test_twice_with_clearing_refused),
                BOTH(test_killed_after_widening),
                SYSTEMD(test_slow_service_manager),
                BOTH(test_refused_below_a_narrow_parent),
                BOTH(test_somebody_else_changed_it),
                BOTH(test_somebody_else_changed_one_side),
                BOTH(test_recorded_and_never_made),
                CGROUPFS(test_refused_from_the_start),
                BOTH(test_gone),
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
                BOTH(test_record_that_cannot_be_written),
                SYSTEMD(test_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
