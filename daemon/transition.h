/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a transition, shared by transition.c (the order of steps), transition-steps.c (cpusets) and transition-move.c (pages). */
#pragma once

#include "manager.h"

/* widen → move → narrow → verify, and back to move while the verification still finds pages elsewhere. */
enum phase {
        PHASE_WIDEN,
        PHASE_MOVE,
        PHASE_NARROW,
        PHASE_VERIFY, /* waits for the next observation */
        PHASE_UNDO,
        PHASE_DONE,
};

struct transition {
        LIST_ENTRY(transition) entry;
        struct manager *m;
        struct cycle *decided; /* the cycle it was decided in, */
        size_t index;          /* and its service and placement there */
        struct cycle *seen;    /* the latest observation: processes to move */
        size_t seen_index;

        enum phase phase;
        struct target target;
        struct cpuset_state before;  /* when it began, where it has a cpuset */
        struct cpuset_change change; /* under way, or the last */
        struct record_entry noted;   /* what was on record before that; without names */
        bool was_noted;
        uint64_t change_began_usec, narrow_usec;
        bool changing;    /* a change is under way */
        bool change_late; /* and does not return: said so */
        bool refused;     /* a change was refused, or came to nothing */
        bool written;     /* the widening: all of it or a part, or the service manager may still do so */
        bool cpus_first;  /* they were restricted before anything is moved */
        bool probed;      /* a cpuset that restrains nothing was set first, to see whether one can be */
        bool mems_wait;   /* memory nodes are to be narrowed, once what is left off home was counted; */
        bool counted;     /* it was, and they may be */
        bool mems_follow; /* they are changed next, once the CPUs are: these wait for no hung thread */

        struct service_note *note; /* with what is remembered from move to move; stays while this does */
        struct env_mover *mover;
        bool slice_running, slice_late;
        struct companions companions; /* of the present mover */
        bool at_companion;            /* late: it reads of one of these, which does not let go: */
        struct hung hung;             /* that one */
        uint64_t slice_budget_bytes;  /* of the slice that runs; 0: it only looks */
        uint64_t mover_moved_bytes, mover_failed_pages, mover_calls_usec; /* of the present mover, as of its last slice */
        struct move_result total;                                         /* of all passes */
        unsigned n_passes, n_shallow;
        uint64_t room_left_bytes; /* of the home nodes, as last seen and less what was moved since */
        uint64_t pool_left_bytes; /* the same for its hugetlb pages, as far as their pools reach */
        uint64_t started_usec, next_room_check_usec, verify_from_usec;

        /* Turns: transition-turn.c. */
        enum {
                TURN_NONE,
                TURN_WAITS,  /* for others' slices */
                TURN_CALLED, /* its timer is set for now */
        } turn;
        uint64_t slice_began_usec;
        uint64_t served_bytes;  /* moved, and what others had moved when it began */
        uint64_t wanted_bytes;  /* the next slice */
        bool waits_for_machine; /* for its share of the machine's rate */

        /* Holding back. */
        struct backoff backoff;
        bool looks; /* the job that runs reads the pressure */
        struct pressure_totals pressure;
        struct pressure_meter memory_meter, cpu_meter;
        uint64_t next_look_usec, next_pause_look_usec, rest_until_usec;
        bool holds; /* the two following hold */
        enum hold_cause hold_cause;
        uint64_t hold_began_usec;
        uint64_t held_usec[_HOLD_CAUSE_MAX];
        uint64_t pass_began_usec, moving_usec; /* time in all passes that have ended; waits before the first are none of it */

        struct env_timer *timer;
        bool kernel_went_first; /* the kernel's own balancing has had its time before the first pass */
        bool begins_late;       /* its first pass has waited until whoever begins in the same cycle has begun */
        bool unable;            /* no thread was left to move its pages: others' doing */
        bool cancelled;
        const char *why;         /* static text: why it was cancelled or given up */
        const char *why_partial; /* static text: why a pass ended early */
        int error;
};

/* Each begins its step and sees to it that transition_next_phase() or transition_fail() follows, possibly at once. */
void transition_widen(struct transition *t);
void transition_move(struct transition *t);
void transition_narrow(struct transition *t);
void transition_undo(struct transition *t);

void transition_enter(struct transition *t, enum phase phase);
void transition_fail(struct transition *t, int error, const char *why);
/* Its memory does not come: its CPUs, which went ahead, go back, and so do what only tried whether they could, and a widening that failed half-way. */
void transition_give_back(struct transition *t);
/* transition-end.c. Ends it: tells the journal what the kernel says now, and frees it. `now`: the verifying observation, NULL if there is none. */
void transition_finish(struct transition *t, const struct service_sample *now);
uint64_t transition_refused_bytes(const struct transition *t); /* what the last pass could not move */
int transition_arm(struct transition *t, uint64_t delay_usec);
void transition_slice_due(void *userdata);           /* the timer: another slice of pages may be moved */
void transition_end_pass_time(struct transition *t); /* counts the time of a pass that ends here */
void transition_take_result(struct transition *t);   /* of the present mover, if any, which is not needed any more */
void transition_drop_mover(struct transition *t);

/* transition-turn.c */

/* When the next slice of wanted_bytes may begin, and what it waits for until then; now: at once. What waits for others' slices is called by
 * turn_pass_on(). */
uint64_t turn_when(struct transition *t, uint64_t now, enum hold_cause *ret_cause);
/* It neither waits nor was called. */
void turn_leave(struct transition *t);
/* Calls those who wait, as far as there are turns; to be called whenever a slice, a wait or a transition ends. */
void turn_pass_on(struct manager *m, uint64_t now);

/* transition-room.c */

/* Others allocate too while we move: looked at each second, and whenever what was there is used up. Returns whether it was looked at. */
bool transition_look_at_room(struct transition *t);
/* So much was moved: it is not there any more for t, nor for others that go to the same nodes. */
void transition_take_room(struct transition *t, uint64_t moved_bytes);
/* What is moved in the time between two looks, at the speed so far. */
uint64_t transition_near_bytes(const struct transition *t);

/* transition-companions.c */

/* Before it widens or moves: it is to wait for those that it shares memory with, and its timer, transition_slice_due(), is set for another look. */
bool transition_waits_for_companion(struct transition *t);

/* transition-goal.c */

/* A goal for the mover with what it borrows. */
struct transition_goal {
        struct move_goal goal;
        uint64_t *room, *want;
        uint32_t *weight;
        struct companions companions;
};
/* Within what is free by the latest observation. -ENOMEM; free in any case. */
int transition_make_goal(const struct transition *t, struct transition_goal *g);
void transition_goal_done(struct transition_goal *g);
/* How many movable bytes are not where they belong, by a deep sample; 0 where what is left is not worth another pass by its kind. */
uint64_t transition_left_bytes(const struct transition *t, const struct service_sample *s);
/* Is so little of its memory off home that its memory nodes may be narrowed? The kernel moves all that is. */
bool transition_may_narrow(const struct transition *t, const struct service_sample *s);
/* Should its CPUs be given back, going by what the placement is for? */
bool transition_made_worse(const struct transition *t, const struct service_sample *s);

static inline const struct service_sample *transition_sample(const struct transition *t) {
        return &t->decided->observation->services[t->index];
}
/* By its rule, over all moves. */
static inline struct throttle *transition_throttle(const struct transition *t) {
        return &t->note->throttle;
}
static inline const struct placement *transition_placement(const struct transition *t) {
        return &t->decided->plan->placements[t->index];
}
