/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being told early: cgroups that get or lose their processes, cgroups that are new, and pressure in a cgroup, by the kernel's own events. Reads and
 * decides nothing: whoever is told looks for himself. Nothing here can block for long, and however often things happen there is one wake-up
 * per source and second at most. On one thread, the event loop's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "host/host.h"

/* Each takes a file descriptor, and on kernels before 6.5 a kernel thread for each cgroup. Memory comes first; where there are more, some are watched
 * together, by the slice above or the whole machine. */
#define WATCH_MEMORY_MAX 96u
#define WATCH_CPU_MAX    64u
/* inotify watches: memory of the kernel's, a kilobyte each. */
#define WATCH_CGROUPS_MAX     1024u
#define WATCH_DIRECTORIES_MAX 256u
/* New cgroups that are followed until somebody asks for others. */
#define WATCH_NEW_MAX 64u

enum watch_kind {
        WATCH_CGROUP, /* it has got or lost its last process, is new, or is gone; "" for its name: too much happened to tell what */
        WATCH_PRESSURE, /* its tasks waited for memory for a tenth of two seconds or more */
        WATCH_CPU,      /* its tasks waited for CPUs for a quarter of two seconds or more; told once in ten seconds at most */
        _WATCH_KIND_MAX,
};

struct watch_event {
        enum watch_kind kind;
        const char *cgroup; /* "/system.slice/x.service", or a slice above; borrowed */
        int centipercent;   /* WATCH_PRESSURE: "some avg10" at this moment, -1: it cannot be read */
};
typedef void (*watch_callback)(const struct watch_event *e, void *userdata);

/* A cgroup that somebody cares for. With nothing set only cgroups that appear beside it, or above it, are told. */
struct watch_wish {
        const char *cgroup;
        bool populated, memory, cpu;
};

struct watch_counts {
        size_t n_populated, n_directories, n_memory, n_memory_above, n_cpu; /* above: slices in place of what is in them */
        size_t n_left_out;                                                  /* wishes past the limits */
        bool memory_complete; /* whoever wanted to hear of memory pressure will, by his own or by one above */
        int error;            /* the last failure to watch something that is there; 0: none */
};

struct watch;

int watch_new(sd_event *event, const struct host *h, watch_callback callback, void *userdata, struct watch **ret);
/* What is to be watched from now on, in place of what was; sorted by cgroup, names are copied. What is not there is passed over. 0 or -ENOMEM; what cannot
 * be watched is counted. */
int watch_set(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret);
struct watch *watch_free(struct watch *w);
static inline void watch_freep(struct watch **w) {
        watch_free(*w);
}
