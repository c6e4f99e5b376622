/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager remembers of each service from cycle to cycle, beside the planner's history: what was said of it, what keeps it from
 * being read or moved, and what reading and moving it has taught. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "act/stubborn.h"
#include "core/pace.h"
#include "core/plan.h"
#include "core/sample.h"
#include "core/throttle.h"

/* Processes of one service whose readers have not returned: with more the service as a whole counts as stuck. */
#define ASIDE_MAX 4u
/* What is said of a service that is `held`. */
#define MANAGER_HELD_TEXT "restored by the administrator, waits for resume"

struct cycle;
struct deep_sample;
struct manager;
struct rest;

/* Times are the clock's of manager_now(). */
struct service_note {
        char *cgroup;
        uint64_t first_seen_usec;   /* under a rule; 0: never */
        uint64_t absent_since_usec; /* of entries in the record whose cgroup is not seen; 0: seen */
        uint64_t last_seen_usec;

        /* Said. */
        char *last_reason; /* of the last decision or block that was logged */
        enum service_state last_state;
        struct node_set last_home;
        unsigned n_said;    /* that it is blocked, or what a dry run would do, lately: one is forgotten each hour */
        uint64_t said_usec; /* since when they are counted */

        /* Held. */
        bool held;                  /* restored by the administrator: not placed until resume */
        bool waits_for_turn;        /* only held back until it is measured, or by other transitions */
        uint64_t undone_until_usec; /* a placement made things worse: none before this */
        unsigned n_relief_failed;   /* in a row: giving its memory nodes back while memory runs short; */
        uint64_t relief_again_usec; /* … not before this */
        bool doubted;   /* its cpuset was not what it looked like when it was to be changed: the kernel is asked for it */
        bool restoring; /* its former cpusets are being given back, */
        uint64_t restoring_usec;      /* … since when; */
        bool restore_late;            /* … late: said so */
        bool restore_awaited;         /* by who asked for it over the bus, and is to be answered */
        bool restore_waits;           /* for the end of a change that is under way */
        bool restore_asked;           /* by the administrator, and not done yet: tried until it is, or until resume */
        unsigned n_restore_failed;    /* in a row, */
        uint64_t restore_failed_usec; /* … the last time: not at once again by itself */

        /* Stuck. */
        bool stuck;                          /* a deep read or slice of it has not returned, */
        pid_t stuck_pid;                     /* … of this process, where that is known; 0: it is not */
        struct process_ref aside[ASIDE_MAX]; /* … or one of one of these processes alone: the others are read all the same */
        unsigned n_aside;
        bool without_companions; /* a process of one of them has not let go of a read, or of our mover: read without */

        /* Its memory map. */
        bool slow;                /* it takes long: it is read beside the cycles, */
        bool reading;             /* … which is under way */
        bool wants_deep;          /* the planner asked for it */
        bool keep_deep;           /* a change is due and held back: it is read at every cycle until then */
        bool deep_put_off;        /* the budget for observing did not reach to it in this cycle */
        uint64_t deep_cost_usec;  /* CPU time of the last read; 0: none yet */
        unsigned n_deep_failed;   /* reads in a row that failed or came late */
        uint64_t deep_again_usec; /* none before this */
        struct deep_sample *kept; /* what a late read found, or NULL; */
        struct cycle *kept_cycle; /* … it began with this observation, */
        size_t kept_index;        /* … of this service in it, */
        uint64_t kept_began_usec; /* … at this time */
        struct rest *rest;        /* the last, for as long as the service does nothing; NULL: none */

        /* Moving it. */
        struct stubborn *stubborn; /* what of its memory would not move; NULL: nothing, or not known */
        uint64_t moved_usec;       /* when the last transition of it that may have moved pages ended; 0: never */
        struct pace pace;          /* what moving its pages has taught */
        struct throttle throttle;  /* its rule's migrate-rate, once it was moved */
        uint64_t cpu_pressed_usec; /* last told that it waits for CPUs */
};

/* The service's, made where there is none; borrowed, and stays where it is until it is forgotten. NULL: no memory. */
struct service_note *manager_note(struct manager *m, const char *cgroup);
/* Borrowed; NULL: nothing is remembered of it. */
struct service_note *manager_find_note(const struct manager *m, const char *cgroup);
/* Is a process of it known that does not let go of who reads it? A change of memory nodes would wait for the same with all cgroups locked, and whoever has its
 * address space locked need not be in state D, as which act/waiting would find him: FUSE waits interruptibly. NULL: none is. */
bool service_note_hangs(const struct service_note *n);
/* What failed, or would not move, is tried anew without waiting: the administrator changed something, or asks for it. */
void manager_forgive(struct manager *m);
void service_note_free(struct service_note *n);
