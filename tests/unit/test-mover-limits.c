/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover against a simulated kernel, its limits: which node takes what, what is left alone, which processes, and failures of the whole. */
#include "mover-fixture.h"

static void test_node_full(void **state) {
        add(PID, BASE, 1000, 1);
        simulated_set_free_pages(sim, 0, 300);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 300);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 300);
        assert_int_equal(r.failed_no_memory + r.skipped_room_bytes / 4096, 700);
        assert_true(simulated_counts(sim)->move_calls <= 2);
}

static void test_full_node_overflows_to_the_next(void **state) {
        add(PID, BASE, 1000, 1);
        simulated_set_free_pages(sim, 2, 300);
        struct move_result r = move_home("2-3", 0);
        assert_int_equal(r.moved_pages, 1000);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 300);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 700);
        assert_int_equal(r.failed_no_memory, 0);
}

static void test_room(void **state) {
        add(PID, BASE, 1000, 1);
        room[2] = 250 * 4096 + 1000;
        room[3] = 100 * 4096;
        struct move_result r = move_home("2-3", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 250);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 100);
        assert_int_equal(r.moved_pages, 350);
        assert_int_equal(r.skipped_room_bytes, 650 * 4096);
        assert_int_equal(r.asked_pages, 350);
}

static void test_no_room_at_all(void **state) {
        add(PID, BASE, 1000, 1);
        room[0] = 4095;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.skipped_room_bytes, 1000 * 4096);
        assert_int_equal(simulated_counts(sim)->ask_calls, 0);
}

/* What was set aside for pages that then stay is there for others. */
static void test_room_comes_back(void **state) {
        add(PID, BASE, 150, 1);
        for (size_t i = 0; i < 50; i++)
                simulated_page(sim, PID, BASE + i * 4096)->pinned = true;
        room[0] = 100 * 4096;
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(run(m, 10 * 4096), 0);
        assert_int_equal(mover_result(m)->moved_pages, 100);
        mover_free(m);
}

/* More than a window of them, and a slice that could take them all. */
static void test_many_busy_pages(void **state) {
        add(PID, BASE, 6000, 1);
        for (size_t i = 0; i < 6000; i++)
                simulated_page(sim, PID, BASE + i * 4096)->busy = 1;
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(run(m, 64 * MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 6000);
        mover_free(m);
}

static const struct act_ops *asked_ops;
static unsigned n_asked, ends_when_asked;

/* The process ends when it is asked for so often. */
static long ask_and_end(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        if (pid == PID && !nodes && ++n_asked >= ends_when_asked)
                return -ESRCH;
        return asked_ops->move_pages(context, pid, n, addresses, nodes, all, status);
}

/* What was set aside for one that ended before its pages were moved is there for the next. */
static void test_room_of_one_that_ends(void **state) {
        const struct process_ref processes[] = { { PID, PID + 1000 }, { 101, 101 + 1000 } };
        add(PID, BASE, 4096, 1);
        for (size_t i = 0; i < 4096; i += 2)
                simulated_page(sim, PID, BASE + i * 4096)->node = 0;
        assert_int_equal(simulated_add_process(sim, 101, CGROUP), 0);
        add(101, BASE, 1000, 1);
        room[0] = 1000 * 4096;
        struct act_ops ops = *act.ops;
        asked_ops = act.ops;
        ops.move_pages = ask_and_end;
        act.ops = &ops;
        n_asked = 0;
        ends_when_asked = 2;
        struct mover *m = make("0", processes, 2);
        assert_int_equal(run(m, 4 * MIB), 0);
        assert_true(n_asked >= ends_when_asked);
        assert_true(mover_result(m)->process_vanished);
        assert_int_equal(simulated_pages_on(sim, 101, 0), 1000);
        mover_free(m);
        act.ops = asked_ops;
}

/* Somebody else fills one of two home nodes meanwhile: what comes then goes to the other; and again to both once there is room. */
static void test_room_is_seen(void **state) {
        room[2] = room[3] = 2000 * 4096;
        weights[2] = weights[3] = 1;
        use_weights = true;
        add(PID, BASE, 3000, 1);
        struct mover *m = make("2-3", NULL, 0);
        assert_int_equal(mover_slice(m, 1000 * 4096), 1);
        uint64_t then = simulated_pages_on(sim, PID, 2);
        assert_true(then > 0 && simulated_pages_on(sim, PID, 3) > 0);
        mover_see_room(m, (uint64_t[]) { 0, 0, 0, UINT64_MAX });
        assert_int_equal(mover_slice(m, 1000 * 4096), 1);
        assert_int_equal(simulated_pages_on(sim, PID, 2), then);
        mover_see_room(m, (uint64_t[]) { 0, 0, UINT64_MAX, UINT64_MAX });
        while (mover_slice(m, 1000 * 4096) > 0)
                ;
        assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
        assert_true(simulated_pages_on(sim, PID, 2) > then);
        assert_int_equal(mover_result(m)->skipped_room_bytes, 0);
        mover_free(m);
}

/* A huge page that has no room is not moved in part. */
static void test_room_for_half_a_huge_page(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 2, .page_bytes = HUGE, .node = 1 };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        room[0] = HUGE + HUGE / 2;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.huge_moved, 1);
        assert_int_equal(r.skipped_room_bytes, HUGE);
}

static void test_missed_probe_gives_its_room_back(void **state) {
        add(PID, BASE, 2 * 512, 1);
        room[0] = 2 * HUGE;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 1024);
        assert_int_equal(r.skipped_room_bytes, 0);
}

static void test_weights(void **state) {
        add(PID, BASE, 40 * 512, 0);
        add(PID, BASE + 256 * MIB, 10 * 512, 3); /* there already: counts as that node's share */
        use_weights = true;
        weights[1] = 0;
        weights[2] = 1;
        weights[3] = 1;
        struct mover *m = make("1-3", NULL, 0);
        assert_int_equal(run(m, MIB), 0);
        mover_free(m);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
        assert_in_range(simulated_pages_on(sim, PID, 2), 24 * 512, 26 * 512);
        assert_in_range(simulated_pages_on(sim, PID, 3), 24 * 512, 26 * 512);
}

static void test_nearest(void **state) {
        struct topology *t = (struct topology *) simulated_topology(sim);
        t->distance[0 * 4 + 2] = 40;
        t->distance[0 * 4 + 3] = 15;
        t->distance[1 * 4 + 2] = 12;
        add(PID, BASE, 100, 0);
        add(PID, BASE + MIB, 60, 1);
        (void) move_home("2-3", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 100);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 60);
}

static void test_own_policy_is_respected(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 100, .node = 1, .policy = "bind:1" };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        m = (struct simulated_mapping) { .start = BASE + MIB, .n_pages = 50, .node = 1, .policy = "prefer (many):1-2" };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        add(PID, BASE + 2 * MIB, 10, 1);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 10);
        assert_int_equal(r.skipped_policy_bytes, 150 * 4096);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 150);
}

static void test_special_mappings(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 4, .node = 1, .name = "[vvar]" };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        m = (struct simulated_mapping) { .start = BASE + MIB, .n_pages = 4, .node = 1, .name = "/a [vdso] file" };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.asked_pages, 4);
}

static void test_long_lines_in_maps(void **state) {
        _cleanup_free_ char *name = malloc(100000);
        memset(name, 'x', 99999);
        name[99999] = 0;
        /* What comes behind a buffer's end inside of a line is not the start of one, whatever it looks like. */
        for (size_t i = 1007; i < 99000; i += 18)
                memcpy(name + i, "f0000000-f0001000 ", 18);
        struct simulated_mapping m = { .start = BASE, .n_pages = 4, .node = 1, .name = name };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        add(PID, BASE + MIB, 5, 1);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 9);
}

/* Processes */

static void test_reused_pid(void **state) {
        add(PID, BASE, 100, 1);
        assert_int_equal(simulated_set_process(sim, PID, CGROUP, 7777), 0);
        struct move_result r = move_home("0", 0);
        assert_true(r.process_vanished);
        assert_int_equal(simulated_counts(sim)->move_calls + simulated_counts(sim)->ask_calls, 0);
}

static void test_process_in_another_cgroup(void **state) {
        static const char *const others[] = { "/",
                                              "/system.slice",
                                              "/system.slice/x.service2",
                                              "/system.slice/y.service",
                                              "/system.slice/x.servic",
                                              "/user.slice/system.slice/x.service" };
        add(PID, BASE, 100, 1);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                assert_int_equal(simulated_set_process(sim, PID, others[i], PID + 1000), 0);
                struct move_result r = move_home("0", 0);
                assert_int_equal(r.moved_pages, 0);
                assert_int_equal(simulated_counts(sim)->move_calls + simulated_counts(sim)->ask_calls, 0);
        }
        assert_int_equal(simulated_set_process(sim, PID, CGROUP "/below", PID + 1000), 0);
        assert_int_equal(move_home("0", 0).moved_pages, 100);
}

static void test_lone_process_has_no_cgroup(void **state) {
        struct move_goal goal = { .home = node_set_of(0), .room_bytes = room };
        const struct process_ref p = { PID, PID + 1000 };
        struct mover *m;
        add(PID, BASE, 100, 1);
        assert_int_equal(simulated_set_process(sim, PID, "/elsewhere", PID + 1000), 0);
        assert_int_equal(simulated_write_proc(sim, fx.host.root_fd, true), 0);
        assert_int_equal(mover_new(&act, &fx.host, simulated_topology(sim), "pid:100", &p, 1, &goal, &m), 0);
        assert_int_equal(run(m, MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 100);
        mover_free(m);
}

/* It leaves the service between two slices. */
static void test_process_leaves(void **state) {
        add(PID, BASE, 1000, 1);
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 100 * 4096), 1);
        fixture_write(&fx, "proc/100/cgroup", "0::/excluded.slice\n"); /* into the file that is there, as the kernel does */
        uint64_t moved = simulated_pages_on(sim, PID, 0);
        assert_int_equal(run(m, MIB), 0);
        assert_int_equal(simulated_pages_on(sim, PID, 0), moved);
        assert_int_equal(mover_result(m)->moved_pages, moved);
        mover_free(m);
}

static void end_it(void *data) {
        simulated_end_process(sim, PID);
}

static void test_process_ends_while_moved(void **state) {
        add(PID, BASE, 1000, 1);
        assert_int_equal(simulated_add_process(sim, PID + 1, CGROUP), 0);
        add(PID + 1, BASE, 50, 2);
        simulated_knobs(sim)->on_move = end_it;
        const struct process_ref processes[] = { { PID, PID + 1000 }, { PID + 1, PID + 1001 } };
        struct mover *m = make("0", processes, 2);
        assert_int_equal(run(m, MIB), 0);
        assert_true(mover_result(m)->process_vanished);
        assert_int_equal(mover_result(m)->moved_pages, 50);
        mover_free(m);
}

static void test_several_processes(void **state) {
        struct process_ref processes[10];
        for (int i = 0; i < 10; i++) {
                processes[i] = (struct process_ref) { PID + i, (uint64_t) PID + i + 1000 };
                if (i > 0)
                        assert_int_equal(simulated_add_process(sim, PID + i, CGROUP), 0);
                if (i != 4)
                        add(PID + i, BASE, 100, 1);
        }
        simulated_end_process(sim, PID + 7);
        struct mover *m = make("0", processes, 10);
        assert_int_equal(run(m, 30 * 4096), 0);
        assert_int_equal(mover_result(m)->moved_pages, 800);
        mover_free(m);
}

/* Failures of the call as a whole */

static void test_errors(void **state) {
        static const int errors[] = { -EPERM, -EACCES, -ENOSYS, -EROFS };
        add(PID, BASE, 100, 1);
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                simulated_knobs(sim)->fail_move = errors[i];
                struct move_result r = move_home("0", errors[i]);
                assert_int_equal(r.moved_pages, 0);
        }
        simulated_knobs(sim)->fail_move = -EINVAL; /* a zombie */
        assert_true(move_home("0", 0).process_vanished);
        simulated_knobs(sim)->fail_move = 0;
        simulated_knobs(sim)->fail_ask = -EPERM;
        (void) move_home("0", -EPERM);
        simulated_knobs(sim)->fail_ask = 0;
        assert_int_equal(move_home("0", 0).moved_pages, 100);
}

/* The process's cpuset has only one of the home nodes. */
static void test_forbidden_node(void **state) {
        add(PID, BASE, 1000, 0);
        simulated_knobs(sim)->forbidden = node_set_of(2);
        struct move_result r = move_home("2-3", 0);
        assert_int_equal(r.moved_pages, 1000);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 1000);
        assert_int_equal(r.failed_other, 0);
        r = move_home("2", -EACCES);
        assert_int_equal(r.moved_pages, 0);
        assert_int_equal(r.failed_other, 1000);
}

/* One process that forbids does not keep the other. */
static void test_one_of_two_is_refused(void **state) {
        const struct process_ref processes[] = { { PID, PID + 1000 }, { PID + 1, PID + 1001 } };
        add(PID, BASE, 100, 1);
        assert_int_equal(simulated_add_process(sim, PID + 1, CGROUP), 0);
        add(PID + 1, BASE, 50, 1);
        simulated_knobs(sim)->forbidden = node_set_of(0);
        simulated_knobs(sim)->forbidden_pid = PID;
        struct mover *m = make("0", processes, 2);
        assert_int_equal(run(m, MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 50);
        assert_int_equal(mover_result(m)->failed_other, 100);
        mover_free(m);
}

static void test_dry_run(void **state) {
        struct act real = act;
        add(PID, BASE, 100, 1);
        assert_int_equal(act_null_new(&real, &act), 0);
        (void) move_home("0", -EROFS);
        act_null_done(&act);
        act = real;
        assert_int_equal(simulated_counts(sim)->move_calls, 0);
}

static void test_no_node_with_memory(void **state) {
        struct topology *t = (struct topology *) simulated_topology(sim);
        struct move_goal goal = { .home = node_set_of(2), .room_bytes = room };
        struct mover *m = NULL;
        t->nodes[2].bytes_total = 0;
        assert_int_equal(mover_new(&act, &fx.host, t, CGROUP, NULL, 0, &goal, &m), -EINVAL);
        assert_null(m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ALL(test_node_full),
                ALL(test_full_node_overflows_to_the_next),
                ALL(test_room),
                PAGEMAP(test_no_room_at_all),
                PAGEMAP(test_room_comes_back),
                ALL(test_many_busy_pages),
                PAGEMAP(test_room_of_one_that_ends),
                ALL(test_room_is_seen),
                PAGEMAP(test_room_for_half_a_huge_page),
                PAGEMAP(test_missed_probe_gives_its_room_back),
                PAGEMAP(test_weights),
                PAGEMAP(test_nearest),
                PAGEMAP(test_own_policy_is_respected),
                PAGEMAP(test_special_mappings),
                PAGEMAP(test_long_lines_in_maps),
                PAGEMAP(test_reused_pid),
                PAGEMAP(test_process_in_another_cgroup),
                PAGEMAP(test_lone_process_has_no_cgroup),
                PAGEMAP(test_process_leaves),
                PAGEMAP(test_process_ends_while_moved),
                PAGEMAP(test_several_processes),
                PAGEMAP(test_errors),
                ALL(test_forbidden_node),
                PAGEMAP(test_one_of_two_is_refused),
                PAGEMAP(test_dry_run),
                PAGEMAP(test_no_node_with_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
