/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine in memory for tests: cgroups with the kernel's cpuset semantics, a service manager that answers before it writes, processes
 * with pages that move, stay, or fail as move_pages(2) has it, and a clock that goes only when told to. Nothing here is safe for threads.
 *
 * cpusets: a set outside the parent's is taken and ignored; an id that does not exist is EINVAL; clearing a populated one can be refused.
 * move_pages: pages are batched while they go to one node and each can be queued; a batch that does not move wholly ends the call with the number of pages
 * that did not move, and with its status not written (kernel: mm/migrate.c, do_pages_move()). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "act/ops.h"
#include "core/topology.h"

#define SIMULATED_PAGE_BYTES 4096u
#define SIMULATED_HUGE_PAGES 512u /* base pages of a transparent huge page */

struct simulated;

/* How the machine behaves; change at any time. */
struct simulated_knobs {
        bool refuse_clear;           /* ENOSPC for clearing a cpuset, as kernels before 7.x */
        uint64_t answer_usec;        /* the service manager answers after this … */
        uint64_t apply_usec;         /* … and writes the cgroup this long after the change was asked for */
        uint64_t queue_usec;         /* before it is asked for, a change waits so long for its turn */
        bool lose_changes;           /* the service manager answers and never writes */
        int fail_set;                /* set_cpuset() is told this */
        int fail_mems;               /* the same where memory nodes are among what is to change */
        unsigned kernel_balancing;   /* kernel.numa_balancing */
        int fail_balancing;          /* set_kernel_balancing() is told this; -EAGAIN: 0, and nothing comes of it */
        struct node_set forbidden;   /* targets outside the cpuset of … */
        pid_t forbidden_pid;         /* … this process; 0: of all */
        int fail_move, fail_ask;     /* move_pages() returns this */
        bool scans;                  /* scan_pages() works, as from Linux 6.7 */
        bool absent_is_fault;        /* -EFAULT of an anonymous page that is not there, as Linux 6.1; otherwise -ENOENT */
        void (*on_move)(void *data); /* called before each call that moves */
        void *on_move_data;
};

/* What was asked of it. */
struct simulated_counts {
        uint64_t sets;
        uint64_t move_calls, move_pages; /* move_pages(): with nodes, and how many addresses */
        uint64_t ask_calls, ask_pages;
        uint64_t moved_home_pages; /* addresses put to it for moving that were on their target already */
        uint64_t largest_call;
        uint64_t scan_calls;
};

/* One base page, or one hugetlb page. */
struct simulated_page {
        int16_t node; /* -1: not present */
        bool shared;  /* mapped by somebody else too: EACCES */
        bool pinned;  /* queued, and never moves */
        uint8_t busy; /* EBUSY this many times */
        bool bounces; /* moves, and is moved back at once by somebody else */
        bool thp;     /* part of a transparent huge page: all 512 move by any address of it */
};

int simulated_new(unsigned n_nodes, unsigned cpus_per_node, struct simulated **ret);
struct simulated *simulated_free(struct simulated *s);
void simulated_act(struct simulated *s, struct act *ret);
struct simulated_knobs *simulated_knobs(struct simulated *s);
struct simulated_counts *simulated_counts(struct simulated *s);
const struct topology *simulated_topology(const struct simulated *s);

/* Time: runs what falls due, in order. */
uint64_t simulated_now(const struct simulated *s);
void simulated_advance(struct simulated *s, uint64_t usec);

/* cgroups. Those above are made too. For units `unit` names the settings, which outlive the cgroup. */
int simulated_add_cgroup(struct simulated *s, const char *path, const char *unit);
int simulated_remove_cgroup(struct simulated *s, const char *path);
int simulated_empty_cgroup(struct simulated *s, const char *path); /* its processes have ended, and it stands there still */
void simulated_forget_unit(struct simulated *s, const char *unit); /* and now the service manager does not know it */
/* Somebody writes the files; list format, NULL leaves alone. -EINVAL, -ENOSPC, -ENOENT. */
int simulated_write_cpuset(struct simulated *s, const char *path, const char *cpus, const char *mems);
/* The settings that the service manager has; -ENOENT. */
int simulated_unit_settings(const struct simulated *s, const char *unit, struct cpuset_value *ret);

/* Memory. A node's free memory, in base pages; unlimited at first. */
void simulated_set_free_pages(struct simulated *s, unsigned node, uint64_t pages);
uint64_t simulated_free_pages(const struct simulated *s, unsigned node);

struct simulated_mapping {
        uint64_t start;
        size_t n_pages;      /* of page_bytes */
        uint64_t page_bytes; /* 0: base pages; larger: hugetlb */
        int node;            /* where all pages are at first; -1: nowhere */
        bool thp;
        const char *policy; /* NULL: default. Borrowed */
        const char *name;   /* as in maps; NULL: anonymous. Borrowed */
        uint64_t inode;     /* of the file that `name` is; 0: none */
        bool map_shared;    /* MAP_SHARED */
        uint64_t mapmax;    /* as in numa_maps: the most often that a page of it is mapped; 0: as its pages say */
};
/* The start time of a process is its pid + 1000 ticks. */
int simulated_add_process(struct simulated *s, pid_t pid, const char *cgroup);
void simulated_end_process(struct simulated *s, pid_t pid);
int simulated_set_process(struct simulated *s, pid_t pid, const char *cgroup, uint64_t start_ticks);
int simulated_add_mapping(struct simulated *s, pid_t pid, const struct simulated_mapping *m);
/* Has another process map the same pages at the same address. -ESRCH, -ENOENT, -ENOMEM. */
int simulated_share_mapping(struct simulated *s, pid_t pid, uint64_t start, pid_t other);
/* NULL: no such page. */
struct simulated_page *simulated_page(struct simulated *s, pid_t pid, uint64_t address);
uint64_t simulated_pages_on(const struct simulated *s, pid_t pid, unsigned node); /* in base pages */

/* Writes what /proc would show (PID/stat, cgroup, maps, smaps, numa_maps, pagemap) below an open directory, replacing what is there; processes that ended are removed.
 * Addresses must be low for pagemap to fit a file system. */
int simulated_write_proc(struct simulated *s, int root_fd, bool with_pagemap);
