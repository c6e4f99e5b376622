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
        topology_free(t);
}

static void test_bad(void **state) {
        static const char rules[] = "rules:\n"
                                    "- {name: a, match: {user: a}, place: nodes}\n"
                                    "- {name: a, match: {user: a}, place: ignore, cpus: free}\n"
                                    "- {name: b, match: {user: a}, place: nodes, nodes: 3}\n"
                                    "- {name: c, match: {user: a}, place: nodes, nodes: 2}\n"
                                    "- {name: c, match: {user: a}, place: nodes, nodes: 0-1, max-nodes: 1, place: nodes}\n";
        static const char *const texts[] = {
                rules,
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
