/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUs that were taken from the scheduler or from everybody else, which are therefore not ours to give to services. */
#include "host/topology-load.h"

#include <limits.h>
#include <stdio.h>

#include "core/util.h"
#include "host/io.h"

#define LIST_LIMIT (64 * KIB)

bool loader_read_cpu_list(const struct loader *l, const char *path, struct cpu_mask *ret) {
        _cleanup_free_ char *text = NULL;
        return l->sysfs_fd >= 0 && read_file_at(l->sysfs_fd, path, LIST_LIMIT, &text, NULL) == 0 &&
               cpu_mask_parse(text, ret) == 0;
}

/* A cpuset partition (root or isolated, at whatever depth: cgroup-v2.rst, cpuset.cpus.partition) takes its CPUs out of what the root cgroup has
 * left, so what is online and not in the root's effective set belongs to one. */
static void add_partitions(struct loader *l) {
        char path[PATH_MAX];
        struct cpu_mask online, left;
        if (!l->host_sysfs || !l->host->has_cpuset)
                return;
        int n = snprintf(path, sizeof path, "%s/cpuset.cpus.effective", l->host->cgroup_mount);
        if (n < 0 || (size_t) n >= sizeof path || !loader_read_cpu_list(l, path, &left) || cpu_mask_is_empty(&left) ||
            !loader_read_cpu_list(l, "sys/devices/system/cpu/online", &online))
                return;
        CPU_MASK_FOREACH (cpu, &online)
                if (!cpu_mask_has(&left, (unsigned) cpu))
                        cpu_mask_add(&l->isolated, (unsigned) cpu);
}

void load_isolated(struct loader *l) {
        static const char *const files[] = { "sys/devices/system/cpu/isolated", "sys/devices/system/cpu/nohz_full" };
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                struct cpu_mask m;
                if (loader_read_cpu_list(l, files[i], &m))
                        cpu_mask_or(&l->isolated, &m);
        }
        add_partitions(l);
}
