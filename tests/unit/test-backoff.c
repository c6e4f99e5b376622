/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves hold back for pressure and for room, and not for what is none of their doing. */
#include "core/backoff.h"

#include <string.h>

#include "unit.h"

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

/* Looks that found its CPU pressure high say nothing of its memory pressure: as many of those as ever until it pauses. */
static void test_each_counts_for_itself(void **state) {
        struct backoff b;
        uint64_t now = 0;
        unsigned n = 0;
        backoff_init(&b, 0, 0, false);
        b.ask_again_usec = UINT64_MAX;
        for (unsigned i = 0; i < 20; i++)
                look(&b, &now, 0, 900);
        assert_int_equal(b.level, BACKOFF_CPU_SLOWEST);
        for (; b.level < BACKOFF_PAUSED && n < 100; n++)
                look(&b, &now, 150, 900);
        assert_int_equal(n, 5);
        assert_int_equal(b.cause, HOLD_MEMORY);
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
        for (unsigned i = 0; i < 5; i++) {
                room(&b, &now, MIB); /* too little to begin again */
                assert_int_equal(b.level, BACKOFF_PAUSED);
        }
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
                cmocka_unit_test(test_pressure_meter),
                cmocka_unit_test(test_pressure_slows_and_recovers),
                cmocka_unit_test(test_memory_pressure_pauses_and_gives_up),
                cmocka_unit_test(test_each_try_hurts),
                cmocka_unit_test(test_each_try_takes_cpus),
                cmocka_unit_test(test_each_counts_for_itself),
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
