/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that does not let itself be read: it alone is left out, nobody else waits, and nothing of its service is moved until it answers. */
#include "manager-aside.h"

static void test_one_process(void **state) {
        begin(3, 4001);
        assert_int_equal(fx.n_screens, 1); /* not late yet: the cycle waits for it */
        assert_int_equal(fx.n_jobs, 1);
        fx_pass(2 * USEC_PER_MINUTE);
        assert_left_out(4001, 2);
        unsigned before = fx.n_screens;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.n_screens > before); /* cycles go on */
        assert_int_equal(fx.n_jobs, 1);
        assert_int_equal(fx.n_changes, 0);
        let_it_answer(3);
}

/* Without it there is no service: so that waits as a whole. */
static void test_only_process(void **state) {
        begin(1, 4000);
        fx_pass(2 * USEC_PER_MINUTE);
        assert_int_equal(note()->n_aside, 0);
        assert_true(note()->stuck);
        assert_true(status_names(4000));
        assert_int_equal(fx.n_changes, 0);
        fx.stuck_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_false(note()->stuck);
        assert_true(fx.n_changes > 0);
}

/* Whoever has a tree of cgroups delegated to him names them as he likes: who asks for the status is told, and his terminal is not driven. */
static void test_name(void **state) {
        fx.services[0] = "managed\033[2J.service";
        fx.stuck_pid = 4000;
        fx_start_manager();
        fx_pass(2 * USEC_PER_MINUTE);
        struct json_object *status = manager_bus_callbacks.status(fx.manager), *stuck = json_object_object_get(status, "stuck");
        assert_int_equal(json_object_array_length(stuck), 1);
        assert_string_equal(json_object_get_string(json_object_array_get_idx(stuck, 0)),
                            "/system.slice/managed\\x1b[2J.service: process 4000 of it does not respond");
        json_object_put(status);
        fx.stuck_pid = 0;
        fx_pass(USEC_PER_MINUTE);
}

static unsigned n_said;
static void on_said(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        n_said += strstr(message, userdata) != NULL;
}

/* All threads hang at others' processes, for an hour: that no memory map is read is said when it begins, not at each try. */
static void test_no_threads(void **state) {
        n_said = 0;
        log_open(LOG_TARGET_CONSOLE, LOG_WARNING);
        log_divert(on_said, (char[]) { "memory map" });
        fx.full = true;
        begin(1, 0);
        fx_pass(60 * USEC_PER_MINUTE);
        assert_in_range(n_said, 1, 2);
        fx.full = false;
        fx_pass(20 * USEC_PER_MINUTE);
        log_divert(NULL, NULL);
        assert_in_range(n_said, 1, 2);
        assert_true(fx.n_changes > 0);
}

/* … and a slice of pages that waited for one is told so: it is not the service that cannot be moved. */
static void test_no_thread_to_move(void **state) {
        n_said = 0;
        log_open(LOG_TARGET_CONSOLE, LOG_INFO);
        log_divert(on_said, (char[]) { "no thread is left to move its pages" });
        fx.host.has_cpuset = false;
        fx.moves = true;
        fx.slice_error = -EBUSY;
        begin(1, 0);
        fx_pass(35 * USEC_PER_MINUTE);
        log_divert(NULL, NULL);
        assert_true(n_said > 0 && n_said < 20); /* not at each cooldown */
        /* … nor is it to blame, and wait twice as long each time, once there is one. */
        fx.slice_error = 0;
        unsigned before = fx.n_changes;
        fx_pass(9 * USEC_PER_MINUTE);
        assert_true(fx.n_changes > before);
}

/* A process that lives on after its first thread has ended has no memory map, however often it is looked for. */
static void test_no_map(void **state) {
        fx.vanish = true;
        begin(1, 0);
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.n_screens <= 75); /* one each ten seconds, and some more */
        assert_int_equal(fx.n_changes, 0);
        /* Those that it comes to have are seen all the same. */
        fx.vanish = false;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
}

/* Where memory maps take long, one read is under way at a time; the end of one that was left behind is not the end of that. */
static void test_slow_reads(void **state) {
        fx.at_home = fx.maps_alone = true;
        fx.services[0] = UNIT;
        fx.n_processes = 4;
        fx.stuck_pid = 4001;
        fx_start_manager();
        manager_note(fx.manager, CGROUP)->slow = true;
        fx_pass(USEC_PER_MINUTE);
        assert_true(note()->reading);
        fx.stuck_pid = 4002; /* the next process of which the next read is not to get past */
        for (unsigned i = 0; i < 60 && (note()->n_aside == 0 || !note()->reading); i++)
                fx_pass(15 * USEC_PER_SEC);
        assert_int_equal(note()->aside[0].pid, 4001);
        assert_true(note()->reading);
        fx.stuck_pid = 0;
        assert_true(fx_run_job()); /* the first */
        assert_int_equal(note()->n_aside, 0);
        assert_true(note()->reading);
        fx_settle();
        assert_false(note()->reading);
}

/* What is said of a service that does nothing says how old it is, where its memory map is not read each time. */
static void test_age(void **state) {
        fx.at_home = fx.maps_alone = true;
        fx.services[0] = UNIT;
        fx_start_manager();
        fx_pass(USEC_PER_MINUTE);
        uint64_t oldest = 0;
        bool fresh = false;
        for (unsigned i = 0; i < 60; i++) {
                fx_pass(15 * USEC_PER_SEC);
                const struct service_sample *s = &fx.manager->last->observation->services[0];
                assert_int_equal(s->bytes_by_node[0], GIB);
                oldest = MAX2(oldest, s->bytes_age_usec);
                fresh = fresh || s->bytes_age_usec == 0;
        }
        assert_true(oldest > 0 && oldest <= 6 * USEC_PER_MINUTE);
        assert_true(fresh);
        fx.maps_alone = false;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.manager->last->observation->services[0].bytes_age_usec, 0);
}

/* What it shares may have been moved with the other. */
static void test_company_moved(void **state) {
        fx.at_home = fx.maps_alone = fx.bonded = true;
        fx.services[0] = "managed0.service";
        fx.services[1] = "managed1.service";
        fx_start_manager();
        const struct service_sample *s = NULL;
        for (unsigned i = 0; i < 60 && (!s || s->bytes_age_usec == 0 || s->bytes_age_usec > 2 * USEC_PER_MINUTE); i++) {
                fx_pass(15 * USEC_PER_SEC);
                s = &fx.manager->last->observation->services[0];
        }
        assert_true(s->bytes_age_usec > 0 && s->bytes_age_usec <= 2 * USEC_PER_MINUTE);
        fx_pass(USEC_PER_SEC);
        manager_note(fx.manager, "/system.slice/managed1.service")->moved_usec = fx.now;
        unsigned before = fx.n_screens;
        assert_true(cycle_begin(fx.manager) >= 0);
        fx_settle();
        assert_int_equal(fx.n_screens, before + 1);
        assert_int_equal(fx.manager->last->observation->services[0].bytes_age_usec, 0);
}

static unsigned n_without_companions(void) {
        unsigned n = 0;
        for (size_t i = 0; i < fx.manager->n_notes; i++)
                n += fx.manager->notes[i]->without_companions;
        return n;
}

/* Eight services read each other's maps, in two threads, and one process hangs: that is known after the first two, and the others do not come to it. */
static void hang_a_companion(size_t n_processes) {
        static const char *const units[SERVICE_MAX] = { "managed0.service", "managed1.service", "managed2.service",
                                                        "managed3.service", "managed4.service", "managed5.service",
                                                        "managed6.service", "managed7.service" };
        memcpy(fx.services, units, sizeof(units));
        fx.bonded = fx.pids_apart = true;
        fx.n_threads = 2;
        fx.n_processes = n_processes;
        fx.stuck_pid = 4050;
        fx_start_manager();
        fx_pass(DEEP_DEADLINE_USEC + 5 * USEC_PER_SEC);
        const struct service_note *n = manager_find_note(fx.manager, "/system.slice/managed5.service");
        assert_non_null(n);
        assert_true(n_processes > 1 ? n->n_aside == 1 && n->aside[0].pid == 4050 : n->stuck && n->stuck_pid == 4050);
        assert_int_equal(n_without_companions(), 2);
        fx_pass(5 * USEC_PER_MINUTE);
        assert_true(fx.n_jobs <= 3); /* the first two, and its own */
        assert_int_equal(n_without_companions(), 2);
        unsigned before = fx.n_screens;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_true(fx.n_screens > before);
        assert_true(fx.n_jobs <= 3);

        fx.stuck_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(n_without_companions(), 0);
        assert_true(n->n_aside == 0 && !n->stuck);
        assert_true(status_names(0));
        assert_int_equal(fx.n_jobs, 0);
}

static void test_companion(void **state) {
        hang_a_companion(2);
}

static void test_only_companion(void **state) {
        hang_a_companion(1);
}

/* The mover finds it: whoever else would come to that process leaves it out from then on, until it lets go. */
static void hang_a_moved_companion(size_t n_processes) {
        fx.services[0] = "managed0.service";
        fx.services[1] = "managed1.service";
        fx.bonded = fx.pids_apart = fx.moves = true;
        fx.host.has_cpuset = false;
        fx.n_processes = n_processes;
        fx.moved_pid = 4010 + (pid_t) n_processes - 1;
        fx_start_manager();
        const struct service_note *first = manager_note(fx.manager, "/system.slice/managed0.service"),
                                  *other = manager_note(fx.manager, "/system.slice/managed1.service");
        struct transition *t = NULL;
        for (unsigned i = 0; i < 600 && !first->without_companions; i++) {
                fx_pass(USEC_PER_SEC);
                t = transition_find(fx.manager, first->cgroup);
        }
        assert_true(first->without_companions && t && transition_is_late(t) && !first->stuck);
        if (n_processes > 1) {
                assert_int_equal(other->n_aside, 1);
                assert_int_equal(other->aside[0].pid, fx.moved_pid);
        } else
                assert_true(other->stuck && other->stuck_pid == fx.moved_pid);
        fx_pass(5 * USEC_PER_MINUTE);
        assert_true(first->without_companions);

        fx.moved_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_false(first->without_companions || first->stuck || other->stuck || other->n_aside > 0);
        assert_int_equal(fx.n_jobs, 0);
}

static void test_moved_companion(void **state) {
        hang_a_moved_companion(2);
}

static void test_only_moved_companion(void **state) {
        hang_a_moved_companion(1);
}

static void test_limits(void **state) {
        struct process_ref processes[ASIDE_MAX + 2];
        struct service_sample s = { .processes = processes, .n_processes = ARRAY_SIZE(processes) };
        struct service_note n = { 0 };
        for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
                processes[i] = (struct process_ref) { .pid = 10 + (pid_t) i, .start_ticks = 7 };
        assert_false(aside_add(&n, &s, ARRAY_SIZE(processes)));
        for (size_t i = 0; i < ASIDE_MAX; i++)
                assert_true(aside_add(&n, &s, i));
        assert_false(aside_add(&n, &s, ASIDE_MAX)); /* too many: the service itself */
        assert_true(aside_add(&n, &s, 0));          /* already */
        assert_int_equal(n.n_aside, ASIDE_MAX);
        processes[1].start_ticks = 8; /* another process by the same number */
        aside_leave_out(&n, &s);
        assert_int_equal(s.n_processes, 3);
        assert_int_equal(processes[0].pid, 11);
        assert_int_equal(processes[1].pid, 10 + ASIDE_MAX);
        aside_remove(&n, &(struct process_ref) { .pid = 12, .start_ticks = 7 });
        aside_remove(&n, &(struct process_ref) { .pid = 12, .start_ticks = 7 });
        assert_int_equal(n.n_aside, ASIDE_MAX - 1);

        /* A service that has only such processes keeps them. */
        struct process_ref only[] = { { .pid = 10, .start_ticks = 7 } };
        struct service_sample small = { .processes = only, .n_processes = 1 };
        aside_leave_out(&n, &small);
        assert_int_equal(small.n_processes, 1);
        assert_false(aside_add(&n, &small, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_process, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_only_process, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_name, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_no_threads, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_no_thread_to_move, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_no_map, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_slow_reads, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_age, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_company_moved, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_companion, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_only_companion, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_moved_companion, fx_setup, fx_teardown),
                cmocka_unit_test_setup_teardown(test_only_moved_companion, fx_setup, fx_teardown),
                cmocka_unit_test(test_limits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
