/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc of the simulated machine looks like, as files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/simulated-internal.h"
#include "core/util.h"

static int write_text(int dir_fd, const char *name, struct strbuf *b) {
        _cleanup_free_ char *text = strbuf_steal(b);
        if (!text)
                return -ENOMEM;
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = write(fd, text, strlen(text)) == (ssize_t) strlen(text) ? 0 : -EIO;
        close(fd);
        return r;
}

static uint64_t huge_bytes(const struct sim_mapping *m) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < m->m.n_pages; i++)
                if (m->pages[i].thp && m->pages[i].node >= 0)
                        bytes += SIMULATED_PAGE_BYTES;
        return bytes;
}

static int write_maps(const struct sim_process *p, int dir_fd, bool with_huge) {
        struct strbuf b = { 0 };
        const struct sim_mapping *m;
        LIST_FOREACH(m, &p->mappings, entry) {
                uint64_t end = m->m.start + m->m.n_pages * sim_page_bytes(m);
                strbuf_printf(&b, "%08llx-%08llx rw-%c 00000000 00:01 %llu %s\n", (unsigned long long) m->m.start,
                              (unsigned long long) end, m->m.map_shared ? 's' : 'p', (unsigned long long) m->m.inode,
                              m->m.name ? m->m.name : "");
                if (with_huge)
                        strbuf_printf(&b, "Size: 4 kB\nAnonHugePages: %8llu kB\nVmFlags: rd wr\n",
                                      (unsigned long long) (huge_bytes(m) / KIB));
        }
        return write_text(dir_fd, with_huge ? "smaps" : "maps", &b);
}

static int write_numa_maps(const struct simulated *s, const struct sim_process *p, int dir_fd) {
        struct strbuf b = { 0 };
        const struct sim_mapping *m;
        LIST_FOREACH(m, &p->mappings, entry) {
                strbuf_printf(&b, "%08llx %s", (unsigned long long) m->m.start, m->m.policy ? m->m.policy : "default");
                if (m->m.page_bytes)
                        strbuf_append(&b, " huge");
                size_t total = 0;
                for (size_t i = 0; i < m->m.n_pages; i++)
                        total += m->pages[i].node >= 0;
                if (m->m.inode > 0 && m->m.name)
                        strbuf_printf(&b, " file=%s", m->m.name);
                uint64_t mapmax = m->m.mapmax;
                for (size_t i = 0; i < m->m.n_pages && mapmax == 0; i++)
                        mapmax = m->pages[i].shared ? 2 : 0;
                if (mapmax > 1)
                        strbuf_printf(&b, " mapmax=%llu", (unsigned long long) mapmax);
                if (total > 0)
                        strbuf_printf(&b, " anon=%zu dirty=%zu", total, total);
                for (unsigned n = 0; n < s->topology->n_ids; n++) {
                        size_t count = 0;
                        for (size_t i = 0; i < m->m.n_pages; i++)
                                count += m->pages[i].node == (int) n;
                        if (count > 0)
                                strbuf_printf(&b, " N%u=%zu", n, count);
                }
                if (total > 0)
                        strbuf_printf(&b, " kernelpagesize_kB=%llu", (unsigned long long) (sim_page_bytes(m) / KIB));
                strbuf_append(&b, "\n");
        }
        return write_text(dir_fd, "numa_maps", &b);
}

static int write_pagemap(const struct sim_process *p, int dir_fd) {
        const struct sim_mapping *m;
        int r = 0;
        int fd = openat(dir_fd, "pagemap", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        LIST_FOREACH(m, &p->mappings, entry) {
                uint64_t base_pages = sim_page_bytes(m) / SIMULATED_PAGE_BYTES;
                for (size_t i = 0; r >= 0 && i < m->m.n_pages * base_pages;) {
                        uint64_t entries[512];
                        size_t n = 0;
                        off_t at = (off_t) ((m->m.start / SIMULATED_PAGE_BYTES + i) * sizeof(*entries));
                        for (; n < ARRAY_SIZE(entries) && i < m->m.n_pages * base_pages; i++) {
                                const struct simulated_page *page = &m->pages[i / base_pages];
                                entries[n++] = page->node < 0 ? 0 : UINT64_C(1) << 63 | (page->shared ? 0 : UINT64_C(1) << 56);
                        }
                        if (pwrite(fd, entries, n * sizeof(*entries), at) != (ssize_t) (n * sizeof(*entries)))
                                r = -EIO;
                }
        }
        close(fd);
        return r;
}

static int write_process(const struct simulated *s, const struct sim_process *p, int dir_fd, bool with_pagemap) {
        struct strbuf b = { 0 };
        strbuf_printf(&b, "%d (a (name) of) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0\n", p->pid,
                      (unsigned long long) p->start_ticks);
        int r = write_text(dir_fd, "stat", &b);
        if (r >= 0) {
                strbuf_printf(&b, "1:name=systemd:/elsewhere\n0::%s\n", p->cgroup);
                r = write_text(dir_fd, "cgroup", &b);
        }
        if (r >= 0)
                r = write_maps(p, dir_fd, false);
        if (r >= 0)
                r = write_maps(p, dir_fd, true);
        if (r >= 0)
                r = write_numa_maps(s, p, dir_fd);
        if (r >= 0 && with_pagemap)
                r = write_pagemap(p, dir_fd);
        return r;
}

static void remove_process(int root_fd, const struct sim_process *p) {
        static const char *const names[] = { "stat", "cgroup", "maps", "smaps", "numa_maps", "pagemap" };
        char path[64];
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void) snprintf(path, sizeof(path), "proc/%d/%s", p->pid, names[i]);
                (void) unlinkat(root_fd, path, 0);
        }
        (void) snprintf(path, sizeof(path), "proc/%d", p->pid);
        (void) unlinkat(root_fd, path, AT_REMOVEDIR);
}

int simulated_write_proc(struct simulated *s, int root_fd, bool with_pagemap) {
        const struct sim_process *p;
        char path[64];
        int r = 0;
        if (mkdirat(root_fd, "proc", 0700) < 0 && errno != EEXIST)
                return -errno;
        LIST_FOREACH(p, &s->processes, entry) {
                remove_process(root_fd, p);
                if (p->ended)
                        continue;
                (void) snprintf(path, sizeof(path), "proc/%d", p->pid);
                if (mkdirat(root_fd, path, 0700) < 0)
                        return -errno;
                int dir_fd = openat(root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (dir_fd < 0)
                        return -errno;
                r = write_process(s, p, dir_fd, with_pagemap);
                close(dir_fd);
                if (r < 0)
                        return r;
        }
        return r;
}
