/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own NUMA balancing, and its demotion to slower memory: are they on, and how much have they moved? (Documentation/admin-guide/sysctl/kernel.rst,
 * cgroup-v2.rst, ABI/testing/sysfs-kernel-mm-numa.) The counters are read only where one is on: both files make the kernel add up numbers of every CPU. */
#include <string.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "host/kernel-balancing.h"

#define VMSTAT_LIMIT (256 * KIB)

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

bool kernel_demotion_read(const struct host *h) {
        char text[16];
        ssize_t n = read_small_file_at(h->root_fd, KERNEL_DEMOTION_FILE, text, sizeof text);
        if (n < 0)
                return false;
        text[strcspn(text, "\n")] = 0;
        return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

/* What the kernel has moved since boot, or the service began, in bytes. */
struct moved {
        uint64_t balanced, demoted;
        bool any; /* it counts them in this file */
};

static int add_pages(const struct host *h, const char *number, uint64_t *bytes) {
        uint64_t pages;
        if (!number || parse_u64(number, &pages) < 0)
                return -EBADMSG;
        *bytes = saturating_add(*bytes, saturating_mul(pages, h->page_bytes));
        return 0;
}

/* "name number" lines. */
static int read_moved(const struct host *h, int dir_fd, const char *path, struct moved *ret) {
        _cleanup_free_ char *text = NULL;
        struct moved m = { 0 };
        int r = read_file_at(dir_fd, path, VMSTAT_LIMIT, &text, NULL);
        if (r < 0)
                return r;
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                char *words = line;
                const char *name = next_word(&words);
                bool demoted = name && strncmp(name, KERNEL_DEMOTED_COUNTERS, strlen(KERNEL_DEMOTED_COUNTERS)) == 0;
                if (!name || (!demoted && strcmp(name, KERNEL_MOVED_COUNTER) != 0))
                        continue;
                if ((r = add_pages(h, next_word(&words), demoted ? &m.demoted : &m.balanced)) < 0)
                        return r;
                m.any = true;
        }
        *ret = m;
        return 0;
}

void kernel_balancing_sample(const struct host *h, struct machine_sample *m) {
        struct moved moved = { 0 };
        if (kernel_balancing_read(h, &m->kernel_balancing) < 0)
                m->kernel_balancing = 0;
        m->kernel_demotes = kernel_demotion_read(h);
        if (kernel_moves_pages(m) && read_moved(h, h->root_fd, "proc/vmstat", &moved) < 0)
                moved = (struct moved) { 0 };
        /* Both, whichever is on: the other may be switched on between two looks. */
        m->kernel_moved_bytes = moved.balanced;
        m->kernel_demoted_bytes = moved.demoted;
}

void kernel_balancing_sample_services(const struct host *h, struct service_sample *samples, size_t n) {
        for (size_t i = 0; i < n && h->cgroup_mount && h->has_memory_controller; i++) {
                struct service_sample *s = &samples[i];
                struct moved moved;
                if (!s->rule || s->rule->place == PLACE_IGNORE || s->cgroup[0] != '/')
                        continue;
                _cleanup_(close_fdp) int fd = cgroup_open(h, s->cgroup);
                int r = fd < 0 ? fd : read_moved(h, fd, "memory.stat", &moved);
                if (r >= 0 && !moved.any) /* this kernel does not count them there, for no service */
                        return;
                s->kernel_moved_known = r >= 0;
                s->kernel_moved_bytes = r >= 0 ? moved.balanced : 0;
                s->kernel_demoted_bytes = r >= 0 ? moved.demoted : 0;
        }
}
