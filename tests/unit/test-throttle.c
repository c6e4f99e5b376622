/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rate is kept over any time, debts are paid, and extremes neither overflow nor stall. */
#include "core/throttle.h"

#include "core/util.h"
#include "unit.h"

static void test_burst(void **state) {
        struct throttle t;
        throttle_init(&t, GIB, 5);
        assert_true(throttle_available(&t, 5) == GIB / 4);
        assert_true(throttle_available(&t, 5 + 3600 * USEC_PER_SEC) == GIB / 4); /* no more is saved up */
        throttle_init(&t, 1000, 5);
        assert_true(throttle_available(&t, 5) == 2 * MIB); /* one huge page at least */
}

static void test_unlimited(void **state) {
        struct throttle t;
        throttle_init(&t, 0, 0);
        throttle_take(&t, UINT64_MAX, 0);
        assert_true(throttle_available(&t, 0) == UINT64_MAX);
        assert_true(throttle_when(&t, UINT64_MAX, 42) == 42);
}

static void test_debt(void **state) {
        struct throttle t;
        throttle_init(&t, 8 * MIB, 0); /* burst 2 MiB */
        throttle_take(&t, 10 * MIB, 0);
        assert_true(throttle_available(&t, 0) == 0);
        assert_true(throttle_when(&t, MIB, 0) == 9 * USEC_PER_SEC / 8); /* 8 MiB of debt and one more */
        assert_true(throttle_available(&t, USEC_PER_SEC) == 0);
        assert_true(throttle_available(&t, 9 * USEC_PER_SEC / 8) == MIB);
        assert_true(throttle_when(&t, MIB, 9 * USEC_PER_SEC / 8) == 9 * USEC_PER_SEC / 8);
        /* More than the burst can never be there at once: the burst is waited for. */
        assert_true(throttle_when(&t, GIB, 9 * USEC_PER_SEC / 8) == 10 * USEC_PER_SEC / 8);
}

static void test_when_is_exact(void **state) {
        uint64_t now = 0;
        struct throttle t;
        throttle_init(&t, 3333333, now);
        throttle_take(&t, 2 * MIB, now);
        for (unsigned i = 10; i < 500; i++) { /* a microsecond is worth three */
                uint64_t when = throttle_when(&t, i, now);
                assert_true(when > now);
                assert_true(throttle_available(&t, when - 1) < i);
                assert_true(throttle_available(&t, when) >= i);
                throttle_take(&t, i, when);
                now = when;
        }
}

static void test_looking_often_loses_nothing(void **state) {
        struct throttle t;
        throttle_init(&t, 3, 0); /* 3 bytes a second, looked at every 10 ms */
        throttle_take(&t, 2 * MIB, 0);
        uint64_t got = 0;
        for (uint64_t now = 0; now <= 1000 * USEC_PER_SEC; now += 10 * USEC_PER_MSEC) {
                uint64_t n = throttle_available(&t, now);
                throttle_take(&t, n, now);
                got += n;
        }
        assert_int_equal(got, 3000);
}

static void test_set_rate(void **state) {
        struct throttle t;
        throttle_init(&t, 80 * MIB, 0); /* burst 20 MiB */
        throttle_take(&t, 25 * MIB, 0);
        throttle_set_rate(&t, 8 * MIB, 0);
        assert_true(throttle_when(&t, 0, 0) == 5 * USEC_PER_SEC / 8); /* debts stay */
        throttle_set_rate(&t, 800 * MIB, 3600 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 3600 * USEC_PER_SEC) == 2 * MIB); /* what the old bucket could hold */
        assert_true(throttle_available(&t, 3601 * USEC_PER_SEC) == 200 * MIB);
        throttle_set_rate(&t, 8 * MIB, 3601 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 3601 * USEC_PER_SEC) == 2 * MIB);
        throttle_set_rate(&t, 0, 3601 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 3601 * USEC_PER_SEC) == UINT64_MAX);
        throttle_set_rate(&t, 8 * MIB, 3601 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 3601 * USEC_PER_SEC) == 2 * MIB);
}

static void test_extremes(void **state) {
        struct throttle t;
        throttle_init(&t, UINT64_MAX, 0);
        throttle_take(&t, UINT64_MAX, 0);
        throttle_take(&t, UINT64_MAX, 0);
        throttle_take(&t, UINT64_MAX, 0);
        assert_true(throttle_available(&t, 0) == 0);
        uint64_t when = throttle_when(&t, 1, 0);
        assert_true(when > 0 && when < 2 * USEC_PER_SEC);
        assert_true(throttle_available(&t, UINT64_MAX) == UINT64_MAX / 4);
        throttle_init(&t, 1, 0);
        throttle_take(&t, UINT64_MAX, 0);
        throttle_take(&t, UINT64_MAX, 0);
        assert_true(throttle_when(&t, UINT64_MAX, 0) == UINT64_MAX); /* later than time can say */
}

static void test_time_never_goes_back(void **state) {
        struct throttle t;
        throttle_init(&t, 8 * MIB, 10 * USEC_PER_SEC);
        throttle_take(&t, 2 * MIB, 10 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 9 * USEC_PER_SEC) == 0);
        assert_true(throttle_available(&t, 10 * USEC_PER_SEC + USEC_PER_SEC / 8) == MIB);
}

/* What it was too full to earn is not earned afterwards. */
static void test_taking_after_a_rest(void **state) {
        struct throttle t;
        throttle_init(&t, 8 * MIB, 0);
        throttle_take(&t, t.burst_bytes, 100 * USEC_PER_SEC);
        assert_true(throttle_available(&t, 100 * USEC_PER_SEC) == 0);
        assert_true(throttle_available(&t, 100 * USEC_PER_SEC + USEC_PER_SEC / 8) == MIB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_burst),
                cmocka_unit_test(test_unlimited),
                cmocka_unit_test(test_debt),
                cmocka_unit_test(test_when_is_exact),
                cmocka_unit_test(test_set_rate),
                cmocka_unit_test(test_looking_often_loses_nothing),
                cmocka_unit_test(test_taking_after_a_rest),
                cmocka_unit_test(test_extremes),
                cmocka_unit_test(test_time_never_goes_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
