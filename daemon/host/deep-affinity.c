/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which CPUs the threads of a service are bound to, by itself or by whoever started it. (What cgroups inside of it were given the screen tells.) The kernel keeps to that as long as
 * the service's cpuset leaves it one of these CPUs; where not, the thread runs on any that are left (and Linux before 6.2 forgets what it was). */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/deep.h"
#include "host/io.h"

/* A change of a cpuset reaches its threads one after the other, and the service manager may change it in several steps: whoever is bound still is after these. */
static const unsigned SETTLE_MSEC[] = { 20, 100 };

struct affinity {
        struct deep_read *r;
        struct cpu_mask usable;   /* of the machine: not taken from the scheduler for good */
        struct cpu_mask in_force; /* of these the service's */
        struct cpu_mask any;      /* that some thread may use */
        size_t n_threads;
        bool bound, full;
        bool one_will_do; /* whoever is bound is all that is asked for */
};

/* What whoever is not bound may use. False: it has no cpuset, or none with a CPU that we know; nothing can be told then. */
static bool read_in_force(struct affinity *a) {
        struct cgroup_cpuset set;
        cgroup_read_cpuset(a->r->host, a->r->options.cgroup, &set);
        a->in_force = set.effective_cpus;
        cpu_mask_and(&a->in_force, &a->usable);
        return set.have_cpus && !cpu_mask_is_empty(&a->in_force);
}

/* May it not use all that the service may? More it has where CPUs are off line, or the cpuset is just being narrowed. (CPUs that are taken from the scheduler
 * nobody has who did not ask for them, so they are not in force; who has them alone is bound.) */
static bool is_bound(const struct affinity *a, const struct cpu_mask *cpus) {
        return !cpu_mask_is_subset(&a->in_force, cpus);
}

static void add_thread(struct affinity *a, pid_t pid, pid_t tid) {
        struct cpu_mask cpus;
        if (a->n_threads++ >= DEEP_THREADS_MAX) {
                a->full = true;
                return;
        }
        if (proc_cpus_allowed_read(a->r->proc_fd, pid, tid, &cpus) < 0)
                return;
        a->bound = a->bound || is_bound(a, &cpus);
        cpu_mask_or(&a->any, &cpus);
}

static bool is_enough(const struct affinity *a) {
        return a->full || (a->bound && a->one_will_do);
}

static int add_process(struct affinity *a, pid_t pid) {
        char path[32];
        (void) snprintf(path, sizeof path, "%d/task", (int) pid);
        int fd = open_below(a->r->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
                if (fd == -ENOENT) /* ended, or of a capture, where a process with one thread has none listed */
                        add_thread(a, pid, pid);
                return 0;
        }
        DIR *dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return -ENOMEM;
        }
        for (const struct dirent *e = readdir(dir); e && !is_enough(a); e = readdir(dir)) {
                uint64_t tid;
                if (parse_u64(e->d_name, &tid) == 0 && tid <= INT32_MAX)
                        add_thread(a, pid, (pid_t) tid);
        }
        (void) closedir(dir);
        return 0;
}

static int add_all(struct affinity *a, const struct process_ref *processes, size_t n_processes) {
        if (!read_in_force(a))
                return 0;
        for (size_t i = 0; i < n_processes && !is_enough(a); i++) {
                int error = add_process(a, processes[i].pid);
                if (error < 0)
                        return error;
        }
        return 0;
}

/* Is one of them still bound, once what somebody may just have changed has come to all of them? 0: none is. */
static int is_still_bound(const struct affinity *seen, const struct process_ref *processes, size_t n_processes) {
        for (size_t i = 0; i < ARRAY_SIZE(SETTLE_MSEC); i++) {
                const struct timespec pause = { .tv_nsec = (long) SETTLE_MSEC[i] * 1000000 };
                struct affinity again = { .r = seen->r, .usable = seen->usable, .one_will_do = true };
                (void) nanosleep(&pause, NULL);
                int error = add_all(&again, processes, n_processes);
                if (error < 0 || !again.bound)
                        return error;
        }
        return 1;
}

int deep_read_affinity(struct deep_read *r, const struct process_ref *processes, size_t n_processes) {
        const struct topology *t = r->options.topology;
        struct affinity a = { .r = r };
        for (unsigned i = 0; i < t->n_ids; i++)
                cpu_mask_or(&a.usable, &t->nodes[i].cpus);
        int bound = add_all(&a, processes, n_processes);
        if (bound == 0 && a.bound)
                bound = r->host->live ? is_still_bound(&a, processes, n_processes) : 1;
        if (bound <= 0)
                return bound;
        r->sample->binds_threads = true;
        r->sample->thread_nodes = topology_nodes_of_cpus(t, &a.any);
        return 0;
}
