/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings that are populated but for a part: before Linux 6.7 pagemap is read only where some of a block's pages are missing. */
#include "mover-fixture.h"

#define N (32 * 512u)

static int setup_as_before_6_12(void **state) {
        setup_with(true);
        simulated_knobs(sim)->absent_is_fault = true;
        return 0;
}

#define BOTH(f) PAGEMAP(f), cmocka_unit_test_setup_teardown(f, setup_as_before_6_12, teardown)

static struct simulated_page *page_at(size_t i) {
        return simulated_page(sim, PID, BASE + i * 4096);
}

static void remove_pages(size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
                page_at(i)->node = -1;
}

/* Is it one of those by which the mover tells a block? */
static bool is_spot(size_t i) {
        return mover_spot((BASE / 4096 + i) / ASK_SHARE) == BASE / 4096 + i;
}

/* One that is asked for: then numa_maps has not found all on one node. */
static void put_one_home(void) {
        size_t i = 0;
        while (!is_spot(i))
                i++;
        page_at(i)->node = 1;
}

/* Blocks of all kinds in one mapping: all that is there comes home, and nothing else is put to the kernel. */
static void test_blocks_of_all_kinds(void **state) {
        size_t off = 0, missing = 0, addresses = 0;
        add(PID, BASE, N, 2);
        for (size_t i = 0; i < N; i++) {
                size_t kind = i / 512 % 6, k = i % 512;
                page_at(i)->thp = kind == 0;
                if (kind == 1 && k % 2 == 1)
                        page_at(i)->node = 1;
                if ((kind == 2 && k % 3 == 0) || (kind == 5 && i / 512 < 7)) /* every third; all of one block */
                        page_at(i)->node = -1;
                off += page_at(i)->node == 2;
                addresses += page_at(i)->node == 2 && (kind != 0 || k == 0);
                missing += page_at(i)->node < 0;
        }
        assert_true(missing > N / 16 && missing < N / 4);
        struct move_result r = move_home("1", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_int_equal(r.moved_pages, off);
        assert_int_equal(r.asked_pages, addresses);
        assert_int_equal(r.failed_gone, 0);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        assert_true(simulated_counts(sim)->ask_pages < N / 2);
}

/* Where all of a block is there, pagemap is not read for it: there is nothing in it. */
static void test_pagemap_is_left_unread(void **state) {
        add(PID, BASE, N, 2);
        put_one_home();
        remove_pages(N - 1024, N);
        struct mover *m = make("1", NULL, 0);
        fixture_write(&fx, "proc/100/pagemap", "");
        assert_int_equal(run(m, 4 * MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, N - 1024 - 1);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_true(simulated_counts(sim)->ask_pages < N / 3);
        mover_free(m);
}

/* Pages that are missing where nothing was asked for are put to the kernel, which says so; the others of the block come home, and nobody hears that something went. */
static void test_missing_between_spots(void **state) {
        size_t missing = 0;
        add(PID, BASE, N, 2);
        for (size_t i = 512; i < 4 * 512; i += 41)
                if (!is_spot(i)) {
                        page_at(i)->node = -1;
                        missing++;
                }
        remove_pages(N - 1024, N);
        assert_true(missing > 20);
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.moved_pages, N - 1024 - missing);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_int_equal(r.failed_gone, 0);
        assert_in_range(r.asked_pages, r.moved_pages, r.moved_pages + missing);
}

/* So few are missing that some of the blocks would not show it: then pagemap tells, as it did. */
static void test_few_missing(void **state) {
        add(PID, BASE, N, 2);
        put_one_home();
        for (size_t i = 77; i < N; i += 100)
                page_at(i)->node = -1;
        struct move_result r = move_home("1", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_int_equal(r.asked_pages, r.moved_pages);
}

/* What others map too stays, and pinned pages alone stay of a run. */
static void test_shared_and_pinned(void **state) {
        add(PID, BASE, N, 2);
        add(PID, BASE + GIB, N, 2);
        remove_pages(N - 1024, N);
        page_at(1500)->pinned = true;
        simulated_page(sim, PID, BASE + GIB)->node = -1;
        simulated_page(sim, PID, BASE + GIB + 700 * 4096)->shared = true;
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.failed_shared, 1);
        assert_int_equal(r.failed_busy, 1);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 2);
        assert_int_equal(r.moved_pages, 2 * N - 1024 - 1 - 2);
}

/* What goes between two slices is not there any more, whatever was told. */
static void test_pages_that_go(void **state) {
        add(PID, BASE, N, 2);
        put_one_home();
        remove_pages(N - 1024, N);
        struct mover *m = make("1", NULL, 0);
        assert_int_equal(mover_slice(m, 4 * MIB), 1);
        remove_pages(5000, 9000);
        assert_int_equal(run(m, 4 * MIB), 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_int_equal(mover_result(m)->moved_pages, N - 1024 - 1 - 4000);
        mover_free(m);
}

/* Every second page of all blocks but one is at home already, every third of that one is missing. */
static size_t add_a_pattern(void) {
        size_t off = 0;
        add(PID, BASE, N, 2);
        for (size_t i = 0; i < N; i++) {
                if (i / 512 == 3 && i % 3 == 1)
                        page_at(i)->node = -1;
                else if (i / 512 != 3 && i % 2 == 1)
                        page_at(i)->node = 1;
                off += page_at(i)->node == 2;
        }
        return off;
}

/* Of pages that do not lie behind each other, each that would not move is found out, and none else. */
static void test_stubborn_pages_of_a_pattern(void **state) {
        size_t off = add_a_pattern(), pinned = 0;
        for (size_t i = 0; i < N; i++) {
                if (page_at(i)->node != 2)
                        continue;
                page_at(i)->pinned = i % 106 == 100;
                page_at(i)->busy = i % 70 == 12;
                pinned += page_at(i)->pinned;
        }
        struct move_result r = move_home("1", 0);
        assert_true(pinned > N / 256);
        assert_int_equal(r.failed_busy, pinned);
        assert_int_equal(r.moved_pages, off - pinned);
        assert_int_equal(r.failed_shared + r.failed_gone + r.failed_other + r.failed_no_memory, 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), pinned);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        for (size_t i = 0; i < N; i++)
                assert_true(page_at(i)->node != 2 || page_at(i)->pinned);
}

/* Nor is any lost where the node becomes full on the way, and the rest goes to another. */
static void test_full_node_and_a_pattern(void **state) {
        size_t off = add_a_pattern();
        simulated_set_free_pages(sim, 1, 1777);
        room[0] = 2000 * 4096;
        struct move_result r = move_home("0-1", 0);
        assert_int_equal(r.moved_pages, 3777);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 2000);
        assert_int_equal(simulated_pages_on(sim, PID, 2), off - 3777);
        assert_int_equal(r.moved_from[2], 3777 * 4096);
        assert_int_equal(r.failed_no_memory + r.skipped_room_bytes / 4096, off - 3777);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
}

/* Mappings of a few pages, of which some are missing, are asked for whole: that costs less than a read of pagemap. What is not there is neither moved nor told as gone. */
static void test_little_mappings(void **state) {
        size_t off = 0;
        for (size_t k = 0; k < 50; k++) {
                add(PID, BASE + k * MIB, 32, 2);
                for (size_t i = 0; i < 32; i++) {
                        struct simulated_page *p = page_at(k * 256 + i);
                        p->node = i % 3 == 0 ? -1 : i % 7 == 0 ? 1 : 2;
                        off += p->node == 2;
                }
        }
        struct mover *m = make("1", NULL, 0);
        fixture_write(&fx, "proc/100/pagemap", "");
        assert_int_equal(run(m, 4 * MIB), 0);
        struct move_result r = *mover_result(m);
        mover_free(m);
        assert_int_equal(r.moved_pages, off);
        assert_int_equal(r.asked_pages, off);
        assert_int_equal(r.failed_gone, 0);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_true(simulated_counts(sim)->ask_pages <= 50 * 32 + 16 * simulated_counts(sim)->move_calls);
}

/* One page of each ASK_SHARE is asked for. Of pages at home so many apart, whatever that number is, fewer than a hundredth of the others lie in blocks that do not show it. */
static void test_spots_show_any_pattern(void **state) {
        const size_t blocks = 256, n = blocks * 512;
        bool *spots = calloc(n, sizeof(*spots));
        assert_non_null(spots);
        for (uint64_t i = 0; i * ASK_SHARE < n; i++) {
                uint64_t spot = mover_spot(i);
                assert_in_range(spot, i * ASK_SHARE, (i + 1) * ASK_SHARE - 1);
                if (spot < n)
                        spots[spot] = true;
        }
        for (size_t every = 2; every <= 700; every++) {
                size_t missed = 0;
                for (size_t block = 0; block < blocks; block++) {
                        size_t home = 0, first = (block * 512 + every - 1) / every * every;
                        bool shows = false;
                        for (size_t i = first; i < (block + 1) * 512; i += every, home++)
                                shows |= spots[i];
                        missed += shows ? 0 : home;
                }
                assert_true(missed <= n / 100);
                if (every <= 16) /* of what numa_maps has to have found where a part of the pages tells the others (SPOT_MUCH) */
                        assert_true(missed <= n / 150);
        }
        free(spots);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BOTH(test_blocks_of_all_kinds),
                BOTH(test_pagemap_is_left_unread),
                BOTH(test_missing_between_spots),
                BOTH(test_few_missing),
                BOTH(test_shared_and_pinned),
                BOTH(test_pages_that_go),
                SCAN(test_blocks_of_all_kinds),
                SCAN(test_missing_between_spots),
                SCAN(test_shared_and_pinned),
                BOTH(test_little_mappings),
                BOTH(test_stubborn_pages_of_a_pattern),
                SCAN(test_stubborn_pages_of_a_pattern),
                BOTH(test_full_node_and_a_pattern),
                SCAN(test_full_node_and_a_pattern),
                cmocka_unit_test(test_spots_show_any_pattern),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
