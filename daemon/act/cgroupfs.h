/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpusets by the cgroup's own files (kernel: Documentation/admin-guide/cgroup-v2.rst, "Cpuset"). */
#pragma once

#include "act/ops.h"
#include "host/host.h"

/* See act_ops.get_cpuset. Never blocks for long. */
int cgroupfs_get_cpuset(const struct host *h, const char *cgroup, struct cpuset_state *ret);

/* Writes cpuset.cpus and cpuset.mems, after enabling the controller above the cgroup where that is needed and allowed. Blocks while the
 * kernel moves the memory that a change of cpuset.mems leaves behind: seconds for gigabytes. From any thread. Errors as act_ops.set_cpuset;
 * each side is tried whatever becomes of the other, and the first error returned: read back. */
int cgroupfs_set_cpuset(const struct host *h, const char *cgroup, const struct cpuset_change *c);
