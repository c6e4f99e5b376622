/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving cpusets back on request, while something else does not come to an end. */
#include "manager-asking.h"

/* A service whose memory nodes were narrowed. */
static void put_on_record(const char *cgroup, const char *unit) {
        const struct target t = { .cgroup = cgroup, .unit = unit, .owner = OWNER_SYSTEMD };
        struct cpuset_change c = { .change_mems = true, .value = { .mems_set = true, .mems = node_set_of(0) } };
        struct cpuset_state now;
        assert_int_equal(fx_get_cpuset(NULL, &t, &now), 0);
        assert_int_equal(record_before_change(fx.manager->record, &t, &now, &c), 0);
}

static void begin(void) {
        fx.services[0] = "managed-a.service";
        fx.services[1] = "managed-b.service";
        fx.at_home = fx.accept_changes = true;
        fx_start_manager();
        ask("Pause", "b", 1); /* nothing else is to be changed */
        put_on_record("/system.slice/managed-a.service", "managed-a.service");
        put_on_record("/system.slice/managed-b.service", "managed-b.service");
        fx.held_cgroup = "/system.slice/managed-a.service";
}

static void expect_outcome(size_t i, const char *unit, const char *outcome) {
        assert_true(answered);
        assert_string_equal(error_name, "");
        assert_int_equal(json_object_array_length(answer), 1);
        struct json_object *o = json_object_array_get_idx(answer, i);
        assert_string_equal(text_at(o, "unit"), unit);
        assert_string_equal(text_at(o, "outcome"), outcome);
}

/* Who asks for it is told that it does not come to an end, and others are given back meanwhile. */
static void test_one_does_not_end(void **state) {
        begin();
        ask("Restore", "s", "managed-a.service");
        assert_false(answered);
        for (unsigned i = 0; i < 20 && !answered; i++)
                fx_pass(USEC_PER_MINUTE);
        expect_outcome(0, "managed-a.service", "failed");
        ask("Restore", "s", "managed-b.service");
        expect_outcome(0, "managed-b.service", "restored");
        ask("Restore", "s", "managed-a.service"); /* late already: no need to wait */
        expect_outcome(0, "managed-a.service", "failed");
        assert_int_equal(fx.manager->record->n_entries, 1);
        fx_release_change();
        fx_settle();
        assert_int_equal(fx.manager->record->n_entries, 0);
        assert_int_equal(fx.manager->n_restoring, 0);
}

/* One that is given back by itself is no answer to who asks for another, and keeps nobody waiting. */
static void test_beside_another(void **state) {
        begin();
        assert_int_equal(manager_restore_one(fx.manager, "/system.slice/managed-a.service"), 0);
        ask("Restore", "s", "managed-b.service");
        expect_outcome(0, "managed-b.service", "restored");
        /* Who asks for that one is told when it is done. */
        ask("Restore", "s", "managed-a.service");
        assert_false(answered);
        ask("Restore", "s", "managed-b.service");
        assert_string_not_equal(error_name, ""); /* one at a time */
        answered = false;
        fx_release_change();
        fx_settle();
        expect_outcome(0, "managed-a.service", "restored");
        assert_int_equal(fx.manager->n_restoring, 0);
}

/* Who asks for all is told of all, and not before the last one is done. */
static void test_all_of_them(void **state) {
        begin();
        ask("Restore", "s", "");
        assert_false(answered);
        fx_release_change();
        fx_settle();
        assert_true(answered);
        assert_string_equal(error_name, "");
        assert_int_equal(json_object_array_length(answer), 2);
        assert_int_equal(fx.manager->record->n_entries, 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_one_does_not_end),
                EACH(test_beside_another),
                EACH(test_all_of_them),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        json_object_put(answer);
        return r;
}
