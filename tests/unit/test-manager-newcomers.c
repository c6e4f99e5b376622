/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that come to a service after they were listed: who of them does not let itself be read is left out like any other, and what seemed to be
 * shared with others because of them is tried again. */
#include "manager-aside.h"

/* One that has come since the screen, and is read because of what it may share: it hangs one thread, and no other, also once a screen has found it. */
static void test_newcomer(void **state) {
        fx.shares = true;
        fx.n_newcomers = 1;
        begin(2, 4002);
        fx_pass(2 * USEC_PER_MINUTE);
        assert_left_out(4002, 2);
        fx.n_processes = 3;
        fx.n_newcomers = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_read, 2);
        assert_int_equal(fx.n_jobs, 1);
        assert_int_equal(fx.n_changes, 0);
        let_it_answer(3);
}

/* More of them than can be left out: the service as a whole is, and is still one thread for each. */
static void test_many_newcomers(void **state) {
        fx.shares = true;
        fx.n_newcomers = ASIDE_MAX + 1;
        begin(2, 4002);
        for (pid_t i = 0; i <= (pid_t) ASIDE_MAX; i++) {
                fx.stuck_pid = 4002 + i;
                fx_pass(5 * USEC_PER_MINUTE);
        }
        assert_int_equal(note()->n_aside, ASIDE_MAX);
        assert_true(note()->stuck);
        assert_int_equal(note()->stuck_pid, 4002 + (pid_t) ASIDE_MAX);
        assert_int_equal(fx.n_jobs, ASIDE_MAX + 1);
        fx.stuck_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(note()->n_aside, 0);
        assert_false(note()->stuck);
}

/* It hangs once its service is being moved: the second pass, which looks who shares its pages, leaves it out as well. */
static void test_second_pass(void **state) {
        const struct transition *t = NULL;
        fx.shares = fx.moves = true;
        fx.host.has_cpuset = false;
        fx.services[0] = UNIT;
        fx.n_processes = 3;
        fx_start_manager();
        for (unsigned i = 0; i < 600 && !(t && transition_wants_observation(t)); i++) {
                fx_pass(USEC_PER_SEC / 10);
                t = transition_find(fx.manager, CGROUP);
        }
        assert_non_null(t);
        assert_int_equal(t->n_passes, 1);
        fx.stuck_pid = 4001;
        unsigned before = fx.n_changes;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_true(fx.n_changes > before);
        assert_int_equal(note()->n_aside, 1);
        assert_false(note()->stuck);
        assert_int_equal(fx.n_jobs, 1);
        fx.stuck_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(note()->n_aside, 0);
        assert_int_equal(fx.n_jobs, 0);
}

/* What is said to be shared with others stays, unless that is said because processes of its own came: then a look says that it may move, and it is tried. */
static unsigned count_passes(void) {
        unsigned n_passes = 0;
        fx.shares = fx.moves = true;
        fx.host.has_cpuset = false;
        fx.services[0] = UNIT;
        fx_start_manager();
        const struct transition *t = NULL;
        for (unsigned i = 0; i < 600 && (t || n_passes == 0); i++) {
                fx_pass(USEC_PER_SEC / 10);
                t = transition_find(fx.manager, CGROUP);
                n_passes = t ? MAX2(n_passes, t->n_passes) : n_passes;
        }
        return n_passes;
}

static void test_shared(void **state) {
        fx.shared_surely = true;
        assert_int_equal(count_passes(), 1);
}

static void test_shared_perhaps(void **state) {
        fx.shared_unsure = true;
        assert_int_equal(count_passes(), 4);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_newcomer, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_many_newcomers, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_second_pass, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_shared, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_shared_perhaps, fx_setup, fx_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
