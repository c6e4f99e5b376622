/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the planner must remember from cycle to cycle about each service: where it was placed, when, what it moved,
 * and its smoothed CPU demand. Keyed by cgroup path, kept sorted; entries of services gone for a while are dropped.
 * The planner only reads it; history_update() and, when a transition starts and ends, history_record_…() write. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"
#include "core/sample.h"

struct history_entry {
        char *cgroup;
        bool placed; /* `home` holds */
        struct node_set home;
        bool has_former;             /* the two following hold */
        struct node_set former_home; /* that it left for this one, */
        uint64_t left_usec;          /* and when */
        unsigned restless;           /* how often it changed home of late, as of left_usec: history_patience_usec() */
        uint64_t since_usec;         /* when it was first seen, or got this home: so long all has been as it is */
        uint64_t rule_key;           /* what its rule demands, as a number; 0: no rule */
        uint64_t rule_usec;          /* when that changed; 0: never */
        uint64_t placed_usec;        /* when this home was decided: kept when a later transition goes to the same home */
        uint64_t started_usec;       /* when the last transition began; 0: never */
        uint64_t settled_usec;       /* when the last transition to it ended; 0: never. Before started: it is under way */
        uint64_t widened_usec;       /* when memory nodes were last given back under pressure; 0: never, or over */
        unsigned n_widened;          /* how often they were, of late: the wait before they are narrowed again doubles with each */
        uint64_t crowded_usec; /* since then less crowding alone has spoken for another home, plan after plan; 0: it does not … */
        unsigned crowded_plans;  /* … and so many plans have said so */
        uint64_t demand_mcpu;    /* smoothed CPU demand in thousandths of a CPU */
        uint64_t wait_mcpu;      /* smoothed time that it waited for CPUs (PSI), the same way */
        bool demand_known;       /* demand_mcpu was measured at least once */
        uint32_t *share_by_node; /* smoothed share of CPU time in millionths, n_ids entries; NULL: not seen yet */
        uint64_t *fixed_by_node; /* bytes that the last deep read found not ours to move, n_ids entries; NULL: no deep read yet */
        uint64_t *borrowed_by_node; /* what it found mapped and charged to others; NULL: nothing */
        unsigned n_ids;
        uint64_t peak_bytes;      /* most resident bytes seen, decaying slowly */
        uint64_t unmovable_bytes; /* found by the last move: still off home and not worth another try … */
        uint64_t retry_usec;      /* … before this time */
        unsigned n_failed_moves;  /* in a row that left something behind: the wait before a retry doubles with each */
        unsigned
                shared_processes; /* the last move left much that is shared among so many processes, as after a fork; 0: it did not */
        unsigned n_shared_looks;    /* so often in a row it was found so, … */
        uint64_t shared_again_usec; /* … and is looked at again at this time */
        bool failed;                /* the last transition had no effect at all: nothing is tried before retry_usec */
        bool refused;               /* so did its last cpuset: the next is tried before anything is moved for it */
        /* As the last move left it, which is what tells whether the kernel has undone it since; history-undone.c. */
        bool kept_known;             /* the following hold */
        bool kept_own;               /* kept_kernel_ and kept_demoted_bytes are the service's own, not the machine's */
        bool undone_by_demotion;     /* the last time mostly: else by the balancing */
        bool undone_by_both;         /* the last time: the other had a part in it */
        uint64_t kept_bytes;         /* resident */
        uint64_t kept_off_bytes;     /* out of place */
        uint64_t kept_kernel_bytes;  /* had been moved by the kernel's balancing, … */
        uint64_t kept_demoted_bytes; /* … and by its demotion */
        unsigned n_undone;           /* how often it has, of late … */
        uint64_t undone_usec;        /* … the last time */
        uint64_t undone_bytes;       /* … and how much then */
        unsigned n_balanced;         /* each by itself: so many of these times the balancing had a part … */
        unsigned n_demoted;          /* … or demotion. None of both: remembered by who did not tell them apart */
        uint64_t balanced_usec;      /* … the last time it had */
        uint64_t demoted_usec;
        unsigned n_little;    /* so many moves, of late and less those that brought more, brought little home; history-little.c */
        uint64_t little_usec; /* when the last that did began */
        uint64_t deep_usec;   /* when numa_maps was last read; 0: never */
        unsigned deep_processes;   /* so many processes it had then */
        bool deep_again;           /* there is reason to believe that it says something else now */
        uint64_t deep_start_ticks; /* its first process then: what follows is said of no other */
        bool self_managed, has_bound_mappings, maps_incomplete, binds_threads;
        struct node_set thread_nodes;
        char *own_policy;
        uint64_t interleave_key; /* of the weights by which its pages were last interleaved (plan.h); 0: they were not */
        bool seen;               /* internal: in this cycle */
        uint64_t last_seen_usec;
};

struct history {
        struct history_entry *entries;
        size_t n_entries, capacity;
};

/* Time constants of the smoothing, and how long a service that is gone is remembered. */
#define HISTORY_DEMAND_TAU_USEC  (60ULL * 1000000ULL)
#define HISTORY_SHARE_TAU_USEC   (300ULL * 1000000ULL) /* memory must not run after every thread that moves */
#define HISTORY_PEAK_TAU_USEC    (3600ULL * 1000000ULL)
#define HISTORY_FORGET_USEC      (600ULL * 1000000ULL)
#define HISTORY_RETRY_USEC       (600ULL * 1000000ULL)   /* after a first failed move, then twice that, … */
#define HISTORY_SHARED_USEC      (120ULL * 1000000ULL)   /* where it was shared after a fork, which often is over soon */
#define HISTORY_FAILED_USEC      (30ULL * 1000000ULL)    /* after a transition that had no effect, the same way … */
#define HISTORY_FAILED_DOUBLINGS 11u                     /* … up to 17 hours: each try may move memory for nothing */
#define HISTORY_UNABLE_DOUBLINGS 4u                      /* … and up to 8 minutes where it could not be tried */
#define HISTORY_PATIENCE_USEC    (900ULL * 1000000ULL)   /* after one change of home, doubled for each further one, … */
#define HISTORY_CALM_USEC        (14400ULL * 1000000ULL) /* … of which one is forgotten after so long; … */
#define HISTORY_RESTLESS_MAX     6u                      /* … so many at most */
#define HISTORY_UNDONE_USEC                                                                                                      \
        (60ULL * 1000000ULL)         /* or a longer cooldown: twice that after what the kernel undid, then four times, … */
#define HISTORY_UNDONE_DOUBLINGS 10u /* … up to 17 hours */
#define HISTORY_UNDONE_CALM_USEC (14400ULL * 1000000ULL) /* a move that lasted so much longer than that has not been undone */
#define HISTORY_WIDENED_USEC     (60ULL * 1000000ULL) /* or a longer cooldown: twice that after the second time under pressure, … */
#define HISTORY_WIDENED_MAX      9u                   /* … up to four hours */
#define HISTORY_LITTLE_DOUBLINGS 6u                   /* little that is off home waits for up to 64 cooldowns */
#define HISTORY_RETRY_DOUBLINGS  7u                   /* … up to 128 times: a little less than a day */

struct history_entry *history_find(const struct history *h, const char *cgroup);
/* Finds or creates; NULL when memory ran out. Pointers into the history are invalidated by creation. */
struct history_entry *history_get(struct history *h, const char *cgroup);
/* Takes in one cycle's samples (smooths demand and shares: exponential with a time constant of about 60 s, 300 s of *time*,
 * not cycles) and forgets services not seen for 10 minutes. A sample without a CPU window leaves the demand as it was.
 * Returns 0 or -ENOMEM (what was taken in stays). */
int history_update(struct history *h, const struct service_sample *samples, size_t n_samples, unsigned n_ids, uint64_t now_usec);
/* A sample that is not deep is told what the last deep read said of its policy, and of what it borrows (rules that move shared pages), if its first
 * process is still the same. 0 or -ENOMEM. */
int history_recall(const struct history *h, struct service_sample *s, unsigned n_ids);
/* Of the sample's bytes on this node, a sample that is not deep, what the last deep read found not to be ours to move. What it found borrowed is none of them
 * where the sample was not told of it: by another rule, or of another process. */
uint64_t history_fixed_bytes(const struct history_entry *e, const struct service_sample *s, unsigned node);
/* How old its home must be before it is left for a better one, where threads go where they like and memory follows: nothing for a service
 * that has kept its homes; a quarter of an hour after one change of home of late, doubled for each further one. Every four hours one change
 * is forgotten, so all are after a day; a changed rule forgets them at once. */
uint64_t history_patience_usec(const struct history_entry *e, uint64_t now_usec);
/* Has this service a home that was decided? */
bool history_is_placed(const struct history *h, const char *cgroup);
void history_done(struct history *h);
/* A copy that owns all it has: what a plan was made from stays as it was. Returns 0 or -ENOMEM (nothing is set). */
int history_copy(const struct history *h, struct history *ret);
/* What failed is tried anew without waiting: the administrator changed something, or asks for it. */
void history_forgive(struct history *h);

/* What the manager reports. A transition starts: home decided (memory, or where memory is untouched CPUs). */
int history_record_placed(struct history *h, const char *cgroup, const struct node_set *home, uint64_t now_usec);
/* It ended: `unmovable_bytes` are still off home and could not be moved (0, or less than 256 KiB: all is home). Does
 * nothing for an unknown service. */
void history_record_settled(struct history *h, const char *cgroup, uint64_t unmovable_bytes, uint64_t now_usec);
/* After history_record_settled(): much of what is off home is shared among so many processes, or (0) it is not. That is often over soon (a process forks to
 * write a snapshot, say): tried again when there are fewer of them, after two minutes, and the later the more often it was in vain. */
void history_record_shared(struct history *h, const char *cgroup, size_t n_processes, uint64_t now_usec);
/* For history.c. What would not move may do so now; and its memory map, which says what may be moved, is old. */
void history_look_again(struct history_entry *e);
/* Fewer processes than shared it, or it is time: what was shared may be its own again. */
void history_update_shared(struct history_entry *e, const struct service_sample *s, uint64_t bytes, uint64_t now_usec);
/* It ended without effect, and not because the service ended: a cpuset was refused, nothing may be moved, … The planner waits longer
 * after each such end in a row before it wants the same again. */
void history_record_failed(struct history *h, const char *cgroup, uint64_t now_usec);
/* The same, but for a reason of ours, of which the service will know nothing once it is over: the wait does not grow past eight minutes. */
void history_record_unable(struct history *h, const char *cgroup, uint64_t now_usec);
/* A cpuset of it was refused, or accepted and without effect; or (false) one took effect. */
void history_record_refused(struct history *h, const char *cgroup, bool refused);
/* Its pages have been interleaved by these weights (interleave_key() of core/plan.h), or (0) moved in another way. */
void history_record_interleaved(struct history *h, const char *cgroup, uint64_t key);
/* A plan said, or did not say, that less crowding alone speaks for another home than it has. */
void history_record_crowded(struct history *h, const char *cgroup, bool crowded, uint64_t now_usec);
/* The memory nodes that we had narrowed were given back: they stay so for history_widened_wait_usec(), of the same cooldown. */
void history_record_widened(struct history *h, const char *cgroup, uint64_t cooldown_usec, uint64_t now_usec);
/* So long after widened_usec they are not narrowed again: the rule's cooldown, and where being narrowed brought the pressure back soon, twice as long
 * each time. Four hours without, after that wait, are long enough to begin anew. */
uint64_t history_widened_wait_usec(const struct history_entry *e, uint64_t cooldown_usec);

/* history-little.c: little that is off home waits, the longer the more often in a row only little was. */
/* Less than this share of its memory that could be moved and is off home is little: 98 % of it are home. */
#define HISTORY_LITTLE_SHARE 50u
bool history_is_little(uint64_t off_bytes, uint64_t bytes);
/* So long little is left where it is, beyond the cooldown; 0: not at all. `e` may be NULL. `cooldown_usec`: its rule's. After the second move in a row that
 * brought little twice that, counted from its end, then four times, up to 64. */
uint64_t history_little_wait_usec(const struct history_entry *e, uint64_t cooldown_usec, uint64_t now_usec);
/* After history_record_placed(): a move begins and brings little to the home that it has, or (false) more than that, which takes one off the row. The row
 * ends with another home, another rule, history_forgive(), or four hours in which little could have been moved and was not. Does nothing for an
 * unknown service. */
void history_record_little(struct history *h, const char *cgroup, bool little, uint64_t cooldown_usec, uint64_t now_usec);

/* history-undone.c: the kernel (struct machine_sample) takes back what a move did. */
enum undone_by {
        UNDONE_BY_NOBODY,
        UNDONE_BY_BALANCING, /* a page goes to the thread that uses it */
        UNDONE_BY_DEMOTION,  /* an unused one to slower memory */
        /* Both had a part in it; named first is whose was larger. */
        UNDONE_BY_BALANCING_AND_DEMOTION,
        UNDONE_BY_DEMOTION_AND_BALANCING,
};
const char *undone_by_to_string(enum undone_by by); /* "the kernel's own balancing has", "… and … have": of more than nobody */
enum undone_by undone_mostly_by(enum undone_by by); /* the one, or the larger part: UNDONE_BY_BALANCING or _DEMOTION */
enum undone_by undone_also_by(enum undone_by by);   /* the other, or nobody */
const char *undone_by_name(enum undone_by by);      /* of one alone: "balancing", "demotion"; NULL: nobody */
/* A move has ended, and this is what it left: `s` was read after it, and `off_bytes` of it are out of place. Does nothing for an unknown service. */
void history_record_kept(struct history *h, const struct service_sample *s, unsigned n_ids, uint64_t off_bytes,
                         const struct machine_sample *machine);
/* `off_bytes` are out of place now (`s` is deep): how many of them the kernel must have put there since; 0: fewer than `tolerated_bytes`, or
 * it has not moved that much, or nothing is known. What was allocated since is taken to be among those out of place. */
uint64_t history_undone_bytes(const struct history *h, const struct service_sample *s, unsigned n_ids, uint64_t off_bytes,
                              uint64_t tolerated_bytes, const struct machine_sample *machine, enum undone_by *ret_by);
/* So it is: the next move waits, twice as long after each further one. */
void history_record_undone(struct history *h, const char *cgroup, uint64_t bytes, enum undone_by by, uint64_t cooldown_usec,
                           uint64_t now_usec);
/* How often of late UNDONE_BY_BALANCING or _DEMOTION had a part in it; 0: never, or it is off by now. `e` may be NULL. */
unsigned history_undone_times(const struct history_entry *e, const struct machine_sample *machine, enum undone_by by);
/* So long its memory is not moved within its home; 0: it may be. What is off by now undoes nothing again. `cooldown_usec`: its rule's. */
uint64_t history_undone_wait_usec(const struct history_entry *e, const struct machine_sample *machine, uint64_t cooldown_usec,
                                  uint64_t now_usec);
enum undone_by history_undone_by(const struct history_entry *e); /* the last time; NULL: nobody */
