/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of files for each test, and what is loaded from it. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test-config.h"

#define ETC        SYSCONFDIR "/numabalanced"
#define ETC_D      ETC "/numabalanced.d"
#define RUN_D      "/run/numabalanced/numabalanced.d"
#define LIB_D      VENDORCONFDIR "/numabalanced.d"
#define MAIN       ETC "/numabalanced.yaml"
#define RULE(name) "rules: [{name: " name ", match: {user: a}, place: follow}]\n"

static char root[64];

static inline int setup(void **state) {
        (void) snprintf(root, sizeof(root), "/tmp/test-config-XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static inline int teardown(void **state) {
        return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path below the root, with its directories made. */
static inline char *in_root(const char *path) {
        char *full = format_string("%s%s", root, path);
        assert_non_null(full);
        for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                (void) mkdir(full, 0755);
                *p = '/';
        }
        return full;
}

static inline void put(const char *path, const char *text) {
        _cleanup_free_ char *full = in_root(path);
        FILE *f = fopen(full, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static inline void put_link(const char *path, const char *target) {
        _cleanup_free_ char *full = in_root(path);
        assert_int_equal(symlink(target, full), 0);
}

struct loaded {
        int r;
        struct config *config;
        struct config_errors errors;
};

static inline struct loaded load(const char *main_file) {
        struct loaded l = { 0 };
        const struct config_source source = { .root = root, .main_file = main_file };
        l.r = config_load(&source, &l.config, &l.errors);
        return l;
}

static inline void unload(struct loaded *l) {
        config_errors_done(&l->errors);
        config_free(l->config);
}

/* Loads the tree; the rules' names in their order, each followed by a space. */
static inline void assert_rules(const char *names) {
        struct loaded l = load(NULL);
        struct strbuf b = { 0 };
        if (l.errors.n_lines > 0)
                print_error("unexpected: %s\n", l.errors.lines[0]);
        assert_int_equal(l.r, 0);
        for (size_t i = 0; i < l.config->n_rules; i++)
                strbuf_printf(&b, "%s ", l.config->rules[i].name);
        _cleanup_free_ char *got = strbuf_steal(&b);
        assert_string_equal(got, names);
        unload(&l);
}

/* The lines, with "ROOT" for the root. */
static inline void assert_errors(const char *main_file, int r, size_t n, const char *const *lines) {
        struct loaded l = load(main_file);
        assert_int_equal(l.r, r);
        assert_null(l.config);
        for (size_t i = 0; i < MIN2(n, l.errors.n_lines); i++) {
                _cleanup_free_ char *expected = strncmp(lines[i], "ROOT", 4) == 0 ? format_string("%s%s", root, lines[i] + 4)
                                                                                  : format_string("%s", lines[i]);
                assert_string_equal(l.errors.lines[i], expected);
        }
        assert_int_equal(l.errors.n_lines, n);
        unload(&l);
}

static inline void assert_error(const char *main_file, int r, const char *line) {
        assert_errors(main_file, r, 1, &line);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
