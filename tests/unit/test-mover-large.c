/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover in large address spaces, and in small steps: what is not populated costs nothing, what was found is not looked for again, and a process that
 * grows and shrinks meanwhile does no harm. */
#include "mover-fixture.h"

/* 16 GiB with a page here and there, and one whole block. */
static void test_large_and_hardly_populated(void **state) {
        const size_t n = 4u << 20;
        add(PID, BASE, n, -1);
        for (size_t i = 0; i < n; i += n / 64)
                simulated_page(sim, PID, BASE + (i + 77) * 4096)->node = 2;
        for (size_t i = 0; i < 512; i++)
                simulated_page(sim, PID, BASE + (n / 2 / 512 * 512 + i) * 4096)->node = 2;
        struct move_result r = move_home("1", 0);
        assert_int_equal(r.moved_pages, 64 + 512 - 1);
        assert_int_equal(r.asked_pages, r.moved_pages);
        assert_int_equal(simulated_pages_on(sim, PID, 2), 0);
        assert_true(simulated_counts(sim)->ask_pages < 4 * r.moved_pages + 2 * 512);
        assert_true(!simulated_knobs(sim)->scans || simulated_counts(sim)->scan_calls < 300);
}

/* numa_maps is read again where what is kept of it has been dealt with. */
static void test_more_mappings_than_are_kept(void **state) {
        for (size_t i = 0; i < 100; i++)
                add(PID, BASE + i * MIB, 10, i % 10 == 3 ? 0 : 1);
        struct mover *m = make("0", NULL, 0);
        m->ranges_max = 7;
        assert_int_equal(run(m, 64 * 4096), 0);
        assert_int_equal(mover_result(m)->moved_pages, 900);
        assert_int_equal(mover_result(m)->asked_pages, 900);
        assert_true(m->ranges_capacity <= 64);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 1000);
        mover_free(m);
}

/* Mappings that are populated up to where the next one begins: maps is not needed. With a hole it is, since the next may begin much later. */
static void test_ends_without_maps(void **state) {
        for (size_t i = 0; i < 50; i++)
                add(PID, BASE + i * 3 * 4096, 3, i % 5 == 4 ? 0 : 1);
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(unlinkat(fx.host.root_fd, "proc/100/maps", 0), 0);
        assert_int_equal(run(m, 64 * MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 120);
        assert_false(mover_result(m)->process_vanished);
        mover_free(m);

        add(PID, BASE + GIB, 100, 1);
        simulated_page(sim, PID, BASE + GIB + 10 * 4096)->node = -1;
        add(PID, BASE + GIB + 100 * 4096, 1, 0);
        m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 4096), 1);
        assert_int_equal(m->n_ranges, 1);
        assert_int_equal(m->ranges[0].end, BASE + GIB + 100 * 4096);
        assert_int_equal(run(m, 64 * MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 99);
        mover_free(m);
}

/* Slices of a few pages: each page is asked for once before it is moved, and looked at again at most once. */
static void test_small_steps(void **state) {
        add(PID, BASE, 5000, 1);
        for (size_t i = 0; i < 5000; i += 2)
                simulated_page(sim, PID, BASE + i * 4096)->node = 0;
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(run(m, 10 * 4096), 0);
        assert_int_equal(mover_result(m)->moved_pages, 2500);
        assert_int_equal(mover_result(m)->asked_pages, 2500);
        assert_in_range(simulated_counts(sim)->move_calls, 250, 256);
        assert_true(simulated_counts(sim)->ask_pages <= 5000 + 2500 + 64);
        assert_true(simulated_counts(sim)->scan_calls <= 3);
        mover_free(m);
}

/* Huge pages in slices smaller than one: one a slice. */
static void test_small_steps_of_huge_pages(void **state) {
        struct simulated_mapping map = { .start = BASE, .n_pages = 40 * 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        struct mover *m = make("1", NULL, 0);
        for (size_t i = 1; i <= 5; i++) {
                assert_int_equal(mover_slice(m, 100 * 4096), 1);
                assert_int_equal(mover_result(m)->moved_pages, i * 512);
        }
        assert_int_equal(run(m, UINT64_MAX), 0);
        assert_int_equal(mover_result(m)->huge_moved, 40);
        assert_int_equal(mover_result(m)->asked_pages, 40);
        assert_true(simulated_counts(sim)->ask_pages <= 40 * 32);
        mover_free(m);
}

/* What was found and has gone meanwhile is neither moved nor counted; what has come home meanwhile is not moved. */
static void test_pages_that_went(void **state) {
        add(PID, BASE, 1000, 1);
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 100 * 4096), 1);
        for (size_t i = 200; i < 300; i++)
                simulated_page(sim, PID, BASE + i * 4096)->node = -1;
        for (size_t i = 300; i < 400; i++)
                simulated_page(sim, PID, BASE + i * 4096)->node = 0;
        assert_int_equal(run(m, 100 * 4096), 0);
        assert_int_equal(mover_result(m)->moved_pages, 800);
        assert_int_equal(mover_result(m)->asked_pages, 800);
        assert_int_equal(mover_result(m)->failed_gone, 0);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        mover_free(m);
}

/* Where numa_maps has found all of much memory on one node, few pages are asked for. */
static void test_known_pages(void **state) {
        add(PID, BASE, 8000, 1);
        for (size_t i = 0; i < 100; i++)
                add(PID, BASE + GIB + i * MIB, 20, 2);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 10000);
        assert_int_equal(r.asked_pages, 10000);
        assert_int_equal(r.moved_from[1], 8000 * 4096);
        assert_int_equal(r.moved_from[2], 2000 * 4096);
        assert_true(simulated_counts(sim)->ask_pages < 10000 / 4);
}

/* Every so many-th page has come home since numa_maps told that all were elsewhere. Not all are asked for at first, but soon it shows. */
static void test_pages_that_came_home(void **state) {
        const size_t n = 6000;
        static const size_t every[] = { 2, 7, 16, 50, 64, 100 };
        for (size_t k = 0; k < ARRAY_SIZE(every); k++)
                for (size_t first = 0; first < every[k]; first += 1 + every[k] / 8) {
                        uint64_t start = BASE + k * 4 * GIB + first * 32 * MIB, home = 0;
                        add(PID, start, n, 1);
                        struct mover *m = make("0", NULL, 0);
                        uint64_t before = simulated_counts(sim)->moved_home_pages;
                        for (size_t i = first; i < n; i += every[k], home++)
                                simulated_page(sim, PID, start + i * 4096)->node = 0;
                        assert_int_equal(run(m, 1300 * 4096), 0);
                        assert_true(simulated_counts(sim)->moved_home_pages - before <= n / 100);
                        assert_in_range(mover_result(m)->moved_pages, n - home, n - home + n / 100);
                        mover_free(m);
                }
        assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
}

/* A mapping on two nodes. Where its blocks are on one node each, or have much at home that is spread, few pages are asked for, and what is at home is left
 * there; where there is as much at home as few questions could miss, all are. */
static void test_spots(void **state) {
        const size_t n = 16384;
        add(PID, BASE, n, 1);
        for (size_t i = 0; i < n; i++) /* a fourth of the blocks; every second page of another fourth */
                if (i / 512 % 4 == 1 || (i / 512 % 4 == 2 && i % 2 == 1))
                        simulated_page(sim, PID, BASE + i * 4096)->node = 0;
        struct move_result r = move_home("0", 0);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
        assert_int_equal(r.asked_pages, n / 2 + n / 8);
        assert_int_equal(r.moved_pages, n / 2 + n / 8);
        assert_int_equal(simulated_counts(sim)->moved_home_pages, 0);
        assert_true(simulated_counts(sim)->ask_pages < n * 3 / 4);

        static const size_t every[] = { 3, 5, 10, 11, 13, 16, 17, 40, 100, 200, 256, 300, 2000 };
        for (size_t k = 0; k < ARRAY_SIZE(every); k++) {
                uint64_t start = BASE + (k + 1) * GIB, before = simulated_counts(sim)->moved_home_pages;
                add(PID, start, n, 1);
                for (size_t i = 0; i < n; i += every[k])
                        simulated_page(sim, PID, start + i * 4096)->node = 0;
                (void) move_home("0", 0);
                assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
                assert_true(simulated_counts(sim)->moved_home_pages - before <= n / 100);
        }
}

/* A few pages at home that lie together: the blocks that have them show it, the others need few questions. */
static void test_spots_of_one_block(void **state) {
        const size_t n = 16384;
        add(PID, BASE, n, 1);
        for (size_t i = 3000; i < 3060; i++)
                simulated_page(sim, PID, BASE + i * 4096)->node = 0;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, n - 60);
        assert_int_equal(r.asked_pages, n - 60);
        assert_true(simulated_counts(sim)->ask_pages < n / 3);
}

/* What numa_maps has found wholly populated needs no look at pagemap, and what is shared none at its node. */
static void test_populated(void **state) {
        add(PID, BASE, 5000, 1);
        add(PID, BASE + GIB, 300, 1);
        for (size_t i = 0; i < 300; i++)
                simulated_page(sim, PID, BASE + GIB + i * 4096)->shared = true;
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 5000);
        assert_int_equal(r.failed_shared, 300);
        assert_true(simulated_counts(sim)->ask_pages < 1000);
}

/* A process that forks after its mappings were read: what it has in common with the child is the kernel's to refuse, and is counted. */
static void test_pages_that_became_shared(void **state) {
        add(PID, BASE, 2000, 1);
        add(PID, BASE + GIB, 10, 1);
        add(PID, BASE + GIB + 10 * 4096, 10, 1);
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 4096), 1);
        for (size_t i = 0; i < 30; i++)
                simulated_page(sim, PID, BASE + (1000 + 20 * i) * 4096)->shared = true;
        simulated_page(sim, PID, BASE + GIB + 5 * 4096)->shared = true;
        assert_int_equal(run(m, 100 * 4096), 0);
        assert_int_equal(mover_result(m)->failed_shared, 31);
        assert_int_equal(mover_result(m)->moved_pages, 2020 - 31);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 2020 - 31);
        mover_free(m);
}

/* A huge page that was split after it had been seen: its other pages are gone over one by one. */
static void test_huge_page_that_was_split(void **state) {
        struct simulated_mapping map = { .start = BASE, .n_pages = 4 * 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        struct mover *m = make("1", NULL, 0);
        assert_int_equal(mover_slice(m, 4096), 1);
        assert_int_equal(mover_result(m)->huge_moved, 1);
        for (size_t i = 2 * 512; i < 3 * 512; i++)
                simulated_page(sim, PID, BASE + i * 4096)->thp = false;
        assert_int_equal(run(m, 16 * MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 4 * 512);
        assert_int_equal(mover_result(m)->huge_moved, 3);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 4 * 512);
        mover_free(m);
}

static void split_it(void *data) {
        if (simulated_counts(sim)->move_calls >= 1)
                for (size_t i = 0; i < 512; i++)
                        simulated_page(sim, PID, BASE + i * 4096)->thp = false;
}

/* The same where it was busy at first: when it is tried again, other mappings than its own may be the ones that are kept. */
static void huge_page_split_before_retry(size_t ranges_max) {
        struct simulated_mapping map = { .start = BASE, .n_pages = 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        simulated_page(sim, PID, BASE)->busy = 1;
        add(PID, BASE + 8 * MIB, 1, 2);
        simulated_page(sim, PID, BASE + 8 * MIB)->busy = 2;
        map = (struct simulated_mapping) { .start = BASE + 16 * MIB, .n_pages = 1, .page_bytes = HUGE, .node = 2 };
        assert_int_equal(simulated_add_mapping(sim, PID, &map), 0);
        simulated_knobs(sim)->on_move = split_it;
        struct mover *m = make("1", NULL, 0);
        m->ranges_max = ranges_max;
        assert_int_equal(run(m, 16 * MIB), 0);
        assert_int_equal(simulated_pages_on(sim, PID, 1), 512 + 1 + 512);
        assert_int_equal(mover_result(m)->moved_pages, 512 + 1 + 512);
        assert_int_equal(mover_result(m)->huge_moved, 1);
        mover_free(m);
}

static void test_huge_page_split_before_retry(void **state) {
        huge_page_split_before_retry(RANGES_MAX);
}

static void test_huge_page_split_before_retry_elsewhere(void **state) {
        huge_page_split_before_retry(1);
}

/* A heap that grows is moved as far as it was seen; what came later is the next pass's, which has nothing else to do. */
static void test_heap_that_grows(void **state) {
        add(PID, BASE, 1000, 1);
        struct mover *m = make("0", NULL, 0);
        assert_int_equal(mover_slice(m, 100 * 4096), 1);
        add(PID, BASE + 1000 * 4096, 500, 1);
        assert_int_equal(run(m, MIB), 0);
        assert_int_equal(mover_result(m)->moved_pages, 1000);
        mover_free(m);
        struct move_result r = move_home("0", 0);
        assert_int_equal(r.moved_pages, 500);
        assert_int_equal(r.asked_pages, 500);
        assert_int_equal(move_home("0", 0).asked_pages, 0);
}

/* Where reading the mappings takes long, that is a slice of its own; and where the time is up at once, every slice still gets on. */
static void test_slow_machine(void **state) {
        add(PID, BASE, 3000, 1);
        struct mover *m = make("0", NULL, 0);
        m->load_limit_usec = m->slice_limit_usec = 0;
        assert_int_equal(mover_slice(m, UINT64_MAX), 1);
        assert_int_equal(mover_result(m)->asked_pages, 0);
        assert_int_equal(run(m, UINT64_MAX), 0);
        assert_int_equal(mover_result(m)->moved_pages, 3000);
        assert_int_equal(mover_result(m)->asked_pages, 3000);
        mover_free(m);
}

/* Nor is a mapping gone through to its end in one slice where nothing is in it. */
static void test_slow_and_hardly_populated(void **state) {
        const size_t n = 320 * 512;
        unsigned n_slices = 1;
        add(PID, BASE, n, -1);
        simulated_page(sim, PID, BASE + (n - 1) * 4096)->node = 1;
        struct mover *m = make("0", NULL, 0);
        m->slice_limit_usec = 0;
        while (n_slices < 1000 && mover_slice(m, UINT64_MAX) > 0)
                n_slices++;
        assert_in_range(n_slices, 320 / 32, 320);
        assert_int_equal(mover_result(m)->moved_pages, 1);
        mover_free(m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PAGEMAP(test_large_and_hardly_populated),
                SCAN(test_large_and_hardly_populated),
                ALL(test_more_mappings_than_are_kept),
                ALL(test_ends_without_maps),
                ALL(test_small_steps),
                ALL(test_small_steps_of_huge_pages),
                ALL(test_pages_that_went),
                PAGEMAP(test_known_pages),
                SCAN(test_known_pages),
                PAGEMAP(test_pages_that_came_home),
                SCAN(test_pages_that_came_home),
                PAGEMAP(test_spots),
                SCAN(test_spots),
                PAGEMAP(test_spots_of_one_block),
                SCAN(test_spots_of_one_block),
                PAGEMAP(test_populated),
                SCAN(test_populated),
                ALL(test_pages_that_became_shared),
                ALL(test_huge_page_that_was_split),
                ALL(test_huge_page_split_before_retry),
                ALL(test_huge_page_split_before_retry_elsewhere),
                ALL(test_heap_that_grows),
                ALL(test_slow_machine),
                PAGEMAP(test_slow_and_hardly_populated),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
