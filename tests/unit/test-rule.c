/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which rule a service falls under, the defaults, and the windows in which changes may be made. */
#include "core/rule.h"

#include <stdio.h>

#include "core/util.h"
#include "unit.h"

static struct rule *add_rule(struct config *c, const char *name) {
        struct rule *rules = realloc(c->rules, (c->n_rules + 1) * sizeof *rules);
        assert_non_null(rules);
        c->rules = rules;
        struct rule *r = &c->rules[c->n_rules++];
        rule_init(r);
        r->name = strdup(name);
        return r;
}

static void add_pattern(struct rule *r, enum match_key key, const char *pattern) {
        assert_int_equal(string_list_add(&r->match.patterns[key], pattern), 0);
}

static const char *matched(const struct config *c, const struct service_identity *id) {
        const struct rule *r = config_match(c, id);
        return r ? r->name : "none";
}

static void test_defaults(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        assert_non_null(c);
        assert_int_equal(c->n_rules, 0);
        assert_true(c->settings.interval_usec == 10 * USEC_PER_SEC);
        assert_true(c->settings.max_interval_usec == 300 * USEC_PER_SEC);
        assert_true(c->settings.migrate_rate_bytes == 1ULL << 30);
        assert_int_equal(c->settings.keep_free_permille, 50);
        assert_int_equal(c->settings.scan_cpu_permille, 10);
        assert_int_equal(c->settings.on_exit, ON_EXIT_KEEP);
        assert_false(c->settings.dry_run);
        struct rule r;
        rule_init(&r);
        assert_int_equal(r.memory, MEMORY_PREFER);
        assert_int_equal(r.cpus, CPUS_RESTRICT);
        assert_int_equal(r.max_nodes, 0);
        assert_true(r.min_size_bytes == 64 * MIB);
        assert_int_equal(r.min_gain_permille, 50);
        assert_true(r.cooldown_usec == 60 * USEC_PER_SEC);
        rule_done(&r);
        rule_done(&r); /* twice is harmless */
        assert_null(config_free(NULL));
}

static void test_words(void **state) {
        assert_string_equal(place_to_string(PLACE_FOLLOW), "follow");
        assert_string_equal(memory_mode_to_string(MEMORY_STRICT), "strict");
        assert_string_equal(cpus_mode_to_string(CPUS_FREE), "free");
        assert_string_equal(match_key_to_string(MATCH_COMM), "comm");
        assert_string_equal(on_exit_to_string(ON_EXIT_RESTORE), "restore");
        for (int i = 0; i < _PLACE_MAX; i++)
                assert_string_not_equal(place_to_string((enum place) i), "invalid");
        for (int i = 0; i < _MATCH_KEY_MAX; i++)
                assert_string_not_equal(match_key_to_string((enum match_key) i), "invalid");
        assert_string_equal(place_to_string(_PLACE_MAX), "invalid");
        assert_string_equal(place_to_string(_PLACE_INVALID), "invalid");
}

static void test_string_list(void **state) {
        struct string_list l = { 0 };
        for (int i = 0; i < 100; i++) {
                char text[16];
                snprintf(text, sizeof text, "%d", i);
                assert_int_equal(string_list_add(&l, text), 0);
        }
        assert_int_equal(l.n_items, 100);
        assert_string_equal(l.items[0], "0");
        assert_string_equal(l.items[99], "99");
        string_list_done(&l);
        assert_int_equal(l.n_items, 0);
        assert_null(l.items);
}

static void test_match(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        struct rule *r = add_rule(c, "databases");
        add_pattern(r, MATCH_UNIT, "postgresql@*.service");
        add_pattern(r, MATCH_UNIT, "mariadb.service");
        r = add_rule(c, "alice-java");
        add_pattern(r, MATCH_USER, "alice");
        add_pattern(r, MATCH_COMM, "java");
        r = add_rule(c, "containers");
        add_pattern(r, MATCH_CGROUP, "/machine.slice/*");
        r = add_rule(c, "slice");
        add_pattern(r, MATCH_SLICE, "system.slice");
        add_pattern(r, MATCH_EXE, "/opt/*/bin/[a-c]erver");

        struct service_identity id = { .unit = "postgresql@15-main.service", .slice = "system-postgresql.slice", .cgroup = "/x" };
        assert_string_equal(matched(c, &id), "databases");
        id.unit = "mariadb.service";
        assert_string_equal(matched(c, &id), "databases"); /* one entry of the list is enough */
        id.unit = "mariadb.service.d";
        assert_string_equal(matched(c, &id), "none"); /* whole strings only */

        static const char *const users[] = { "root", "alice" }, *const comms[] = { "java" };
        id.users = users;
        id.n_users = 2;
        assert_string_equal(matched(c, &id), "none"); /* every key is needed */
        id.comms = comms;
        id.n_comms = 1;
        assert_string_equal(matched(c, &id), "alice-java");
        id.n_users = 1;
        id.cgroup = "/machine.slice/a.scope/payload"; /* '*' matches '/' */
        assert_string_equal(matched(c, &id), "containers");

        static const char *const exes[] = { "/opt/a/b/bin/berver" };
        id = (struct service_identity) {
                .unit = "", .slice = "system.slice", .cgroup = "/system.slice/y", .exes = exes, .n_exes = 1
        };
        assert_string_equal(matched(c, &id), "slice");
}

static void test_first_rule_wins(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        add_pattern(add_rule(c, "first"), MATCH_UNIT, "a*");
        add_pattern(add_rule(c, "second"), MATCH_UNIT, "*");
        struct service_identity id = { .unit = "ab.service", .slice = "", .cgroup = "/" };
        assert_string_equal(matched(c, &id), "first");
        id.unit = "b.service";
        assert_string_equal(matched(c, &id), "second");
        id.unit = ""; /* belongs to no unit: "*" is not met */
        assert_string_equal(matched(c, &id), "none");
        id.unit = NULL;
        assert_string_equal(matched(c, &id), "none");
}

static void test_a_rule_without_keys_matches_nothing(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        (void) add_rule(c, "empty");
        struct service_identity id = { .unit = "a.service", .slice = "system.slice", .cgroup = "/system.slice/a.service" };
        assert_string_equal(matched(c, &id), "none");
}

static void test_backslash_is_literal(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        add_pattern(add_rule(c, "escaped"), MATCH_UNIT, "data-my\\x2ddisk*.service");
        struct service_identity id = { .unit = "data-my\\x2ddisk1.service", .slice = "", .cgroup = "/" };
        assert_string_equal(matched(c, &id), "escaped");
        id.unit = "data-myx2ddisk1.service";
        assert_string_equal(matched(c, &id), "none");
}

static void test_needs_and_selects(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        assert_false(config_needs(c, MATCH_EXE));
        add_pattern(add_rule(c, "a"), MATCH_CGROUP, "/kubepods.slice/*/pod?");
        assert_true(config_needs(c, MATCH_CGROUP));
        assert_false(config_needs(c, MATCH_EXE));
        add_pattern(add_rule(c, "b"), MATCH_EXE, "*");
        assert_true(config_needs(c, MATCH_EXE));
        assert_true(config_selects_cgroup(c, "/kubepods.slice/burstable/pod1"));
        assert_false(config_selects_cgroup(c, "/kubepods.slice/burstable/pod12"));
        assert_false(config_selects_cgroup(c, ""));
}

static unsigned at(unsigned day, unsigned hour, unsigned minute) {
        return (day * 24 + hour) * 60 + minute;
}

/* By its name alone: certain where no other key is asked for, otherwise possible. */
static void test_may_match_unit(void **state) {
        _cleanup_(config_freep) struct config *c = config_new();
        assert_non_null(c);
        assert_false(config_may_match_unit(c, "a.service"));
        (void) add_rule(c, "no key");
        assert_false(config_may_match_unit(c, "a.service"));
        struct rule *r = add_rule(c, "ignored");
        r->place = PLACE_IGNORE;
        add_pattern(r, MATCH_UNIT, "a*.service");
        r = add_rule(c, "ignored if of root");
        r->place = PLACE_IGNORE;
        add_pattern(r, MATCH_UNIT, "b*.service");
        add_pattern(r, MATCH_USER, "root");
        r = add_rule(c, "some");
        add_pattern(r, MATCH_UNIT, "b1.service");
        add_pattern(r, MATCH_UNIT, "c.service");
        add_pattern(r, MATCH_EXE, "/usr/bin/c");
        r = add_rule(c, "all");
        add_pattern(r, MATCH_UNIT, "a1.service");
        assert_false(config_may_match_unit(c, "a1.service")); /* an earlier rule has it for certain */
        assert_true(config_may_match_unit(c, "b1.service"));
        assert_false(config_may_match_unit(c, "b2.service"));
        assert_true(config_may_match_unit(c, "c.service"));
        assert_false(config_may_match_unit(c, "d.service"));
        assert_false(config_may_match_unit(c, ""));
        r = add_rule(c, "by slice");
        add_pattern(r, MATCH_SLICE, "system.slice");
        assert_true(config_may_match_unit(c, "d.service")); /* who knows where it is */
        assert_false(config_may_match_unit(c, "a1.service"));
}

static void test_windows(void **state) {
        struct settings s = { 0 };
        assert_true(settings_window_open(&s, 0));
        struct week_window windows[] = {
                { at(0, 22, 0), at(1, 6, 0) },  /* Monday night */
                { at(6, 23, 0), at(7, 1, 30) }, /* Sunday 23:00 to Monday 01:30 */
        };
        s.windows = windows;
        s.n_windows = 2;
        assert_false(settings_window_open(&s, at(0, 21, 59)));
        assert_true(settings_window_open(&s, at(0, 22, 0)));
        assert_true(settings_window_open(&s, at(1, 5, 59)));
        assert_false(settings_window_open(&s, at(1, 6, 0))); /* the end is outside */
        assert_false(settings_window_open(&s, at(6, 22, 59)));
        assert_true(settings_window_open(&s, at(6, 23, 59)));
        assert_true(settings_window_open(&s, at(0, 0, 0))); /* wrapped */
        assert_true(settings_window_open(&s, at(0, 1, 29)));
        assert_false(settings_window_open(&s, at(0, 1, 30)));
        assert_true(settings_window_open(&s, at(7, 0, 0))); /* taken modulo a week */
}

static void test_when_a_window_begins(void **state) {
        struct settings s = { 0 };
        assert_int_equal(settings_window_opens_in(&s, 5), 0); /* always */
        struct week_window windows[] = { { at(0, 22, 0), at(1, 6, 0) }, { at(6, 23, 0), at(7, 1, 30) } };
        s.windows = windows;
        s.n_windows = 2;
        assert_int_equal(settings_window_opens_in(&s, at(0, 21, 59)), 1);
        assert_int_equal(settings_window_opens_in(&s, at(0, 22, 0)), 0);
        assert_int_equal(settings_window_opens_in(&s, at(1, 6, 0)), at(5, 17, 0)); /* Sunday's is next */
        assert_int_equal(settings_window_opens_in(&s, at(0, 1, 0)), 0);            /* Sunday's, still */
        assert_int_equal(settings_window_opens_in(&s, at(0, 1, 30)), 20 * 60 + 30);
        s.n_windows = 1;
        assert_int_equal(settings_window_opens_in(&s, at(1, 6, 0)), at(6, 16, 0)); /* beyond the end of the week */
}

static void test_the_whole_week(void **state) {
        struct week_window all = { 0, WEEK_MINUTES };
        struct settings s = { .windows = &all, .n_windows = 1 };
        unsigned open = 0;
        for (unsigned m = 0; m < WEEK_MINUTES; m++)
                open += settings_window_open(&s, m);
        assert_int_equal(open, WEEK_MINUTES);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_string_list),
                cmocka_unit_test(test_match),
                cmocka_unit_test(test_first_rule_wins),
                cmocka_unit_test(test_a_rule_without_keys_matches_nothing),
                cmocka_unit_test(test_backslash_is_literal),
                cmocka_unit_test(test_needs_and_selects),
                cmocka_unit_test(test_may_match_unit),
                cmocka_unit_test(test_windows),
                cmocka_unit_test(test_when_a_window_begins),
                cmocka_unit_test(test_the_whole_week),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
