/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The yardstick: a bare move_pages(2) loop that is told exactly the right pages. Lists a process's anonymous pages that are not on NODE
 * (untimed), then moves them in calls of CALL pages (timed), and prints "pages seconds". Knows nothing of the daemon. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOVE_EXCLUSIVE 2 /* MPOL_MF_MOVE */

static long move_pages_raw(pid_t pid, size_t n, void **addresses, const int *nodes, int *status) {
        return syscall(SYS_move_pages, pid, n, addresses, nodes, status, MOVE_EXCLUSIVE);
}

struct pages {
        void **addresses;
        size_t n, capacity;
};

static void add_page(struct pages *p, uint64_t address) {
        if (p->n == p->capacity) {
                p->capacity = p->capacity ? p->capacity * 2 : 65536;
                p->addresses = realloc(p->addresses, p->capacity * sizeof(*p->addresses));
                if (!p->addresses) {
                        perror("realloc");
                        exit(1);
                }
        }
        p->addresses[p->n++] = (void *) (uintptr_t) address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Adds those of [start, end) that are present and elsewhere. */
static void add_range(struct pages *p, pid_t pid, uint64_t start, uint64_t end, int node, uint64_t page_bytes) {
        enum { BATCH = 4096 };
        static void *addresses[BATCH];
        static int status[BATCH];
        while (start < end) {
                size_t n = 0;
                for (; n < BATCH && start < end; n++, start += page_bytes)
                        addresses[n] = (void *) (uintptr_t) start; /* NOLINT(performance-no-int-to-ptr) */
                if (move_pages_raw(pid, n, addresses, NULL, status) < 0) {
                        perror("move_pages (asking)");
                        exit(1);
                }
                for (size_t i = 0; i < n; i++)
                        if (status[i] >= 0 && status[i] != node)
                                add_page(p, (uint64_t) (uintptr_t) addresses[i]);
        }
}

static void list_pages(struct pages *p, pid_t pid, int node) {
        char path[64], *line = NULL;
        size_t size = 0;
        (void) snprintf(path, sizeof(path), "/proc/%d/maps", (int) pid);
        FILE *f = fopen(path, "re");
        if (!f) {
                perror(path);
                exit(1);
        }
        while (getline(&line, &size, f) > 0) {
                uint64_t start, end, inode;
                char permissions[5];
                if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &start, &end, permissions, &inode) ==
                            4 && /* NOLINT(cert-err34-c) */
                    permissions[1] == 'w' &&
                    inode == 0)
                        add_range(p, pid, start, end, node, (uint64_t) sysconf(_SC_PAGESIZE));
        }
        free(line);
        (void) fclose(f);
}

int main(int argc, char **argv) {
        if (argc != 4) {
                (void) fprintf(stderr, "usage: raw-move PID NODE PAGES-PER-CALL\n");
                return 2;
        }
        pid_t pid = (pid_t) strtol(argv[1], NULL, 10);
        int node = (int) strtol(argv[2], NULL, 10);
        size_t per_call = strtoul(argv[3], NULL, 10);
        if (pid <= 0 || per_call == 0)
                return 2;

        struct pages p = { 0 };
        list_pages(&p, pid, node);
        int *nodes = malloc(per_call * sizeof(*nodes)), *status = malloc(per_call * sizeof(*status));
        if (!nodes || !status)
                return 1;
        for (size_t i = 0; i < per_call; i++)
                nodes[i] = node;

        struct timespec before, after;
        (void) clock_gettime(CLOCK_MONOTONIC, &before);
        for (size_t i = 0; i < p.n; i += per_call) {
                size_t n = p.n - i < per_call ? p.n - i : per_call;
                if (move_pages_raw(pid, n, p.addresses + i, nodes, status) < 0) {
                        perror("move_pages");
                        return 1;
                }
        }
        (void) clock_gettime(CLOCK_MONOTONIC, &after);
        (void) printf("%zu %.3f\n", p.n,
                      (double) (after.tv_sec - before.tv_sec) + (double) (after.tv_nsec - before.tv_nsec) / 1e9);
        free(nodes);
        free(status);
        free(p.addresses);
        return 0;
}
