/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys that place a service among others: what is accepted and where it ends up, relations between rules that can hold, and
 * many of them. What cannot hold: tests/fixtures/config, places*, bounds, weights, devices, relations*. */
#include <time.h>

#include "test-config.h"

/* "0-1,3" → the set; compared as text, so that a failure can be read. */
static void assert_nodes(const struct node_set *nodes, const char *expected) {
        _cleanup_free_ char *text = node_set_format(nodes);
        assert_string_equal(text, expected);
}

static struct config *parse_rule(const char *keys, const struct topology *t) {
        _cleanup_free_ char *text = format_string("rules: [{name: a, match: {user: a}, %s}]\n", keys);
        return parse_ok(text, t);
}

static void test_defaults(void **state) {
        struct config *c = parse_rule("place: spread", NULL);
        const struct rule *r = &c->rules[0];
        assert_int_equal(r->priority, RULE_PRIORITY_DEFAULT);
        assert_int_equal(r->min_nodes, 0);
        assert_int_equal(r->max_nodes, 0);
        assert_false(r->has_allowed);
        assert_true(node_set_is_empty(&r->allowed) && node_set_is_empty(&r->avoid));
        assert_false(r->exclusive);
        assert_int_equal(r->together_with.n_items + r->apart_from.n_items + r->devices.n_items + r->n_weights, 0);
        assert_int_equal(r->interleave_by, INTERLEAVE_EQUAL);
        assert_int_equal(r->shared_pages, SHARED_PAGES_SKIP);
        assert_int_equal(r->app_policy, APP_POLICY_RESPECT);
        config_free(c);
}

static void test_bounds(void **state) {
        struct topology *t = test_topology();
        struct config *c = parse_rule("place: compact, min-nodes: 2, max-nodes: 3, allowed-nodes: \"0-2,4\", avoid-nodes: \"2\", "
                                      "exclusive: true, priority: 1000, shared-pages: move, app-policy: override",
                                      t);
        const struct rule *r = &c->rules[0];
        assert_int_equal(r->min_nodes, 2);
        assert_int_equal(r->max_nodes, 3);
        assert_true(r->has_allowed);
        assert_nodes(&r->allowed, "0-2,4");
        assert_nodes(&r->avoid, "2");
        assert_true(r->exclusive);
        assert_int_equal(r->priority, 1000);
        assert_int_equal(r->shared_pages, SHARED_PAGES_MOVE);
        assert_int_equal(r->app_policy, APP_POLICY_OVERRIDE);
        config_free(c);
        static const char *const good[] = {
                "place: compact, min-nodes: 2, max-nodes: 2, priority: 0",
                "place: spread, min-nodes: 1024", /* more than this machine has: blocked, and said so, when it runs */
                "place: nodes, nodes: 0-2, min-nodes: 3, max-nodes: 3, allowed-nodes: \"0-2\", avoid-nodes: \"4\"",
                "place: follow, allowed-nodes: \"0-1\", avoid-nodes: \"1,4\", priority: 1, max-nodes: 2",
                "place: follow, allowed-nodes: \"1\", exclusive: false", /* memory alone is enough for it */
                "place: compact, cpus: free, allowed-nodes: \"1-2\", exclusive: no",
                "place: interleave, allowed-nodes: \"1-2\", exclusive: yes, apart-from: a, min-nodes: 1, cpus: free",
                "place: spread, allowed-nodes: \"0,4\", together-with: a, cpus: free, memory: strict",
                "place: near, device: net/eth0, allowed-nodes: \"0-1\", apart-from: a",
        };
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                config_free(parse_rule(good[i], t));
        topology_free(t);
}

/* Whatever leaves the CPUs alone says so to the planner. */
static void test_cpus(void **state) {
        static const struct {
                const char *keys;
                enum cpus_mode cpus;
        } cases[] = {
                { "place: interleave", CPUS_FREE },
                { "place: interleave, cpus: free", CPUS_FREE },
                { "place: spread", CPUS_RESTRICT },
                { "place: spread, cpus: free", CPUS_FREE },
                { "place: near, device: pci/3b:00.0", CPUS_RESTRICT },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct config *c = parse_rule(cases[i].keys, NULL);
                assert_int_equal(c->rules[0].cpus, cases[i].cpus);
                config_free(c);
        }
}

static void test_devices(void **state) {
        static const char *const expected[] = {
                "net/eth0",         "net/enp1s0f0.12",  "block/nvme0n1",     "block/cciss!c0d0",
                "pci/0000:3b:00.0", "pci/0000:af:1f.7", "pci/10000:01:00.0", "net/abcdefghijklmno"
        };
        struct config *c = parse_rule("place: near, device: [net/eth0, net/enp1s0f0.12, block/nvme0n1, \"block/cciss!c0d0\", "
                                      "pci/3b:00.0, pci/0000:AF:1f.7, \"pci/10000:01:00.0\", net/abcdefghijklmno]",
                                      NULL);
        const struct string_list *l = &c->rules[0].devices;
        assert_int_equal(l->n_items, ARRAY_SIZE(expected));
        for (size_t i = 0; i < l->n_items; i++)
                assert_string_equal(l->items[i], expected[i]);
        config_free(c);
}

static void test_weights(void **state) {
        struct config *c = parse_rule("place: interleave, weights: bandwidth", NULL);
        assert_int_equal(c->rules[0].interleave_by, INTERLEAVE_BANDWIDTH);
        config_free(c);
        c = parse_rule("place: interleave, weights: equal, max-nodes: 2", NULL);
        assert_int_equal(c->rules[0].interleave_by, INTERLEAVE_EQUAL);
        config_free(c);
        c = parse_rule("place: interleave, weights: {\"7,2-3\": 255, 1023: 1, \"0\": 9}", NULL);
        static const struct node_weight expected[] = { { 0, 9 }, { 2, 255 }, { 3, 255 }, { 7, 255 }, { 1023, 1 } };
        assert_int_equal(c->rules[0].interleave_by, INTERLEAVE_GIVEN);
        assert_int_equal(c->rules[0].n_weights, ARRAY_SIZE(expected));
        assert_memory_equal(c->rules[0].weights, expected, sizeof(expected));
        config_free(c);
        c = parse_rule("place: interleave, weights: {0-1023: 1}, min-nodes: 1024, max-nodes: 1024", NULL);
        assert_int_equal(c->rules[0].n_weights, 1024);
        config_free(c);
}

/* One of the longest lists that may be, and one more, of what has a limit. */
static void test_list_limits(void **state) {
        for (unsigned n = 1024; n <= 1025; n++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "rules:\n- name: a\n  match: {user: a}\n  place: interleave\n  weights:\n");
                for (unsigned i = 0; i < n; i++)
                        strbuf_printf(&b, "    %u: 1\n", i % 1024);
                _cleanup_free_ char *text = strbuf_steal(&b);
                if (n == 1024) {
                        config_free(parse_ok(text, NULL));
                        continue;
                }
                struct config_errors errors = parse_bad(text, strlen(text), NULL);
                assert_int_equal(errors.n_lines, 1);
                assert_string_equal(errors.lines[0], "FILE:1030:5: weights has more than 1024 entries; expected fewer");
                config_errors_done(&errors);
        }
}

static void test_relations(void **state) {
        struct topology *t = test_topology();
        struct config *c =
                parse_ok("rules:\n"
                         "- {name: web, match: {user: a}, place: compact, together-with: [cache, proxy], apart-from: db}\n"
                         "- {name: cache, match: {user: b}, place: near, device: net/eth0, together-with: web}\n"
                         "- {name: proxy, match: {user: c}, place: spread, avoid-nodes: \"4\"}\n"
                         "- {name: db, match: {user: d}, place: nodes, nodes: \"4,2\", exclusive: true, apart-from: web}\n"
                         "- {name: db-log, match: {user: e}, place: nodes, nodes: \"2,4\", together-with: [db, db-log]}\n"
                         "- {name: replica, match: {user: f}, place: compact, apart-from: replica, max-nodes: 1}\n"
                         "- {name: batch, match: {user: g}, place: interleave, allowed-nodes: \"0-1\", apart-from: [db]}\n",
                         t);
        assert_int_equal(c->rules[0].together_with.n_items, 2);
        assert_string_equal(c->rules[0].together_with.items[0], "cache");
        assert_string_equal(c->rules[0].together_with.items[1], "proxy");
        assert_string_equal(c->rules[0].apart_from.items[0], "db");
        assert_string_equal(c->rules[5].apart_from.items[0], "replica");
        config_free(c);
        topology_free(t);
}

/* What a machine has too little of is for the planner to say: the same file is used on small machines, too. */
static void test_one_node(void **state) {
        struct topology *t = topology_new(1, 1);
        assert_non_null(t);
        t->nodes[0] = (struct topology_node) { .present = true, .bytes_total = GIB, .n_cpus = 1, .n_cores = 1 };
        cpu_mask_add(&t->nodes[0].cpus, 0);
        t->node_of_cpu[0] = 0;
        config_free(parse_ok("rules:\n"
                             "- {name: a, match: {user: a}, place: compact, apart-from: [a, b], exclusive: true}\n"
                             "- {name: b, match: {user: b}, place: spread, exclusive: true, min-nodes: 2}\n"
                             "- {name: c, match: {user: c}, place: near, device: net/eth0, together-with: d}\n"
                             "- {name: d, match: {user: d}, place: compact, allowed-nodes: \"0\", together-with: d}\n",
                             t));
        topology_free(t);
}

/* A name that cannot be found may be that of a rule that could not be read: nothing is said about it. */
static void test_unsure(void **state) {
#define APART_FROM_B "rules:\n- {name: a, match: {user: a}, place: compact, apart-from: b}\n"
        static const char *const texts[] = {
                APART_FROM_B "- {name: b b, match: {user: a}, place: compact}\n",
                APART_FROM_B "- nothing\n",
                APART_FROM_B "rule: []\n",
        };
#undef APART_FROM_B
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct config_errors errors = parse_bad(texts[i], strlen(texts[i]), NULL);
                assert_int_equal(errors.n_lines, 1);
                assert_null(strstr(errors.lines[0], "apart-from"));
                config_errors_done(&errors);
        }
        /* nor about a relation with a rule that has an error of its own */
        static const char wrong[] = "rules:\n- {name: a, match: {user: a}, place: nodes, nodes: \"0\", apart-from: b}\n"
                                    "- {name: b, match: {user: a}, place: nodes, nodes: \"0\", cooldown: 1}\n";
        struct config_errors errors = parse_bad(wrong, strlen(wrong), NULL);
        assert_int_equal(errors.n_lines, 1);
        assert_non_null(strstr(errors.lines[0], ":3:67: cooldown: "));
        config_errors_done(&errors);
}

/* A thousand rules, each with as many others as it may name. */
static char *many(const char *format, unsigned step) {
        struct strbuf b = { 0 };
        strbuf_append(&b, "rules:\n");
        for (unsigned i = 0; i < CONFIG_RULES_MAX; i++) {
                strbuf_printf(&b, "- {name: number-%u, match: {user: a}, place: compact, %s: [", i, format);
                for (unsigned k = 0; k < CONFIG_RULE_NAMES_MAX; k++)
                        strbuf_printf(&b, "%snumber-%u", k ? "," : "", (i + 1 + k) * step % CONFIG_RULES_MAX + (step - 1) * 5000);
                strbuf_append(&b, "], exclusive: true}\n");
        }
        char *text = strbuf_steal(&b);
        assert_non_null(text);
        return text;
}

static double seconds(void) {
        struct timespec now;
        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
        return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void test_many(void **state) {
        _cleanup_free_ char *together = many("together-with", 1), *apart = many("apart-from", 1),
                            *unknown = many("apart-from", 2);
        double start = seconds();
        struct config *c = parse_ok(together, NULL);
        assert_int_equal(c->n_rules, CONFIG_RULES_MAX);
        assert_int_equal(c->rules[999].together_with.n_items, CONFIG_RULE_NAMES_MAX);
        config_free(c);
        double then = seconds();
        print_message("# 1000 rules together with 64 each: %.0f ms\n", (then - start) * 1e3);
        config_free(parse_ok(apart, NULL));
        start = seconds();
        print_message("# 1000 rules apart from 64 each: %.0f ms\n", (start - then) * 1e3);
        struct config_errors errors = parse_bad(unknown, strlen(unknown), NULL);
        then = seconds();
        print_message("# 64000 names that no rule has: %.0f ms\n", (then - start) * 1e3);
        assert_int_equal(errors.n_lines, CONFIG_ERRORS_MAX + 1);
        assert_non_null(strstr(errors.lines[CONFIG_ERRORS_MAX], "and 63980 more errors from here on"));
        config_errors_done(&errors);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),  cmocka_unit_test(test_bounds),   cmocka_unit_test(test_cpus),
                cmocka_unit_test(test_devices),   cmocka_unit_test(test_weights),  cmocka_unit_test(test_list_limits),
                cmocka_unit_test(test_relations), cmocka_unit_test(test_one_node), cmocka_unit_test(test_unsure),
                cmocka_unit_test(test_many),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
