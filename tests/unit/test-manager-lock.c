/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two daemons on one machine: one changes it at a time, and what the other one has recorded is read before anything else is changed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "manager-asking.h"

static int lock_of_other;

/* Another one runs, and changes the machine. */
static void other_runs(void) {
        _cleanup_free_ char *path = format_string("%s/lock", fx.directory);
        lock_of_other = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(lock_of_other >= 0);
        assert_int_equal(flock(lock_of_other, LOCK_EX | LOCK_NB), 0);
        fx.services[0] = "managed.service";
}

static void other_ends(void) {
        assert_int_equal(close(lock_of_other), 0);
}

static void test_one_at_a_time(void **state) {
        other_runs();
        assert_int_equal(fx_try_manager(), -EWOULDBLOCK);
        assert_null(fx.manager);
        other_ends();
        assert_int_equal(fx_try_manager(), 0);
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
}

/* A dry run may be there, too; what changes something after all it refuses. */
static void test_dry_run_beside_it(void **state) {
        other_runs();
        fx_make_record();
        fx.accept_changes = true;
        fx.dry_run = true;
        fx_start_manager();
        fx_pass(USEC_PER_MINUTE);
        ask("Restore", "s", "");
        assert_string_not_equal(error_name, "");
        fx_pass(USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        assert_int_equal(fx.manager->record->n_entries, 1);
        other_ends();
        ask("Restore", "s", "");
        assert_string_equal(error_name, "");
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
        assert_int_equal(fx.manager->record->n_entries, 0);
}

/* It is to be no dry run any more: not before the other one has gone, and then with what that one has recorded meanwhile. */
static void test_taking_over(void **state) {
        other_runs();
        fx.dry_run = true;
        fx_start_manager();
        fx_make_record();
        fx.dry_run = false;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        assert_int_equal(fx.manager->record->n_entries, 0);
        other_ends();
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
        const struct record_entry *e = record_find(fx.manager->record, "/system.slice/managed.service");
        assert_true(e && e->changed_mems && e->ours.mems_set);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_one_at_a_time),
                EACH(test_dry_run_beside_it),
                EACH(test_taking_over),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        json_object_put(answer);
        return r;
}
