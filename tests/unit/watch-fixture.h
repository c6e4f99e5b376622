/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watcher on a tree of ordinary files: inotify tells of them as of cgroupfs. */
#pragma once

#include "watch/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "test-host-tree.h"
#include "unit.h"
#include "watch/watch-internal.h"

#define MOUNT "sys/fs/cgroup"

static struct {
        struct tree tree;
        struct host *host;
        sd_event *event;
        struct watch *watch;
        struct watch_counts counts;
        unsigned n_told, n_flood;
        char last[256];
} fx;

static inline void on_told(const struct watch_event *e, void *userdata) {
        assert_int_equal(e->kind, WATCH_CGROUP);
        fx.n_told++;
        fx.n_flood += !e->cgroup[0];
        (void) snprintf(fx.last, sizeof(fx.last), "%s", e->cgroup);
}

static inline void put(const char *cgroup, const char *file, const char *text) {
        _cleanup_free_ char *path = format_string(MOUNT "%s/%s", cgroup, file);
        assert_non_null(path);
        tree_put(&fx.tree, path, text);
}

static inline void put_fifo(const char *cgroup, const char *file) {
        _cleanup_free_ char *path = format_string(MOUNT "%s/%s", cgroup, file);
        assert_non_null(path);
        tree_fifo(&fx.tree, path);
}

/* What the kernel does: the file is the same one, and written to. */
static inline void write_events(const char *cgroup, const char *text) {
        _cleanup_free_ char *path = format_string("%s/" MOUNT "%s/cgroup.events", fx.tree.root, cgroup);
        assert_non_null(path);
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void) close(fd);
}

static inline void make(const char *cgroup, bool populated) {
        put(cgroup, "cgroup.procs", "");
        put(cgroup, "cgroup.events", populated ? "populated 1\nfrozen 0\n" : "populated 0\nfrozen 0\n");
}

static inline void set(const struct watch_wish *wishes, size_t n) {
        assert_int_equal(watch_set(fx.watch, wishes, n, &fx.counts), 0);
}

/* Until somebody is told, and all that is there by then. */
static inline void run_until_told(unsigned n) {
        for (unsigned i = 0; fx.n_told < n && i < 1000; i++)
                assert_true(sd_event_run(fx.event, 100 * USEC_PER_MSEC) >= 0);
        assert_true(fx.n_told >= n);
}

/* More than a rest: whatever was held back has been told. */
static inline void run_out(void) {
        uint64_t now, until;
        assert_true(sd_event_now(fx.event, CLOCK_MONOTONIC, &now) >= 0);
        for (until = now + WATCH_REST_USEC * 5 / 4; now < until;) {
                assert_true(sd_event_run(fx.event, until - now) >= 0);
                assert_int_equal(sd_event_now(fx.event, CLOCK_MONOTONIC, &now), 0);
        }
}

/* All that is there already; for a watcher that does not rest. */
static inline void drain(void) {
        while (sd_event_run(fx.event, 0) > 0)
                ;
}

static inline int setup(void **state) {
        memset(&fx, 0, sizeof(fx));
        tree_make(&fx.tree, "");
        put("", "cgroup.controllers", "cpuset memory\n");
        tree_put(&fx.tree, "proc/self/mountinfo", "20 1 0:20 / /" MOUNT " rw - cgroup2 cgroup2 rw\n");
        tree_put(&fx.tree, "proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        make("/a.slice/x.service", true);
        assert_int_equal(host_open(fx.tree.root, &fx.host), 0);
        assert_int_equal(sd_event_new(&fx.event), 0);
        assert_int_equal(watch_new(fx.event, fx.host, on_told, NULL, &fx.watch), 0);
        return 0;
}

static inline int teardown(void **state) {
        watch_free(fx.watch);
        sd_event_unref(fx.event);
        host_free(fx.host);
        tree_done(&fx.tree);
        return 0;
}
