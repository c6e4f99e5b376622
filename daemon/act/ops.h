/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one table of operations through which everything that changes the machine goes. Three implementations: real
 * (this machine), null (dry run: refuses to change, tells what is) and simulated (tests). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/bitmap.h"
#include "core/sample.h"

/* Which cgroup to change and by which road. */
struct target {
        const char *cgroup; /* "/system.slice/x.service" */
        const char *unit;   /* for OWNER_SYSTEMD */
        enum owner owner;
};

/* One side of a cpuset as configured; `set` false: not given (inherits from the parent). */
struct cpuset_value {
        bool cpus_set, mems_set;
        struct cpu_mask cpus;
        struct node_set mems;
};

/* What the kernel has. */
struct cpuset_state {
        struct cpuset_value configured;
        struct cpu_mask effective_cpus;
        struct node_set effective_mems;
        struct cpu_mask parent_effective_cpus;
        struct node_set parent_effective_mems;
        bool populated; /* there are processes in it or below */
};

/* What a change was decided on: it is made only where one of these is configured on each side that changes. Anything else somebody has set meanwhile. */
#define CPUSET_PREMISE_MAX 5u
struct cpuset_premise {
        size_t n;
        struct cpuset_value values[CPUSET_PREMISE_MAX];
};

/* A change; fields not marked are left alone. An unset value (…_set false in value) clears. */
struct cpuset_change {
        bool change_cpus, change_mems;
        struct cpuset_value value;
        const struct cpuset_premise *premise; /* NULL: whatever is there. Of no use once set_cpuset() has returned */
};

/* Called exactly once, from the event loop; 0 or negative errno: what the writer was told, which is not yet the truth. */
typedef void (*ops_done)(int result, void *userdata);
/* Called once, later, from the event loop. */
typedef void (*ops_later)(void *userdata);

/* Neighbouring pages that are present in a process's page tables. */
struct page_stretch {
        uint64_t start, end;
        bool huge; /* mapped as huge pages, transparent ones or hugetlb: one address moves each */
};

struct act_ops {
        const char *name; /* "real", "null", "simulated" */

        /* Reads back from the kernel: the cgroup's cpuset files, which are what is in force. Where the cgroup has no cpuset controller enabled
         * `configured` is unset and what is effective is the nearest ancestor's. Never asks the service manager, so it cannot block on PID 1.
         * (What the manager has as AllowedCPUs= differs from the files after a clearing that the kernel refused; see record_before_change().)
         * -ENOENT: no such cgroup; -EOPNOTSUPP: no cpuset in this hierarchy, or "pid:…". */
        int (*get_cpuset)(void *context, const struct target *t, struct cpuset_state *ret);

        /* Starts a change; `done` is called later, or before this returns. Returns 0, or negative errno when it could not
         * be started (then `done` is not called). -EROFS from the null implementation.
         * Results to expect: -ENOENT (cgroup or unit gone), -ENOSPC (the kernel refuses to clear), -EBUSY (the controller cannot be enabled:
         * a cgroup above holds processes; or the service manager owes too many answers, and was not asked), -EOPNOTSUPP (the controller is not
         * available there), -EPERM (not ours to write), -ENOTCONN, -ETIMEDOUT (it may still be made), -EAGAIN (memory nodes are not changed while
         * a thread of it hangs in the kernel: act/waiting.h), -ESTALE (when its turn came, its premise no longer held: nothing was changed). */
        int (*set_cpuset)(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata);

        /* move_pages(2), same conventions; `nodes` NULL asks. From any thread. `all`: MPOL_MF_MOVE_ALL, which also moves pages that other
         * processes map, whosever they are; otherwise MPOL_MF_MOVE. Returns the system call's non-negative result or negative errno. */
        long (*move_pages)(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status);

        /* The kernel's own balancing, kernel.numa_balancing: a bit mask, 0 is off. Returns 0 or negative errno (-ENOENT: a kernel without). */
        int (*get_kernel_balancing)(void *context, unsigned *ret);
        /* Starts to set it, as set_cpuset() does: what was asked for is the truth only once get_kernel_balancing() says so. */
        int (*set_kernel_balancing)(void *context, unsigned mode, ops_done done, void *userdata);

        /* Present pages, but not the page of zeros, from `start` to `end`, in order of address, at most n_max stretches; all below *ret_end has been looked at. Costs nothing for
         * what is not populated. Returns how many, or negative errno: -ENOTTY where the kernel cannot tell (before 6.7; PAGEMAP_SCAN, kernel:
         * admin-guide/mm/pagemap.rst), -ESRCH where the process has ended. Changes nothing. From any thread. NULL: like -ENOTTY. */
        long (*scan_pages)(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                           size_t n_max, uint64_t *ret_end);

        /* Calls back once after a delay: how whoever waits for the truth to show looks again. -EOPNOTSUPP where there is no event loop. */
        int (*call_later)(void *context, uint64_t delay_usec, ops_later callback, void *userdata);
};

/* What the rest carries around. */
struct act {
        const struct act_ops *ops;
        void *context;
};

struct host;
struct sd_bus;
struct sd_event;

/* What the real implementation works with. All are borrowed and must outlive it. */
struct act_real_options {
        struct sd_bus *bus;         /* system bus for the service manager; NULL: none (OWNER_SYSTEMD then gives -ENOTCONN) */
        struct sd_event *event;     /* for call_later; NULL: the bus's */
        uint64_t answer_limit_usec; /* the service manager's answers are waited for so long; 0: 90 s */
        /* Runs `run(arg)` on another thread, then `done(result, arg)` on the event loop, exactly once; returns 0 or negative errno (then
         * neither is called). A write of cpuset.mems blocks its writer while the kernel moves memory; without this (NULL) it is done in place. */
        int (*run_blocking)(void *pool, int (*run)(void *arg), ops_done done, void *arg);
        void *pool;
};
/* The real one. The context borrows host. */
int act_real_new_with(const struct host *h, const struct act_real_options *options, struct act *ret);
/* The same with nothing but a bus, attached to its event loop (NULL: none). */
int act_real_new(const struct host *h, struct sd_bus *bus, struct act *ret);
/* Abandons what is still under way: its callbacks are not called. Jobs given to run_blocking must have ended. */
void act_real_done(struct act *a);
/* Dry run: reads are passed to `inner`, move_pages with nodes NULL too; every change gives -EROFS. */
int act_null_new(const struct act *inner, struct act *ret);
void act_null_done(struct act *a);
