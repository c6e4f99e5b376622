/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory runs out at every single allocation in turn: each time the load says so, changes nothing and leaks nothing.
 * Linked with --wrap for each of the allocating functions; libyaml's own allocations are not reached. */
#include <stdio.h>

#include "test-config.h"

static size_t n_allocations, fail_at; /* from 1; 0: never */

static bool fails(void) {
        return ++n_allocations == fail_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
        return fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size) {
        return fails() ? NULL : __real_realloc(p, size);
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}

int __real_vasprintf(char **ret, const char *format, va_list args);
int __wrap_vasprintf(char **ret, const char *format, va_list args) _printf_(2, 0);
int __wrap_vasprintf(char **ret, const char *format, va_list args) {
        return fails() ? -1 : __real_vasprintf(ret, format, args);
}

/* Returns how many allocations the load makes. */
static size_t exhaust(const char *text, const struct topology *t, int expected) {
        for (size_t at = 1;; at++) {
                struct config_errors errors = { 0 };
                struct config *c = NULL;
                n_allocations = 0;
                fail_at = at;
                int r = config_parse_buffer("FILE", text, strlen(text), t, &c, &errors);
                size_t n = n_allocations;
                fail_at = 0;
                if (n >= at) {
                        if (r != -ENOMEM)
                                fail_msg("allocation %zu of \"%.40s\" failed and the load returned %d", at, text, r);
                        assert_null(c);
                } else {
                        assert_int_equal(r, expected);
                        assert_int_equal(c != NULL, expected == 0);
                }
                config_errors_done(&errors);
                config_free(c);
                if (n < at)
                        return n;
        }
}

static void test_good(void **state) {
        struct topology *t = test_topology();
        static const char text[] = "daemon: {interval: 1s, windows: [\"Mon 01:00-02:00\", \"Tue 01:00-02:00\"]}\n"
                                   "rules:\n"
                                   "- {name: a, match: {unit: [a.service, b.service, c.service]}, place: nodes, nodes: 0-1}\n"
                                   "- {name: b, match: {user: [a, b]}, place: follow, shared-pages: skip}\n";
        assert_true(exhaust(text, t, 0) > 50);
        static const char relations[] =
                "rules:\n"
                "- {name: a, match: {user: a}, place: near, device: [net/eth0, pci/3b:00.0], together-with: [b, c], apart-from: "
                "d}\n"
                "- {name: b, match: {user: a}, place: compact, allowed-nodes: 0-1, avoid-nodes: 1, min-nodes: 1}\n"
                "- {name: c, match: {user: a}, place: spread, together-with: c}\n"
                "- {name: d, match: {user: a}, place: interleave, weights: {1: 1, 2: 3}, allowed-nodes: 1-2, exclusive: true}\n";
        assert_true(exhaust(relations, t, 0) > 50);
        topology_free(t);
}

static void test_bad(void **state) {
        static const char rules[] = "rules:\n"
                                    "- {name: a, match: {user: a}, place: nodes}\n"
                                    "- {name: a, match: {user: a}, place: ignore, cpus: free}\n"
                                    "- {name: b, match: {user: a}, place: nodes, nodes: 3}\n"
                                    "- {name: c, match: {user: a}, place: nodes, nodes: 2}\n"
                                    "- {name: c, match: {user: a}, place: nodes, nodes: 0-1, max-nodes: 1, place: nodes}\n";
        static const char nodes[] =
                "rules:\n"
                "- {name: a, match: {user: a}, place: nodes, nodes: 0-2, allowed-nodes: 0-1, avoid-nodes: 0, min-nodes: 4}\n"
                "- {name: b, match: {user: a}, place: interleave, weights: {0-1: 1, 4: 300, 1: x}, device: net/a}\n"
                "- {name: c, match: {user: a}, place: interleave, weights: {4: 1, 1: 1}, avoid-nodes: 1, max-nodes: 1}\n"
                "- {name: d, match: {user: a}, place: spread, allowed-nodes: 4, avoid-nodes: 9, weights: bandwith}\n"
                "- {name: e, match: {user: a}, place: compact, allowed-nodes: 0-1, avoid-nodes: 0, cpus: restrict}\n"
                "- {name: f, match: {user: a}, place: compact, allowed-nodes: 1, avoid-nodes: 1, min-nodes: 2, max-nodes: 1}\n"
                "- {name: g, match: {user: a}, place: near, device: [net/eth0, net/eth0, pci/0, \"net/*\"]}\n"
                "- {name: h, match: {user: a}, place: near, cpus: free}\n"
                "- {name: i, match: {user: a}, place: compact, cpus: free, apart-from: [i, i], exclusive: true}\n";
        static const char relations[] =
                "rules:\n"
                "- {name: aaa, match: {user: a}, place: nodes, nodes: 0, together-with: [bbb, ccc, ddd, aab, zzz, eee], "
                "exclusive: true}\n"
                "- {name: bbb, match: {user: a}, place: nodes, nodes: 0-1, apart-from: [aaa, ccc, eee, bbb]}\n"
                "- {name: ccc, match: {user: a}, place: compact, avoid-nodes: 0, min-nodes: 2, together-with: [ddd, fff, ggg]}\n"
                "- {name: ddd, match: {user: a}, place: compact, max-nodes: 1}\n"
                "- {name: eee, match: {user: a}, place: follow}\n"
                "- {name: fff, match: {user: a}, place: compact, allowed-nodes: 0}\n"
                "- {name: ggg, match: {user: a}, place: compact, allowed-nodes: 0-1, together-with: ggg, apart-from: ggg}\n"
                "- {name: hhh, match: {user: a}, place: compact, together-with: ddd, apart-from: ddd}\n";
        static const char *const texts[] = {
                rules,
                nodes,
                relations,
                "daemon: [\n",
                "daemon: {interval: 1, dry-run: ~, on-exit: keeep, keep-free: 99%, foo: 1, on_exit: keep}\nversion: 7\n",
                "daemon: {interval: 10min}\n",
                "rules: &x [*x, !t {name: a}, {name: a, match: {}, place: spread, device: net/a, <<: 1, [a]: 1}]\n",
                "rules: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\n",
                "\xff",
        };
        struct topology *t = test_topology();
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                assert_true(exhaust(texts[i], t, -EBADMSG) > 2);
        topology_free(t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
