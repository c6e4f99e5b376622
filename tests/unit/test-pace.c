/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slices find the size that takes their time and stay there. */
#include "core/pace.h"

#include <string.h>

#include "unit.h"

/* A kernel: what a slice of that many bytes takes. */
struct kernel {
        uint64_t fixed_usec, bytes_per_sec, page_bytes;
};

static uint64_t slice(struct pace *p, const struct kernel *k) {
        uint64_t bytes = pace_slice_bytes(p);
        if (k->page_bytes > 0) /* whole pages only */
                bytes = (bytes + k->page_bytes - 1) / k->page_bytes * k->page_bytes;
        uint64_t usec = k->fixed_usec + bytes * USEC_PER_SEC / k->bytes_per_sec;
        pace_slice_done(p, bytes, usec);
        return usec;
}

static void slices(struct pace *p, const struct kernel *k, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                (void) slice(p, k);
}

static void test_begins_small_and_grows(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 200, GIB, 0 };
        assert_true(pace_slice_bytes(&p) == PACE_START_BYTES);
        uint64_t before = PACE_START_BYTES;
        for (unsigned i = 0; i < 20; i++) {
                assert_true(slice(&p, &k) <= PACE_SLICE_USEC * 3 / 2);
                assert_true(pace_slice_bytes(&p) <= before * 2);
                before = pace_slice_bytes(&p);
        }
        assert_true(before == PACE_MAX_BYTES);
}

static void test_finds_its_size_and_stays(void **state) {
        /* 16 MiB to 300 MiB a second. */
        for (uint64_t rate = 16 * MIB; rate < 300 * MIB; rate = rate * 3 / 2) {
                struct pace p = { 0 };
                const struct kernel k = { 100, rate, 4 * KIB };
                slices(&p, &k, 40);
                uint64_t size = p.slice_bytes, most = 0;
                for (unsigned i = 0; i < 100; i++) {
                        most = MAX2(most, slice(&p, &k));
                        assert_true(p.slice_bytes == size); /* never oscillates, but for a smaller one now and then */
                        assert_true(pace_slice_bytes(&p) <= MAX2(size, (uint64_t) 4 * PACE_MIN_BYTES));
                }
                if (size > PACE_MIN_BYTES)
                        assert_true(most <= PACE_SLICE_USEC * 3 / 2 && (most >= PACE_SLICE_USEC / 2 || size == PACE_MAX_BYTES));
        }
}

/* 100 pages a second: the floor, but for a look now and then whether it is the size that makes it slow. */
static void test_slow_kernel(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 0, 400 * KIB, 4 * KIB };
        uint64_t first = slice(&p, &k);
        assert_true(first < USEC_PER_SEC); /* because it begins small */
        slices(&p, &k, 30);
        unsigned n_least = 0;
        for (unsigned i = 0; i < 100; i++) {
                n_least += pace_slice_bytes(&p) == PACE_MIN_BYTES;
                assert_true(pace_slice_bytes(&p) <= 4 * PACE_MIN_BYTES);
                (void) slice(&p, &k);
        }
        assert_true(n_least >= 75);
}

/* A busy machine: a slice takes from 20 to 400 ms, whatever its size. Small ones would only make it last: it finds that large ones are for nothing. */
static void test_time_says_nothing_of_size(void **state) {
        struct pace p = { 0 };
        uint64_t seed = 1, moved = 0;
        for (unsigned i = 0; i < 400; i++) {
                uint64_t bytes = pace_slice_bytes(&p);
                seed = seed * UINT64_C(6364136223846793005) + 1;
                pace_slice_done(&p, bytes, (20 + (seed >> 33) % 380) * USEC_PER_MSEC);
                moved += i >= 100 ? bytes : 0;
        }
        assert_true(moved / 300 >= PACE_MAX_BYTES / 2);
}

/* Uniform in [0, 1), always the same ones. */
static double chance(uint64_t *seed) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (double) (*seed >> 11) / (double) (UINT64_C(1) << 53);
}

/* Six busy services on a machine without an idle CPU: each call takes some 90 ms by itself and 0.3 ms a page, from half as much to twice as much.
 * Gets more than half of what one call for everything would, where 20 ms slices would get a fifth; and none is longer than it may. */
static void test_dear_and_noisy(void **state) {
        for (uint64_t seed = 1; seed < 20; seed++) {
                struct pace p = { 0 };
                uint64_t state_of_chance = seed * 7919, pages = 0, usec = 0;
                for (unsigned i = 0; i < 300; i++) {
                        uint64_t n = pace_slice_bytes(&p) / (4 * KIB);
                        double factor = 0.5 + 1.5 * chance(&state_of_chance) * chance(&state_of_chance);
                        uint64_t took = (uint64_t) (factor * (90000.0 + 300.0 * (double) n));
                        pace_slice_done(&p, n * 4 * KIB, took);
                        assert_true(took <= 1500 * USEC_PER_MSEC); /* 500 ms, and then bad luck */
                        pages += i >= 60 ? n : 0;
                        usec += i >= 60 ? took : 0;
                }
                double best_usec = (double) pages * 300 * 0.875; /* the mean of that factor */
                assert_true(best_usec / (double) usec >= 0.5);
        }
}

/* A call takes as long as a slice may: that it is dear is not seen in its being too slow. */
static void test_calls_as_long_as_a_slice(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 20 * USEC_PER_MSEC, GIB, 4 * KIB };
        slices(&p, &k, 60);
        assert_true(p.slice_bytes == PACE_MAX_BYTES);
}

/* However dear a call is, smaller ones are no cheaper. */
static void test_calls_beyond_any_slice(void **state) {
        for (uint64_t fixed_msec = 100; fixed_msec <= 3000; fixed_msec = fixed_msec * 5 / 4) {
                struct pace p = { 0 };
                const struct kernel k = { fixed_msec * USEC_PER_MSEC, GIB, 4 * KIB };
                slices(&p, &k, 100);
                assert_true(p.slice_bytes == PACE_MAX_BYTES);
        }
}

/* One slice of another size that takes a hundred times as long is no dear call. */
static void test_outliers_are_not_dear(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 100, 200 * MIB, 4 * KIB };
        slices(&p, &k, 30);
        for (unsigned i = 0; i < 200; i++) {
                if (i % 20 == 0)
                        pace_slice_done(&p, pace_slice_bytes(&p), 2 * USEC_PER_SEC);
                else
                        assert_true(slice(&p, &k) <= 3 * PACE_SLICE_USEC);
        }
}

static void test_cliff(void **state) {
        struct pace p = { 0 };
        const struct kernel fast = { 100, GIB, 0 }, slow = { 100, 20 * MIB, 0 };
        slices(&p, &fast, 30);
        uint64_t spent = 0;
        for (unsigned i = 0; i < 3; i++)
                spent += slice(&p, &slow);
        assert_true(slice(&p, &slow) <= PACE_SLICE_USEC * 3 / 2);
        assert_true(spent < 2 * USEC_PER_SEC); /* the first one of 16 MiB cannot be helped */
        slices(&p, &slow, 20);
        uint64_t size = p.slice_bytes;
        assert_true(size >= 256 * KIB && size <= 600 * KIB);
        slices(&p, &fast, 30); /* and back */
        assert_true(p.slice_bytes == PACE_MAX_BYTES);
}

static void test_one_outlier(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 100, 200 * MIB, 0 };
        slices(&p, &k, 30);
        uint64_t size = p.slice_bytes;
        pace_slice_done(&p, size, 2 * USEC_PER_SEC);
        assert_true(p.slice_bytes >= size / 8 && p.slice_bytes < size / 4); /* careful … */
        slices(&p, &k, 4);
        assert_true(p.slice_bytes >= size * 3 / 4); /* … and over it */
        slices(&p, &k, 20);
        assert_true(p.slice_bytes <= size * 5 / 4 && p.slice_bytes >= size * 3 / 4);
}

/* Every second slice is of pages ten times as dear: settles at what is right for these, and does not swing. */
static void test_mixed_pages(void **state) {
        struct pace p = { 0 };
        const struct kernel cheap = { 100, GIB, 0 }, dear = { 100, 100 * MIB, 0 };
        for (unsigned i = 0; i < 40; i++)
                (void) slice(&p, i % 2 ? &cheap : &dear);
        uint64_t least = UINT64_MAX, most = 0;
        for (unsigned i = 0; i < 100; i++) {
                uint64_t usec = slice(&p, i % 2 ? &cheap : &dear);
                assert_true(usec <= PACE_SLICE_USEC * 3 / 2);
                least = MIN2(least, p.slice_bytes);
                most = MAX2(most, p.slice_bytes);
        }
        assert_true(least == most && least >= MIB);
}

/* Each call waits for every CPU: small slices would take as long and move nothing. */
static void test_dear_calls(void **state) {
        struct pace p = { 0 };
        const struct kernel k = { 40 * USEC_PER_MSEC, GIB, 0 };
        slices(&p, &k, 60);
        uint64_t bytes = 0, usec = 0;
        for (unsigned i = 0; i < 300; i++) {
                bytes += pace_slice_bytes(&p);
                uint64_t took = slice(&p, &k);
                usec += took;
                assert_true(took <= 5 * PACE_SLICE_USEC);
        }
        assert_true(bytes / (usec / 1000) * 1000 >= 200 * MIB); /* a second; the floor would give 1.6 */
}

static void test_huge_pages(void **state) {
        struct pace p = { 0 };
        const struct kernel slow = { 0, 50 * MIB, 2 * MIB }; /* 40 ms each */
        slices(&p, &slow, 30);
        assert_true(slice(&p, &slow) == 40 * USEC_PER_MSEC); /* one at a time */
        const struct kernel quick = { 500, 2 * GIB, 2 * MIB };
        slices(&p, &quick, 30);
        assert_true(pace_slice_bytes(&p) == PACE_MAX_BYTES);
}

/* 1 GiB cannot be split. That a slice was long says nothing of what other pages would take. */
static void test_giant_pages(void **state) {
        struct pace p = { 0 };
        const struct kernel giant = { 100, 2 * GIB, GIB }, base = { 100, 2 * GIB, 4 * KIB };
        slices(&p, &giant, 10);
        assert_true(pace_slice_bytes(&p) == PACE_START_BYTES); /* no reason to ask for more */
        slices(&p, &base, 20);
        assert_true(pace_slice_bytes(&p) == PACE_MAX_BYTES);
        slices(&p, &giant, 10);
        assert_true(p.slice_bytes == PACE_MAX_BYTES);
}

static void test_nothing_tried_teaches_nothing(void **state) {
        struct pace p = { 0 };
        pace_slice_done(&p, 0, USEC_PER_SEC);
        assert_true(pace_slice_bytes(&p) == PACE_START_BYTES && p.n_last == 0);
        pace_slice_done(&p, 4 * KIB, 10); /* the end of a process: too little to grow by */
        assert_true(pace_slice_bytes(&p) == PACE_START_BYTES);
        pace_slice_done(&p, UINT64_MAX, UINT64_MAX);
        pace_slice_done(&p, UINT64_MAX, 0);
        pace_slice_done(&p, 1, UINT64_MAX);
        assert_true(pace_slice_bytes(&p) >= PACE_MIN_BYTES && pace_slice_bytes(&p) <= PACE_MAX_BYTES);
}

/* Whatever comes, sizes stay within their limits. */
static void test_any_course(void **state) {
        struct pace p = { 0 };
        uint64_t seed = 1;
        for (unsigned i = 0; i < 100000; i++) {
                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                pace_slice_done(&p, (seed >> 20) >> (seed % 40), (seed >> 24) >> (seed / 64 % 40));
                assert_true(pace_slice_bytes(&p) >= PACE_MIN_BYTES && pace_slice_bytes(&p) <= PACE_MAX_BYTES);
        }
}

/* The kernel's totals come in lumps, every two seconds. */
int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begins_small_and_grows),
                cmocka_unit_test(test_finds_its_size_and_stays),
                cmocka_unit_test(test_slow_kernel),
                cmocka_unit_test(test_time_says_nothing_of_size),
                cmocka_unit_test(test_dear_and_noisy),
                cmocka_unit_test(test_calls_as_long_as_a_slice),
                cmocka_unit_test(test_calls_beyond_any_slice),
                cmocka_unit_test(test_outliers_are_not_dear),
                cmocka_unit_test(test_cliff),
                cmocka_unit_test(test_one_outlier),
                cmocka_unit_test(test_mixed_pages),
                cmocka_unit_test(test_dear_calls),
                cmocka_unit_test(test_huge_pages),
                cmocka_unit_test(test_giant_pages),
                cmocka_unit_test(test_nothing_tried_teaches_nothing),
                cmocka_unit_test(test_any_course),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
