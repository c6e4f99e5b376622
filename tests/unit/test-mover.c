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

/* What is pinned is not tried again by the next move, unless it is another process by now. */
static void test_pinned_pages_are_remembered(void **state) {
        struct stubborn *known = NULL;
        add(PID, BASE, 3000, 1);
        for (size_t i = 100; i < 110; i++)
                simulated_page(sim, PID, BASE + i * 4096)->pinned = true;
        simulated_page(sim, PID, BASE + 2000 * 4096)->pinned = true;
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(run(m, 4 * MIB), 0);
        assert_int_equal(mover_result(m)->failed_busy, 11);
        assert_int_equal(mover_result(m)->remembered_pages, 0);
        assert_int_equal(stubborn_count(mover_result(m)->stubborn), 2);
        assert_int_equal(stubborn_copy(mover_result(m)->stubborn, 0, &known), 0);
        mover_free(m);

        goal_of_test.stubborn = known;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.failed_busy, 11);
        assert_int_equal(r.remembered_pages, 11);
        add(PID, BASE + 64 * MIB, 10, 1);
        assert_int_equal(move_home("0", 0).asked_pages, 10);

        const struct process_ref another = { PID, 5555 };
        assert_int_equal(simulated_set_process(sim, PID, CGROUP, 5555), 0);
        m = make("0", &another, 1);
        assert_int_equal(run(m, 4 * MIB), 0);
        assert_true(mover_result(m)->asked_pages >= 11);
        assert_int_equal(mover_result(m)->remembered_pages, 0);
        mover_free(m);
        stubborn_free(known);
}

static void test_pinned_huge_page_is_remembered(void **state) {
        struct stubborn *known = NULL;
        struct simulated_mapping map = { .start = BASE, .n_pages = 8 * 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        simulated_page(sim, PID, BASE + 3 * HUGE)->pinned = true;
        struct mover *m = make("1", NULL, 0);
        assert_int_equal(run(m, 64 * MIB), 0);
        assert_int_equal(mover_result(m)->failed_busy, 512);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 7 * 512);
        assert_int_equal(stubborn_count(mover_result(m)->stubborn), 1);
        assert_int_equal(stubborn_copy(mover_result(m)->stubborn, 0, &known), 0);
        mover_free(m);
        goal_of_test.stubborn = known;
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.remembered_pages, 512);
        stubborn_free(known);
}

/* How long: a minute, then twice as long each time, for six hours at most; forgotten as long after. */
static void test_how_long_pages_are_remembered(void **state) {
        const struct process_ref p = { 7, 70 }, q = { 7, 71 };
        const uint64_t minute = 60 * USEC_PER_SEC;
        struct stubborn *s = NULL, *copy = NULL;
        assert_int_equal(stubborn_copy(NULL, 0, &s), 0);
        for (uint64_t a = 0x9000; a > 0x4000; a -= 0x1000)
                assert_int_equal(stubborn_add(s, &p, a, a + 0x1000, minute), 0);
        assert_int_equal(stubborn_add(s, &q, 0x5000, 0x6000, minute), 0);
        assert_true(stubborn_has_all(s, &p, 0x5000, 0xa000, minute));
        assert_true(stubborn_has_all(s, &p, 0x6000, 0x7000, 2 * minute - 1));
        assert_false(stubborn_has_any(s, &p, 0x6000, 0x7000, 2 * minute));
        assert_false(stubborn_has_all(s, &p, 0x4000, 0x6000, minute));
        assert_true(stubborn_has_any(s, &p, 0x4000, 0x6000, minute));
        assert_false(stubborn_has_any(s, &p, 0xa000, 0xb000, minute));
        assert_false(stubborn_has_any(s, &q, 0x6000, 0x7000, minute));

        uint64_t now = minute;
        for (uint64_t hold = 2; hold < 360; hold *= 2) {
                now += hold / 2 * minute;
                assert_false(stubborn_has_any(s, &q, 0x5000, 0x6000, now));
                assert_int_equal(stubborn_add(s, &q, 0x5000, 0x6000, now), 0);
                assert_true(stubborn_has_all(s, &q, 0x5000, 0x6000, now + hold * minute - 1));
        }
        now += 1000 * minute;
        assert_int_equal(stubborn_add(s, &q, 0x5000, 0x6000, now), 0);
        assert_true(stubborn_has_all(s, &q, 0x5000, 0x6000, now + 360 * minute - 1));
        assert_false(stubborn_has_all(s, &q, 0x5000, 0x6000, now + 360 * minute));
        assert_int_equal(stubborn_copy(s, now, &copy), 0);
        assert_int_equal(stubborn_count(copy), 1);
        stubborn_free(copy);
        assert_int_equal(stubborn_copy(s, now + 720 * minute, &copy), 0);
        assert_int_equal(stubborn_count(copy), 0);
        stubborn_free(copy);
        stubborn_free(s);
}

/* Its memory has a bound: ranges that do not touch. */
static void test_remembered_ranges_are_bounded(void **state) {
        const struct process_ref p = { 7, 70 };
        struct stubborn *s = NULL;
        assert_int_equal(stubborn_copy(NULL, 0, &s), 0);
        for (uint64_t i = 0; i < 2 * STUBBORN_MAX; i++)
                assert_int_equal(stubborn_add(s, &p, i * 8192, i * 8192 + 4096, 0), 0);
        assert_int_equal(stubborn_count(s), STUBBORN_MAX);
        assert_true(stubborn_has_all(s, &p, 8192, 8192 + 4096, 0));
        assert_false(stubborn_has_any(s, &p, 4096, 8192, 0));
        stubborn_free(s);
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
                ALL(test_moves_all),
                ALL(test_success_that_is_none),
                ALL(test_sparse),
                ALL(test_nothing_to_do),
                ALL(test_only_pages_off_home),
                ALL(test_small_mappings_share_calls),
                ALL(test_budget_and_call_size),
                ALL(test_huge_page_by_one_address),
                ALL(test_blocks_of_small_pages),
                ALL(test_huge_and_small_mixed),
                ALL(test_hugetlb_one_address_each),
                ALL(test_pinned_pages),
                ALL(test_pinned_pages_are_remembered),
                ALL(test_pinned_huge_page_is_remembered),
                cmocka_unit_test(test_how_long_pages_are_remembered),
                cmocka_unit_test(test_remembered_ranges_are_bounded),
                ALL(test_busy_pages_are_tried_again),
                ALL(test_pinned_among_busy),
                ALL(test_shared_pages),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
