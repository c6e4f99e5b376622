/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restoring on a simulated machine: every outcome, for both roads, on kernels that refuse to clear and on those that do not. */
#include "restore-fixture.h"

static void test_not_on_record(void **state) {
        assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), -ENOENT);
        assert_int_equal(seen.calls, 0);
}

static void test_cleared(void **state) {
        we_set("2-3", "1");
        assert_effective("2-3", "1");
        restore_now(RESTORE_DONE);
        assert_null(seen.detail);
        assert_effective("0-7", "0-3");
}

static struct cpuset_change asked[8];
static size_t n_asked;
static int note_set(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        assert_in_range(n_asked, 0, ARRAY_SIZE(asked) - 1);
        asked[n_asked++] = *c;
        return act.ops->set_cpuset(context, t, c, done, userdata);
}

/* With its last setting systemd takes the controller away, and threads keep what they had until then: they have all of it before that. */
static void test_all_is_given_before_it_is_cleared(void **state) {
        we_set("2-3", "1");
        struct act_ops ops = *act.ops;
        ops.set_cpuset = note_set;
        const struct act noting = { .ops = &ops, .context = act.context };
        const struct cpuset_change all = change_to("0-7", "0-3");
        n_asked = 0;
        assert_int_equal(restore_start(record, &noting, CGROUP, NULL, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.outcome, RESTORE_DONE);
        assert_null(seen.detail);
        if (target.owner != OWNER_SYSTEMD)
                return;
        assert_int_equal(n_asked, 4);
        assert_true(asked[0].change_cpus && asked[0].value.cpus_set && cpu_mask_equal(&asked[0].value.cpus, &all.value.cpus));
        assert_true(asked[1].change_cpus && !asked[1].value.cpus_set);
        assert_true(asked[2].change_mems && asked[2].value.mems_set && node_set_equal(&asked[2].value.mems, &all.value.mems));
        assert_true(asked[3].change_mems && !asked[3].value.mems_set);
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

/* The parent was given others than ours since: ours restrains nothing now, and must not come into force when the parent has all again. */
static void given_back_outside_of_the_parent(void) {
        we_set("2-3", "1");
        assert_int_equal(simulated_write_cpuset(sim, "/system.slice", "4-5", "2"), 0);
        assert_effective("4-5", "2");
        restore_now(RESTORE_DONE);
        assert_effective("4-5", "2");
        struct cpuset_state s;
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &s), 0);
        assert_true(cpuset_cpus_are_free(&s) && cpuset_mems_are_free(&s));
}

static void test_outside_of_the_parent(void **state) {
        given_back_outside_of_the_parent();
        assert_int_equal(simulated_write_cpuset(sim, "/system.slice", "", ""), 0);
        assert_effective("0-7", "0-3");
}

static void test_outside_of_the_parent_refused(void **state) {
        simulated_knobs(sim)->refuse_clear = true;
        given_back_outside_of_the_parent();
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

/* It waits for its turn, and meanwhile somebody sets the same, by whatever road. */
static void restore_while_somebody_sets(const char *cpus, const char *mems, enum restore_outcome expected) {
        simulated_knobs(sim)->queue_usec = USEC_PER_SEC;
        assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_SEC / 2);
        assert_int_equal(seen.calls, 0);
        assert_int_equal(simulated_write_cpuset(sim, CGROUP, cpus, mems), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.outcome, expected);
        assert_null(record_find(record, CGROUP));
}

static void test_set_by_somebody_while_it_waited(void **state) {
        we_set("2-3", "1");
        restore_while_somebody_sets("4-5", "3", RESTORE_NOT_OURS);
        assert_effective("4-5", "3");
}

static void test_one_side_set_by_somebody_while_it_waited(void **state) {
        static const char *const cpus[] = { "4-5", NULL }, *const mems[] = { NULL, "3" };
        static const char *const then_cpus[] = { "4-5", "0-7" }, *const then_mems[] = { "0-3", "3" };
        for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
                we_set("2-3", "1");
                restore_while_somebody_sets(cpus[i], mems[i], RESTORE_DONE);
                assert_non_null(strstr(seen.detail, "one side"));
                assert_effective(then_cpus[i], then_mems[i]);
                memset(&seen, 0, sizeof(seen));
                simulated_knobs(sim)->queue_usec = 0;
                admin_sets("", "");
        }
}

/* First all is given, and then the settings are cleared, which is refused: whenever it comes, what somebody sets stays. (But while the service manager has taken
 * the change and not written it yet: nobody can look behind it then.) */
static void test_set_by_somebody_between_the_steps(void **state) {
        bool over = false;
        for (uint64_t at = USEC_PER_SEC / 8; !over; at += USEC_PER_SEC / 4) {
                simulated_knobs(sim)->queue_usec = 0;
                simulated_knobs(sim)->refuse_clear = false;
                admin_sets("", "");
                we_set("2-3", NULL);
                simulated_knobs(sim)->refuse_clear = true;
                simulated_knobs(sim)->queue_usec = USEC_PER_SEC;
                memset(&seen, 0, sizeof(seen));
                assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), 0);
                simulated_advance(sim, at);
                over = seen.calls > 0;
                assert_int_equal(simulated_write_cpuset(sim, CGROUP, "4-5", NULL), 0);
                simulated_advance(sim, USEC_PER_MINUTE);
                assert_int_equal(seen.calls, 1);
                assert_effective("4-5", "0-3");
        }
}

/* Killed when all was back and the record did not say so yet: what is on record is given back once more. */
static void restore_and_be_killed(void) {
        _cleanup_free_ char *path = format_string("%s/record.json", fx.path), *text = fixture_read(&fx, "record.json");
        assert_non_null(text);
        restore_now(RESTORE_DONE);
        fixture_write(&fx, "record.json", text);
        record_free(record);
        assert_int_equal(record_open(path, &record), 0);
        assert_int_equal(record->n_entries, 1);
        memset(&seen, 0, sizeof(seen));
}

static void test_given_back_twice(void **state) {
        for (int refused = 0; refused < 2; refused++) {
                simulated_knobs(sim)->refuse_clear = refused;
                we_set("2-3", "1");
                restore_and_be_killed();
                uint64_t sets = simulated_counts(sim)->sets;
                restore_now(RESTORE_DONE);
                assert_effective("0-7", "0-3");
                if (target.owner == OWNER_SYSTEMD)
                        assert_settings(false, false);
                else if (!refused)
                        assert_int_equal(simulated_counts(sim)->sets, sets);
                memset(&seen, 0, sizeof(seen));
        }
}

/* … but not what somebody has set in between. */
static void test_set_by_somebody_since_it_was_given_back(void **state) {
        for (int refused = 0; refused < 2; refused++) {
                simulated_knobs(sim)->refuse_clear = refused;
                we_set("2-3", "1");
                restore_and_be_killed();
                admin_sets("4-5", "0,3");
                uint64_t sets = simulated_counts(sim)->sets;
                restore_now(RESTORE_NOT_OURS);
                assert_int_equal(simulated_counts(sim)->sets, sets);
                assert_effective("4-5", "0,3");
                memset(&seen, 0, sizeof(seen));
                simulated_knobs(sim)->refuse_clear = false;
                admin_sets("", "");
        }
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
        const struct CMUnitTest tests[] = {
                BOTH(test_not_on_record),
                BOTH(test_cleared),
                BOTH(test_all_is_given_before_it_is_cleared),
                BOTH(test_former_values_come_back),
                BOTH(test_only_the_side_that_we_changed),
                BOTH(test_clearing_refused),
                BOTH(test_clearing_refused_of_one_side),
                BOTH(test_twice_with_clearing_refused),
                BOTH(test_killed_after_widening),
                SYSTEMD(test_slow_service_manager),
                BOTH(test_refused_below_a_narrow_parent),
                BOTH(test_outside_of_the_parent),
                BOTH(test_outside_of_the_parent_refused),
                BOTH(test_somebody_else_changed_it),
                BOTH(test_somebody_else_changed_one_side),
                BOTH(test_set_by_somebody_while_it_waited),
                BOTH(test_one_side_set_by_somebody_while_it_waited),
                BOTH(test_set_by_somebody_between_the_steps),
                BOTH(test_given_back_twice),
                BOTH(test_set_by_somebody_since_it_was_given_back),
                BOTH(test_recorded_and_never_made),
                CGROUPFS(test_refused_from_the_start),
                BOTH(test_gone),
                SYSTEMD(test_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
