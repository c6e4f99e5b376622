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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64),
                cmocka_unit_test(test_strbuf),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
