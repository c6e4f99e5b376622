/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own NUMA balancing: is it on, and how much has it moved? (Documentation/admin-guide/sysctl/kernel.rst, cgroup-v2.rst.) Its counters are read only
 * where it is on: both make the kernel add up numbers of every CPU. */
#include <string.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "host/kernel-balancing.h"

#define VMSTAT_LIMIT (256 * KIB)
#define COUNTER      "numa_pages_migrated" /* in both files; in memory.stat since 6.12 or so */

int kernel_balancing_read(const struct host *h, unsigned *ret) {
        char text[32];
        uint64_t mode;
        ssize_t n = read_small_file_at(h->root_fd, KERNEL_BALANCING_FILE, text, sizeof text);
        if (n < 0)
                return (int) n;
        text[strcspn(text, "\n")] = 0;
        int r = parse_u64(text, &mode);
        if (r < 0 || mode > KERNEL_BALANCING_MODE_MAX)
                return -EBADMSG;
        *ret = (unsigned) mode;
        return 0;
}

/* "name number" lines; -ENODATA: none of that name. In bytes. */
static int read_counter(const struct host *h, int dir_fd, const char *path, uint64_t *ret_bytes) {
        _cleanup_free_ char *text = NULL;
        uint64_t pages;
        int r = read_file_at(dir_fd, path, VMSTAT_LIMIT, &text, NULL);
        if (r < 0)
                return r;
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                char *words = line;
                const char *name = next_word(&words);
                if (!name || strcmp(name, COUNTER) != 0)
                        continue;
                const char *number = next_word(&words);
                if (!number || parse_u64(number, &pages) < 0)
                        return -EBADMSG;
                *ret_bytes = saturating_mul(pages, h->page_bytes);
                return 0;
        }
        return -ENODATA;
}

void kernel_balancing_sample(const struct host *h, struct machine_sample *m) {
        if (kernel_balancing_read(h, &m->kernel_balancing) < 0)
                m->kernel_balancing = 0;
        if (m->kernel_balancing != 0 && read_counter(h, h->root_fd, "proc/vmstat", &m->kernel_moved_bytes) < 0)
                m->kernel_moved_bytes = 0;
}

void kernel_balancing_sample_services(const struct host *h, struct service_sample *samples, size_t n) {
        for (size_t i = 0; i < n && h->cgroup_mount && h->has_memory_controller; i++) {
                struct service_sample *s = &samples[i];
                if (!s->rule || s->rule->place == PLACE_IGNORE || s->cgroup[0] != '/')
                        continue;
                _cleanup_(close_fdp) int fd = cgroup_open(h, s->cgroup);
                int r = fd < 0 ? fd : read_counter(h, fd, "memory.stat", &s->kernel_moved_bytes);
                s->kernel_moved_known = r >= 0;
                if (r == -ENODATA) /* this kernel does not count them there, for no service */
                        return;
        }
}
