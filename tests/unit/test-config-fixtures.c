/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every file of tests/fixtures/config/ gives exactly the errors that its first lines ("#! LINE:COLUMN: text") list, and every file
 * that is installed loads. FILE in an expected line stands for the file's name. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "test-config.h"

static char *read_text(const char *path, size_t *ret_size) {
        FILE *f = fopen(path, "re");
        struct stat st;
        assert_non_null(f);
        assert_int_equal(fstat(fileno(f), &st), 0);
        char *text = malloc((size_t) st.st_size + 1);
        assert_non_null(text);
        assert_int_equal(fread(text, 1, (size_t) st.st_size, f), st.st_size);
        text[st.st_size] = 0;
        assert_int_equal(fclose(f), 0);
        *ret_size = (size_t) st.st_size;
        return text;
}

static void check_fixture(const char *path, const struct topology *t) {
        size_t size, n = 0;
        _cleanup_free_ char *text = read_text(path, &size);
        struct config_errors errors = parse_bad(text, size, t);
        const char *line = text;
        for (; strncmp(line, "#! ", 3) == 0; n++) {
                const char *end = strchr(line, '\n');
                assert_non_null(end);
                _cleanup_free_ char *expected = format_string("FILE:%.*s", (int) (end - line - 3), line + 3);
                if (n >= errors.n_lines)
                        fail_msg("%s: missing: %s", path, expected);
                if (strcmp(errors.lines[n], expected) != 0)
                        fail_msg("%s:\n  got      %s\n  expected %s", path, errors.lines[n], expected);
                line = end + 1;
        }
        if (n == 0)
                fail_msg("%s: lists no error", path);
        if (n < errors.n_lines)
                fail_msg("%s: not expected: %s", path, errors.lines[n]);
        config_errors_done(&errors);
}

static void test_fixtures(void **state) {
        _cleanup_free_ char *dir = source_path("tests/fixtures/config");
        struct topology *t = test_topology();
        DIR *d = opendir(dir);
        size_t n = 0;
        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));) {
                if (e->d_name[0] == '.')
                        continue;
                _cleanup_free_ char *path = format_string("%s/%s", dir, e->d_name);
                check_fixture(path, t);
                n++;
        }
        (void) closedir(d);
        topology_free(t);
        assert_int_equal(n, 48);
}

static struct config *load(const char *path) {
        _cleanup_free_ char *file = source_path(path);
        const struct config_source source = { .main_file = file };
        struct config_errors errors = { 0 };
        struct config *c = NULL;
        int r = config_load(&source, &c, &errors);
        for (size_t i = 0; i < errors.n_lines; i++)
                print_error("%s\n", errors.lines[i]);
        assert_int_equal(r, 0);
        assert_int_equal(errors.n_lines, 0);
        return c;
}

static void test_examples(void **state) {
        static const struct {
                const char *path, *unit, *slice, *exe, *rule;
        } cases[] = {
                { "conf/examples/postgresql.yaml", "postgresql@15-main.service", "system.slice", "/usr/bin/x", "postgresql" },
                { "conf/examples/redis.yaml", "redis-server.service", "system.slice", "/usr/bin/redis-server", "redis" },
                { "conf/examples/jvm.yaml", "tomcat10.service", "system.slice", "/usr/bin/java", "java-small" },
                { "conf/examples/jvm.yaml", "cassandra.service", "system.slice", "/usr/bin/java", "java-large" },
                { "conf/examples/jvm.yaml", "shop.service", "system.slice", "/usr/lib/jvm/17/bin/java", "java-other" },
                { "conf/examples/jvm.yaml", "shop.service", "system.slice", "/usr/bin/javac", NULL },
                { "conf/examples/jvm.yaml", "trino.service", "system.slice", "/usr/bin/java", "java-huge" },
                { "conf/examples/analytics.yaml", "clickhouse-server.service", "system.slice", "/usr/bin/x", "columns" },
                { "conf/examples/latency.yaml", "asterisk.service", "system.slice", "/usr/bin/x", "telephony" },
                { "conf/examples/latency.yaml", "cron.service", "system.slice", "/usr/bin/x", "everyone-else" },
                { "conf/examples/network.yaml", "suricata.service", "system.slice", "/usr/bin/x", "ids" },
                { "conf/examples/network.yaml", "dpdk-router.service", "system.slice", "/usr/bin/x", "packets" },
                { "conf/examples/replicas.yaml", "mongod@2.service", "system.slice", "/usr/bin/x", "shards" },
                { "conf/examples/web.yaml", "php8.4-fpm.service", "system.slice", "/usr/bin/x", "web" },
                { "conf/examples/web.yaml", "memcached.service", "system.slice", "/usr/bin/x", "web-cache" },
                { "conf/examples/web.yaml", "report.service", "batch.slice", "/usr/bin/x", "batch" },
                { "conf/examples/libvirt.yaml", "machine-qemu\\x2d1\\x2dweb.scope", "machine.slice", "/usr/bin/qemu", "guests" },
                { "conf/examples/libvirt.yaml", "machine-qemu\\x2d1\\x2dpinned\\x2ddb.scope", "machine.slice", "/usr/bin/qemu",
                  "guests-left-alone" },
                { "conf/examples/libvirt.yaml", "machine-lxc\\x2d1\\x2dweb.scope", "machine.slice", "/usr/bin/x", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct config *c = load(cases[i].path);
                const struct service_identity id = {
                        .unit = cases[i].unit, .slice = cases[i].slice, .cgroup = "/x", .exes = &cases[i].exe, .n_exes = 1
                };
                const struct rule *r = config_match(c, &id);
                if (!cases[i].rule)
                        assert_null(r);
                else {
                        assert_non_null(r);
                        assert_string_equal(r->name, cases[i].rule);
                }
                config_free(c);
        }
}

/* As it is shipped, nothing is set. */
static void test_default(void **state) {
        struct config *c = load("conf/numabalanced.yaml"), *none = config_new();
        assert_int_equal(c->n_rules, 0);
        assert_memory_equal(&c->settings, &none->settings, sizeof(c->settings));
        config_free(c);
        config_free(none);
}

/* With the comment signs taken away it holds the defaults, and a rule. */
static void test_default_uncommented(void **state) {
        _cleanup_free_ char *path = source_path("conf/numabalanced.yaml");
        size_t size;
        _cleanup_free_ char *text = read_text(path, &size);
        struct strbuf b = { 0 };
        char *line = strstr(text, "\n#version");
        assert_non_null(line);
        for (char *next, *s = line + 1; *s; s = next) {
                next = strchr(s, '\n');
                assert_non_null(next);
                *next++ = 0;
                if (s[0] == '#' && !(s[1] == ' ' && s[2] != ' '))
                        strbuf_printf(&b, "%s\n", s + 1);
        }
        _cleanup_free_ char *active = strbuf_steal(&b);
        struct config *c = parse_ok(active, NULL), *none = config_new();
        assert_int_equal(c->settings.n_windows, 7);
        for (unsigned minute = 0; minute < WEEK_MINUTES; minute++)
                assert_true(settings_window_open(&c->settings, minute));
        free(c->settings.windows);
        c->settings.windows = NULL;
        c->settings.n_windows = 0;
        assert_memory_equal(&c->settings, &none->settings, sizeof(c->settings));
        assert_int_equal(c->n_rules, 1);
        config_free(c);
        config_free(none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fixtures),
                cmocka_unit_test(test_examples),
                cmocka_unit_test(test_default),
                cmocka_unit_test(test_default_uncommented),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
