/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own NUMA balancing and demotion, as they can be read. Changing it: struct act_ops. */
#pragma once

#include <stddef.h>

#include "core/kernel-memory.h"
#include "core/sample.h"
#include "host/host.h"

#define KERNEL_BALANCING_FILE     "proc/sys/kernel/numa_balancing"
#define KERNEL_BALANCING_MODE_MAX 255u /* two bits are in use */
#define KERNEL_DEMOTION_FILE      "sys/kernel/mm/numa/demotion_enabled"
/* In proc/vmstat, and by service in memory.stat since 6.12 or so. */
#define KERNEL_MOVED_COUNTER    "numa_pages_migrated"
#define KERNEL_DEMOTED_COUNTERS "pgdemote_" /* how their names begin: by who reclaimed */

/* Returns 0, -ENOENT (a kernel without) or another negative errno. */
int kernel_balancing_read(const struct host *h, unsigned *ret);
/* Does reclaim take unused pages to slower memory, where there is some? False also on a kernel without. */
bool kernel_demotion_read(const struct host *h);
/* Fills in the machine's part; what cannot be read is 0. */
void kernel_balancing_sample(const struct host *h, struct machine_sample *m);
/* And that of services that a rule places, one small file for each. To be called only where one is on. */
void kernel_balancing_sample_services(const struct host *h, struct service_sample *samples, size_t n);
/* How all this is set, and the kernel's tiers of memory; what cannot be read is not there. */
void kernel_memory_read(const struct host *h, struct kernel_memory *ret);
