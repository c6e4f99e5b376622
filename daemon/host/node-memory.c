/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each node's memory now: sys/devices/system/node/nodeN/meminfo and hugepages, proc/zoneinfo for the watermarks. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "host/io.h"
#include "host/kernel-balancing.h"

#define MEMINFO_LIMIT  (64 * KIB)
#define ZONEINFO_LIMIT (16 * MIB) /* lists each zone's per-CPU page sets: large on machines with many CPUs */

/* "Node 0 MemFree:  123 kB", or without the first two words in proc/meminfo. */
static void parse_meminfo(char *text, struct node_memory *m) {
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                char *words = line;
                char *name = next_word(&words);
                if (name && strcmp(name, "Node") == 0 && next_word(&words))
                        name = next_word(&words);
                const char *number = next_word(&words);
                uint64_t kib;
                if (!name || !number || parse_u64(number, &kib) < 0)
                        continue;
                uint64_t bytes = saturating_mul(kib, KIB);
                if (strcmp(name, "MemTotal:") == 0)
                        m->bytes_total = bytes;
                else if (strcmp(name, "MemFree:") == 0)
                        m->bytes_free = bytes;
                else if (strcmp(name, "Inactive(file):") == 0)
                        m->bytes_droppable = bytes;
        }
}

/* "hugepages-2048kB" → its size. */
static bool pool_page_bytes(const char *name, uint64_t *ret) {
        uint64_t kib;
        if (strncmp(name, "hugepages-", 10) != 0 || !leading_number(name + 10, &kib))
                return false;
        *ret = saturating_mul(kib, KIB);
        return true;
}

static uint64_t read_number(int dir_fd, const char *pool, const char *file) {
        char path[300], text[64];
        uint64_t value;
        int n = snprintf(path, sizeof path, "%s/%s", pool, file);
        if (n < 0 || (size_t) n >= sizeof path || read_small_file_at(dir_fd, path, text, sizeof text) < 0)
                return 0;
        return leading_number(text, &value) ? value : 0;
}

struct pools {
        uint64_t bytes, free_bytes, used_bytes;
};

/* Sums over the pools in a directory. */
static struct pools sum_pools(int root_fd, const char *directory) {
        struct pools sum = { 0 };
        int fd = open_below(root_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        uint64_t page;
        if (!d) {
                if (fd >= 0)
                        (void) close(fd);
                return sum;
        }
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
                if (!pool_page_bytes(e->d_name, &page))
                        continue;
                uint64_t n = read_number(dirfd(d), e->d_name, "nr_hugepages");
                uint64_t n_free = read_number(dirfd(d), e->d_name, "free_hugepages");
                sum.bytes = saturating_add(sum.bytes, saturating_mul(n, page));
                sum.free_bytes = saturating_add(sum.free_bytes, saturating_mul(n_free, page));
                sum.used_bytes = saturating_add(sum.used_bytes, saturating_mul(saturating_sub(n, n_free), page));
        }
        (void) closedir(d);
        return sum;
}

uint64_t hugetlb_bytes_in_use(const struct host *h) {
        return sum_pools(h->root_fd, "sys/kernel/mm/hugepages").used_bytes;
}

/* "Node 0, zone   Normal" begins a zone; "low      1234" in it, in pages. */
static void read_watermarks(const struct host *h, const struct topology *t, struct machine_sample *m) {
        _cleanup_free_ char *text = NULL;
        if (read_file_at(h->root_fd, "proc/zoneinfo", ZONEINFO_LIMIT, &text, NULL) < 0)
                return;
        uint64_t node = UINT64_MAX, pages;
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                if (strncmp(line, "Node ", 5) == 0) {
                        if (!leading_number(line + 5, &node))
                                node = UINT64_MAX;
                        continue;
                }
                char *words = line;
                const char *name = next_word(&words);
                const char *number = next_word(&words);
                if (name && number && node < t->n_ids && strcmp(name, "low") == 0 && parse_u64(number, &pages) == 0)
                        m->nodes[node].bytes_low_mark =
                                saturating_add(m->nodes[node].bytes_low_mark, saturating_mul(pages, h->page_bytes));
        }
}

static void read_node(const struct host *h, const struct topology *t, unsigned id, struct node_memory *m) {
        _cleanup_free_ char *text = NULL;
        char path[96];
        (void) snprintf(path, sizeof path, "sys/devices/system/node/node%u/meminfo", id);
        int r = read_file_at(h->root_fd, path, MEMINFO_LIMIT, &text, NULL);
        if (r == -ENOENT && id == 0 && (t->n_ids == 1 || !t->of_this_kernel)) /* a kernel without NUMA */
                r = read_file_at(h->root_fd, "proc/meminfo", MEMINFO_LIMIT, &text, NULL);
        if (r == 0)
                parse_meminfo(text, m);
        else if (r == -ENOENT && !t->of_this_kernel) {
                m->bytes_total = t->nodes[id].bytes_total;
                m->bytes_free = m->bytes_total;
        }
        (void) snprintf(path, sizeof path, "sys/devices/system/node/node%u/hugepages", id);
        const struct pools pools = sum_pools(h->root_fd, path);
        m->hugetlb_bytes = pools.bytes;
        m->hugetlb_free_bytes = pools.free_bytes;
}

int machine_sample_read(const struct host *h, const struct topology *t, struct machine_sample *m) {
        m->nodes = calloc((size_t) t->n_ids + 1, sizeof *m->nodes);
        if (!m->nodes)
                return -ENOMEM;
        (void) take_shortage();
        read_watermarks(h, t, m);
        kernel_balancing_sample(h, m);
        for (unsigned id = 0; id < t->n_ids; id++)
                if (t->nodes[id].present)
                        read_node(h, t, id, &m->nodes[id]);
        int r = take_shortage();
        if (r < 0) /* not that they are full */
                machine_sample_done(m);
        return r;
}

void machine_sample_done(struct machine_sample *m) {
        free(m->nodes);
        m->nodes = NULL;
}
