/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that wait in the kernel and do not come back: for storage that does not answer, in a file system that is frozen. One of them can have its
 * process's address space locked. A change of cpuset.mems waits for that lock, uninterruptibly, with the kernel's one lock of all cpusets
 * held (mpol_rebind_mm() in kernel/cgroup/cpuset.c): then nobody can make, fill or change a cgroup any more, the service manager last. */
#pragma once

#include <sys/types.h>

#include "host/host.h"

/* Is there a thread in the cgroup, or below it, that has not been out of uninterruptible sleep for two seconds? Takes as long where there seems to be
 * one, so call it on a worker. Returns 1 and the thread in `ret_tid`, 0: none (also where the cgroup is gone), or -ENOMEM. */
int cgroup_find_waiting(const struct host *h, const char *cgroup, pid_t *ret_tid);
