/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the configuration share: a machine, and files. */
#pragma once

#include "config/config-private.h"
#include "unit.h"

/* Nodes 0 (CPU 0 and memory), 1 and 2 (memory only), 4 (CPU 1 and no memory); node 3 is absent. */
static inline struct topology *test_topology(void) {
        struct topology *t = topology_new(5, 2);
        assert_non_null(t);
        for (unsigned i = 0; i < 5; i++)
                t->nodes[i] = (struct topology_node) { .present = i != 3, .bytes_total = i < 3 ? GIB : 0 };
        for (unsigned cpu = 0; cpu < 2; cpu++) {
                unsigned node = cpu == 0 ? 0 : 4;
                cpu_mask_add(&t->nodes[node].cpus, cpu);
                t->nodes[node].n_cpus = t->nodes[node].n_cores = 1;
                t->node_of_cpu[cpu] = (int16_t) node;
        }
        return t;
}

/* A path below the source tree. */
static inline char *source_path(const char *path) {
        const char *srcdir = getenv("srcdir");
        char *s = format_string("%s/%s", srcdir ? srcdir : ".", path);
        assert_non_null(s);
        return s;
}

static inline struct config *parse_ok(const char *text, const struct topology *t) {
        struct config_errors errors = { 0 };
        struct config *c = NULL;
        int r = config_parse_buffer("FILE", text, strlen(text), t, &c, &errors);
        if (errors.n_lines > 0)
                print_error("unexpected: %s\n", errors.lines[0]);
        assert_int_equal(r, 0);
        assert_non_null(c);
        assert_int_equal(errors.n_lines, 0);
        config_errors_done(&errors);
        return c;
}

static inline struct config_errors parse_bad(const char *text, size_t size, const struct topology *t) {
        struct config_errors errors = { 0 };
        struct config *c = NULL;
        assert_int_equal(config_parse_buffer("FILE", text, size, t, &c, &errors), -EBADMSG);
        assert_null(c);
        assert_true(errors.n_lines > 0);
        return errors;
}
