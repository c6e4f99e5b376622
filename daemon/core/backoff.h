/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a move holds back for the service's or the machine's sake: pressure over time, and what it says of going on, slower, later or not at all. All of
 * it is arithmetic on what was measured; time is an argument. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/util.h"

/* ---- pressure ---- */

/* Stall time since boot, "some" of cpu.pressure and memory.pressure (Documentation/accounting/psi.rst). */
struct pressure_totals {
        bool has_memory, has_cpu;
        uint64_t memory_usec, cpu_usec;
};

/* One of these totals over time. All zero: not looked at yet. */
struct pressure_meter {
        bool seen;
        uint64_t first_usec, first_total_usec; /* when it was first looked at */
        uint64_t last_usec, last_total_usec;   /* and when it last gave an answer */
};
/* The share of time in thousandths since the last answer, or -1 where that cannot be told yet: the kernel brings its totals up to date every two
 * seconds only. */
int pressure_share(struct pressure_meter *m, uint64_t total_usec, uint64_t now_usec);
/* The same since it was first looked at; -1 before two seconds have passed. */
int pressure_share_of_all(const struct pressure_meter *m);

/* ---- holding back ---- */

/* Why a move did not go on at once. */
enum hold_cause {
        HOLD_RATE,   /* migrate-rate, of the rule or the machine, and others' turns under it */
        HOLD_TURN,   /* others' slices */
        HOLD_MEMORY, /* the service's memory pressure rose */
        HOLD_CPU,    /* its CPU pressure rose */
        HOLD_ROOM,   /* free memory of the home nodes runs out */
        HOLD_KERNEL, /* its own balancing goes first: kernel_goes_first_usec() */
        _HOLD_CAUSE_MAX,
};
const char *hold_cause_to_string(enum hold_cause cause); /* "migrate-rate", "memory-pressure", … */

/* Rises over what it was before the move, in thousandths of the time, from which on it is slowed, or slowed at once as far as that goes (for memory
 * pressure: paused), and below which it recovers. */
#define BACKOFF_MEMORY_SLOW  100
#define BACKOFF_MEMORY_PAUSE 250
#define BACKOFF_MEMORY_CALM  50
#define BACKOFF_CPU_SLOW     200
#define BACKOFF_CPU_MUCH     400
#define BACKOFF_CPU_CALM     100
/* A pause lasts so long at least. Memory pressure and a lack of room that stay for so long end the move, and so do so many pauses for memory pressure. */
#define BACKOFF_PAUSE_LEAST_USEC  (2 * USEC_PER_SEC)
#define BACKOFF_MEMORY_LIMIT_USEC (60 * USEC_PER_SEC)
#define BACKOFF_ROOM_LIMIT_USEC   (10 * USEC_PER_SEC)
#define BACKOFF_PAUSES_MAX        6u
/* CPU pressure slows and ends nothing: all that a move takes is a part of one CPU, and where none is idle it rises for many other reasons. Whether it is
 * us is asked by a pause of two of the kernel's periods: what stays is none of our doing, and what comes on top later may be none, too. Asked so often
 * at most, once it was not us, or once it was. */
#define BACKOFF_CPU_ASK_USEC    (4 * USEC_PER_SEC)
#define BACKOFF_CPU_NOT_US_USEC (20 * USEC_PER_SEC)
#define BACKOFF_CPU_IS_US_USEC  (60 * USEC_PER_SEC)
/* Levels: full speed, then rests of once, three and seven times as long as slices take, then none at all. For CPU pressure no more than three times: the
 * same work takes as much from the service in the end, and nearer memory gives that back. */
#define BACKOFF_CPU_SLOWEST 2u
#define BACKOFF_SLOWEST     3u
#define BACKOFF_PAUSED      4u

struct backoff {
        int before_memory, before_cpu; /* thousandths of the time, before the move */
        bool restricted;               /* right before: what it waits for may be that, and is asked at once */
        uint64_t ask_again_usec;       /* whether its CPU pressure is our doing */
        unsigned level;
        enum hold_cause cause; /* of a level above 0 */
        unsigned n_slowest;    /* looks in a row that found it bad at BACKOFF_SLOWEST */
        unsigned n_pauses;
        uint64_t paused_usec; /* since when, at BACKOFF_PAUSED */
        const char *give_up;  /* static text, once it is hopeless: why */
};
struct backoff_look {
        uint64_t now_usec;
        int memory_permille, cpu_permille; /* since the last look; -1: nothing new is known */
        uint64_t room_bytes; /* that the home nodes have above keep-free and watermarks; UINT64_MAX: not looked at */
        uint64_t near_bytes; /* with less than this it is about to run out: what can be moved until the next look */
};
/* What is not known (-1) counts as nothing. `restricted`: its CPUs were, right before. Where its CPU pressure then rises, it is asked at once whether that
 * is why. */
void backoff_init(struct backoff *b, int memory_permille, int cpu_permille, bool restricted);
/* Takes in one look and sets the level, or give_up. Between slowing and calm the level stays as it is. */
void backoff_look(struct backoff *b, const struct backoff_look *look);
/* How long to rest after a slice that took so long; what is paused rests until the next look. */
uint64_t backoff_rest_usec(const struct backoff *b, uint64_t slice_usec);
