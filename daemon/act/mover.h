/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves one service's pages home, slice by slice, and says what became of each page. A slice is made for a worker thread: it can block on the
 * process, never on anything else, and touches nothing but its mover. Pages go home wherever that is (PAGES_HOME), from nodes with too many to nodes
 * with too few (PAGES_BALANCE), or each to the node that its address tells (PAGES_INTERLEAVE). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "act/ops.h"
#include "act/stubborn.h"
#include "core/companions.h"
#include "core/plan.h"
#include "core/topology.h"
#include "host/host.h"

struct move_goal {
        enum pages_how how;
        /* PAGES_BALANCE, n_ids entries each: movable bytes that belong on each node (see struct placement), and that are there now. What is too
         * much on one goes to where there is too little, the nearest pairs of nodes first. */
        const uint64_t *want_by_node, *have_by_node;
        /* PAGES_INTERLEAVE, n_ids entries: weight_by_node of the placement. The number of a page (address divided by its size, huge pages by
         * theirs) modulo the sum of weights tells its node, so that another pass finds nothing to do. */
        const uint32_t *interleave_by_node;
        struct node_set home; /* PAGES_HOME: pages already there stay */
        /* n_ids entries: how much each home node may still take; the mover counts it down (own copy). With PAGES_INTERLEAVE, whose pages
         * come and go, how much more it may hold than now. */
        const uint64_t *room_bytes;
        const uint32_t *
                weight_by_node; /* PAGES_HOME, n_ids entries: how to divide pages among several home nodes; NULL: nearest first */
        bool respect_own_policy;         /* leave mappings with a policy of their own */
        const struct stubborn *stubborn; /* what earlier moves found pinned, see move_result; NULL: nothing is known */
        bool move_shared; /* pages that several of the processes map, and nobody else as far as can be told, are moved too … */
        const struct companions *companions; /* … but for these, who go to the same nodes (own copy); NULL: nobody */
        const struct process_ref *aside;     /* processes of the service that hang: their maps are not read (own copy) */
        size_t n_aside;
};

/* Totals since the mover was made. Pages are base pages of 4 KiB (host.page_bytes), huge ones counted by their size. */
struct move_result {
        uint64_t moved_bytes, moved_pages;
        uint64_t moved_from[64]; /* bytes, by the node they left; of the first 64 nodes */
        uint64_t huge_moved;     /* transparent huge or hugetlb pages moved whole */
        uint64_t asked_pages;    /* addresses put to move_pages for moving: excess = asked − had to */
        /* Pages that stay where they are: mapped by others too (asked for their node only, up to a limit: "at least so many"); pinned, or busy
         * each time; no memory on any home node; unmapped meanwhile; everything else (a cpuset that forbids the home nodes). */
        uint64_t failed_shared, failed_busy, failed_no_memory, failed_gone, failed_other; /* pages */
        uint64_t remembered_pages;     /* of failed_busy: not tried, as they had failed in an earlier move (goal.stubborn) */
        uint64_t skipped_policy_bytes; /* left: explicit policy of the application */
        uint64_t skipped_room_bytes;   /* left: the home nodes have no room */
        uint64_t n_calls;              /* of move_pages(), asking included */
        uint64_t longest_slice_usec, last_slice_usec;
        /* Of move_pages() calls that move, during which the process waits for each page of the kernel's present batch that it touches: the longest, and all
         * together. What a slice takes beyond these is reading and asking, which stalls nobody. */
        uint64_t longest_call_usec, calls_usec;
        bool process_vanished; /* some process ended meanwhile */
        bool shared_unsure; /* processes of the service came while it was found out who shares its pages: some of failed_shared may be its own */
        /* What goal.stubborn had and what would not move now. The mover's: good while no slice runs, and until mover_free(); for the service's next
         * move keep a stubborn_copy(). NULL: this mover does not tell. */
        const struct stubborn *stubborn;
};

struct mover;
/* Copies the processes, the cgroup and the goal; borrows what act is made of, host and topology. -EINVAL: no home node has memory. `cgroup`: each slice first checks that the process is still the one
 * (start time) and still in this cgroup or below it: an excluded or unmatched service is never touched. "pid:…" skips the cgroup check. */
int mover_new(const struct act *act, const struct host *h, const struct topology *t, const char *cgroup,
              const struct process_ref *processes, size_t n_processes, const struct move_goal *goal, struct mover **ret);
struct mover *mover_free(struct mover *m);

/* Moves up to about budget_bytes (a huge page, or what may be one, may overshoot), in about 100 ms at most where the kernel lets it. Returns 1: more
 * to do; 0: the end of the last process was reached; negative errno: -ENOMEM, -ENOSYS, -EROFS (dry run); or, once the end was reached,
 * -EPERM, -EACCES (target outside the tasks' cpusets), -EBADMSG or -ERANGE (numa_maps in an unknown form) where that is why no page could be moved
 * at all. A process that ends is no failure, nor is one of several that cannot be dealt with. */
int mover_slice(struct mover *m, uint64_t budget_bytes);
const struct move_result *mover_result(const struct mover *m);
/* Others allocate meanwhile: so much (n_ids entries) may be put on each node at present, whatever was given in goal.room_bytes. While no slice runs. */
void mover_see_room(struct mover *m, const uint64_t *bytes_by_node);
/* From any thread: does the slice that runs read the maps of a companion's process at this moment? Where it hangs there, its own service is not to blame.
 * Returns which of theirs, counted through all of them from 1; 0: none. */
size_t mover_waits_for_companion(const struct mover *m);
