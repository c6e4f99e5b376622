/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Number parsing takes numbers and nothing else; strings grow. */
#include "core/util.h"
#include "unit.h"

static void test_parse_u64(void **state) {
        uint64_t v = 7;
        assert_int_equal(parse_u64("0", &v), 0);
        assert_int_equal(v, 0);
        assert_int_equal(parse_u64("18446744073709551615", &v), 0);
        assert_true(v == UINT64_MAX);
        assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
        static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1k" };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(parse_u64(bad[i], &v), -EINVAL);
        assert_true(v == UINT64_MAX); /* untouched by failures */
}

static void test_strbuf(void **state) {
        struct strbuf b = { 0 };
        for (int i = 0; i < 1000; i++)
                strbuf_printf(&b, "%d,", i % 10);
        strbuf_append(&b, "end");
        _cleanup_free_ char *s = strbuf_steal(&b);
        assert_non_null(s);
        assert_int_equal(strlen(s), 2003);
        assert_string_equal(s + 2000, "end");
        _cleanup_free_ char *empty = strbuf_steal(&b);
        assert_string_equal(empty, "");
}

static void test_same_but_for_amounts(void **state) {
        (void) state;
        static const struct {
                const char *a, *b;
                bool same;
        } cases[] = {
                { "", "", true },
                { "x", "", false },
                { "7.3M would not move, tried again in 9min", "12K would not move, tried again in 91s", true },
                { "distance 11.3", "distance 10.0", true },
                { "distance 11.3", "distance 10", false },
                { "at home on node 0", "at home on node 1", false },
                { "priority 200", "priority 20", false },
                { "net/eth0 is near", "net/eth1 is near", false },
                { "a1s", "a2s", false },
                { "1s", "1s more", false },
                { "in 1s.", "in 20s.", true },
                { "5M", "5", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                if (text_same_but_for_amounts(cases[i].a, cases[i].b) != cases[i].same)
                        fail_msg("'%s' and '%s'", cases[i].a, cases[i].b);
                if (text_same_but_for_amounts(cases[i].b, cases[i].a) != cases[i].same)
                        fail_msg("'%s' and '%s'", cases[i].b, cases[i].a);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64),
                cmocka_unit_test(test_strbuf),
                cmocka_unit_test(test_same_but_for_amounts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
