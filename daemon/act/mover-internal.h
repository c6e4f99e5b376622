/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the mover.
 *
 * One process after the other: its mappings with pages off home (mover-ranges.c), in them the pages themselves, a window at a time
 * (mover-scan.c), each with the node it should go to (mover-target.c); the window is moved and looked at again (mover-move.c).
 *
 * How pages are found. numa_maps tells which mappings are worth a look, their policies and page size. Inside a mapping, /proc/PID/pagemap tells which
 * pages are present and mapped here alone, eight bytes a page whether it is present or not, for half the cost of a query by move_pages(2)
 * and in bulk; what is present is then asked for its node. So a mapping of a terabyte with a hundredth resident costs a read of
 * pagemap, and pages that others map too are never offered for moving, which would end the kernel's batch each time. Both bits can be had by
 * whoever may call move_pages() for the process; CAP_SYS_ADMIN is needed for frame numbers only (kernel: admin-guide/mm/pagemap.rst).
 * Where there is no pagemap every address is asked for.
 *
 * Transparent huge pages. Nothing cheap tells them from 512 small pages (smaps costs three times numa_maps). So of 512 present pages, aligned, all on one wrong
 * node, first one is moved, and then all are asked for: a huge page has moved whole. If it has not, the block is gone over again page by page;
 * after some misses in a row fewer blocks are tried this way. Where pages are balanced or interleaved, which must know what is one page, smaps tells the
 * mappings without any huge page; in others every whole block on one node is first taken for one, and small pages that lie so are interleaved by
 * blocks, as huge ones are: whether a block is at its place must not depend on what cannot be seen.
 *
 * Shared pages. Only where they are to be moved, and numa_maps says of a mapping that none of its pages is mapped more often than processes of the
 * service map the same file (host/maps.h); these alone are moved with MPOL_MF_MOVE_ALL. */
#pragma once

#include "act/mover.h"
#include "host/host.h"
#include "host/maps.h"

/* Pages in one call and in one window. Throughput is flat from about 1,280. */
#define WINDOW_PAGES 4096u
/* The largest block that is treated as one possible huge page, in base pages. */
#define BLOCK_PAGES 512u
/* A slice that has used this much returns at the next occasion, whatever it has moved. */
#define SLICE_TIME_LIMIT_USEC 100000u
/* Pages that would not move are tried again this often, at the end of their process, and so many of them. */
#define RETRY_ROUNDS    2u
#define RETRY_PAGES_MAX 65536u

/* A mapping with pages off home. */
struct range {
        uint64_t start, end;
        uint64_t page_bytes;
        uint64_t off_pages; /* of page_bytes, as numa_maps had it: those that may have to move */
        uint64_t mapmax;    /* the most often that one of its pages is mapped */
        bool hugetlb;
        bool no_huge; /* certainly without transparent huge pages */
        bool all;     /* shared pages are the service's own: they move too */
};

/* What is moved by one address. */
struct unit {
        uint64_t address;
        uint32_t pages;         /* base pages that should move with it */
        uint32_t counted_pages; /* the size by which it is counted (PAGES_INTERLEAVE) */
        int16_t from, target;
        bool probe; /* the first of a block that may be one huge page */
        bool hugetlb, from_pool;
        uint32_t taken; /* of the flow from node to node (PAGES_BALANCE) */
        bool all;       /* by MPOL_MF_MOVE_ALL */
        bool resolved;
};

/* Addresses still to be looked at. */
struct stretch {
        uint64_t from, to;
};

struct mover {
        struct act act;
        const struct host *host;
        const struct topology *topology;
        char *cgroup; /* NULL: not checked */
        struct process_ref *processes;
        size_t n_processes, current;
        struct move_result result;
        uint64_t page_bytes, block_bytes; /* block_bytes: of a transparent huge page; 0: none */
        uint64_t slice_began_usec;
        int refused;   /* the last process that could not be dealt with: why */
        bool accepted; /* some call that moves was accepted */

        /* Where to (mover-target.c, mover-division.c) */
        enum pages_how how;
        struct node_set home, targets;
        struct node_set denied; /* by the present process's cpuset */
        struct node_set hugetlb_full;
        bool respect_own_policy;
        uint64_t *room, *assigned, *pool_pages; /* per node: bytes; base pages; hugetlb pages of the present range */
        uint32_t *weight;                       /* NULL: nearest first */
        uint64_t *flow;                         /* PAGES_BALANCE: pages still to go, n_ids × n_ids, row = from */
        int64_t *surplus, *deficit;             /* of the flow, by node, in pages; below 0: given or taken more than was to be */
        int16_t *pattern;                       /* PAGES_INTERLEAVE: node by number, n_pattern of them */
        size_t n_pattern;
        struct {
                uint64_t block;
                int from, target;
        } sticky;

        bool move_shared;
        struct mappers *mappers; /* NULL: not read, or shared pages stay */

        /* The present process (mover-ranges.c, mover-scan.c) */
        bool loaded;
        int pagemap_fd;
        struct range *ranges;
        size_t n_ranges, ranges_capacity, range;
        uint64_t cursor; /* all below is done */
        uint64_t *pagemap, pagemap_start;
        size_t n_pagemap;
        struct stretch missed[WINDOW_PAGES / 16]; /* blocks of this range that were no huge page: to be gone over page by page */
        unsigned n_missed;
        unsigned probe_misses, probe_skip, probe_skip_next;
        uint64_t shared_asked;

        /* The present window (mover-move.c). Each of the arrays has WINDOW_PAGES entries. */
        struct unit *window;
        size_t n_window;
        bool has_probes;
        void **addresses;
        int *nodes, *status, *now;
        size_t *pick;
        void **block_addresses; /* BLOCK_PAGES */
        int *block_status;
        bool *block_shared;

        struct unit *retry;
        size_t n_retry, retry_capacity, retry_next, retry_kept;
        unsigned retry_round;
};

/* mover-ranges.c */

/* Is it still the process that was meant, and still in the cgroup? 1: yes; 0: no, leave it alone; -ESRCH: it ended; other negative errno. */
int mover_check_process(const struct mover *m, const struct process_ref *p);
/* Reads numa_maps and maps. -ESRCH, -ENOMEM, or another negative errno where they cannot be read. */
int mover_load_ranges(struct mover *m, pid_t pid);

/* mover-division.c: balancing and interleaving */
int mover_init_division(struct mover *m, const struct move_goal *goal);
/* Is it, on `from`, not where it belongs? */
bool mover_is_misplaced(const struct mover *m, const struct unit *u);
/* How many base pages are still to leave this node (PAGES_BALANCE). */
uint64_t mover_surplus(const struct mover *m, unsigned node);
/* Which of these nodes a misplaced unit goes to; -1: none (any more). */
int mover_division_target(const struct mover *m, const struct unit *u, const struct node_set *among);
/* Notes that the unit goes to its target, or does not after all. */
void mover_division_take(struct mover *m, struct unit *u);
void mover_division_give_back(struct mover *m, const struct unit *u);

/* mover-target.c */
/* Has the unit arrived, now that it is on `node`? */
bool mover_has_arrived(const struct mover *m, const struct unit *u, int node);
int mover_init_targets(struct mover *m, const struct move_goal *goal);
/* Picks a node with room for the unit and reserves it; false where there is none. */
bool mover_reserve(struct mover *m, struct unit *u);
void mover_unreserve(struct mover *m, const struct unit *u);
void mover_mark_full(struct mover *m, int node, bool hugetlb);
bool mover_has_room(const struct mover *m);
void mover_read_pools(struct mover *m, uint64_t page_bytes);

/* mover-scan.c */

uint64_t mover_now_usec(void);
bool mover_time_is_up(const struct mover *m);
/* Asks where pages are. 0 or negative errno. */
int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status);
/* Fills the window with about `budget_pages`; fewer at the end of the process or when the time is up. 0 or negative errno. */
int mover_fill_window(struct mover *m, uint64_t budget_pages);
/* A block was no huge page: it is to be gone over page by page. */
void mover_probe_missed(struct mover *m, uint64_t address);
void mover_probe_hit(struct mover *m);

/* mover-move.c */

/* Moves what is in the window, and empties it. Pages that would not move, but might, are kept for a retry. `ret_used`: base pages moved or tried.
 * -ESRCH, -EPERM, -EACCES: of this process; other negative errno: of the whole. */
int mover_move_window(struct mover *m, uint64_t *ret_used);
/* One step of the retries. Returns 1: more of this round; 2: a round ended, more follow; 0: none are left; or as above. */
int mover_retry(struct mover *m, uint64_t budget_pages, uint64_t *ret_used);
