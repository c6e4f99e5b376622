/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast the mover moves, beside a bare move_pages(2) loop that is told exactly the right addresses and the best call size, in turns over the same memory.
 * usage: move-rate FROM HOME [MIB [ROUNDS [BUDGET-MIB [KINDS]]]]: from and to which node; KINDS: of the kinds of memory only these, as in 134. As root. Prints; fails only where something did not come home. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "act/mover.h"
#include "act/ops.h"
#include "core/topology.h"
#include "core/util.h"
#include "host/host.h"
#include "host/proc.h"
#include "move-rate.h"

#define NODES_MAX  64u
#define ROUNDS_MAX 99u
#define ASK_PAGES  512u
/* So many of a victim's base pages tell the best call size. */
#define SEARCH_PAGES 32768u

static struct host host;
static struct topology *topology;
static int from = 2, home = 1;
static size_t size_mib = 64, all_rounds = 7, budget_mib = 64;

static double now_seconds(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what) {
        perror(what);
        exit(1);
}

/* Moves those pieces that are to move (or, to reset, those that are home too) to `node`, in calls of `per_call` addresses. Returns the seconds. */
static double raw_loop(const struct victim *v, int node, size_t per_call, bool homes) {
        void **addresses = calloc(v->n + 1, sizeof(void *));
        int *nodes = calloc(v->n + 1, sizeof(int)), *status = calloc(v->n + 1, sizeof(int));
        size_t n = 0;
        if (!addresses || !nodes || !status)
                die("calloc");
        for (size_t i = 0; i < v->n; i++)
                if (v->pieces[i].home == homes) {
                        nodes[n] = node;
                        addresses[n++] = (void *) (uintptr_t) v->pieces[i].address;
                }
        double began = now_seconds();
        for (size_t i = 0; i < n; i += per_call)
                if (syscall(SYS_move_pages, v->pid, MIN2(per_call, n - i), addresses + i, nodes + i, status + i,
                            2 /* MPOL_MF_MOVE */) < 0)
                        die("move_pages");
        double took = now_seconds() - began;
        free(addresses);
        free(nodes);
        free(status);
        return took;
}

/* How many base pages are not at home, by asking for each address. */
static size_t count_off_home(const struct victim *v) {
        size_t off = 0, n;
        for (size_t i = 0; i < v->n; i += n) {
                void *addresses[ASK_PAGES];
                int status[ASK_PAGES];
                n = MIN2(v->n - i, (size_t) ASK_PAGES);
                for (size_t k = 0; k < n; k++) {
                        addresses[k] = (void *) (uintptr_t) v->pieces[i + k].address;
                        status[k] = -1;
                }
                if (syscall(SYS_move_pages, v->pid, n, addresses, NULL, status, 0) < 0)
                        die("move_pages (asking)");
                for (size_t k = 0; k < n; k++)
                        off += status[k] == home ? 0 : victim_piece_pages(v, i + k);
        }
        return off;
}

/* The mover's asking and scanning, on their way to the kernel. */
static struct act inner;
static double asking_seconds, scanning_seconds;

static long timed_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all,
                             int *status) {
        double began = now_seconds();
        long r = inner.ops->move_pages(context, pid, n, addresses, nodes, all, status);
        if (!nodes)
                asking_seconds += now_seconds() - began;
        return r;
}

static long timed_scan_pages(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                             size_t n_max, uint64_t *ret_end) {
        double began = now_seconds();
        long r = inner.ops->scan_pages(context, pid, pagemap_fd, start, end, ret, n_max, ret_end);
        scanning_seconds += now_seconds() - began;
        return r;
}

static void reset(const struct victim *v) {
        (void) raw_loop(v, from, 4096, false);
        (void) raw_loop(v, home, 4096, true);
}

/* Moves all, or with `first_only` one page: how long finding the first takes. */
static double by_mover(const struct victim *v, bool first_only, struct move_result *ret) {
        uint64_t room[NODES_MAX];
        struct act act;
        struct mover *m = NULL;
        struct proc_stat stat;
        char path[64];
        char *cgroup = NULL;
        for (size_t i = 0; i < NODES_MAX; i++)
                room[i] = UINT64_MAX / 2;
        (void) snprintf(path, sizeof(path), "proc/%d/stat", (int) v->pid);
        if (proc_stat_read(host.root_fd, path, &stat) < 0 || host_process_cgroup(&host, v->pid, &cgroup) < 0 ||
            act_real_new(&host, NULL, &inner) < 0)
                die("setting up");
        struct act_ops ops = *inner.ops;
        ops.move_pages = timed_move_pages;
        ops.scan_pages = timed_scan_pages;
        act = (struct act) { .ops = &ops, .context = inner.context };
        asking_seconds = scanning_seconds = 0;
        struct process_ref p = { v->pid, stat.start_ticks };
        struct move_goal goal = { .home = node_set_of((unsigned) home), .room_bytes = room, .respect_own_policy = true };

        double began = now_seconds();
        int r = mover_new(&act, &host, topology, cgroup, &p, 1, &goal, &m);
        do
                r = r < 0 ? r : mover_slice(m, first_only ? 1 : (uint64_t) budget_mib * MIB);
        while (r > 0 && (!first_only || mover_result(m)->asked_pages == 0));
        double took = now_seconds() - began;
        if (r < 0) {
                errno = -r;
                die("mover");
        }
        *ret = *mover_result(m);
        mover_free(m);
        act_real_done(&inner);
        free(cgroup);
        return took;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;
        return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
        qsort(values, n, sizeof(*values), compare);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static size_t best_call_size(const struct victim *all) {
        static const size_t sizes[] = { 8, 32, 512, 1024, 2048, 4096, 8192, 16384 };
        struct victim part = *all;
        const struct victim *v = &part;
        double best = 0;
        size_t best_size = 0, pages = 0;
        for (part.n = 0; part.n < all->n && pages < SEARCH_PAGES; part.n++)
                pages += victim_piece_pages(all, part.n);
        for (unsigned k = 0; k < 2; k++) /* the first time over warms up */
                for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                        if (v->n / sizes[i] > 512)
                                continue;
                        reset(v);
                        double took = raw_loop(v, home, sizes[i], false);
                        if (k > 0 && (best_size == 0 || took < best)) {
                                best = took;
                                best_size = sizes[i];
                        }
                }
        return best_size;
}

static bool measure(enum layout layout, size_t rounds) {
        struct victim v;
        double raw[ROUNDS_MAX], ours[ROUNDS_MAX], ratio[ROUNDS_MAX], besides[ROUNDS_MAX], sustained[ROUNDS_MAX],
                asking[ROUNDS_MAX], scanning[ROUNDS_MAX];
        struct move_result r = { 0 }, one = { 0 };
        size_t must_pages = 0, must_addresses = 0, off = 0;
        uint64_t moved = 0, asked = 0; /* the most of any round */
        if (!victim_start(&v, layout, size_mib, from)) {
                victim_end(&v);
                return false;
        }
        for (size_t i = 0; i < v.n; i++)
                if (!v.pieces[i].home) {
                        must_addresses++;
                        must_pages += victim_piece_pages(&v, i);
                }
        size_t per_call = best_call_size(&v);
        (void) by_mover(&v, false, &r); /* what little of the process is elsewhere */
        for (size_t i = 0; i < rounds; i++) {
                for (unsigned k = 0; k < 2; k++) { /* who is first changes, so that a slow phase hits both */
                        reset(&v);
                        if (k == i % 2)
                                raw[i] = raw_loop(&v, home, per_call, false);
                        else
                                ours[i] = by_mover(&v, false, &r);
                        off += count_off_home(&v);
                }
                ratio[i] = raw[i] / ours[i];
                moved = MAX2(moved, r.moved_pages);
                asked = MAX2(asked, r.asked_pages);
                besides[i] = 100 * (1 - (double) r.calls_usec / 1e6 / ours[i]);
                asking[i] = 100 * asking_seconds / ours[i];
                scanning[i] = 100 * scanning_seconds / ours[i];
        }
        reset(&v);
        (void) by_mover(&v, true, &one);
        reset(&v);
        one = (struct move_result) { 0 };
        double first = by_mover(&v, true, &one) - (double) one.calls_usec / 1e6;
        for (size_t i = 0; i < rounds; i++) /* before anything is sorted */
                sustained[i] = raw[i] / (ours[i] - MIN2(first, ours[i] / 2));
        double raw_seconds = median(raw, rounds), seconds = median(ours, rounds), middle = median(ratio, rounds);
        (void) printf("%-24s %8zu %9.3f s (%5zu a call) %9.3f s %8.3f (%.2f to %.2f) %9.3f  %8.3f %% %8.3f %% %6" PRIu64
                      " %7.1f %7.0f %7.0f %6.1f %% %6.1f %% %6.1f %%\n",
                      layout_names[layout], must_pages, raw_seconds, per_call, seconds, middle, ratio[0], ratio[rounds - 1],
                      median(sustained, rounds), 100.0 * ((double) moved / (double) must_pages - 1),
                      100.0 * ((double) asked / (double) must_addresses - 1), r.n_calls, 1000 * first,
                      (double) r.longest_slice_usec / 1000, (double) r.longest_call_usec / 1000, median(besides, rounds),
                      median(asking, rounds), median(scanning, rounds));
        if (off > 0)
                (void) printf("%s: %zu pages did not come home\n", layout_names[layout], off);
        (void) fflush(stdout);
        victim_end(&v);
        return off == 0;
}

static void write_to(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        (void) !write(fd, text, strlen(text));
        close(fd);
}

static void prepare_machine(void) {
        char path[128], text[32];
        write_to("/proc/sys/kernel/numa_balancing", "0");
        write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
                 "3600000"); /* nothing is collapsed meanwhile */
        write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan",
                 "1"); /* it wakes for the first process all the same */
        write_to("/proc/sys/vm/max_map_count", "1000000");
        (void) snprintf(text, sizeof(text), "%zu", size_mib / 2 + 2);
        for (int i = 0; i < 2; i++) {
                (void) snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
                                i ? from : home);
                write_to(path, text);
        }
}

static size_t number(int argc, char **argv, int i, size_t otherwise, size_t max) {
        uint64_t value = otherwise;
        if (i < argc && (parse_u64(argv[i], &value) < 0 || value > max)) {
                (void) fprintf(stderr, "usage: move-rate FROM HOME [MIB [ROUNDS [BUDGET-MIB [KINDS]]]]\n");
                exit(2);
        }
        return (size_t) value;
}

int main(int argc, char **argv) {
        from = (int) number(argc, argv, 1, 2, NODES_MAX - 1);
        home = (int) number(argc, argv, 2, 1, NODES_MAX - 1);
        size_mib = number(argc, argv, 3, size_mib, 1u << 20);
        all_rounds = MAX2(number(argc, argv, 4, all_rounds, ROUNDS_MAX), (size_t) 1);
        budget_mib = MAX2(number(argc, argv, 5, budget_mib, 1u << 20), (size_t) 1);
        host = (struct host) { .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .live = true, .page_bytes = SMALL_BYTES };
        topology = topology_new(NODES_MAX, 1);
        if (host.root_fd < 0 || !topology)
                die("starting");
        topology->nodes[from] = topology->nodes[home] = (struct topology_node) { .present = true, .bytes_total = 1024 * GIB };
        prepare_machine();
        (void) printf("%-24s %8s %11s %15s %11s %8s %14s %9s %11s %10s %6s %7s %7s %7s %8s %8s %8s\n", "", "pages", "raw loop",
                      "", "mover", "ratio", "", "sustained", "moved +", "asked +", "calls", "first", "slice", "call", "besides",
                      "asking", "scans");
        bool good = true;
        const char *kinds = argc > 6 ? argv[6] : "123456";
        for (int i = 0; i < _LAYOUT_MAX; i++)
                if (strchr(kinds, '1' + i))
                        good &= measure((enum layout) i,
                                        i < LAYOUT_SPARSE ? all_rounds : MIN2(all_rounds, (size_t) 3)); /* these take long */
        (void) printf("move-rate: ratio: raw loop / mover, median of %zu in turns (worst to best); sustained: without `first`, "
                      "the ms before the first call; "
                      "moved, asked: beyond what had to; slice, call: the longest, ms; besides: share of the mover's time "
                      "outside of calls that move; asking, scans: of that in move_pages() that asks, in PAGEMAP_SCAN\n",
                      all_rounds);
        topology_free(topology);
        close(host.root_fd);
        return good ? 0 : 1;
}
