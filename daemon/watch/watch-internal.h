/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the watcher: watch.c puts together
 *
 *     pressure.c   triggers of the kernel's pressure stall information
 *     cgroups.c    one inotify descriptor for cgroup.events files and for directories in which cgroups appear */
#pragma once

#include "watch/watch.h"

struct cgroup_watch;

struct pressure_trigger {
        struct watch *watch;
        char *cgroup; /* "/": the whole machine */
        enum watch_kind kind;
        bool above;  /* in place of cgroups below it */
        bool wanted; /* by the wishes of this time */
        int fd;
        sd_event_source *source;
};

/* Once a second is as often as any source wakes us; the kernel tells of pressure once in its window. */
#define WATCH_REST_USEC     1000000u
#define WATCH_CPU_REST_USEC 10000000u

struct watch {
        sd_event *event;
        const struct host *host;
        watch_callback callback;
        void *userdata;

        struct pressure_trigger **triggers; /* in no order */
        size_t n_triggers, triggers_capacity;

        int inotify_fd;
        sd_event_source *inotify_source;
        char *base;                   /* "/proc/self/fd/N/sys/fs/cgroup": the cgroup tree's root */
        struct cgroup_watch *cgroups; /* sorted by descriptor */
        size_t n_cgroups, cgroups_capacity, n_new;
};

/* pressure.c */
/* Opens a pressure file (no link) and sets its trigger, as Documentation/accounting/psi.rst has it: "some 200000 2000000". The descriptor, for POLLPRI, or
 * negative errno. */
int pressure_trigger_open(int dir_fd, const char *path, const char *trigger);
int watch_set_pressure(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts);
void watch_done_pressure(struct watch *w);

/* cgroups.c */
int watch_open_cgroups(struct watch *w);
int watch_set_cgroups(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts);
void watch_done_cgroups(struct watch *w);
