/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patterns that can match something and those that cannot, the words that were probably meant, and text as an error shows it. */
#include "test-config.h"

static void test_patterns(void **state) {
        static const struct {
                enum match_key key;
                const char *pattern;
        } good[] = {
                { MATCH_UNIT, "a.service" },
                { MATCH_UNIT, "a@*" },
                { MATCH_UNIT, "*" },
                { MATCH_UNIT, "*.s[ec]*" },
                { MATCH_UNIT, "a*ice" },
                { MATCH_UNIT, "machine-qemu*.scope" },
                { MATCH_UNIT, "a\\x2db.service" },
                { MATCH_UNIT, "a.servic?" },
                { MATCH_UNIT, "a.s[]]*" },
                { MATCH_SLICE, "-.slice" },
                { MATCH_SLICE, "user-*" },
                { MATCH_CGROUP, "/a/b" },
                { MATCH_CGROUP, "*/b" },
                { MATCH_EXE, "[/]usr/bin/a" },
                { MATCH_EXE, "?usr/*" },
                { MATCH_COMM, "exactly15bytes_" },
                { MATCH_COMM, "a*longer than it but with a star" },
                { MATCH_USER, "root" },
        };
        const char *expected = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                if (pattern_problem(good[i].key, good[i].pattern, &expected))
                        fail_msg("%s: %s", good[i].pattern, pattern_problem(good[i].key, good[i].pattern, &expected));
        static const struct {
                enum match_key key;
                const char *pattern, *why;
        } bad[] = {
                { MATCH_UNIT, "", "is empty" },
                { MATCH_USER, "", "is empty" },
                { MATCH_USER, "[a", "has a [ without a ]" },
                { MATCH_USER, "[]a", "has a [ without a ]" },
                { MATCH_USER, "[!]", "has a [ without a ]" },
                { MATCH_USER, "[a][b", "has a [ without a ]" },
                { MATCH_UNIT, "a", "can match no unit that has processes" },
                { MATCH_UNIT, "*a", "can match no unit that has processes" },
                { MATCH_UNIT, "ice", "can match no unit that has processes" },
                { MATCH_UNIT, "a.target", "can match no unit that has processes" },
                { MATCH_UNIT, "a.socket", "is a unit of a kind that is known by its cgroup alone" },
                { MATCH_UNIT, "mnt-*.mount", "is a unit of a kind that is known by its cgroup alone" },
                { MATCH_UNIT, "*.swap", "is a unit of a kind that is known by its cgroup alone" },
                { MATCH_UNIT, "system.slice/a.service", "has a / and can match no unit" },
                { MATCH_SLICE, "a.service", "can match no slice" },
                { MATCH_SLICE, "/system.slice", "has a / and can match no slice" },
                { MATCH_CGROUP, "system.slice", "does not begin with / and can match no cgroup" },
                { MATCH_EXE, "java", "does not begin with / and can match no program" },
                { MATCH_COMM, "exactly_16_bytes", "is longer than any name the kernel keeps" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                const char *why = pattern_problem(bad[i].key, bad[i].pattern, &expected);
                assert_non_null(why);
                assert_string_equal(why, bad[i].why);
                assert_non_null(expected);
        }
}

static void test_suggestions(void **state) {
        static const char *const words[] = { "place", "memory", "cpus", "nodes", "max-nodes", "follow" };
        static const struct {
                const char *word, *meant;
        } cases[] = {
                { "plcae", "place" },
                { "Place", "place" },
                { "lpaec", "place" },
                { "noodees", "nodes" },
                { "mem", "memory" },
                { "cpu", "cpus" },
                { "node", "nodes" },
                { "nods", "nodes" },
                { "max_nodes", "max-nodes" },
                { "maxnodes", "max-nodes" },
                { "folow", "follow" },
                { "x", NULL },
                { "", NULL },
                { "memmap", NULL },
                { "placement", NULL },
                { "apus", "cpus" },
                { "a word of more than twenty-four letters", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *meant = suggest_word(cases[i].word, words, ARRAY_SIZE(words));
                if (!cases[i].meant)
                        assert_null(meant);
                else {
                        assert_non_null(meant);
                        assert_string_equal(meant, cases[i].meant);
                }
        }
}

static void test_quote(void **state) {
        static const struct {
                const char *text, *quoted;
        } cases[] = {
                { "", "\"\"" },
                { "a b", "\"a b\"" },
                { "ü", "\"ü\"" },
                { "\xc2\xa9"
                  "a",
                  "\"©a\"" },
                { "a\n\t\x1b[1m\x7f", "\"a\\n\\t\\x1b[1m\\x7f\"" },
                { "\xc2\x9b", "\"\\x9b\"" }, /* U+009B, which some terminals take for ESC [ */
                { "0123456789012345678901234567890123456789012345678901234567890123",
                  "\"0123456789012345678901234567890123456789012345678901234567890123\"" },
                { "012345678901234567890123456789012345678901234567890123456789012üx",
                  "\"012345678901234567890123456789012345678901234567890123456789012…\"" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *quoted = quote_text(cases[i].text, strlen(cases[i].text));
                assert_string_equal(quoted, cases[i].quoted);
        }
        _cleanup_free_ char *nul = quote_text("a\0b", 3);
        assert_string_equal(nul, "\"a\\x00b\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_patterns),
                cmocka_unit_test(test_suggestions),
                cmocka_unit_test(test_quote),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
