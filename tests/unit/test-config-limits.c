/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much a configuration may have of anything: errors that are shown, rules, patterns, text, windows; and bytes that are no text. */
#include "test-config.h"

static void assert_errors(const char *text, size_t n, const char *const *expected) {
        struct config_errors errors = parse_bad(text, strlen(text), NULL);
        for (size_t i = 0; i < MIN2(n, errors.n_lines); i++)
                assert_string_equal(errors.lines[i], expected[i]);
        assert_int_equal(errors.n_lines, n);
        config_errors_done(&errors);
}

/* Twenty are shown, the first ones by place, although the contradiction in line 2 is found after all others. */
static void test_error_limit(void **state) {
        for (unsigned n = 19; n <= 23; n++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "rules:\n- {name: a, place: nodes,\n   match: {user: [\n");
                for (unsigned i = 1; i < n; i++)
                        strbuf_append(&b, "   '',\n");
                strbuf_append(&b, "   ]}}\n");
                _cleanup_free_ char *text = strbuf_steal(&b);
                struct config_errors errors = parse_bad(text, strlen(text), NULL);
                assert_int_equal(errors.n_lines, MIN2(n, 21));
                assert_string_equal(errors.lines[0],
                                    "FILE:2:13: place: nodes without nodes; expected nodes: and a list such as \"0-1,3\"");
                assert_string_equal(errors.lines[18], "FILE:21:4: user: \"\" is empty; expected a shell glob");
                if (n == 20)
                        assert_string_equal(errors.lines[19], "FILE:22:4: user: \"\" is empty; expected a shell glob");
                if (n == 21)
                        assert_string_equal(errors.lines[20], "FILE:23:4: … and 1 more error from here on");
                if (n == 23)
                        assert_string_equal(errors.lines[20], "FILE:23:4: … and 3 more errors from here on");
                config_errors_done(&errors);
        }
}

static void test_rule_limit(void **state) {
        for (unsigned n = 1000; n <= 1002; n++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "rules:\n");
                for (unsigned i = 0; i < n; i++)
                        strbuf_printf(&b, "- {name: r%u, match: {user: a}, place: compact}\n", i);
                _cleanup_free_ char *text = strbuf_steal(&b);
                static const char *const expected[] = { "FILE:1002:3: more than 1000 rules; expected fewer" };
                if (n > 1000)
                        assert_errors(text, 1, expected);
                else {
                        struct config *c = parse_ok(text, NULL);
                        assert_int_equal(c->n_rules, 1000);
                        assert_string_equal(c->rules[999].name, "r999");
                        config_free(c);
                }
        }
}

static void test_pattern_limits(void **state) {
        for (unsigned n = 256; n <= 257; n++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "rules:\n- name: a\n  place: compact\n  match:\n    user:\n");
                for (unsigned i = 0; i < n; i++)
                        strbuf_printf(&b, "    - u%u\n", i);
                _cleanup_free_ char *text = strbuf_steal(&b);
                static const char *const expected[] = { "FILE:262:7: user has more than 256 entries; expected fewer" };
                if (n > 256)
                        assert_errors(text, 1, expected);
                else
                        config_free(parse_ok(text, NULL));
        }
        for (int n = 1024; n <= 1025; n++) {
                _cleanup_free_ char *text = format_string("rules: [{name: a, place: compact, match: {user: \"%0*d\"}}]\n", n, 0);
                if (n == 1024)
                        config_free(parse_ok(text, NULL));
                else {
                        struct config_errors errors = parse_bad(text, strlen(text), NULL);
                        assert_int_equal(errors.n_lines, 1);
                        assert_non_null(strstr(errors.lines[0], "FILE:1:49: user: \"0000"));
                        assert_non_null(strstr(errors.lines[0], "0…\" is too long; expected at most 1024 bytes"));
                        config_errors_done(&errors);
                }
        }
}

static void test_text_limits(void **state) {
        static char text[CONFIG_FILE_BYTES_MAX + 2];
        memset(text, '#', CONFIG_FILE_BYTES_MAX);
        config_free(parse_ok(text, NULL));
        text[CONFIG_FILE_BYTES_MAX] = '#';
        static const char *const too_large[] = { "FILE:1:1: a file of more than 1 MiB; expected less" };
        assert_errors(text, 1, too_large);
        /* the top mapping, the key and the list count as well: the next one would be the first too many */
        struct strbuf b = { 0 };
        strbuf_append(&b, "rules: [");
        for (unsigned i = 3; i < CONFIG_VALUES_MAX; i++)
                strbuf_append(&b, "a,");
        strbuf_append(&b, "\n");
        size_t length = b.length;
        strbuf_append(&b, "]\n");
        struct config_errors errors = parse_bad(b.text, b.length, NULL);
        assert_int_equal(errors.n_lines, 21);
        assert_string_equal(errors.lines[0], "FILE:1:9: a rule is a single value; expected a mapping with name, match and place");
        config_errors_done(&errors);
        b.length = length;
        strbuf_append(&b, "a]\n");
        static const char *const too_many[] = { "FILE:2:1: more than 100000 values in one file; expected fewer" };
        assert_errors(b.text, 1, too_many);
        strbuf_done(&b);
}

static void test_windows_limit(void **state) {
        for (unsigned n = 64; n <= 65; n++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "daemon:\n windows:\n");
                for (unsigned i = 0; i < n; i++)
                        strbuf_append(&b, "  - 00:00-01:00\n");
                _cleanup_free_ char *text = strbuf_steal(&b);
                static const char *const expected[] = { "FILE:67:5: windows has more than 64 entries; expected fewer" };
                if (n > 64)
                        assert_errors(text, 1, expected);
                else {
                        struct config *c = parse_ok(text, NULL);
                        assert_int_equal(c->settings.n_windows, 64 * 7);
                        config_free(c);
                }
        }
}

/* The text need not end where a string would. */
static void test_nul(void **state) {
        static const char text[] = "daemon:\n dry-run: true\0\n";
        struct config_errors errors = parse_bad(text, sizeof(text) - 1, NULL);
        assert_int_equal(errors.n_lines, 1);
        assert_string_equal(errors.lines[0], "FILE:2:15: a control character (U+0000); expected plain text");
        config_errors_done(&errors);
        struct config_errors none = { 0 };
        struct config *c = NULL;
        assert_int_equal(config_parse_buffer("FILE", "daemon: {dry-run: true}", strlen("daemon: {}") - 2, NULL, &c, &none), 0);
        config_free(c);
}

/* A line is a line for every kind of error, whatever ends it; and a byte order mark is no column of the first. */
static void test_lines(void **state) {
        static const char *const breaks[] = { "\n", "\r\n", "\r", "\xc2\x85", "\u2028", "\u2029" };
        static const struct {
                const char *before, *after, *where;
        } bad[] = {
                { "# a", "daemon: {x: 1}\n", "FILE:2:10: " },
                { "# a", "#\x01\n", "FILE:2:2: a control" },
                { "# a", "#\xff\n", "FILE:2:2: the byte" },
                { "# a", "daemon: [\n", "FILE:3:1: not valid YAML" },
                { "daemon:", "\tx: 1\n", "FILE:2:1: not valid YAML: a tab" },
                { "\ufeff#\x01", "", "FILE:1:2: " },
                { "\ufeffx: 1", "", "FILE:1:1: " },
        };
        for (size_t i = 0; i < ARRAY_SIZE(breaks); i++)
                for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
                        _cleanup_free_ char *text = format_string("%s%s%s", bad[k].before, breaks[i], bad[k].after);
                        struct config_errors errors = parse_bad(text, strlen(text), NULL);
                        assert_int_equal(errors.n_lines, 1);
                        if (strncmp(errors.lines[0], bad[k].where, strlen(bad[k].where)) != 0)
                                fail_msg("break %zu, text %zu: %s", i, k, errors.lines[0]);
                        config_errors_done(&errors);
                }
}

static void test_not_utf8(void **state) {
        static const char *const bad[] = { "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
                                           "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                           "\xc3",         "\xe2\x82",         "\xe2\x28\xa1",     "\xff\xfe" };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_free_ char *text = format_string("# ü\n#%s", bad[i]);
                _cleanup_free_ char *line = format_string(
                        "FILE:2:2: the byte 0x%02x is not UTF-8 here; expected a text file in UTF-8", (unsigned char) bad[i][0]);
                assert_errors(text, 1, (const char *const[]) { line });
        }
        /* the first and last of each length */
        config_free(
                parse_ok("# \xc2\xa0 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\n", NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error_limit), cmocka_unit_test(test_rule_limit),    cmocka_unit_test(test_pattern_limits),
                cmocka_unit_test(test_text_limits), cmocka_unit_test(test_windows_limit), cmocka_unit_test(test_nul),
                cmocka_unit_test(test_lines),       cmocka_unit_test(test_not_utf8),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
