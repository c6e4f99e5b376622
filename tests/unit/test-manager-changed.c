/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes under the manager's hands: the configuration in the middle of a look, whose a service is in the middle of its move, and
 * whether what was given back can be written down; and what is said where it cannot be looked at. */
#include <sys/stat.h>
#include <unistd.h>

#include "manager-asking.h"
#include "report/journal.h"

static const char *planned_unit(void) {
        struct json_object *services;
        assert_true(json_object_object_get_ex(answer, "services", &services));
        assert_int_equal(json_object_array_length(services), 1);
        return text_at(json_object_array_get_idx(services, 0), "unit");
}

/* Asks, and does not wait: whoever asks in the middle of something. */
static void ask_for_plan(void) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        json_object_put(answer);
        answer = NULL;
        answered = false;
        assert_true(sd_bus_message_new_method_call(fx.client, &m, NULL, BUS_PATH, BUS_INTERFACE, "Plan") >= 0);
        assert_true(sd_bus_call_async(fx.client, NULL, m, on_answer, NULL, 0) >= 0);
        while (sd_bus_process(fx.client, NULL) > 0 || sd_bus_process(fx.env.bus, NULL) > 0)
                ;
}

/* The look that is under way goes by the old rules: the new ones are not to wait for an interval of these, nor is who asks what would be done told what the old
 * ones would do. */
static void test_reload_while_looking(void **state) {
        fx.services[0] = "managed.service";
        fx.services[1] = "other.service";
        fx.interval_usec = 5 * USEC_PER_MINUTE;
        fx_start_manager();
        fx_pass(20 * USEC_PER_MINUTE);
        fx.hangs = true;
        fx_pass(fx.manager->next_cycle_usec - fx.now + 1);
        assert_non_null(fx.manager->cycle);
        fx.other_rule = true;
        fx.interval_usec = 10 * USEC_PER_SEC;
        assert_int_equal(manager_reload(fx.manager, NULL), 0);
        fx_pass(USEC_PER_SEC);
        ask_for_plan();
        assert_false(answered);

        fx.hangs = false;
        fx_pass(3 * USEC_PER_SEC);
        assert_ptr_equal(fx.manager->last->config, fx.manager->config);
        assert_true(answered);
        assert_string_equal(error_name, "");
        assert_string_equal(planned_unit(), "other.service");
}

static void begin_to_move(void) {
        fx.host.has_cpuset = false; /* its pages alone */
        fx.moves = true;
        fx.migrate_rate_bytes = 4 * MIB;
        fx.slice_bytes = MIB;
        fx.services[0] = "managed.service";
        fx_start_manager();
        for (unsigned i = 0; i < 60 && fx.moved_bytes < 16 * MIB; i++)
                fx_pass(USEC_PER_SEC);
        assert_non_null(transition_find(fx.manager, "/system.slice/managed.service"));
        assert_true(fx.moved_bytes >= 16 * MIB && fx.moved_bytes < GIB / 2);
}

/* Its processes are others by now, which no rule matches: what is under way for it ends at the next look. */
static void test_unmatched_while_moved(void **state) {
        begin_to_move();
        fx.unmatched = true;
        fx_pass(fx.manager->next_cycle_usec - fx.now + USEC_PER_SEC);
        assert_int_equal(fx.manager->n_transitions, 0);
        uint64_t before = fx.moved_bytes;
        fx_pass(5 * USEC_PER_MINUTE);
        assert_int_equal(fx.moved_bytes, before);
}

/* Another look under the same rule changes nothing. */
static void test_moved_to_the_end(void **state) {
        begin_to_move();
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.moved_bytes >= GIB);
}

static unsigned n_not_observed, n_observed_again;
static void on_observed(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        n_not_observed += strstr(message, "Could not observe") != NULL;
        n_observed_again += strstr(message, "works again") != NULL;
}

/* No descriptors are left, for an hour, and then no memory: not a line at each interval. */
static void test_cannot_look_for_long(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(2 * USEC_PER_MINUTE);
        n_not_observed = n_observed_again = 0;
        log_open(LOG_TARGET_CONSOLE, LOG_NOTICE);
        log_divert(on_observed, NULL);
        fx.fail_screen = -EMFILE;
        unsigned n = fx.n_screens;
        fx_pass(60 * USEC_PER_MINUTE);
        assert_true(fx.n_screens > n + 5);
        assert_int_equal(n_not_observed, 1);
        fx.fail_screen = -ENOMEM;
        fx_pass(60 * USEC_PER_MINUTE);
        assert_int_equal(n_not_observed, 2);
        assert_int_equal(n_observed_again, 0);
        fx.fail_screen = 0;
        fx_pass(60 * USEC_PER_MINUTE);
        assert_int_equal(n_observed_again, 1);
        fx.fail_screen = -ENOMEM;
        fx_pass(60 * USEC_PER_MINUTE);
        log_divert(NULL, NULL);
        assert_int_equal(n_not_observed, 3);
}

/* Who asks meanwhile is told how far it is; and it is looked at soon, whatever becomes of others. */
static void test_told_while_moved(void **state) {
        unsigned done = 0, all = 0;
        fx.services[1] = "managed2.service";
        fx.pids_apart = true;
        begin_to_move();
        struct service_note *held = manager_note(fx.manager, "/system.slice/managed2.service");
        assert_non_null(held);
        transition_cancel(transition_find(fx.manager, held->cgroup), "for the test");
        held->held = true;
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->n_transitions, 1);
        assert_true(fx.manager->next_cycle_usec <= fx.now + fx.interval_usec);
        ask("Explain", "s", "managed.service");
        assert_string_equal(text_at(answer, "state"), "moving");
        assert_int_equal(sscanf(text_at(answer, "reason"), "moving: %uM of %uM moved", &done, &all), 2);
        assert_in_range(done, 16, 1023);
        assert_int_equal(all, 1024);
}

/* A service that is on record: narrowed to this node. */
static void begin_recorded(unsigned node) {
        static const struct target t = { .cgroup = "/system.slice/managed.service",
                                         .unit = "managed.service",
                                         .owner = OWNER_SYSTEMD };
        struct cpuset_change c = { .change_mems = true, .value = { .mems_set = true, .mems = node_set_of(node) } };
        struct cpuset_state now;
        fx.services[0] = "managed.service";
        fx_start_manager();
        assert_int_equal(fx_get_cpuset(NULL, &t, &now), 0);
        assert_int_equal(record_before_change(fx.manager->record, &t, &now, &c), 0);
}

static void begin_unmatched(void) {
        fx.unmatched = fx.accept_changes = true;
        begin_recorded(0);
}

/* It is given back, but that cannot be written down: it is not done again and again, with a line each. */
static void test_record_cannot_be_written(void **state) {
        begin_unmatched();
        _cleanup_free_ char *in_the_way = format_string("%s/record.json.tmp", fx.directory);
        assert_int_equal(mkdir(in_the_way, 0700), 0);
        fx_pass(30 * USEC_PER_MINUTE);
        assert_true(fx.n_changes >= 2 && fx.n_changes <= 6);
        assert_int_equal(fx.manager->record->n_entries, 1);
        assert_int_equal(rmdir(in_the_way), 0);
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->record->n_entries, 0);
}

static unsigned n_warnings;

static void count_warnings(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        n_warnings += strstr(message, "could not begin to give its cpusets back") != NULL;
}

/* Nor is what cannot even be begun. */
static void test_restore_cannot_begin(void **state) {
        log_open(LOG_TARGET_CONSOLE, LOG_WARNING);
        log_divert(count_warnings, NULL);
        begin_unmatched();
        fx.fail_cpuset = -EOPNOTSUPP;
        fx_pass(30 * USEC_PER_MINUTE);
        log_divert(NULL, NULL);
        assert_true(n_warnings >= 2 && n_warnings <= 6);
        fx.fail_cpuset = 0;
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->record->n_entries, 0);
}

/* It was narrowed by an earlier run to a node that is gone since: that one runs short of nothing, and is not looked at. */
static void test_node_is_gone(void **state) {
        fx.sees_nodes = fx.at_home = true;
        begin_recorded(NODE_BEYOND);
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->stats.by_wake[WAKE_NODE], 0);
}

/* Or it goes while we run, when the topology still has it: what it had the kernel has put elsewhere, and no look brings it back. */
static void test_node_goes(void **state) {
        fx.sees_nodes = fx.at_home = fx.taken_away = true;
        begin_recorded(0);
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->stats.by_wake[WAKE_NODE], 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_reload_while_looking),
                EACH(test_unmatched_while_moved),
                EACH(test_moved_to_the_end),
                EACH(test_told_while_moved),
                EACH(test_record_cannot_be_written),
                EACH(test_restore_cannot_begin),
                EACH(test_node_is_gone),
                EACH(test_node_goes),
                EACH(test_cannot_look_for_long),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        json_object_put(answer);
        return r;
}
