/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One process's or thread's small files in /proc. None of them takes the process's mmap lock, so a stuck process delays nobody
 * (cmdline, environ, maps and smaps do, and are not read here). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/bitmap.h"

/* Fields of /proc/PID/stat (proc(5), numbered from 1). */
struct proc_stat {
        char comm[64];        /* 2, without the parentheses; the kernel's are at most 15 bytes (kernel threads' 63) */
        char state;           /* 3 */
        bool is_kernel;       /* PF_KTHREAD in 9 */
        uint64_t cpu_ticks;   /* 14 + 15; of a process: of its threads, ended ones too */
        unsigned n_threads;   /* 20 */
        uint64_t start_ticks; /* 22, since boot */
        int last_cpu;         /* 39; -1: not told */
};

/* Parses from the last ')': comm can hold spaces, parentheses and newlines. Returns 0 or -EBADMSG. */
int proc_stat_parse(const char *text, struct proc_stat *ret);
/* `path` below proc_fd: "123/stat", "123/task/124/stat". Returns 0 or negative errno (host_vanished: it ended). */
int proc_stat_read(int proc_fd, const char *path, struct proc_stat *ret);
/* No thread of it runs any more. */
static inline bool proc_stat_is_dead(const struct proc_stat *s) {
        return s->state == 'X' || s->state == 'x' || (s->state == 'Z' && s->n_threads <= 1);
}

/* Called for each thread of a process that has several; a negative result ends the walk and is returned. */
typedef int (*thread_callback)(pid_t pid, pid_t tid, const struct proc_stat *s, void *userdata);
/* Returns 0 or negative errno (host_vanished: the process ended; threads that end meanwhile are passed over). */
int proc_for_each_thread(int proc_fd, pid_t pid, thread_callback callback, void *userdata);

/* What the names of io_uring's own threads begin with (iou-wrk-PID, iou-sqp-PID). They are listed among the process's. */
#define IO_URING_COMM "iou-"

struct proc_status {
        bool have_uid;
        uid_t uid; /* effective */
        uint64_t hugetlb_bytes;
        uint64_t shared_bytes; /* shared memory, tmpfs included (RssShmem) */
        bool have_mems;
        struct node_set mems_allowed; /* by cpusets of either version */
};
/* Both as the thread `speaker` shows it: `pid` itself, or who speaks for it (speaker.h). */
int proc_status_read(int proc_fd, pid_t pid, pid_t speaker, struct proc_status *ret);
/* The CPUs that one thread may use: of the process's cpuset those that it was bound to (sched_setaffinity(2)), where it was. 0, -ENODATA: not told, it has
 * ended, or it is one of io_uring's, which the kernel binds as it likes; or other negative errno. */
int proc_cpus_allowed_read(int proc_fd, pid_t pid, pid_t tid, struct cpu_mask *ret);
/* The executable's path as the process sees it, without the kernel's " (deleted)". -EACCES without privileges. */
int proc_exe_read(int proc_fd, pid_t pid, pid_t speaker, char **ret);

/* User names by id, remembered for a while; of a machine that is not the running one those in its etc/passwd. Where there is no name the number. */
struct user_name {
        uid_t uid;
        char *name;
        uint64_t asked_usec, wait_usec; /* when, and how long it is good for */
};
struct user_cache {
        struct user_name *users;
        size_t n_users, capacity;
        bool captured; /* of another machine, below root_fd (borrowed; negative: none) */
        int root_fd;
};
/* NULL when memory ran out. Valid until the next call. A name is good for an hour: a user can be renamed, and the number of a DynamicUser= be given to
 * another. That there is none is good for a minute, then twice as long each time: what knows the users may not have been started. */
const char *user_cache_get(struct user_cache *c, uid_t uid, uint64_t now_usec);
void user_cache_done(struct user_cache *c);
