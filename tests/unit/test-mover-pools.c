/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover and hugetlb pages: their pools, one for each size and node. */
#include "mover-fixture.h"

static void set_pool(unsigned node, unsigned kib, const char *n_free) {
        _cleanup_free_ char *path =
                format_string("sys/devices/system/node/node%u/hugepages/hugepages-%ukB/free_hugepages", node, kib);
        assert_non_null(path);
        fixture_write(&fx, path, n_free);
}

static void test_giant_pages(void **state) {
        struct simulated_mapping map = { .start = GIB, .n_pages = 3, .page_bytes = GIB, .node = 3 };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        simulated_page(sim, PID, 2 * GIB)->node = 0;
        set_pool(0, 1048576, "2\n");
        room[0] = 0; /* they come from the pool */
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.asked_pages, 2);
        assert_int_equal(r.huge_moved, 2);
        assert_int_equal(r.moved_bytes, 2 * GIB);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 3 * GIB / 4096);
}

/* 2 MiB at BASE, and behind that a page of 1 GiB. */
static void add_both_sizes(void) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 1, .page_bytes = HUGE, .node = 1 };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        m = (struct simulated_mapping) { .start = GIB, .n_pages = 1, .page_bytes = GIB, .node = 1 };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        room[0] = 0;
}

static const struct act_ops *pool_ops;

/* What is free of the smaller ones somebody has reserved. */
static long refuse_small(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        if (nodes && (uint64_t) (uintptr_t) addresses[0] < GIB)
                return -ENOMEM;
        return pool_ops->move_pages(context, pid, n, addresses, nodes, all, status);
}

/* A full pool bars the pages of its own size. */
static void test_one_of_two_pools_is_full(void **state) {
        add_both_sizes();
        set_pool(0, 2048, "5\n");
        set_pool(0, 1048576, "1\n");
        struct act_ops ops = *act.ops;
        pool_ops = act.ops;
        ops.move_pages = refuse_small;
        act.ops = &ops;
        struct move_result r = move_home("0", 0);
        act.ops = pool_ops;
        assert_int_equal(r.huge_moved, 1);
        assert_int_equal(r.moved_bytes, GIB);
        assert_int_equal(r.failed_no_memory, HUGE / 4096);
}

/* What is tried again comes from the pool of its own size, whichever was looked at last. */
static void test_pools_of_a_retry(void **state) {
        add_both_sizes();
        simulated_page(sim, PID, BASE)->busy = 1;
        set_pool(0, 2048, "1\n");
        set_pool(0, 1048576, "0\n");
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_bytes, HUGE);
        assert_int_equal(r.skipped_room_bytes, GIB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                SCAN(test_giant_pages),
                cmocka_unit_test_setup_teardown(test_giant_pages, setup_without_pagemap, teardown),
                SCAN(test_one_of_two_pools_is_full),
                SCAN(test_pools_of_a_retry),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
