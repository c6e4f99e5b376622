/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text → number: durations, sizes, rates, shares, booleans, windows. */
#include "test-config.h"

static void test_duration(void **state) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "0", 0 },
                { "0s", 0 },
                { "1us", 1 },
                { "250ms", 250000 },
                { "10s", 10 * USEC_PER_SEC },
                { "5min", 300 * USEC_PER_SEC },
                { "1h", 3600 * USEC_PER_SEC },
                { "2d", 2 * 86400 * USEC_PER_SEC },
                { "2h 30min", 9000 * USEC_PER_SEC },
                { "2h30min", 9000 * USEC_PER_SEC },
                { "1.5s", 1500000 },
                { "0.001s", 1000 },
                { "10 s", 10 * USEC_PER_SEC },
                { "1.5us", 1 },
        };
        static const struct {
                const char *text, *why;
                int error;
        } bad[] = {
                { "", "is not a number with a unit", -EINVAL },
                { "10", "has no unit", -EINVAL },
                { "1h 30", "has no unit", -EINVAL },
                { "00", "has no unit", -EINVAL },
                { "5m", "has an unknown unit", -EINVAL },
                { "5S", "has an unknown unit", -EINVAL },
                { "5s!", "is not a number with a unit", -EINVAL },
                { " 5s", "is not a number with a unit", -EINVAL },
                { "s", "is not a number with a unit", -EINVAL },
                { "-5s", "is negative", -EINVAL },
                { "1.s", "has no digit after the point", -EINVAL },
                { "1.2345s", "has more than three digits after the point", -EINVAL },
                { "18446744073709551616s", "is too large a number", -ERANGE },
                { "18446744073709551.615d", "is too large a number", -ERANGE },
                { "213503983d", "is too large a number", -ERANGE },
                { "213503981d 213503981d", "is too large a number", -ERANGE },
        };
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                uint64_t usec = 77;
                const char *why = NULL;
                if (parse_duration(good[i].text, &usec, &why) < 0)
                        fail_msg("\"%s\" %s", good[i].text, why);
                assert_int_equal(usec, good[i].usec);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                uint64_t usec = 77;
                const char *why = NULL;
                assert_int_equal(parse_duration(bad[i].text, &usec, &why), bad[i].error);
                assert_string_equal(why, bad[i].why);
                assert_int_equal(usec, 77);
        }
}

static void test_format_duration(void **state) {
        static const struct {
                uint64_t usec;
                const char *text;
        } cases[] = {
                { 0, "0" },
                { 1, "1us" },
                { 250 * USEC_PER_MSEC, "250ms" },
                { 90 * USEC_PER_SEC, "90s" },
                { 60 * USEC_PER_SEC, "1min" },
                { 24 * 60 * USEC_PER_MINUTE, "1d" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *text = format_duration(cases[i].usec);
                assert_string_equal(text, cases[i].text);
        }
}

static void test_size_and_rate(void **state) {
        static const struct {
                const char *text;
                uint64_t bytes;
        } good[] = {
                { "0", 0 },
                { "4096", 4096 },
                { "1K", 1024 },
                { "64M", 64 * MIB },
                { "1G", GIB },
                { "1T", 1024 * GIB },
                { "1KiB", 1024 },
                { "1MiB", MIB },
                { "1GiB", GIB },
                { "2TiB", 2048 * GIB },
                { "512B", 512 },
                { "1.5G", 1536 * MIB },
                { "0.125M", 128 * KIB },
                { "64 M", 64 * MIB },
        };
        static const struct {
                const char *text, *why;
                int error;
        } bad[] = {
                { "", "is not a number with a unit", -EINVAL },    { "1GB", "has an unknown unit", -EINVAL },
                { "1g", "has an unknown unit", -EINVAL },          { "1Gi", "has an unknown unit", -EINVAL },
                { "1P", "has an unknown unit", -EINVAL },          { "-1G", "is negative", -EINVAL },
                { "1G/min", "has text behind the size", -EINVAL }, { "18014398509481984T", "is too large a number", -ERANGE },
                { "17000000T", "is too large a number", -ERANGE },
        };
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                uint64_t bytes = 77;
                const char *why = NULL;
                if (parse_size(good[i].text, &bytes, &why) < 0)
                        fail_msg("\"%s\" %s", good[i].text, why);
                assert_int_equal(bytes, good[i].bytes);
                bytes = 77;
                assert_int_equal(parse_rate(good[i].text, &bytes, &why), 0);
                assert_int_equal(bytes, good[i].bytes);
                _cleanup_free_ char *rate = format_string("%s/s", good[i].text);
                assert_int_equal(parse_rate(rate, &bytes, &why), 0);
                assert_int_equal(bytes, good[i].bytes);
                assert_int_equal(parse_size(rate, &bytes, &why), -EINVAL);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                uint64_t bytes = 77;
                const char *why = NULL;
                assert_int_equal(parse_size(bad[i].text, &bytes, &why), bad[i].error);
                assert_string_equal(why, bad[i].why);
                assert_true(parse_rate(bad[i].text, &bytes, &why) < 0);
                assert_int_equal(bytes, 77);
        }
        uint64_t rate = 77;
        const char *why = NULL;
        assert_int_equal(parse_rate("1G/h", &rate, &why), -EINVAL);
        assert_string_equal(why, "has text behind the rate");
        assert_int_equal(parse_rate("1G/s/s", &rate, &why), -EINVAL);
        assert_int_equal(rate, 77);
}

static void test_percent(void **state) {
        static const struct {
                const char *text;
                unsigned permille;
        } good[] = { { "0%", 0 }, { "1%", 10 }, { "0.5%", 5 }, { "12.3%", 123 }, { "0.100%", 1 }, { "100%", 1000 } };
        static const struct {
                const char *text, *why;
                int error;
        } bad[] = {
                { "1", "has no percent sign", -EINVAL },
                { "", "is not a number with a unit", -EINVAL },
                { "%", "is not a number with a unit", -EINVAL },
                { "1 %", "has text behind the number that is not one %", -EINVAL },
                { "1%%", "has text behind the number that is not one %", -EINVAL },
                { "0.25%", "is finer than a tenth of a percent", -EINVAL },
                { "100.1%", "is more than the whole", -ERANGE },
                { "4294967297%", "is more than the whole", -ERANGE },
                { "-1%", "is negative", -EINVAL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                unsigned permille = 7777;
                const char *why = NULL;
                assert_int_equal(parse_percent(good[i].text, &permille, &why), 0);
                assert_int_equal(permille, good[i].permille);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                unsigned permille = 7777;
                const char *why = NULL;
                assert_int_equal(parse_percent(bad[i].text, &permille, &why), bad[i].error);
                assert_string_equal(why, bad[i].why);
                assert_int_equal(permille, 7777);
        }
}

static void test_boolean(void **state) {
        static const char *const yes[] = { "true", "True", "TRUE", "yes", "on", "On" };
        static const char *const no[] = { "false", "no", "NO", "off" };
        static const char *const bad[] = { "", "y", "n", "1", "0", "truee", "maybe" };
        const char *why = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                bool b = false;
                assert_int_equal(parse_boolean(yes[i], &b, &why), 0);
                assert_true(b);
        }
        for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
                bool b = true;
                assert_int_equal(parse_boolean(no[i], &b, &why), 0);
                assert_false(b);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                bool b = true;
                assert_int_equal(parse_boolean(bad[i], &b, &why), -EINVAL);
                assert_string_equal(why, "is neither true nor false");
                assert_true(b);
        }
}

#define AT(day, hour, minute) (1440u * (day) + 60u * (hour) + (minute))

static void assert_window(const char *text, size_t n, const struct week_window *expected) {
        struct week_window windows[7];
        size_t n_windows = 99;
        const char *why = NULL;
        if (parse_window(text, windows, &n_windows, &why) < 0)
                fail_msg("\"%s\" %s", text, why);
        assert_int_equal(n_windows, n);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(windows[i].start_minute, expected[i].start_minute);
                assert_int_equal(windows[i].end_minute, expected[i].end_minute);
        }
}

static void test_window(void **state) {
        static const struct week_window night[] = {
                { AT(0, 22, 0), AT(1, 6, 0) }, { AT(1, 22, 0), AT(2, 6, 0) }, { AT(2, 22, 0), AT(3, 6, 0) },
                { AT(3, 22, 0), AT(4, 6, 0) }, { AT(4, 22, 0), AT(5, 6, 0) },
        };
        assert_window("Mon..Fri 22:00-06:00", 5, night);
        assert_window("monday..FRIDAY  22:00-6:00", 5, night);
        assert_window("Wed..Fri,Mon,Tue,Mon 22:00-06:00", 5, night);
        static const struct week_window weekend[] = { { AT(5, 0, 0), AT(6, 0, 0) }, { AT(6, 0, 0), AT(7, 0, 0) } };
        assert_window("Sat,Sun 00:00-24:00", 2, weekend);
        static const struct week_window wrap[] = { { AT(0, 1, 5), AT(0, 2, 30) }, { AT(6, 1, 5), AT(6, 2, 30) } };
        assert_window("Sun..Mon 01:05-02:30", 2, wrap);
        static const struct week_window past_sunday[] = { { AT(6, 23, 59), AT(7, 0, 0) } };
        assert_window("Sun 23:59-00:00", 1, past_sunday);
        struct week_window days[7];
        size_t n;
        const char *why = NULL;
        assert_int_equal(parse_window("22:00-06:00", days, &n, &why), 0);
        assert_int_equal(n, 7);
        assert_int_equal(days[6].end_minute, AT(7, 6, 0)); /* goes on into Monday */
        static const struct {
                const char *text, *why;
        } bad[] = {
                { "", "has an unknown day" },
                { "Mo 22:00-06:00", "has an unknown day" },
                { "Mon.. 22:00-06:00", "has an unknown day" },
                { "Mon, Tue 22:00-06:00", "has an unknown day" },
                { "Mon", "has no time" },
                { "Mon ", "has no time" },
                { "Mon-Fri 22:00-06:00", "has unknown text behind the days" },
                { "Mon22:00-06:00", "has unknown text behind the days" },
                { "Mon 22:00", "has no valid times of day" },
                { "Mon 22:00-06:00 ", "has no valid times of day" },
                { "Mon 24:01-06:00", "has no valid times of day" },
                { "Mon 22:60-23:00", "has no valid times of day" },
                { "Mon 22:0-23:00", "has no valid times of day" },
                { "Mon 22:000-23:00", "has no valid times of day" },
                { "Mon 022:00-23:00", "has no valid times of day" },
                { "Mon 22:00..23:00", "has no valid times of day" },
                { "08:00-08:00", "is an empty span of time" },
                { "24:00-08:00", "is an empty span of time" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(parse_window(bad[i].text, days, &n, &why), -EINVAL);
                assert_string_equal(why, bad[i].why);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_duration), cmocka_unit_test(test_format_duration), cmocka_unit_test(test_size_and_rate),
                cmocka_unit_test(test_percent),  cmocka_unit_test(test_boolean),         cmocka_unit_test(test_window),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
