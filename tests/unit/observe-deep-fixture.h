/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A captured machine, and deep reads of some of its processes. */
#pragma once

#include "host/observe.h"

#include <stdio.h>

#include "core/util.h"
#include "host/host.h"
#include "test-host-tree.h"
#include "unit.h"

#define KIB4 4096ULL

struct setup {
        struct tree tree;
        struct host *host;
        struct process_ref processes[8];
        size_t n_processes;
        const struct deep_options *options;
        struct deep_sample *d;
};

static inline void setup_make(struct setup *s) {
        *s = (struct setup) { 0 };
        tree_make(&s->tree, "bookworm");
        assert_int_equal(host_open(s->tree.root, &s->host), 0);
        s->host->page_bytes = 4096;
}

static inline void setup_done(struct setup *s) {
        deep_sample_free(s->d);
        host_free(s->host);
        tree_done(&s->tree);
}

static inline void add(struct setup *s, pid_t pid, uint64_t start) {
        s->processes[s->n_processes++] = (struct process_ref) { .pid = pid, .start_ticks = start };
}

static inline const struct deep_sample *deep(struct setup *s) {
        s->d = deep_sample_free(s->d);
        assert_int_equal(observe_deep(s->host, 4, s->processes, s->n_processes, s->options, &s->d), 0);
        return s->d;
}

static inline void assert_by_node(const uint64_t *have, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t want[] = { a, b, c, d };
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(have[i], want[i]);
}

static inline void put_maps(struct setup *s, pid_t pid, const char *text) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/numa_maps", (int) pid);
        tree_put(&s->tree, path, text);
}
