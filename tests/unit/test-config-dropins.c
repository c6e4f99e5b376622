/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files are read, in which order, and which of them wins.
 * Linked with --wrap=readdir, so that a file can vanish at the worst moment. */
#include <dirent.h>

#include "test-config-tree.h"

/* Removed as soon as a file of its name was listed. */
static const char *vanishing;

struct dirent *__real_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d) {
        struct dirent *e = __real_readdir(d);
        if (e && vanishing && strcmp(e->d_name, strrchr(vanishing, '/') + 1) == 0) {
                assert_int_equal(unlink(vanishing), 0);
                vanishing = NULL;
        }
        return e;
}

static void test_nothing(void **state) {
        assert_rules("");
        put(ETC "/other", "");
        assert_rules("");
}

static void test_order(void **state) {
        put(MAIN, RULE("main"));
        put(ETC_D "/50-etc.yaml", RULE("etc"));
        put(RUN_D "/10-run.yaml", RULE("run"));
        put(LIB_D "/90-lib.yaml", RULE("lib"));
        put(LIB_D "/A.yaml", RULE("upper"));
        put(LIB_D "/a.yaml", RULE("lower"));
        put(ETC_D "/51-two.yaml",
            "rules:\n- {name: x, match: {user: a}, place: follow}\n- {name: w, match: {user: a}, place: follow}\n");
        assert_rules("run etc x w lib upper lower main ");
}

static void test_no_main_file(void **state) {
        put(LIB_D "/90-lib.yaml", RULE("lib"));
        put(LIB_D "/10-lib.yaml", RULE("first"));
        assert_rules("first lib ");
}

static void test_stronger_replaces(void **state) {
        put(LIB_D "/50-a.yaml", RULE("lib"));
        assert_rules("lib ");
        put(RUN_D "/50-a.yaml", RULE("run"));
        assert_rules("run ");
        put(ETC_D "/50-a.yaml", RULE("etc"));
        assert_rules("etc ");
        put(ETC_D "/50-a.yaml", ""); /* an empty file replaces as well */
        assert_rules("");
}

static void test_masks(void **state) {
        put(LIB_D "/50-a.yaml", RULE("a"));
        put(RUN_D "/60-b.yaml", RULE("b"));
        put(LIB_D "/70-c.yaml", RULE("c"));
        put_link(RUN_D "/50-a.yaml", "/dev/null");
        assert_rules("b c ");
        put_link(ETC_D "/60-b.yaml", "/dev/null");
        assert_rules("c ");
        put(ETC_D "/50-a.yaml", RULE("own")); /* and a mask can be replaced */
        assert_rules("own c ");
        put_link(MAIN, "/dev/null");
        assert_rules("own c ");
}

/* What is gone when it is to be read is no error, and uncovers what it replaced. */
static void test_vanished(void **state) {
        put(ETC_D "/50-a.yaml", RULE("a"));
        put(ETC_D "/60-b.yaml", RULE("b"));
        _cleanup_free_ char *a = in_root(ETC_D "/50-a.yaml"), *b = in_root(ETC_D "/60-b.yaml");
        vanishing = a;
        assert_rules("b ");
        assert_null(vanishing);
        put(LIB_D "/60-b.yaml", RULE("weaker"));
        vanishing = b;
        assert_rules("weaker ");
        assert_null(vanishing);
}

static void test_names_ignored(void **state) {
        put(ETC_D "/a.yml", "not: [valid");
        put(ETC_D "/.a.yaml", "not: [valid");
        put(ETC_D "/a.yaml~", "not: [valid");
        put(ETC_D "/a.yaml.dpkg-old", "not: [valid");
        put(ETC_D "/.yaml", "not: [valid");
        put(ETC_D "/README", "not: [valid");
        put(ETC_D "/b.yaml", RULE("b"));
        assert_rules("b ");
}

static void test_settings_override(void **state) {
        put(MAIN, "daemon: {interval: 1s, keep-free: 1%, scan-cpu: 2%, windows: [\"Mon 01:00-02:00\", \"Tue 01:00-02:00\"]}\n");
        put(LIB_D "/10-a.yaml", "daemon: {interval: 2s, keep-free: 3%}\n");
        put(ETC_D "/05-b.yaml", "daemon: {interval: 3s, windows: \"Wed 01:00-02:00\"}\n");
        struct loaded l = load(NULL);
        assert_int_equal(l.r, 0);
        assert_int_equal(l.config->settings.interval_usec, 2 * USEC_PER_SEC);
        assert_int_equal(l.config->settings.keep_free_permille, 30);
        assert_int_equal(l.config->settings.scan_cpu_permille, 20);
        assert_int_equal(l.config->settings.n_windows, 1);
        assert_int_equal(l.config->settings.windows[0].start_minute, 2 * 1440 + 60);
        unload(&l);
}

/* Each is fine by itself; the second file brings the contradiction, and is where it is reported. */
static void test_intervals_across_files(void **state) {
        put(MAIN, "daemon:\n  max-interval: 1min\n");
        put(ETC_D "/a.yaml", "daemon:\n  keep-free: 1%\n  interval: 2min\n");
        assert_error(NULL, -EBADMSG,
                     "ROOT" ETC_D
                     "/a.yaml:3:13: interval is 2min and max-interval is 1min; expected a max-interval at least as long "
                     "as the interval");
        put(ETC_D "/b.yaml", "daemon:\n  max-interval: 1h\n");
        assert_rules("");
        /* an interval that was not accepted is not compared */
        put(ETC_D "/b.yaml", "daemon:\n  max-interval: 1\n");
        assert_error(NULL, -EBADMSG,
                     "ROOT" ETC_D
                     "/b.yaml:2:17: max-interval: \"1\" has no unit; expected a duration in us, ms, s, min, h or d, such as "
                     "10s or \"1h 30min\"");
}

static void test_names_across_files(void **state) {
        put(MAIN, "\n" RULE("a"));
        put(LIB_D "/x.yaml", RULE("b"));
        put(ETC_D "/y.yaml", RULE("a"));
        _cleanup_free_ char *line = format_string(
                "ROOT" ETC_D "/y.yaml:1:16: a second rule \"a\"; expected another name, since %s" MAIN ":2 has it", root);
        assert_error(NULL, -EBADMSG, line);
}

/* Relations go across files, and are complained about where they are written; with a file that could not be read, no name is unknown. */
static void test_relations_across_files(void **state) {
        put(MAIN, "rules:\n- {name: a, match: {user: a}, place: compact, together-with: b}\n");
        assert_error(NULL, -EBADMSG, "ROOT" MAIN ":2:62: together-with: no rule has the name \"b\"; expected the name of a rule");
        put(LIB_D "/x.yaml", "rules:\n- {name: b, match: {user: b}, place: compact, apart-from: c, max-nodes: 1}\n");
        put(ETC_D "/y.yaml", "rules:\n- {name: c, match: {user: c}, place: spread}\n");
        assert_rules("b c a ");
        put(ETC_D "/y.yaml",
            "daemon: {interval: 1}\nrules:\n- {name: c, match: {user: c}, place: compact, together-with: [a]}\n");
        static const char *const lines[] = {
                "ROOT" LIB_D
                "/x.yaml:2:59: apart-from: rule \"b\" and rule \"c\" share one home by together-with; expected one of the two",
                "ROOT" ETC_D
                "/y.yaml:1:20: interval: \"1\" has no unit; expected a duration in us, ms, s, min, h or d, such as 10s or "
                "\"1h 30min\"",
        };
        assert_errors(NULL, -EBADMSG, 2, lines);
        put(ETC_D "/y.yaml", "rules: [\n");
        struct loaded l = load(NULL);
        assert_int_equal(l.r, -EBADMSG);
        assert_int_equal(l.errors.n_lines, 1);
        assert_non_null(strstr(l.errors.lines[0], "/y.yaml:2:1: not valid YAML"));
        unload(&l);
}

static void test_dropin_limit(void **state) {
        for (unsigned i = 0; i < CONFIG_DROPINS_MAX; i++) {
                char path[256];
                (void) snprintf(path, sizeof(path), ETC_D "/%u.yaml", i);
                put(path, "");
        }
        put(LIB_D "/7.yaml", RULE("replaced"));
        assert_rules("");
        put(LIB_D "/x.yaml", RULE("x"));
        assert_error(NULL, -E2BIG, "ROOT" LIB_D ": cannot read it: more than 1000 drop-ins");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                IN_TREE(test_nothing),
                IN_TREE(test_order),
                IN_TREE(test_no_main_file),
                IN_TREE(test_stronger_replaces),
                IN_TREE(test_masks),
                IN_TREE(test_vanished),
                IN_TREE(test_names_ignored),
                IN_TREE(test_settings_override),
                IN_TREE(test_intervals_across_files),
                IN_TREE(test_names_across_files),
                IN_TREE(test_relations_across_files),
                IN_TREE(test_dropin_limit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
