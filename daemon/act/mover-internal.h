/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the mover.
 *
 * One process after the other: its mappings with pages off home (mover-ranges.c), in them the pages that are present (mover-gather.c, mover-pagemap.c),
 * which are asked for their nodes when it is their turn (mover-ask.c, mover-scan.c), each with the node it should go to (mover-target.c); a window of those that must is moved,
 * and what became of them is found out (mover-move.c, mover-settle.c).
 *
 * How pages are found. numa_maps tells which mappings are worth a look, their policies and page size. Inside a mapping, /proc/PID/pagemap tells which pages
 * are present and mapped here alone, eight bytes a page whether it is present or not, for a tenth of the cost of a query by move_pages(2) and in bulk; what
 * is present is then asked for its node. From Linux 6.7 PAGEMAP_SCAN skips what is not populated; before, a mapping of a terabyte with a hundredth resident
 * costs a read of pagemap up to where all has been found that numa_maps counted in it. Pages that others map too are not offered for moving, which would end
 * the kernel's batch each time: pagemap tells them, and is left unread where numa_maps has said that there are none, and what is present is known. All of
 * this can be had by whoever may call move_pages() for the process; CAP_SYS_ADMIN is needed for frame numbers only (kernel: admin-guide/mm/pagemap.rst). What
 * was found and not moved in a slice is kept for the next, and what is asked is asked right before it is moved, no more of it than the budget covers.
 *
 * What is asked. Every address, where there is no pagemap or a mapping has pages on several nodes. Where numa_maps has found all of a mapping on one node off
 * home, that was an answer for each of its pages, if an older one: of the small ones one in ASK_SHARE is asked for again, and once one of these is elsewhere,
 * all of the process's are. Elsewhere, of a block of 512 pages the same share is asked for first, picked at random; if these are all on one node off home the others are taken to be there, too,
 * and otherwise are asked for. Some few may then be taken to have moved that had come home by themselves, so that this is done only where much is known.
 * Where nearly all of a mapping is populated, pagemap is left unread until what was asked for of a block shows that pages of it are missing, and of little mappings always, as all of
 * such a one is asked for (before 6.7).
 *
 * Transparent huge pages. PAGEMAP_SCAN tells them. Before 6.7 nothing cheap does (smaps costs three times numa_maps). So of 512 present pages, aligned, the first
 * and the last are asked for. Are both on one wrong node, the first is moved, and the last asked for again: with it a huge page has moved, as no other holds both.
 * If it has not, the block is gone over again page by page; after some misses in a row fewer blocks are tried this way. Where pages are balanced or interleaved,
 * which must know what is one page, smaps then tells the mappings without any huge page; in others every whole block on one node is first taken for one, and small
 * pages that lie so are interleaved by blocks, as huge ones are: whether a block is at its place must not depend on what cannot be seen.
 *
 * Shared pages. Only where they are to be moved, and numa_maps says of a mapping that none of its pages is mapped more often than processes of the
 * service and its companions map the same file (host/maps.h); these alone are moved with MPOL_MF_MOVE_ALL. */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "act/mover.h"
#include "core/util.h"
#include "host/host.h"
#include "host/maps.h"

/* See above. On average so many are asked for wrongly before it shows; that is to be far below a hundredth. */
#define ASK_SHARE       12u
#define KNOWN_PAGES_MIN 4096u
/* Addresses in one call and in one window. Throughput is flat from about 1,280. */
#define WINDOW_PAGES 4096u
/* And no more than so many base pages: 32 huge pages of 2 MiB, from where on each call's own price no longer shows. */
#define WINDOW_BASE_PAGES 16384u
/* The largest block that is treated as one possible huge page, in base pages. */
#define BLOCK_PAGES 512u
/* A slice that has used this much returns at the next occasion, whatever it has moved. */
#define SLICE_TIME_LIMIT_USEC 100000u
/* A slice that has taken so long to read the process's mappings moves nothing: who measures slices is not to take that for the price of moving. */
#define LOAD_TIME_USEC 10000u
/* Pages that would not move are tried again this often, at the end of their process or of the mappings that are kept of it, and so many of them. */
#define RETRY_ROUNDS    2u
#define RETRY_PAGES_MAX 65536u

/* Mappings that are kept at a time (4 MiB of memory); of a process with more, numa_maps is read again for the next. */
#define RANGES_MAX 65536u
/* So often who maps what is read again, where processes that come and go may have made it old. */
#define MAPPERS_AGAIN_MAX 8u
/* So often it is looked whether somebody has come: of a service with very many processes the list of them is long. */
#define MAPPERS_CHECKS_MAX 256u
/* Blocks under way of which it is not known whether they are huge pages. */
#define PROBES_MAX 512u
/* Answers of scan_pages() that are kept. */
#define STRETCHES_MAX 128u

/* A mapping with pages off home. */
struct range {
        uint64_t start, end;
        uint64_t page_bytes;
        uint32_t base_pages;           /* in one of these */
        uint64_t all_pages, off_pages; /* of page_bytes, as numa_maps had it: what is there, and of that what may have to move */
        uint64_t mapmax;               /* the most often that one of its pages is mapped; 0: once */
        int16_t source; /* the one node off home on which numa_maps found all of it; -1: there is none, or its pages are large */
        bool hugetlb;
        bool no_huge;   /* certainly without transparent huge pages */
        bool all;       /* shared pages are the service's own: they move too */
        bool populated; /* wholly, as numa_maps had it */
        bool dense;     /* nearly, and nobody else maps what is there: pagemap is left unread at first */
        bool spots;     /* blocks are told from some of their pages */
        bool little;    /* it is asked for whole, which costs less than a read of pagemap, and nobody else maps what is there */
};

/* What is moved by one address, or by several, of which all is the same: half a cache line. */
struct unit {
        uint64_t address; /* the first */
        uint32_t range;   /* index */
        uint32_t pages;   /* base pages that should move with each address */
        uint32_t taken;   /* of the flow from node to node (PAGES_BALANCE) */
        int16_t from, target;
        uint16_t
                n; /* addresses, in m->places; more than one only of pages in one block that are asked for one by one (PAGES_HOME) */
        bool huge;  /* a transparent huge page, as far as could be seen, moved by its first address */
        bool probe; /* the first of a block that may be one */
        bool hugetlb;
        bool all; /* by MPOL_MF_MOVE_ALL */
        bool resolved;
        bool missed : 1;  /* of a block that was none: its number is the block's (PAGES_INTERLEAVE) */
        bool arrived : 1; /* the first page of either: the rest is to be looked at */
        bool from_pool : 1;
        bool hoped : 1; /* it may never have been there */
};

/* Something present, which may have to move. */
enum candidate_kind {
        CANDIDATE_PAGE,  /* base pages, or hugetlb pages */
        CANDIDATE_HUGE,  /* a transparent huge page */
        CANDIDATE_BLOCK, /* 512 base pages that may be one */
};

struct mover_candidate {
        uint64_t address;
        uint32_t range; /* index */
        uint16_t n;     /* pages, one behind the other, in one block; of what is large, shared or tried, 1 */
        uint8_t kind;
        bool shared : 1; /* with others: it stays, and is counted */
        bool missed : 1; /* of a block that was no huge page */
        bool tried : 1;  /* the first page of such a block, which may have moved when that was tried */
        bool hoped : 1;  /* all of these may be there, but that is not known */
        bool spots : 1;  /* some of it was asked for, which is to tell where the others of its block are */
        bool mixed : 1;  /* of a block that has pages on two nodes: none tells the others */
        bool holey : 1;  /* hoped, but some page of it is missing: pagemap is to tell which are */
};

/* A block that is to be gone over page by page. */
struct missed {
        uint64_t address;
        uint32_t range;
        bool mixed, holey; /* as above: what its ends have shown */
};

struct mover {
        struct act act;
        const struct host *host;
        const struct topology *topology;
        char *cgroup; /* NULL: not checked */
        struct process_ref *processes;
        size_t n_processes, current;
        pid_t speaker; /* of the present one, by whose number its pages are moved (host/speaker.h) */
        struct move_result result;
        struct stubborn *stubborn;
        uint64_t page_bytes, block_bytes; /* block_bytes: of a transparent huge page; 0: none */
        uint64_t slice_began_usec;
        uint64_t slice_limit_usec,
                load_limit_usec; /* SLICE_TIME_LIMIT_USEC, LOAD_TIME_USEC but in tests, which are not to depend on time */
        int refused;             /* the last process that could not be dealt with: why */
        bool accepted;           /* some call that moves was accepted */

        /* Where to (mover-target.c, mover-division.c) */
        enum pages_how how;
        struct node_set home, targets;
        struct node_set denied;       /* by the present process's cpuset */
        struct node_set hugetlb_full; /* of the size that pool_pages are of */
        uint64_t pool_page_bytes;     /* that size; 0: none was read */
        bool respect_own_policy;
        uint64_t *room, *assigned, *pool_pages; /* per node: bytes; base pages; hugetlb pages of the present size */
        uint64_t *withheld;                     /* per node: bytes of its room that others have at present */
        uint32_t *weight;                       /* NULL: nearest first */
        uint64_t *flow;                         /* PAGES_BALANCE: pages still to go, n_ids × n_ids, row = from */
        int64_t *surplus, *deficit;             /* of the flow, by node, in pages; below 0: given or taken more than was to be */
        int16_t *pattern;                       /* PAGES_INTERLEAVE: node by number, n_pattern of them */
        size_t n_pattern;
        struct {
                uint64_t start; /* of a block: its pages go together */
                int from, target;
        } sticky;

        bool move_shared;
        struct companions companions;
        struct mappers *mappers;     /* NULL: not read, or shared pages stay */
        struct maps_reading reading; /* whose maps are read for that */
        struct process_ref *aside;   /* whose are not */
        size_t n_aside;
        bool lacks_mappers; /* memory of the present process, of a kind that only it and those that it forked map, is mapped more often than they know */
        unsigned n_mappers_again, n_mappers_checks;

        /* The present process (mover-ranges.c, mover-scan.c) */
        bool loaded;
        int pagemap_fd, cgroup_fd;
        struct range *ranges;
        size_t n_ranges, ranges_capacity, ranges_max, range; /* ranges_max: RANGES_MAX but in tests */
        uint64_t cursor;                                     /* all below is gathered */
        uint64_t found_pages;                                /* of this range, certainly of those that numa_maps counted */
        uint64_t resume_at;                                  /* mappings from here on are to be read yet; 0: none */
        size_t n_mappings;                                   /* that numa_maps told */
        bool last_is_kept;                                   /* the last mapping that numa_maps told is the last of the ranges */
        uint64_t *pagemap, pagemap_start;
        size_t n_pagemap;
        bool scans; /* scan_pages() works */
        struct page_stretch *stretches;
        size_t n_stretches, stretch;
        uint64_t scanned_to, scan_ahead;
        struct mover_candidate *candidates; /* WINDOW_PAGES */
        size_t n_candidates, candidate;
        size_t n_gathered;     /* pages of all candidates; of what is more than a page, one. At most WINDOW_PAGES */
        struct missed *missed; /* WINDOW_PAGES */
        size_t n_missed;
        uint64_t known_pages; /* of ranges with a source */
        uint64_t small_pages; /* off home, of all ranges of small pages */
        bool hole;   /* of a block of this dense range nothing was there: pagemap is read until there is something again */
        bool trusts; /* so far pages were where numa_maps had found them */
        bool spots;  /* blocks are told from some of their pages */
        int *where;  /* WINDOW_PAGES: of the candidates' pages under way, the node or a negative errno */
        unsigned probe_limit, probe_misses, probe_skip, probe_skip_next;
        uint64_t shared_asked;

        /* The present window (mover-move.c). Each of the arrays has WINDOW_PAGES entries. */
        struct unit *window;
        void **places;                /* the addresses of its units, in their order */
        size_t n_window, n_addresses; /* n_addresses: of all its units */
        bool has_probes, has_hugetlb;
        bool has_arrived; /* some unit that is a block */
        size_t n_unresolved;
        void **addresses;
        int *nodes, *status, *now;
        size_t *pick;
        void **ask_addresses;
        int *ask_status;
        size_t *ask_pick;

        struct unit *retry;
        size_t n_retry, retry_capacity, retry_next, retry_kept;
        unsigned retry_round;
};

/* Of a transparent huge page. */
static inline uint32_t mover_block_pages(const struct mover *m) {
        return (uint32_t) (m->block_bytes / m->page_bytes);
}

/* From one page of a run of candidates to the next. */
static inline uint64_t mover_step_bytes(const struct mover *m, uint32_t range) {
        return m->ranges[range].page_bytes;
}

/* Which page is asked for of the so many-th ASK_SHARE of all pages of its size: one at random, as the hash of a number is, but always the same. What has come home
 * meanwhile may well be every second page, or every eleventh; where every so many-th was asked for, however cleverly, there is a pattern that would be missed. */
static inline uint64_t mover_spot(uint64_t i) {
        uint64_t hash = i * UINT64_C(0x9e3779b97f4a7c15);
        hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
        return i * ASK_SHARE + ((hash >> 32) * ASK_SHARE >> 32);
}

/* Makes all of `n` numbers this one, by copying twice as many each time, up to a KiB. */
static inline void mover_fill(int *to, size_t n, int value) {
        if (n > 0)
                to[0] = value;
        for (size_t done = 1, part; done < n; done += part) {
                part = MIN2(MIN2(done, n - done), (size_t) 256);
                memcpy(to + done, to, part * sizeof(*to));
        }
}

/* mover-process.c */

/* Is it still the process that was meant, and still in the cgroup? 1: yes; 0: no, leave it alone; -ESRCH: it ended; other negative errno. The first time
 * it opens cgroup_fd, from then on that tells. */
int mover_check_process(struct mover *m, const struct process_ref *p);
/* When something of the present process was not to be had as its speaker shows it: does another thread speak for it since? It is checked anew then; what failed
 * is to be tried once more. */
bool mover_other_speaker(struct mover *m);

/* mover-ranges.c */

/* Reads numa_maps and maps. -ESRCH, -ENOMEM, or another negative errno where they cannot be read. */
int mover_load_ranges(struct mover *m);

/* mover-division.c: balancing and interleaving */
int mover_init_division(struct mover *m, const struct move_goal *goal);
bool mover_division_is_misplaced(const struct mover *m, const struct unit *u);
/* Is it, on `from`, not where it belongs? Inline, as what follows: it is done for every page. */
static inline bool mover_is_misplaced(const struct mover *m, const struct unit *u) {
        if (u->from < 0 || (unsigned) u->from >= m->topology->n_ids)
                return false;
        return m->how == PAGES_HOME ? !node_set_has(&m->home, (unsigned) u->from) : mover_division_is_misplaced(m, u);
}
/* How many base pages are still to leave this node (PAGES_BALANCE). */
uint64_t mover_surplus(const struct mover *m, unsigned node);
/* Which of these nodes a misplaced unit goes to; -1: none (any more). */
int mover_division_target(const struct mover *m, const struct unit *u, const struct node_set *among);
/* Notes that the unit goes to its target, or does not after all. */
void mover_division_take(struct mover *m, struct unit *u);
void mover_division_give_back(struct mover *m, const struct unit *u);

/* mover-target.c */
static inline bool mover_is_home(const struct mover *m, int node) {
        return node >= 0 && node_set_has(&m->home, (unsigned) node);
}
/* Has the unit arrived, now that it is on `node`? */
static inline bool mover_has_arrived(const struct mover *m, const struct unit *u, int node) {
        return m->how == PAGES_HOME ? mover_is_home(m, node) : node == u->target;
}
int mover_init_targets(struct mover *m, const struct move_goal *goal);
/* mover_reserve(), where it does not go where its neighbour went. */
bool mover_reserve_anew(struct mover *m, struct unit *u);
/* Does it go where its neighbour went? What became full or forbidden since is no target any more, so that only room is to be looked at. */
static inline bool mover_is_sticky(const struct mover *m, const struct unit *u) {
        return m->how == PAGES_HOME && m->sticky.target >= 0 && m->sticky.from == u->from &&
               u->address - m->sticky.start < BLOCK_PAGES * m->page_bytes && !u->hugetlb &&
               m->room[m->sticky.target] >= u->pages * m->page_bytes;
}
/* Picks a node with room for the unit and reserves it; false where there is none. */
static inline bool mover_reserve(struct mover *m, struct unit *u) {
        if (!mover_is_sticky(m, u))
                return mover_reserve_anew(m, u);
        int node = m->sticky.target;
        u->target = (int16_t) node;
        m->room[node] -= u->pages * m->page_bytes;
        m->assigned[node] += u->pages;
        return true;
}
void mover_unreserve(struct mover *m, const struct unit *u);
void mover_mark_full(struct mover *m, int node, bool hugetlb);
bool mover_has_room(const struct mover *m);
/* How many free hugetlb pages of that size each target has. */
void mover_read_pools(struct mover *m, uint64_t page_bytes);

/* mover-pagemap.c */

#define PAGEMAP_PRESENT   (UINT64_C(1) << 63)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)

/* The entry of one page; where there is no pagemap (any more) as if it were present and nobody else's. `until`: so far it may be read ahead. */
uint64_t mover_pagemap_entry(struct mover *m, uint64_t address, uint64_t until);
/* Entries of base pages that have been read; NULL: not all of them have. */
static inline const uint64_t *mover_pagemap_read(const struct mover *m, uint64_t from, uint64_t to) {
        uint64_t i = from / m->page_bytes - m->pagemap_start, n = (to - from) / m->page_bytes;
        return i < m->n_pagemap && n <= m->n_pagemap - i ? &m->pagemap[i] : NULL;
}
void mover_forget_pagemap(struct mover *m);
/* move_pages(2) waits for a locked address space so that not even SIGKILL ends it, and a daemon with such a thread cannot be stopped. Reading
 * pagemap waits for the same lock and can be killed: whoever is locked already is found out by that. */
void mover_touch_address_space(const struct mover *m);
/* Finds out whether scan_pages() works for this process. */
void mover_try_scan(struct mover *m);
/* The stretch of present pages in which `address` is, or the next one of this range. NULL: none, or the time was up; *ret_end: there is nothing before that. */
const struct page_stretch *mover_next_stretch(struct mover *m, const struct range *r, uint64_t address, uint64_t *ret_end);

/* mover-gather.c */

/* Puts what is present into the list of candidates, which is empty. It stays empty at the end of the process, and may when the time is up. */
void mover_gather(struct mover *m);
/* Is there something to be gathered or asked for? */
bool mover_has_more(const struct mover *m);
/* A block was no huge page, or was one. */
void mover_probe_missed(struct mover *m);
void mover_probe_hit(struct mover *m);
/* A block is to be gone over page by page. */
void mover_go_over(struct mover *m, struct missed block);

/* mover-ask.c */

#define ENDS_MIXED   (-1) /* no status of the kernel's */
#define ENDS_MISSING (-ENOENT)

/* Asks where pages are. 0 or negative errno. */
int mover_ask(struct mover *m, size_t n, void *const *addresses, int *status);
/* Finds out where the next candidates' pages are, into `where`; of a block ENDS_MIXED where its ends are on two nodes, ENDS_MISSING where one is missing. Returns of how many pages: what fits into the window
 * and the budget, and 0 where the first must be taken whole (PAGES_BALANCE, PAGES_INTERLEAVE); or negative errno. */
long mover_ask_next(struct mover *m, uint64_t budget_pages);

/* mover-scan.c */

uint64_t mover_now_usec(void);
bool mover_time_is_up(const struct mover *m);
/* Fills the window with about `budget_pages`; fewer at the end of the process or when the time is up. 0 or negative errno. */
int mover_fill_window(struct mover *m, uint64_t budget_pages);

/* mover-settle.c */

#define STATUS_NOT_WRITTEN INT_MIN

/* After a call for `n` addresses, of those units that go to `target` (with or without the pages that others map): have all of them arrived? 1: they have, and are
 * settled; 0: that is not certain; negative errno. */
int mover_settle_all(struct mover *m, size_t n, int target, bool all);
/* After a call for the units in `pick`, which left `status`: where they are, into `now`. 0 or negative errno. */
int mover_learn(struct mover *m, size_t n, int target);
/* Settles what has arrived plainly of the units in `pick` from `i` on; returns the index of the first that mover_settle() must look at. */
size_t mover_settle_plain(struct mover *m, struct unit *units, size_t i, size_t n, int target);
/* What became of one unit. `rc` is the call's result, `status` what it wrote, `now` where the page is. 0 or negative errno. */
int mover_settle(struct mover *m, struct unit *u, long rc, int status, int now);
/* What became of the blocks whose first pages arrived. 0 or negative errno. */
int mover_settle_probes(struct mover *m);

/* mover-move.c */

/* Moves what is in the window, and empties it. Pages that would not move, but might, are kept for a retry. `ret_used`: base pages moved or tried.
 * -ESRCH, -EPERM, -EACCES: of this process; other negative errno: of the whole. */
int mover_move_window(struct mover *m, uint64_t *ret_used);
/* Empties it without: what was set aside for it is others' again. */
void mover_drop_window(struct mover *m);
/* One step of the retries. Returns 1: more of this round; 2: a round ended, more follow; 0: none are left; or as above. */
int mover_retry(struct mover *m, uint64_t budget_pages, uint64_t *ret_used);
/* Notes a unit for the retries. 0 or -ENOMEM. */
int mover_keep_for_retry(struct mover *m, const struct unit *u);
