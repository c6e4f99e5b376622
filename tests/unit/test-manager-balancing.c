/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel-balancing: off. The kernel's own balancing is off while the manager runs, on record before, and back after; unless somebody else has a say. */
#include "manager-balancing.h"
#include "report/bus-names.h"

static void call(const char *member, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list args;
        assert_true(sd_bus_message_new_method_call(fx.client, &m, NULL, BUS_PATH, BUS_INTERFACE, member) >= 0);
        va_start(args, types);
        assert_true(sd_bus_message_appendv(m, types, args) >= 0);
        va_end(args);
        assert_true(sd_bus_call_async(fx.client, NULL, m, NULL, NULL, 0) >= 0);
        fx_pass(USEC_PER_SEC);
}

static void test_left_alone(void **state) {
        start(BALANCING_LEAVE, 1);
        assert_int_equal(fx.balancing, 1);
        assert_int_equal(fx.manager->balancing.mode, 1);
        leave();
        assert_int_equal(fx.n_balancing_sets, 0);
}

static void test_off_while_it_runs(void **state) {
        start(BALANCING_OFF, 3);
        assert_int_equal(fx.balancing, 0);
        assert_int_equal(fx.n_balancing_sets, 1);
        assert_on_record(3);
        assert_described("off while this runs, was 3");
        leave();
        assert_given_back(3);
}

static void test_nothing_to_switch_off(void **state) {
        start(BALANCING_OFF, 0);
        leave();
        assert_int_equal(fx.n_balancing_sets, 0);
        fx_stop_manager();
        fx_connect();
        fx.no_balancing = true;
        start(BALANCING_OFF, 1);
        leave();
        assert_int_equal(fx.n_balancing_sets, 0);
}

/* Killed: the next one knows what was before, and does what its own configuration says. */
static void test_after_a_kill(void **state) {
        start(BALANCING_OFF, 1);
        fx_restart();
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
        assert_on_record(1);
        fx.balancing_setting = BALANCING_LEAVE;
        fx_restart();
        fx_pass(30 * USEC_PER_SEC);
        assert_given_back(1);
        assert_int_equal(fx.n_balancing_sets, 2);
}

/* Killed between the record and the change. */
static void test_killed_before_the_change(void **state) {
        start_after_a_kill_before_the_change(BALANCING_OFF, 1, 0);
        leave();
        assert_int_equal(fx.balancing, 1);
}

static void test_somebody_else_sets_it(void **state) {
        start(BALANCING_OFF, 1);
        fx.balancing = 2;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(fx.balancing, 2);
        assert_int_equal(fx.n_balancing_sets, 1);
        assert_false(fx.manager->record->balancing_changed);
        assert_described("on (2), set by somebody else after it was off for us");
        /* The configuration, read again, is the administrator's latest word. */
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
        assert_on_record(2);
        fx.balancing = 1;
        leave();
        assert_int_equal(fx.balancing, 1);
        assert_int_equal(fx.n_balancing_sets, 2);
}

static void test_reload_changes_it(void **state) {
        start(BALANCING_LEAVE, 1);
        fx.balancing_setting = BALANCING_OFF;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
        fx.balancing_setting = BALANCING_LEAVE;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_given_back(1);
}

static void test_dry_run_and_pause(void **state) {
        fx.dry_run = true;
        start(BALANCING_OFF, 1);
        assert_int_equal(fx.n_balancing_sets, 0);
        call("Pause", "b", 1);
        fx.dry_run = false;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_balancing_sets, 0);
        call("Pause", "b", 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
}

/* All is given back, and stays so until resume; one service is another matter. */
static void test_restore(void **state) {
        start(BALANCING_OFF, 1);
        call("Restore", "s", "managed.service");
        assert_int_equal(fx.balancing, 0);
        call("Restore", "s", "");
        assert_given_back(1);
        fx_pass(5 * USEC_PER_MINUTE);
        assert_int_equal(fx.balancing, 1);
        call("Pause", "b", 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
}

/* What is refused is tried more and more rarely, and is not on record. */
static void test_refused(void **state) {
        fx.fail_balancing = -EPERM;
        start(BALANCING_OFF, 1);
        assert_int_equal(fx.n_balancing_sets, 1);
        assert_false(fx.manager->record->balancing_changed);
        fx_pass(6 * 60 * USEC_PER_MINUTE);
        assert_in_range(fx.n_balancing_sets, 3, 12);
        fx.fail_balancing = 0;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
}

/* So is giving back, which stays on record until it is done. */
static void test_giving_back_refused(void **state) {
        start(BALANCING_OFF, 1);
        unsigned before = fx.n_balancing_sets;
        fx.fail_balancing = -EPERM;
        fx.balancing_setting = BALANCING_LEAVE;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(6 * 60 * USEC_PER_MINUTE);
        assert_in_range(fx.n_balancing_sets - before, 3, 12);
        assert_on_record(1);
        fx.fail_balancing = 0;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_given_back(1);
}

/* Taken, and nothing comes of it. */
static void test_without_effect(void **state) {
        fx.lose_balancing = true;
        start(BALANCING_OFF, 1);
        assert_false(fx.manager->balancing.changing);
        assert_on_record(1); /* it may be written yet */
        /* Given back without effect: stays on record, and is no reason not to leave. */
        fx.lose_balancing = false;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
        fx.lose_balancing = true;
        leave();
        fx_pass(30 * USEC_PER_SEC);
        assert_on_record(1);
        assert_int_equal(fx.manager->n_restoring, 0);
}

static void start_switching_off(void) {
        fx.hold_balancing = true;
        fx.balancing_setting = BALANCING_OFF;
        fx.balancing = 1;
        fx_start_manager();
        for (unsigned i = 0; i < 100 && fx.n_held_balancing == 0; i++)
                fx_pass(USEC_PER_SEC);
        assert_true(fx.manager->balancing.changing);
}

/* Left, or restored, while the unit that switches it off is still to run: what that does must be undone, and not come last. */
static void test_left_while_switched_off(void **state) {
        start_switching_off();
        leave();
        fx_release_balancing();
        fx_pass(5 * USEC_PER_SEC);
        assert_given_back(1);
}

static void test_restored_while_switched_off(void **state) {
        start_switching_off();
        call("Restore", "s", "");
        fx_release_balancing();
        fx_pass(5 * USEC_PER_SEC);
        assert_given_back(1);
}

/* Left when the unit was begun and has not written: what it writes then is undone, and on record until that. */
static void test_left_before_it_is_written(void **state) {
        fx.lose_balancing = true;
        fx.balancing_setting = BALANCING_OFF;
        fx.balancing = 1;
        fx_start_manager();
        for (unsigned i = 0; i < 100 && fx.n_balancing_sets == 0; i++)
                fx_pass(USEC_PER_SEC);
        assert_true(fx.manager->balancing.changing);
        assert_int_equal(fx.manager->balancing.n_unanswered, 0);
        fx.lose_balancing = false;
        leave();
        assert_on_record(1);
        fx.balancing = 0;
        fx_pass(5 * USEC_PER_SEC);
        assert_given_back(1);
}

/* It writes when nobody waits for it any more. */
static void test_written_late(void **state) {
        fx.lose_balancing = true;
        start(BALANCING_OFF, 1);
        assert_false(fx.manager->balancing.changing);
        fx.lose_balancing = false;
        fx.balancing = 0;
        fx_pass(5 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_balancing_sets, 1);
        assert_on_record(1);
        leave();
        assert_given_back(1);
}

/* Nobody knows whether it will still be set. */
static void test_no_answer(void **state) {
        start_switching_off();
        fx_pass(30 * USEC_PER_SEC);
        assert_false(fx.manager->balancing.changing);
        assert_on_record(1);
        fx_release_balancing();
        assert_int_equal(fx.balancing, 0);
        leave();
        fx_pass(5 * USEC_PER_SEC);
        assert_given_back(1);
}

/* Left while that is so: what may still be set is undone afterwards, and on record until then. */
static void test_left_without_an_answer(void **state) {
        start_switching_off();
        fx_pass(30 * USEC_PER_SEC);
        assert_false(fx.manager->balancing.changing);
        leave();
        fx_pass(5 * USEC_PER_SEC);
        assert_on_record(1);
        fx_release_balancing();
        fx_pass(5 * USEC_PER_SEC);
        assert_given_back(1);
}

/* The first writer's failure comes when the second has been begun: that one may set it yet. */
static void test_late_failure(void **state) {
        start_switching_off();
        for (unsigned i = 0; i < 300 && fx.n_held_balancing < 2; i++)
                fx_pass(USEC_PER_SEC);
        assert_int_equal(fx.n_held_balancing, 2);
        assert_true(fx.manager->balancing.changing);
        fx.held_balancing[0].done(-ETIMEDOUT, fx.held_balancing[0].userdata);
        assert_on_record(1);
        fx.held_balancing[0] = fx.held_balancing[1];
        fx.n_held_balancing = 1;
        fx_release_balancing();
        fx_pass(5 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 0);
        leave();
        fx_pass(5 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 1);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_left_alone),
                TEST(test_off_while_it_runs),
                TEST(test_nothing_to_switch_off),
                TEST(test_after_a_kill),
                TEST(test_killed_before_the_change),
                TEST(test_somebody_else_sets_it),
                TEST(test_reload_changes_it),
                TEST(test_dry_run_and_pause),
                TEST(test_restore),
                TEST(test_refused),
                TEST(test_giving_back_refused),
                TEST(test_without_effect),
                TEST(test_left_while_switched_off),
                TEST(test_restored_while_switched_off),
                TEST(test_left_before_it_is_written),
                TEST(test_written_late),
                TEST(test_no_answer),
                TEST(test_left_without_an_answer),
                TEST(test_late_failure),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
