/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slices find the size that takes their time and stay there; moves hold back for pressure and for room, and not for what is none of their doing. */
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
static void test_pressure_meter(void **state) {
        struct pressure_meter m = { 0 };
        uint64_t total = 1000;
        assert_int_equal(pressure_share(&m, total, 500 * USEC_PER_MSEC), -1);
        assert_int_equal(pressure_share_of_all(&m), -1);
        unsigned n = 0;
        for (uint64_t now = 750 * USEC_PER_MSEC; now < 20 * USEC_PER_SEC; now += 250 * USEC_PER_MSEC) {
                if (now % (2 * USEC_PER_SEC) == 0)
                        total += 600 * USEC_PER_MSEC; /* 30 % */
                int share = pressure_share(&m, total, now);
                if (share >= 0) {
                        assert_int_equal(share, 300);
                        n++;
                }
        }
        assert_int_equal(n, 9);
        assert_in_range(pressure_share_of_all(&m), 290, 320);
        assert_int_equal(pressure_share(&m, total, 30 * USEC_PER_SEC), 0); /* it stands still */
        assert_int_equal(pressure_share(&m, total + 60 * USEC_PER_SEC, 34 * USEC_PER_SEC), 1000);
        assert_int_equal(pressure_share(&m, 0, 36 * USEC_PER_SEC), -1); /* another cgroup of that name */
}

static const struct backoff_look nothing = { .memory_permille = -1, .cpu_permille = -1, .room_bytes = UINT64_MAX };

static void look(struct backoff *b, uint64_t *now, int memory, int cpu) {
        *now += 2 * USEC_PER_SEC;
        struct backoff_look l = nothing;
        l.now_usec = *now;
        l.memory_permille = memory;
        l.cpu_permille = cpu;
        backoff_look(b, &l);
}

static void test_pressure_slows_and_recovers(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 50, -1, false);
        look(&b, &now, 90, 10);
        assert_int_equal(b.level, 0);
        assert_int_equal(backoff_rest_usec(&b, 1000), 0);
        look(&b, &now, 160, 10);
        assert_int_equal(b.level, 1);
        assert_int_equal(b.cause, HOLD_MEMORY);
        assert_int_equal(backoff_rest_usec(&b, 1000), 1000);
        look(&b, &now, 120, 10); /* neither good nor bad: as it is */
        assert_int_equal(b.level, 1);
        look(&b, &now, 160, 10);
        look(&b, &now, 160, 10);
        assert_int_equal(b.level, BACKOFF_SLOWEST);
        assert_int_equal(backoff_rest_usec(&b, 1000), 7000);
        look(&b, &now, -1, 10); /* nothing new of what it is held back for */
        assert_int_equal(b.level, BACKOFF_SLOWEST);
        for (unsigned i = 0; i < 3; i++)
                look(&b, &now, 60, 10);
        assert_int_equal(b.level, 0);
        assert_null(b.give_up);
        assert_true(backoff_rest_usec(&b, UINT64_MAX) == 0);
}

static void test_memory_pressure_pauses_and_gives_up(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 0, false);
        look(&b, &now, 400, 0);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        look(&b, &now, 0, 0);
        assert_int_equal(b.level, BACKOFF_SLOWEST); /* carefully on */
        look(&b, &now, 400, 0);
        for (unsigned i = 0; i < 29; i++) {
                look(&b, &now, 300, 0);
                assert_null(b.give_up);
        }
        look(&b, &now, 300, 0);
        assert_non_null(b.give_up);
        assert_non_null(strstr(b.give_up, "memory"));
}

/* Memory pressure that rises whenever we move and falls whenever we do not: our doing, and tried so often only. */
static void test_each_try_hurts(void **state) {
        struct backoff b;
        uint64_t now = 0;
        unsigned n = 0;
        backoff_init(&b, 10, 0, false);
        for (; !b.give_up && n < 100; n++)
                look(&b, &now, b.level >= BACKOFF_PAUSED ? 10 : 300, 900); /* CPU pressure hides nothing */
        assert_non_null(b.give_up);
        assert_non_null(strstr(b.give_up, "memory"));
        assert_in_range(n, BACKOFF_PAUSES_MAX, 4 * BACKOFF_PAUSES_MAX);
}

/* CPU pressure that does so: as slow as can be, asked now and then whether it is us, and never the end. */
static void test_each_try_takes_cpus(void **state) {
        struct backoff b;
        uint64_t now = 0;
        unsigned n_paused = 0, n_fast = 0;
        backoff_init(&b, 0, 100, false);
        for (unsigned i = 0; i < 300; i++) { /* ten minutes */
                look(&b, &now, 0, b.level >= BACKOFF_PAUSED ? 100 : 700);
                assert_null(b.give_up);
                n_paused += b.level >= BACKOFF_PAUSED;
                n_fast += b.level < BACKOFF_CPU_SLOWEST;
        }
        assert_in_range(n_paused, 8, 2 * 10);
        assert_int_equal(n_fast, 0);
        while (b.level > 0)
                look(&b, &now, 0, 100);
        assert_int_equal(b.before_cpu, 100); /* what it learnt is not that this is how it is */
        look(&b, &now, 0, 320);
        assert_int_equal(b.level, 1);
}

/* It waits for CPUs whether we move or not: that is how it is now, and no reason to wait. */
static void test_load_of_its_own(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 0, false);
        for (unsigned i = 0; i < 12; i++)
                look(&b, &now, 0, 600);
        assert_null(b.give_up);
        assert_true(b.level < BACKOFF_PAUSED);
        for (unsigned i = 0; i < 200; i++) {
                look(&b, &now, 0, 600);
                assert_null(b.give_up);
        }
        assert_int_equal(b.level, 0);
        assert_int_equal(b.before_cpu, 600);
}

/* Its CPUs were restricted right before: a short pause tells whether it waits because of that ... */
static void test_restricted_before(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 100, true);
        look(&b, &now, 0, 120);
        assert_int_equal(b.level, 0);
        look(&b, &now, 0, 400);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        look(&b, &now, 0, 450);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        look(&b, &now, 0, 450);
        assert_int_equal(b.level, 1);
        assert_int_equal(b.before_cpu, 450);
        look(&b, &now, 0, 450);
        assert_int_equal(b.level, 0);
        look(&b, &now, 0, 700); /* what comes on top is as it is for all */
        assert_int_equal(b.level, 1);
        look(&b, &now, 0, 700);
        assert_int_equal(b.level, 2);
}

/* ... or because of us. */
static void test_restricted_and_hurt(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 0, true);
        look(&b, &now, 0, 350);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        look(&b, &now, 0, 10);
        assert_int_equal(b.level, BACKOFF_CPU_SLOWEST);
        assert_int_equal(b.before_cpu, 0);
        look(&b, &now, 0, 250);
        assert_int_equal(b.level, BACKOFF_CPU_SLOWEST);
}

static void room(struct backoff *b, uint64_t *now, uint64_t bytes) {
        *now += USEC_PER_SEC;
        struct backoff_look l = nothing;
        l.now_usec = *now;
        l.room_bytes = bytes;
        l.near_bytes = 100 * MIB;
        backoff_look(b, &l);
}

static void test_room(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, -1, -1, false);
        room(&b, &now, GIB);
        assert_int_equal(b.level, 0);
        for (unsigned i = 0; i < 60; i++) { /* slowly it goes on, however long that takes */
                room(&b, &now, 50 * MIB);
                assert_int_equal(b.level, 2);
        }
        room(&b, &now, 0);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        assert_int_equal(b.cause, HOLD_ROOM);
        room(&b, &now, MIB); /* too little to begin again */
        assert_int_equal(b.level, BACKOFF_PAUSED);
        room(&b, &now, 200 * MIB);
        assert_int_equal(b.level, 0);
        assert_null(b.give_up);
        for (unsigned i = 0; i < 10; i++) {
                room(&b, &now, 0);
                assert_null(b.give_up);
        }
        room(&b, &now, 0);
        assert_non_null(b.give_up);
}

/* What told of the pressure is gone: it does not wait for ever. */
static void test_nothing_is_known_any_more(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 0, false);
        look(&b, &now, 900, -1);
        for (unsigned i = 0; i < 40; i++)
                look(&b, &now, -1, -1);
        assert_int_equal(b.level, BACKOFF_SLOWEST);
        assert_null(b.give_up);
}

/* Paused for its memory pressure, of which nothing is heard yet: that little room is left is no reason to go on. */
static void test_paused_with_little_room(void **state) {
        struct backoff b;
        uint64_t now = 0;
        backoff_init(&b, 0, 0, false);
        look(&b, &now, 400, 0);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        for (unsigned i = 0; i < 5; i++)
                room(&b, &now, 50 * MIB);
        assert_int_equal(b.level, BACKOFF_PAUSED);
        look(&b, &now, 0, 0);
        assert_int_equal(b.level, BACKOFF_SLOWEST);
        assert_null(b.give_up);
}

static void test_words(void **state) {
        for (int i = 0; i < _HOLD_CAUSE_MAX; i++)
                assert_true(strlen(hold_cause_to_string((enum hold_cause) i)) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begins_small_and_grows),
                cmocka_unit_test(test_finds_its_size_and_stays),
                cmocka_unit_test(test_slow_kernel),
                cmocka_unit_test(test_time_says_nothing_of_size),
                cmocka_unit_test(test_dear_and_noisy),
                cmocka_unit_test(test_calls_as_long_as_a_slice),
                cmocka_unit_test(test_outliers_are_not_dear),
                cmocka_unit_test(test_cliff),
                cmocka_unit_test(test_one_outlier),
                cmocka_unit_test(test_mixed_pages),
                cmocka_unit_test(test_dear_calls),
                cmocka_unit_test(test_huge_pages),
                cmocka_unit_test(test_giant_pages),
                cmocka_unit_test(test_nothing_tried_teaches_nothing),
                cmocka_unit_test(test_any_course),
                cmocka_unit_test(test_pressure_meter),
                cmocka_unit_test(test_pressure_slows_and_recovers),
                cmocka_unit_test(test_memory_pressure_pauses_and_gives_up),
                cmocka_unit_test(test_each_try_hurts),
                cmocka_unit_test(test_each_try_takes_cpus),
                cmocka_unit_test(test_load_of_its_own),
                cmocka_unit_test(test_restricted_before),
                cmocka_unit_test(test_restricted_and_hurt),
                cmocka_unit_test(test_room),
                cmocka_unit_test(test_nothing_is_known_any_more),
                cmocka_unit_test(test_paused_with_little_room),
                cmocka_unit_test(test_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
