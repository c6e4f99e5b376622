/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover against a simulated kernel, its pages: only what must move is asked for, and what is reported is what is. */
#include "mover-fixture.h"

static void test_moves_all(void **state) {
        add(PID, BASE, 3000, 1);
        add(PID, BASE + 64 * MIB, 100, 2);
        struct move_result r = move_home("0", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 3100);
        assert_int_equal(r.moved_pages, 3100);
        assert_int_equal(r.moved_bytes, 3100 * 4096);
        assert_int_equal(r.moved_from[1], 3000 * 4096);
        assert_int_equal(r.moved_from[2], 100 * 4096);
        assert_int_equal(r.asked_pages, 3100);
        assert_int_equal(r.failed_busy + r.failed_shared + r.failed_other + r.failed_gone + r.failed_no_memory, 0);
        assert_int_equal(r.skipped_policy_bytes + r.skipped_room_bytes, 0);
        assert_true(r.n_calls > 0);
        assert_false(r.process_vanished);
}

/* What the call says is not what is: somebody moves the pages back at once. Status 0 here is a node, not a mark of ours. */
static void test_success_that_is_none(void **state) {
        add(PID, BASE, 300, 1);
        for (size_t i = 0; i < 300; i += 3)
                simulated_page(sim, PID, BASE + i * 4096)->bounces = true;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 200);
        assert_int_equal(r.failed_other, 100);
        assert_int_equal(r.failed_busy, 0);
        assert_int_equal(r.asked_pages, 300);
}

/* A large mapping with little in it. */
static void test_sparse(void **state) {
        add(PID, BASE, 100000, 1);
        for (size_t i = 0; i < 100000; i++)
                if (i % 1000 != 17)
                        simulated_page(sim, PID, BASE + i * 4096)->node = -1;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 100);
        assert_int_equal(r.asked_pages, 100);
        assert_in_range(simulated_counts(sim)->ask_pages, 100, with_pagemap ? 200 : 101000);
}

static void test_nothing_to_do(void **state) {
        add(PID, BASE, 3000, 0);
        struct move_result r = move_home("0-1", 0);
        assert_int_equal(simulated_counts(sim)->move_calls, 0);
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.moved_pages, 0);
}

/* Every second page is home already, every tenth not present: the kernel is asked to move none of these. */
static void test_only_pages_off_home(void **state) {
        add(PID, BASE, 4096, 3);
        size_t off = 0;
        for (size_t i = 0; i < 4096; i++) {
                struct simulated_page *p = simulated_page(sim, PID, BASE + i * 4096);
                p->node = i % 10 == 0 ? -1 : i % 2 ? 0 : 3;
                off += p->node == 3;
        }
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, off);
        assert_int_equal(r.asked_pages, off);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 0);
}

static void test_small_mappings_share_calls(void **state) {
        for (size_t i = 0; i < 500; i++)
                add(PID, BASE + i * MIB, 3, 1);
        assert_int_equal(move_home("0", 0).moved_pages, 1500);
        assert_int_equal(simulated_counts(sim)->move_calls, 2); /* 4 MiB each */
}

static void test_budget_and_call_size(void **state) {
        add(PID, BASE + 4096, 20000, 1); /* not aligned */
        for (size_t i = 0; i < 20000; i += 100)
                simulated_page(sim, PID, BASE + 4096 + i * 4096)->node = 0; /* no block is whole */
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 100 * 4096), 1);
        assert_int_equal(mover_result(m)->moved_pages, 100);
        assert_int_equal(mover_slice(m, 1), 1);
        assert_int_equal(mover_result(m)->moved_pages, 101);
        assert_int_equal(mover_slice(m, MIB), 1);
        assert_int_equal(mover_result(m)->moved_pages, 101 + 256);
        assert_int_equal(run(m, UINT64_MAX), 0);
        assert_int_equal(mover_result(m)->moved_pages, 19800);
        assert_int_equal(mover_slice(m, MIB), 0); /* stays at the end */
        assert_true(simulated_counts(sim)->largest_call <= 4096);
        assert_true(mover_result(m)->longest_slice_usec > 0);
        mover_free(m);
}

static void test_huge_page_by_one_address(void **state) {
        struct simulated_mapping m = { .start = BASE + 4096, .n_pages = 10 * 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0); /* nine whole ones, and small pages at both ends */
        struct move_result r = move_home("1", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 5120);
        assert_int_equal(r.moved_pages, 5120);
        assert_int_equal(r.huge_moved, 9);
        assert_int_equal(r.asked_pages, 9 + 512);
        for (size_t i = 511; i < 511 + 9 * 512; i++)
                assert_true(simulated_page(sim, PID, m.start + i * 4096)->thp);
}

/* Blocks that look like huge pages and are none: each is moved whole all the same, asked for once a page. */
static void test_blocks_of_small_pages(void **state) {
        add(PID, BASE, 40 * 512, 2);
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.moved_pages, 40 * 512);
        assert_int_equal(r.asked_pages, 40 * 512);
        assert_int_equal(r.huge_moved, 0);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        /* Not one try for each block: after some misses fewer are made. */
        assert_true(simulated_counts(sim)->move_calls < 40);
}

static void test_huge_and_small_mixed(void **state) {
        add(PID, BASE, 64 * 512, 2);
        for (size_t b = 0; b < 64; b += 2)
                for (size_t i = 0; i < 512; i++)
                        simulated_page(sim, PID, BASE + b * HUGE + i * 4096)->thp = true;
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.moved_pages, 64 * 512);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 64 * 512);
        assert_true(r.huge_moved >= 30);
}

static void test_hugetlb_one_address_each(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 20, .page_bytes = HUGE, .node = 3 };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        simulated_page(sim, PID, BASE + 3 * HUGE)->node = 0;
        simulated_page(sim, PID, BASE + 4 * HUGE)->node = -1;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.asked_pages, 18);
        assert_int_equal(r.huge_moved, 18);
        assert_int_equal(r.moved_pages, 18 * 512);
        assert_int_equal(r.moved_bytes, 18 * HUGE);
        assert_int_equal(simulated_pages_on(sim, PID, 3), 0);
}

static void test_pinned_pages(void **state) {
        add(PID, BASE, 1000, 1);
        for (size_t i = 100; i < 110; i++)
                simulated_page(sim, PID, BASE + i * 4096)->pinned = true;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 990);
        assert_int_equal(r.failed_busy, 10);
        assert_int_equal(r.failed_other + r.failed_gone + r.failed_no_memory + r.failed_shared, 0);
        assert_true(r.asked_pages <= 1000 + 2 * 10); /* tried again, and then no more */
        assert_int_equal(simulated_pages_on(sim, PID, 1), 10);
}

static void test_busy_pages_are_tried_again(void **state) {
        add(PID, BASE, 1000, 1);
        for (size_t i = 0; i < 1000; i += 7)
                simulated_page(sim, PID, BASE + i * 4096)->busy = 1;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 1000);
        assert_int_equal(r.failed_busy, 0);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 1000);
}

/* A batch that fails in part ends the call, and with it what came behind, untried and unwritten. */
static void test_pinned_among_busy(void **state) {
        add(PID, BASE, 600, 1);
        for (size_t i = 0; i < 600; i += 50)
                simulated_page(sim, PID, BASE + i * 4096)->busy = 1;
        simulated_page(sim, PID, BASE + 20 * 4096)->pinned = true;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 599);
        assert_int_equal(r.failed_busy, 1);
}

static void test_shared_pages(void **state) {
        add(PID, BASE, 1000, 1);
        for (size_t i = 500; i < 600; i++)
                simulated_page(sim, PID, BASE + i * 4096)->shared = true;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 900);
        assert_int_equal(r.failed_shared, 100);
        assert_int_equal(r.asked_pages, with_pagemap ? 900 : 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BOTH(test_moves_all),
                BOTH(test_success_that_is_none),
                BOTH(test_sparse),
                BOTH(test_nothing_to_do),
                BOTH(test_only_pages_off_home),
                BOTH(test_small_mappings_share_calls),
                BOTH(test_budget_and_call_size),
                BOTH(test_huge_page_by_one_address),
                BOTH(test_blocks_of_small_pages),
                BOTH(test_huge_and_small_mixed),
                BOTH(test_hugetlb_one_address_each),
                BOTH(test_pinned_pages),
                BOTH(test_busy_pages_are_tried_again),
                BOTH(test_pinned_among_busy),
                BOTH(test_shared_pages),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
