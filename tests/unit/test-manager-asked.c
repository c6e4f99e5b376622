/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager is asked by others: plans that change nothing, why, advice, and what it says while it hangs itself. */
#include "manager-asking.h"
#include "report/journal.h"

static struct json_object *service_at(size_t i) {
        struct json_object *services;
        assert_true(json_object_object_get_ex(answer, "services", &services));
        assert_true(i < json_object_array_length(services));
        return json_object_array_get_idx(services, i);
}

/* A service that is at home: nothing goes on, and the interval has grown. */
static void start_quiet(void) {
        fx.services[0] = "managed.service";
        fx.at_home = true;
        fx_start_manager();
        fx_pass(USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes > 0, true); /* its CPUs were to be restricted, which is refused here */
        fx.n_changes = 0;
}

static void test_plan_is_not_applied(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(3 * USEC_PER_MINUTE);
        uint64_t due = fx.manager->next_cycle_usec;
        unsigned screens = fx.n_screens;
        assert_true(due > fx.now + 11 * USEC_PER_SEC);
        assert_int_equal(fx.n_changes, 0);

        fx.services[0] = "managed.service"; /* has come, and nobody told us */
        fx_pass(11 * USEC_PER_SEC);
        ask("Plan", NULL);
        assert_true(answered);
        assert_string_equal(error_name, "");
        assert_int_equal(fx.n_screens, screens + 1);
        assert_string_equal(text_at(service_at(0), "unit"), "managed.service");
        assert_string_equal(text_at(service_at(0), "when"), "later");
        assert_non_null(strstr(text_at(service_at(0), "reason"), "just appeared"));
        assert_int_equal(number_at(service_at(0), "bytes_to_move"), GIB);
        assert_int_equal(number_at(answer, "age_usec"), 0);

        /* The same observation serves while it is young; another is made after. */
        fx_pass(USEC_PER_SEC);
        ask("Plan", NULL);
        assert_int_equal(fx.n_screens, screens + 1);
        assert_int_equal(number_at(answer, "age_usec"), USEC_PER_SEC);
        assert_int_equal(fx.manager->next_cycle_usec, due);
        assert_int_equal(fx.n_changes, 0);

        /* The cycle that is due comes when it is due, and acts. */
        fx_pass(due - fx.now + 20 * USEC_PER_SEC);
        assert_true(fx.n_changes > 0);
}

static void test_plan_of_what_is_due(void **state) {
        start_quiet();
        ask("Pause", "b", 0); /* forgets the refusals, which would have it wait for long */
        ask("Pause", "b", 1);
        fx_pass(10 * USEC_PER_MINUTE);
        fx.n_changes = 0;
        fx.at_home = false;
        ask("Plan", NULL);
        assert_string_equal(error_name, "");
        assert_string_equal(text_at(service_at(0), "when"), "later");
        assert_non_null(strstr(text_at(service_at(0), "reason"), "paused by the administrator"));
        assert_int_equal(fx.n_changes, 0);
}

static double term_at(struct json_object *terms, const char *key) {
        struct json_object *value;
        assert_true(json_object_object_get_ex(terms, key, &value));
        return json_object_get_double(value);
}

/* Made when it is asked for, from what the plan was made from: the history has gone on since, and knows of refusals. */
static void test_explain(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        fx_pass(20 * USEC_PER_SEC);
        ask("Explain", "s", "managed.service");
        assert_string_equal(error_name, "");
        struct json_object *candidates, *terms, *changes, *decision, *home, *nodes;
        assert_true(json_object_object_get_ex(answer, "candidates", &candidates));
        assert_true(json_object_object_get_ex(answer, "would_change", &changes));
        assert_true(json_object_object_get_ex(answer, "decision", &decision));
        assert_true(json_object_object_get_ex(decision, "home_memory_nodes", &home));
        assert_true(json_object_array_length(candidates) > 1 && json_object_array_length(changes) > 0);
        struct json_object *chosen = json_object_array_get_idx(candidates, 0);
        assert_non_null(strstr(text_at(chosen, "verdict"), "chosen: costs "));
        assert_true(json_object_object_get_ex(chosen, "nodes", &nodes));
        assert_string_equal(json_object_to_json_string(nodes), json_object_to_json_string(home));
        assert_true(json_object_object_get_ex(chosen, "terms", &terms));
        double sum = term_at(terms, "distance") + term_at(terms, "bandwidth") + term_at(terms, "load") +
                     term_at(terms, "breadth") + term_at(terms, "fill") + term_at(terms, "moving"),
               cost = term_at(chosen, "cost");
        assert_true(sum > cost - 0.05 && sum < cost + 0.05); /* each is rounded */
        ask("Explain", "s", "nobody.service");
        assert_string_not_equal(error_name, "");
        assert_null(answer);
}

/* A cycle that is due while somebody's look is under way is that look, and decides. */
static void test_due_while_looking(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(2 * USEC_PER_MINUTE);
        unsigned n = (unsigned) fx.manager->stats.n_cycles;
        fx_pass(fx.manager->next_cycle_usec - fx.now - 1);
        assert_int_equal(fx.manager->stats.n_cycles, n);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        assert_true(sd_bus_message_new_method_call(fx.client, &m, NULL, BUS_PATH, BUS_INTERFACE, "Plan") >= 0);
        json_object_put(answer);
        answer = NULL;
        answered = false;
        assert_true(sd_bus_call_async(fx.client, NULL, m, on_answer, NULL, 0) >= 0);
        while (fx.n_jobs == 0)
                (void) (sd_bus_process(fx.client, NULL) + sd_bus_process(fx.env.bus, NULL));
        assert_true(fx.manager->cycle->look_only);
        fx.now++;
        for (size_t i = 0; i < TIMERS_MAX; i++)
                if (fx.timers[i].armed && fx.timers[i].at_usec <= fx.now) {
                        fx.timers[i].armed = false;
                        fx.timers[i].callback(fx.timers[i].userdata);
                }
        assert_false(fx.manager->cycle->look_only);
        fx_settle();
        assert_true(answered);
        assert_true(fx.manager->next_cycle_usec != USEC_INFINITY);
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.manager->stats.n_cycles > n + 1);
}

static void test_cannot_look(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(2 * USEC_PER_MINUTE);
        fx.fail_screen = -EIO;
        ask("Plan", NULL);
        assert_true(answered);
        assert_string_equal(error_name, SD_BUS_ERROR_IO_ERROR);
        fx.fail_screen = 0;
        fx_pass(20 * USEC_PER_SEC);
        ask("Plan", NULL);
        assert_string_equal(error_name, "");
}

static size_t n_stuck(void) {
        struct json_object *stuck;
        ask("Status", NULL);
        assert_true(json_object_object_get_ex(answer, "stuck", &stuck));
        return json_object_array_length(stuck);
}

static unsigned n_said;
static void on_said(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        n_said += strstr(message, "Looking at the machine has not come to an end") != NULL;
}

/* A look that does not return: said once, no other is begun, who asks is not left waiting, and then it goes on. */
static void test_screen_hangs(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(n_stuck(), 0);
        n_said = 0;
        log_open(LOG_TARGET_CONSOLE, LOG_WARNING);
        log_divert(on_said, NULL);
        fx.hangs = true;
        fx_pass(fx.manager->next_cycle_usec - fx.now + 1);
        assert_int_equal(fx.n_jobs, 1);
        ask("Plan", NULL);
        assert_false(answered);
        fx_pass(61 * USEC_PER_SEC);
        assert_true(answered);
        assert_string_not_equal(error_name, "");
        for (unsigned i = 0; i < 10; i++)
                fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(n_said, 1);
        assert_int_equal(fx.n_jobs, 1);
        assert_int_equal(n_stuck(), 1);
        ask("Plan", NULL);
        assert_true(answered);
        assert_string_not_equal(error_name, "");
        unsigned n = (unsigned) fx.manager->stats.n_cycles;
        fx.hangs = false;
        fx_pass(10 * USEC_PER_MINUTE);
        log_divert(NULL, NULL);
        assert_true(fx.manager->stats.n_cycles > n + 1);
        assert_int_equal(n_stuck(), 0);
        ask("Plan", NULL);
        assert_string_equal(error_name, "");
}

static void test_advice(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        fx_pass(USEC_PER_MINUTE);
        ask("Advise", "tt", (uint64_t) 2000, (uint64_t) GIB);
        assert_string_equal(error_name, "");
        assert_string_equal(text_at(answer, "node_list"), "1"); /* the other one is to be on node 0 */
        ask("Advise", "tt", (uint64_t) 2000, (uint64_t) (100 * GIB));
        assert_string_equal(text_at(answer, "node_list"), "");
        assert_non_null(strstr(text_at(answer, "reason"), "no nodes hold 100G"));
}

static void test_history(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        fx_pass(USEC_PER_MINUTE);
        ask("History", "s", "managed.service");
        assert_string_equal(error_name, "");
        assert_true(json_object_array_length(answer) >= 2);
        struct json_object *first = json_object_array_get_idx(answer, 0), *second = json_object_array_get_idx(answer, 1);
        assert_string_equal(text_at(first, "event"), "decided");
        assert_string_equal(text_at(second, "event"), "failed");
        assert_true(number_at(first, "time_usec") > 1000000000LL * 1000000);
        ask("History", "s", "other.service");
        assert_int_equal(json_object_array_length(answer), 0);
}

/* The administrator asked for it, and it could not be given back: after a restart that is still to be done, but not by a dry run. */
static void restore_over_restart(const char *unit) {
        fx_make_record();
        fx.services[0] = "managed.service";
        fx_start_manager();
        ask("Restore", "s", unit);
        assert_true(answered && fx.n_changes > 0);
        assert_int_equal(fx.manager->record->n_entries, 1);

        fx.dry_run = true;
        fx_restart();
        fx.n_changes = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);

        fx.dry_run = false;
        fx_restart();
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
        assert_int_equal(fx.manager->record->n_entries, 1);
        fx.accept_changes = true;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->record->n_entries, 0);
        fx.n_changes = 0;
        fx_restart();
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0); /* and it stays so */
}

static void test_restore_one_over_restart(void **state) {
        restore_over_restart("managed.service");
}

static void test_restore_all_over_restart(void **state) {
        restore_over_restart("");
}

static unsigned n_told;

static void count_left_out(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        n_told += strstr(message, "than are looked at") != NULL;
}

static size_t n_limitations(void) {
        struct json_object *limitations;
        ask("Status", NULL);
        assert_true(json_object_object_get_ex(answer, "limitations", &limitations));
        return json_object_array_length(limitations);
}

/* Past the limits of one look: that is told once and shown, and who was not seen is not taken for gone. */
static void test_left_out(void **state) {
        fx_make_record();
        fx.accept_changes = true;
        fx.left_out = true;
        n_told = 0;
        log_open(LOG_TARGET_CONSOLE, LOG_NOTICE);
        log_divert(count_left_out, NULL);
        fx_start_manager();
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(n_told, 1);
        size_t n = n_limitations();
        assert_int_equal(fx.manager->record->n_entries, 1);
        fx.left_out = false;
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(n_limitations(), n - 1);
        assert_int_equal(fx.manager->record->n_entries, 0); /* gone for long enough */
        log_divert(NULL, NULL);
}

/* These can be reached for good, by anybody; what the kernel says is gone is off the record all the same. */
static void test_gone_and_left_out(void **state) {
        fx_make_record();
        fx.accept_changes = fx.left_out = fx.no_cgroup = true;
        fx_start_manager();
        fx_pass(30 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->record->n_entries, 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_plan_is_not_applied),
                EACH(test_plan_of_what_is_due),
                EACH(test_explain),
                EACH(test_due_while_looking),
                EACH(test_cannot_look),
                EACH(test_screen_hangs),
                EACH(test_advice),
                EACH(test_history),
                EACH(test_restore_one_over_restart),
                EACH(test_restore_all_over_restart),
                EACH(test_left_out),
                EACH(test_gone_and_left_out),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        json_object_put(answer);
        return r;
}
