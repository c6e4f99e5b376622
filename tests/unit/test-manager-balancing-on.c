/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel-balancing: on. The kernel's own balancing is on while the manager runs, and afterwards what it was; also from off to on and back. */
#include "manager-balancing.h"

/* On: pages go to threads; what it was told of slow memory stays. */
static void test_on_while_it_runs(void **state) {
        start(BALANCING_ON, 2);
        assert_int_equal(fx.balancing, 3);
        assert_int_equal(fx.n_balancing_sets, 1);
        assert_on_record(2);
        assert_described("on (3) while this runs, was 2");
        leave();
        assert_given_back(2);
}

/* Off, where there is something for it to do: that is said, and nothing is done. */
static void test_wide_home(void **state) {
        start(BALANCING_LEAVE, 0);
        assert_described("off");
        struct history_entry *e = history_get(&fx.manager->history, "/system.slice/wide.service");
        assert_non_null(e);
        e->placed = true;
        e->home = node_set_of(0);
        node_set_add(&e->home, 1);
        _cleanup_free_ char *wide = manager_balancing_describe(fx.manager);
        assert_non_null(strstr(wide, "\"kernel-balancing: on\" would have it sort pages"));
        leave();
        assert_int_equal(fx.n_balancing_sets, 0);
}

static void test_on_already(void **state) {
        start(BALANCING_ON, 1);
        leave();
        assert_int_equal(fx.n_balancing_sets, 0);
}

/* Killed, also between the record and the change. */
static void test_on_after_a_kill(void **state) {
        start_after_a_kill_before_the_change(BALANCING_ON, 0, 1);
        fx_restart();
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, 1);
        assert_on_record(0);
        leave();
        assert_given_back(0);
}

/* From one to the other and back: what it was before all of that is never lost, nor on record as ours. */
static void test_from_off_to_on(void **state) {
        static const struct {
                enum balancing_setting setting;
                unsigned mode;
        } steps[] = { { BALANCING_ON, 3 }, { BALANCING_OFF, 0 }, { BALANCING_ON, 3 }, { BALANCING_LEAVE, 2 } };
        start(BALANCING_OFF, 2);
        assert_int_equal(fx.balancing, 0);
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                fx.balancing_setting = steps[i].setting;
                assert_int_equal(manager_reload(fx.manager, NULL), 0);
                fx_pass(2 * USEC_PER_MINUTE);
                assert_int_equal(fx.balancing, steps[i].mode);
                if (steps[i].setting != BALANCING_LEAVE)
                        assert_on_record(2);
        }
        assert_false(fx.manager->record->balancing_changed);
}

/* Whoever switches it off while it is on for us has the last word. */
static void test_on_and_somebody_else_sets_it(void **state) {
        start(BALANCING_ON, 0);
        assert_int_equal(fx.balancing, 1);
        fx.balancing = 0;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(fx.balancing, 0);
        assert_described("off, set by somebody else after it was on (1) for us");
        leave();
        assert_int_equal(fx.balancing, 0);
        assert_int_equal(fx.n_balancing_sets, 1);
}

/* Also where it was on before, and somebody takes only our part of it. */
static void test_somebody_else_takes_our_part(void **state) {
        start(BALANCING_ON, 2);
        fx.balancing = 2;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_described("on (2), set by somebody else after it was on (3) for us");
        fx.balancing = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_described("off, set by somebody else after it was on (3) for us");
}

/* Not before changes may be made, whatever is on now. */
static void test_on_in_a_dry_run(void **state) {
        fx.dry_run = true;
        start(BALANCING_ON, 2);
        assert_int_equal(fx.balancing, 2);
        assert_described("on (2), to be set to 3 once changes may be made");
        fx.balancing = 0;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_described("off, to be set to 1 once changes may be made");
        fx.balancing_setting = BALANCING_OFF;
        fx.balancing = 3;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(2 * USEC_PER_MINUTE);
        assert_described("on (3), to be set to 0 once changes may be made");
        fx.balancing_setting = BALANCING_LEAVE;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        assert_described("on (3), left so: it sorts pages within homes, and undoes what is interleaved");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_on_while_it_runs),
                TEST(test_wide_home),
                TEST(test_on_already),
                TEST(test_on_after_a_kill),
                TEST(test_from_off_to_on),
                TEST(test_on_and_somebody_else_sets_it),
                TEST(test_somebody_else_takes_our_part),
                TEST(test_on_in_a_dry_run),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
