/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is accepted and where it ends up. Limits: test-config-limits.c; single errors: tests/fixtures/config. */
#include "test-config.h"

static void test_empty(void **state) {
        static const char *const texts[] = { "",
                                             "\n",
                                             "# only a comment\n",
                                             "---\n",
                                             "---\n...\n",
                                             "~\n",
                                             "version: 1\n",
                                             "daemon:\nrules:\n",
                                             "daemon: {}\nrules: []\n",
                                             "\xef\xbb\xbf# byte order mark\n" };
        struct config *none = config_new();
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct config *c = parse_ok(texts[i], NULL);
                assert_int_equal(c->n_rules, 0);
                assert_memory_equal(&c->settings, &none->settings, sizeof(c->settings));
                config_free(c);
        }
        config_free(none);
}

static void test_settings(void **state) {
        struct config *c = parse_ok("version: 1\n"
                                    "daemon:\n"
                                    "  interval: 250ms\n"
                                    "  max-interval: 2h 30min\n"
                                    "  windows: [\"Mon 01:00-02:00\", 'Sun 23:00-01:00']\n"
                                    "  dry-run: yes\n"
                                    "  scan-cpu: 0.5%\n"
                                    "  migrate-rate: 64M/s\n"
                                    "  keep-free: 12.5%\n"
                                    "  on-exit: restore\n",
                                    NULL);
        const struct settings *s = &c->settings;
        assert_int_equal(s->interval_usec, 250 * USEC_PER_MSEC);
        assert_int_equal(s->max_interval_usec, 150 * USEC_PER_MINUTE);
        assert_int_equal(s->n_windows, 2);
        assert_int_equal(s->windows[0].start_minute, 60);
        assert_int_equal(s->windows[0].end_minute, 120);
        assert_int_equal(s->windows[1].start_minute, 6 * 1440 + 23 * 60);
        assert_int_equal(s->windows[1].end_minute, WEEK_MINUTES + 60);
        assert_true(s->dry_run);
        assert_int_equal(s->scan_cpu_permille, 5);
        assert_int_equal(s->migrate_rate_bytes, 64 * MIB);
        assert_int_equal(s->keep_free_permille, 125);
        assert_int_equal(s->on_exit, ON_EXIT_RESTORE);
        config_free(c);
        c = parse_ok("daemon: {windows: Tue 10:00-11:00, on-exit: keep}\n", NULL);
        assert_int_equal(c->settings.n_windows, 1);
        assert_int_equal(c->settings.windows[0].start_minute, 1440 + 600);
        assert_int_equal(c->settings.on_exit, ON_EXIT_KEEP);
        config_free(c);
}

/* The ends of each range are inside. */
static void test_range_ends(void **state) {
        struct config *c =
                parse_ok("daemon: {interval: 100ms, max-interval: 100ms, scan-cpu: 0.1%, migrate-rate: 64K, keep-free: 0%}\n"
                         "rules: [{name: a, match: {user: a}, place: compact, min-size: 0, min-gain: 0%, cooldown: 0, "
                         "max-nodes: 1, migrate-rate: 64K}]\n",
                         NULL);
        assert_int_equal(c->settings.interval_usec, 100 * USEC_PER_MSEC);
        assert_int_equal(c->settings.scan_cpu_permille, 1);
        assert_int_equal(c->settings.keep_free_permille, 0);
        assert_int_equal(c->rules[0].cooldown_usec, 0);
        assert_int_equal(c->rules[0].min_size_bytes, 0);
        assert_int_equal(c->rules[0].min_gain_permille, 0);
        config_free(c);
        c = parse_ok("daemon: {interval: 1d, max-interval: 1d, scan-cpu: 100%, migrate-rate: 1T, keep-free: 90%}\n"
                     "rules: [{name: a, match: {user: a}, place: compact, min-size: 1024T, min-gain: 90%, cooldown: 7d, "
                     "max-nodes: 1024, migrate-rate: 1T}]\n",
                     NULL);
        assert_int_equal(c->settings.migrate_rate_bytes, 1024 * GIB);
        assert_int_equal(c->settings.keep_free_permille, 900);
        assert_int_equal(c->rules[0].max_nodes, 1024);
        assert_int_equal(c->rules[0].cooldown_usec, 7 * 1440 * USEC_PER_MINUTE);
        config_free(c);
}

static void test_rule_defaults(void **state) {
        struct config *c =
                parse_ok("rules:\n\n  - match: {comm: [x, 'y*']}\n    place: compact\n    name: a.B_c-d@e:f+9\n", NULL);
        struct rule expected;
        rule_init(&expected);
        assert_int_equal(c->n_rules, 1);
        const struct rule *r = &c->rules[0];
        assert_string_equal(r->name, "a.B_c-d@e:f+9");
        assert_string_equal(r->file, "FILE");
        assert_int_equal(r->line, 3);
        assert_int_equal(r->place, PLACE_COMPACT);
        assert_int_equal(r->memory, expected.memory);
        assert_int_equal(r->cpus, expected.cpus);
        assert_int_equal(r->max_nodes, 0);
        assert_int_equal(r->min_size_bytes, RULE_MIN_SIZE_BYTES_DEFAULT);
        assert_int_equal(r->min_gain_permille, RULE_MIN_GAIN_PERMILLE_DEFAULT);
        assert_int_equal(r->cooldown_usec, RULE_COOLDOWN_USEC_DEFAULT);
        assert_int_equal(r->migrate_rate_bytes, 0);
        assert_true(node_set_is_empty(&r->nodes));
        for (int k = 0; k < _MATCH_KEY_MAX; k++)
                assert_int_equal(r->match.patterns[k].n_items, k == MATCH_COMM ? 2 : 0);
        assert_string_equal(r->match.patterns[MATCH_COMM].items[0], "x");
        assert_string_equal(r->match.patterns[MATCH_COMM].items[1], "y*");
        config_free(c);
}

static void test_rule_everything(void **state) {
        struct topology *t = test_topology();
        struct config *c = parse_ok("rules:\n"
                                    "  - name: a\n"
                                    "    match: {unit: u.service, slice: s.slice, cgroup: /c, user: w, exe: /e, comm: m}\n"
                                    "    place: nodes\n"
                                    "    nodes: 0,2\n"
                                    "    max-nodes: 2\n"
                                    "    memory: strict\n"
                                    "    cpus: free\n"
                                    "    min-size: 1G\n"
                                    "    cooldown: 2min\n"
                                    "    migrate-rate: 10M\n"
                                    "    shared-pages: skip\n"
                                    "    app-policy: respect\n",
                                    t);
        static const char *const patterns[_MATCH_KEY_MAX] = {
                [MATCH_UNIT] = "u.service", [MATCH_SLICE] = "s.slice", [MATCH_CGROUP] = "/c",
                [MATCH_USER] = "w",         [MATCH_EXE] = "/e",        [MATCH_COMM] = "m",
        };
        const struct rule *r = &c->rules[0];
        for (int k = 0; k < _MATCH_KEY_MAX; k++) {
                assert_int_equal(r->match.patterns[k].n_items, 1);
                assert_string_equal(r->match.patterns[k].items[0], patterns[k]);
        }
        _cleanup_free_ char *nodes = node_set_format(&r->nodes);
        assert_string_equal(nodes, "0,2");
        assert_int_equal(r->place, PLACE_NODES);
        assert_int_equal(r->max_nodes, 2);
        assert_int_equal(r->memory, MEMORY_STRICT);
        assert_int_equal(r->cpus, CPUS_FREE);
        assert_int_equal(r->min_size_bytes, GIB);
        assert_int_equal(r->cooldown_usec, 120 * USEC_PER_SEC);
        assert_int_equal(r->migrate_rate_bytes, 10 * MIB);
        config_free(c);
        topology_free(t);
}

/* The tables' words are those that the rest of the program prints. */
static void test_words(void **state) {
        for (int p = 0; p < _PLACE_MAX; p++) {
                const char *word = place_to_string((enum place) p);
                _cleanup_free_ char *text = format_string("rules: [{name: a, match: {user: a}, place: %s%s}]\n", word,
                                                          p == PLACE_NODES  ? ", nodes: 0"
                                                          : p == PLACE_NEAR ? ", device: net/eth0"
                                                                            : "");
                struct config *c = parse_ok(text, NULL);
                assert_int_equal(c->rules[0].place, p);
                config_free(c);
        }
        for (int m = 0; m < _MEMORY_MODE_MAX; m++)
                for (int u = 0; u < _CPUS_MODE_MAX; u++) {
                        _cleanup_free_ char *text = format_string(
                                "rules: [{name: a, match: {user: a}, place: compact, memory: %s, "
                                "cpus: %s}]\n",
                                memory_mode_to_string((enum memory_mode) m), cpus_mode_to_string((enum cpus_mode) u));
                        struct config *c = parse_ok(text, NULL);
                        assert_int_equal(c->rules[0].memory, m);
                        assert_int_equal(c->rules[0].cpus, u);
                        config_free(c);
                }
        for (int o = 0; o < _ON_EXIT_MAX; o++) {
                _cleanup_free_ char *text = format_string("daemon: {on-exit: %s}\n", on_exit_to_string((enum on_exit) o));
                struct config *c = parse_ok(text, NULL);
                assert_int_equal(c->settings.on_exit, o);
                config_free(c);
        }
        for (int b = 0; b < _BALANCING_SETTING_MAX; b++)
                for (int k = 0; k < _KERNEL_BALANCING_MAX; k++) {
                        _cleanup_free_ char *text =
                                format_string("daemon: {kernel-balancing: %s}\nrules: [{name: a, match: {unit: a.service}, "
                                              "place: spread, kernel-balancing: %s}]\n",
                                              balancing_setting_to_string((enum balancing_setting) b),
                                              kernel_balancing_to_string((enum kernel_balancing) k));
                        struct config *c = parse_ok(text, NULL);
                        assert_int_equal(c->settings.kernel_balancing, b);
                        assert_int_equal(c->rules[0].kernel_balancing, k);
                        config_free(c);
                }
        for (int k = 0; k < _MATCH_KEY_MAX; k++) {
                _cleanup_free_ char *text = format_string("rules: [{name: a, match: {%s: \"*\"}, place: ignore}]\n",
                                                          match_key_to_string((enum match_key) k));
                struct config *c = parse_ok(text, NULL);
                assert_true(config_needs(c, (enum match_key) k));
                config_free(c);
        }
}

/* follow and ignore leave the CPUs untouched, whatever the default is; what they do not contradict is accepted. */
static void test_place_and_cpus(void **state) {
        struct config *c = parse_ok(
                "rules:\n"
                "- {name: a, match: {user: a}, place: follow}\n"
                "- {name: b, match: {user: a}, place: follow, cpus: free, memory: prefer, max-nodes: 1, min-gain: 7.5%}\n"
                "- {name: c, match: {user: a}, place: ignore}\n"
                "- {name: d, match: {user: a}, place: compact}\n",
                NULL);
        assert_int_equal(c->rules[0].cpus, CPUS_FREE);
        assert_int_equal(c->rules[1].cpus, CPUS_FREE);
        assert_int_equal(c->rules[1].min_gain_permille, 75);
        assert_int_equal(c->rules[2].cpus, CPUS_FREE);
        assert_int_equal(c->rules[3].cpus, CPUS_RESTRICT);
        config_free(c);
}

static void test_nodes_with_topology(void **state) {
        struct topology *t = test_topology();
        /* CPUs on 0, memory on 1 and 2: together there is all that is needed; alone only where CPUs stay free */
        struct config *c = parse_ok("rules:\n"
                                    "- {name: a, match: {user: a}, place: nodes, nodes: 0-2}\n"
                                    "- {name: b, match: {user: a}, place: nodes, nodes: 1-2, cpus: free}\n"
                                    "- {name: c, match: {user: a}, place: nodes, nodes: \"2,4\"}\n",
                                    t);
        assert_int_equal(c->n_rules, 3);
        config_free(c);
        /* without a topology any node may exist */
        c = parse_ok("rules: [{name: a, match: {user: a}, place: nodes, nodes: \"1023\"}]\n", NULL);
        assert_true(node_set_has(&c->rules[0].nodes, 1023));
        config_free(c);
        topology_free(t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty),           cmocka_unit_test(test_settings),
                cmocka_unit_test(test_range_ends),      cmocka_unit_test(test_rule_defaults),
                cmocka_unit_test(test_rule_everything), cmocka_unit_test(test_words),
                cmocka_unit_test(test_place_and_cpus),  cmocka_unit_test(test_nodes_with_topology),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
