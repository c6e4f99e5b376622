/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One cycle of the manager's: what was observed at one time and what was decided on it; who is read for it and who is not; and what a
 * read has found for the cycles after it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/companions.h"
#include "core/plan.h"
#include "core/sample.h"

struct deep_sample;
struct manager;
struct rest;
struct service_note;
struct transition;

/* A configuration that several cycles can hold on to while a newer one is in force. */
struct config_ref {
        unsigned n_ref;
        struct config *config;
};
struct config_ref *config_ref_unref(struct config_ref *c); /* takes NULL, returns NULL */

/* One observation and what was decided on it; transitions hold on to the cycle they were decided in. */
struct cycle {
        unsigned n_ref;
        struct config_ref *config;
        struct observation *observation; /* NULL until the screen is done */
        size_t *bonds;                   /* services_bond() of the observation; NULL until they are asked for */
        struct plan *plan;               /* NULL until decided */
        struct cycle_input *input;       /* what else the plan was made from; NULL until decided */
        uint64_t started_usec;           /* CLOCK_BOOTTIME */
        bool planned_whole;              /* from the beginning, not from the plan before: plan_next() */
        bool look_only;                  /* somebody asked what would be done: nothing is */
        atomic_bool companion_hangs;     /* whoever is read from now on is read without those that it may share memory with */
};
struct cycle *cycle_ref(struct cycle *c);
struct cycle *cycle_unref(struct cycle *c); /* takes NULL, returns NULL */
/* Index of the service in the observation, or -1. */
ssize_t cycle_find(const struct cycle *c, const char *cgroup);

/* cycle.c: the screen, and when all is in */

/* Begins one, which is decided when all that it needs was read; where one is under way that one serves. 0, or a negative errno: none is. */
int cycle_begin(struct manager *m);
/* It could not be made, or (0) could be: said where it is news. */
void cycle_tell_failed(struct manager *m, int error);
/* What the loop does with what was read comes out of the budget for observing, too: from begin to end, without anything in between. The CPU time of this
 * thread so far, in µs. */
uint64_t cycle_loop_begin(const struct manager *m);
void cycle_loop_end(struct manager *m, uint64_t began_usec);
/* A memory map is in, or late: where it was the last that the cycle waited for, decides. */
void cycle_read_done(struct manager *m);

/* cycle-maps.c: which memory maps */

/* Begins to read those that are wanted, or puts in what is known of them. */
void cycle_read_maps(struct manager *m, struct cycle *c);
/* What a late read found, once it is too old. */
void cycle_forget_kept(struct service_note *n, uint64_t now_usec);
void cycle_free_kept(struct service_note *n); /* at once */

/* cycle-deep.c: one of them */

/* Begins to read it. 0 or negative errno. */
int cycle_start_deep(struct manager *m, struct cycle *c, size_t index);
/* A map that cannot be read now is not asked for again at once, and the planner's wish for it does not hurry the next cycle. */
void cycle_put_off_deep(struct manager *m, struct service_note *n);

/* cycle-aside.c: a process that does not let itself be read is left out until it does */

/* `process`: its index in the sample. False: it cannot be left out, the service itself is to be left alone. */
bool aside_add(struct service_note *n, const struct service_sample *s, size_t process);
/* The same of one that has come to the service since it was listed. */
bool aside_add_newcomer(struct service_note *n, const struct process_ref *p);
void aside_remove(struct service_note *n, const struct process_ref *p);
void aside_leave_out(const struct service_note *n, struct service_sample *s);

/* A process that was found to hang by who read it as a companion's. */
struct hung {
        const char *cgroup; /* its own, in the cycle's observation; NULL: none, or there was no memory */
        struct process_ref process;
        bool alone; /* its service counts as stuck because of this, not it alone */
};
/* The companions' process of this number is left out of all reads until it is released, or its service where that has no other. */
struct hung hung_leave_out(struct manager *m, const struct cycle *c, const struct companions *companions, size_t number);
void hung_release(struct manager *m, const struct hung *h);

/* cycle-companions.c: who shares memory with whom */

int cycle_find_bonds(struct cycle *c); /* once; 0 or -ENOMEM */
/* Does the rule of one keep it together with the other, and do both have shared pages moved? Known once bonds were found. */
bool cycle_is_bonded(const struct cycle *c, size_t index, size_t other);
/* Who may share memory with the service without keeping it from moving, going by where it lives or will live. `t`: its transition, for whose mover it is:
 * those alone that go where it goes; or NULL. 0 (free with companions_done()) or -ENOMEM. */
int cycle_companions(struct manager *m, struct cycle *c, size_t index, const struct transition *t, struct companions *ret);
/* When one of those that it shares memory with last began or ended to be moved, perhaps with what they share; 0: never. */
uint64_t cycle_company_moved_usec(const struct manager *m, const struct cycle *c, size_t index);

/* cycle-rest.c: a service that did nothing since its memory map was read is not read again */

/* Keeps what a read found; `s` is as the screen left it, `companions_key` who its companions were. Takes `map` where it is kept (then it is NULL afterwards). */
void rest_keep(const struct manager *m, struct service_note *n, const struct service_sample *s, uint64_t began_usec,
               uint64_t companions_key, struct deep_sample **map);
/* What the service's memory map said, borrowed from the note; NULL where that may no longer be so. */
const struct deep_sample *rest_find(const struct manager *m, const struct service_note *n, const struct service_sample *s,
                                    uint64_t companions_key, uint64_t company_moved_usec, uint64_t now_usec);
uint64_t rest_began_usec(const struct rest *r); /* when its map was read */
struct rest *rest_free(struct rest *r);         /* takes NULL, returns NULL */

/* manager-explain.c: how the cycle's plan came about */

/* Copies what the planner was given, with the cycle: the history goes on. 0 or -ENOMEM. */
int cycle_keep_input(struct cycle *c, const struct plan_input *in);
struct cycle_input *cycle_input_free(struct cycle_input *i); /* takes NULL, returns NULL */
/* What the cycle's plan was made from, borrowed from it; false: `c` is NULL or was not decided. Holds while the topology is the same. */
bool cycle_plan_input(const struct manager *m, const struct cycle *c, struct plan_input *ret);
/* As plan_explain(); -ENODATA: the cycle was not decided. */
int cycle_explain(const struct manager *m, const struct cycle *c, size_t index, struct explanation *ret);
