/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager runs the cycle: observe → decide → act → verify. This header is for the manager's own files (manager*.c, cycle.c,
 * transition.c) and for those who make one: main.c in an environment that is this machine, sim/ in a simulated one. All of it lives on one
 * event loop. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "act/record.h"
#include "act/restore.h"
#include "core/backoff.h"
#include "core/history.h"
#include "core/pace.h"
#include "core/throttle.h"
#include "environment.h"
#include "report/bus-names.h"
#include "report/bus.h"
#include "report/events.h"

/* Transitions at the same time; further ones wait for their turn. */
#define TRANSITIONS_MAX 4u
/* Where only a memory map is missing for a decision, the next look comes so soon. */
#define DEEP_SOON_USEC (200 * USEC_PER_MSEC)
/* One service's numa_maps, or one slice of moving, must be done by then or the service counts as stuck. */
#define DEEP_DEADLINE_USEC  (10 * USEC_PER_SEC)
#define SLICE_DEADLINE_USEC (60 * USEC_PER_SEC)
/* The same for looking at the whole machine, and for a change of a cpuset: systemd is given 90 s to answer. */
#define SCREEN_DEADLINE_USEC (60 * USEC_PER_SEC)
#define CHANGE_LATE_USEC     (2 * USEC_PER_MINUTE)
/* A service is measured over at least this time before it is placed. */
#define WARM_UP_USEC (2 * USEC_PER_SEC)
/* Processes of one service whose readers have not returned: with more the service as a whole counts as stuck. */
#define ASIDE_MAX 4u
/* Who asks for a plan or for advice at the same time. */
#define LOOKS_MAX 64u

/* Why a cycle begins. */
enum wake {
        WAKE_TIMER,    /* its time has come */
        WAKE_STEP,     /* something that is under way goes on: a verification, a memory map, a first measurement */
        WAKE_REQUEST,  /* somebody wants it: start, reload, resume, a plan */
        WAKE_UNIT,     /* the service manager tells of a unit */
        WAKE_CGROUP,   /* a cgroup has got or lost its processes, or is new */
        WAKE_CPU,      /* a service that is restricted to CPUs has begun to wait for them */
        WAKE_PRESSURE, /* a service whose memory nodes we narrowed waits for memory */
        WAKE_NODE,     /* such a service's memory nodes run short of it */
        _WAKE_MAX,
};
const char *wake_to_string(enum wake w);

#define HOTPLUGGED_TEXT                                                                                                          \
        "The machine's nodes or CPUs are not what they were at the start: restart the daemon to have that considered"

struct manager;

/* How the process was started (main.c owns the strings). */
struct manager_options {
        const char *config_file; /* NULL: the standard places */
        const char *runtime_dir; /* "/run/numabalanced"; NULL: no lock, and a record in memory, for simulations */
        bool once, dry_run;
        /* With `once`: is enough known, and printing it; from once.c, which those who do not print need not link. */
        bool (*once_is_complete)(const struct manager *m);
        int (*once_print)(struct manager *m);
};

/* A configuration that several cycles can hold on to while a newer one is in force. */
struct config_ref {
        unsigned n_ref;
        struct config *config;
};
struct config_ref *config_ref_unref(struct config_ref *c);

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
struct cycle *cycle_unref(struct cycle *c);
/* Index of the service in the observation, or -1. */
ssize_t cycle_find(const struct cycle *c, const char *cgroup);

/* What the manager remembers of a service beside the planner's history: said, held, stuck. */
struct service_note {
        char *cgroup;
        char *last_reason; /* of the last decision or block that was logged */
        enum service_state last_state;
        struct node_set last_home;
        unsigned n_said;    /* that it is blocked, or what a dry run would do, lately: one is forgotten each hour */
        uint64_t said_usec; /* since when they are counted */
        bool held;          /* restored by the administrator: not placed until resume */
        bool stuck;         /* a deep read or slice of it has not returned, */
        pid_t stuck_pid;    /* … of this process, where that is known; 0: it is not */
        struct process_ref aside[ASIDE_MAX]; /* … or one of one of these processes alone: the others are read all the same */
        unsigned n_aside;
        bool without_companions;      /* a process of one of them has not let go of a read, or of our mover: read without */
        bool slow;                    /* its memory map takes long: it is read beside the cycles */
        bool reading;                 /* that is under way */
        bool restoring, restore_late; /* late: said so */
        uint64_t restoring_usec;      /* since when */
        bool restore_waits;           /* for the end of a change that is under way */
        uint64_t first_seen_usec;     /* under a rule; 0: never */
        bool wants_deep;              /* the planner asked for its memory map */
        bool keep_deep;               /* a change is due and held back: its memory map is read at every cycle until then */
        bool deep_put_off;            /* the budget for observing did not reach to it in this cycle */
        uint64_t deep_cost_usec;      /* of the last read of it; 0: none yet */
        struct deep_sample *kept;     /* what a late read found, or NULL; */
        struct cycle *kept_cycle;     /* it began with this observation, */
        size_t kept_index;            /* of this service in it, */
        uint64_t kept_began_usec;     /* at this time */
        struct rest *rest;            /* its last memory map, for as long as it does nothing; NULL: none */
        bool restore_asked;           /* by the administrator, and not done yet: tried until it is, or until resume */
        unsigned n_restore_failed;    /* in a row */
        uint64_t restore_again_usec;  /* not by itself before this */
        unsigned n_deep_failed;       /* reads of it in a row that failed or came late */
        uint64_t deep_again_usec;     /* none before this */
        bool waits_for_turn;          /* only held back until it is measured, or by other transitions */
        struct stubborn *stubborn;    /* what of its memory would not move; NULL: nothing, or not known */
        uint64_t undone_until_usec;   /* a placement made things worse: none before this */
        uint64_t absent_since_usec;   /* of entries in the record whose cgroup is not seen; 0: seen */
        uint64_t last_seen_usec;
        uint64_t moved_usec;       /* when the last transition of it that may have moved pages ended; 0: never */
        struct pace pace;          /* what moving its pages has taught */
        struct throttle throttle;  /* its rule's migrate-rate, once it was moved */
        uint64_t cpu_pressed_usec; /* last told that it waits for CPUs */
};

/* The kernel's own balancing: what it is set to, and how far we have come with switching it off or giving it back. */
struct balancing {
        bool there;    /* this kernel has it */
        unsigned mode; /* kernel.numa_balancing when last looked at */
        bool in_force; /* what is on record as ours was seen in force by this process */
        bool yielded;  /* somebody else set it after us: left alone until a reload or resume */
        bool changing, giving_back;
        bool unanswered;              /* a writer was begun and has not ended */
        bool give_back_next;          /* with changing: only once that is over, so that the two writers cannot pass each other */
        unsigned wanted;              /* with changing: what was asked for … */
        uint64_t until_usec;          /* … and how long that may take */
        unsigned n_failed;            /* in a row */
        uint64_t again_usec;          /* not before this */
        struct env_timer *timer;      /* looks whether it is in force */
        bool told;                    /* which rules it will undo, … */
        unsigned told_mode;           /* … at this setting */
        const struct config *told_of; /* … of this configuration; compared only */
};

struct transition;
struct deep_job;
struct rest;

/* Somebody waits for the next observation. */
struct look {
        sd_bus_message *call;
        uint64_t mcpu, bytes; /* wants advice for a service of that size; mcpu 0: the plan */
};

struct manager_stats {
        uint64_t started_usec, n_cycles, moved_bytes, n_moves, n_failed, last_cycle_cpu_usec, total_observe_cpu_usec,
                by_wake[_WAKE_MAX];
};

struct manager {
        struct manager_options options;
        struct environment *env; /* borrowed, as are the next two, which are its */
        sd_bus *bus;             /* system bus; NULL: none */
        const struct host *host;
        struct bus_service *bus_service;
        struct topology *topology;
        struct config_ref *config;
        struct act dry; /* every change goes through manager_act(): the environment's or this */
        bool have_dry;
        struct record *record;
        int lock_fd;      /* one daemon at a time changes the machine; negative: not held */
        bool lock_denied; /* another one holds it: dry run */
        struct history history;
        char **limitations;

        struct env_timer *timer, *exit_timer;
        sd_event_source *signal_sources[4];
        struct cycle *cycle; /* under way, or NULL */
        struct cycle *last;  /* the last that was decided, or NULL */
        struct cycle *whole; /* the last of these whose plan was made whole: see plan_next() */
        unsigned n_deep_pending;
        size_t deep_turn; /* index of the service whose memory map is read next where the budget does not reach to all */
        bool screen_running, screen_late; /* late: said so */
        unsigned n_complete_screens;      /* in a row, while `sparing` */
        bool sparing;                     /* the budget for observing does not pay for all threads: said so */
        uint64_t cycle_cpu_usec,
                screen_cpu_usec; /* of the cycle; of its screen alone, which is what the next will cost at least */

        struct service_note **notes; /* sorted by cgroup; pointers are stable */
        size_t n_notes, notes_capacity;

        LIST_HEAD(transition_list, transition) transitions;
        unsigned n_transitions, n_restoring;

        struct throttle machine_throttle; /* bytes moved */
        struct throttle scan_budget;      /* CPU µs spent on observing */
        uint64_t interval_usec;           /* now, between interval and max-interval */
        uint64_t next_cycle_usec;
        enum wake next_wake, last_wake; /* why then, and why the last cycle began */
        bool urgent;                    /* the next is an urgent one, and the budget for observing does not put it off */
        unsigned n_urgent_left;         /* that many may be */
        uint64_t urgent_earned_usec;    /* when one of them was last earned */
        struct env_watch *watch;        /* NULL: nobody tells us anything */
        struct watch_counts watched;
        struct env_timer *glance_timer;
        int watch_error;            /* told */
        bool watch_left_out;        /* told, that it is past our own limits */
        char *online, *online_last; /* host_online() when the topology was read, and by the last cycle */
        uint64_t measure_usec;      /* when those that have just appeared are, or were, looked at early; 0: never */
        bool paused, exiting, exit_restoring;
        int exit_status;
        sd_bus_message *restore_call; /* a Restore() that waits for its outcomes */
        struct json_object *restore_results;

        struct look looks[LOOKS_MAX];
        unsigned n_looks;
        struct cycle *looked; /* the last that was only looked at, or NULL */
        struct env_timer *look_timer;
        struct events *events;
        struct balancing balancing;

        struct manager_stats stats;
};

/* manager.c */
/* Borrows the environment, which must outlive it. -EBADMSG: the configuration has errors. Has said what is wrong. */
int manager_new(const struct manager_options *options, struct environment *env, struct manager **ret);
struct manager *manager_free(struct manager *m);
/* Offers itself on the bus and begins the first cycle; all else happens on the environment's loop. */
int manager_start(struct manager *m);
/* A job of the environment's, beside the loop; see worker_submit(). */
int manager_submit(struct manager *m, const struct job_ops *ops, void *arg, uint64_t deadline_usec);
void manager_notify(struct manager *m, const char *state);
const struct act *manager_act(const struct manager *m);
bool manager_is_dry(const struct manager *m);
uint64_t manager_now(const struct manager *m); /* CLOCK_BOOTTIME of this loop iteration */
/* manager-wake.c */
/* Lets the next cycle begin in `delay_usec`, if it would begin later and as far as the budget for observing goes. */
void manager_wake_for(struct manager *m, uint64_t delay_usec, enum wake why);
void manager_wake(struct manager *m, uint64_t delay_usec); /* WAKE_STEP */
/* Looks because of events are so far apart at least: the interval, or half a minute where that is longer. */
uint64_t manager_events_apart_usec(const struct manager *m);
/* Something has happened to `who`: at most one cycle in that time, however often. */
void manager_wake_by_event(struct manager *m, enum wake why, const char *who);
/* Memory nodes that we narrowed are to be given back: at once, a few times, and then like other events. */
void manager_wake_urgently(struct manager *m, enum wake why, const char *who);
void manager_woken(struct manager *m, enum wake why); /* a cycle begins */
void manager_begin_exit(struct manager *m, int status);
void manager_update_status(struct manager *m); /* sd_notify STATUS= */
/* What failed, or would not move, is tried anew without waiting: the administrator changed something, or asks for it. */
void manager_forgive(struct manager *m);
void service_note_free(struct service_note *n);
struct service_note *manager_note(struct manager *m, const char *cgroup); /* finds or makes; NULL: no memory */
int manager_watch_exit(struct manager *m);                                /* manager-exit.c */
/* manager-acting.c: the lock, the record, the operations */
int manager_open_acting(struct manager *m);
int manager_take_lock(struct manager *m);
/* Where somebody else has set a cpuset that was ours, it is theirs from now on: in the samples and in `applied` (of manager_applied()). */
void manager_find_foreign(struct manager *m, struct cycle *c, struct applied *applied);
struct service_note *manager_find_note(const struct manager *m, const char *cgroup);

/* manager-config.c */
int manager_load_config(struct manager *m, char **ret_error); /* -EBADMSG: the old one stays; ret_error may be NULL */
int manager_reload(struct manager *m, char **ret_error);      /* with notifications and journal */

/* cycle.c */
int cycle_begin(struct manager *m);
/* What the loop does with what was read comes out of the budget for observing, too: from begin to end, without anything in between. */
uint64_t cycle_loop_begin(const struct manager *m);
void cycle_loop_end(struct manager *m, uint64_t began);
/* cycle-deep.c: begins to read the memory maps that are wanted, or puts in what is known of them. */
void cycle_read_maps(struct manager *m, struct cycle *c);
void cycle_forget_kept(struct service_note *n, uint64_t now_usec); /* what a late read found, once it is too old */
void cycle_read_done(struct manager *m);                           /* one is in: decides where it was the last */
/* cycle-aside.c: a process that does not let itself be read is left out until it does. */
bool aside_add(struct service_note *n, const struct service_sample *s,
               size_t process); /* false: the service itself is to be left alone */
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
/* cycle-companions.c */
int cycle_find_bonds(struct cycle *c); /* once; 0 or -ENOMEM */
/* Does the rule of one keep it together with the other, and do both have shared pages moved? Known once bonds were found. */
bool cycle_is_bonded(const struct cycle *c, size_t index, size_t other);
/* Who may share memory with the service without keeping it from moving, going by where it lives or will live. `t`: its transition, for whose mover it is:
 * those alone that go where it goes; or NULL. 0 (free with companions_done()) or -ENOMEM. */
int cycle_companions(struct manager *m, struct cycle *c, size_t index, const struct transition *t, struct companions *ret);
/* When one of those that it shares memory with last began or ended to be moved, perhaps with what they share; 0: never. */
uint64_t cycle_company_moved_usec(const struct manager *m, const struct cycle *c, size_t index);
/* cycle-rest.c: a service that did nothing since its memory map was read is not read again. */
/* Keeps what a read found; `s` is as the screen left it, `companions_key` who its companions were. Takes `map` where it is kept (then it is NULL afterwards). */
void rest_keep(struct service_note *n, const struct service_sample *s, unsigned n_ids, uint64_t began_usec,
               uint64_t companions_key, struct deep_sample **map);
/* What the service's memory map said, or NULL where that may no longer be so. */
const struct deep_sample *rest_find(const struct manager *m, const struct service_note *n, const struct service_sample *s,
                                    uint64_t companions_key, uint64_t company_moved_usec, uint64_t now_usec);
uint64_t rest_began_usec(const struct rest *r); /* when its map was read */
struct rest *rest_free(struct rest *r);
/* The part of deciding that starts things: in manager-decide.c */
void manager_decide(struct manager *m, struct cycle *c);
unsigned manager_n_active(const struct manager *m); /* transitions that do not wait for a stuck process */
/* Which of our cpusets are in force, from the record. Heap array sorted by cgroup that borrows from the record. */
int manager_applied(const struct manager *m, struct applied **ret, size_t *ret_n);

/* manager-explain.c: how the cycle's plan came about. What the planner was given is kept with the cycle, because the history goes on. */
int cycle_keep_input(struct cycle *c, const struct plan_input *in);
struct cycle_input *cycle_input_free(struct cycle_input *i);
/* What the cycle's plan was made from, borrowed from it; false: `c` is NULL or was not decided. Holds while the topology is the same. */
bool cycle_plan_input(const struct manager *m, const struct cycle *c, struct plan_input *ret);
/* -ENODATA: the cycle was not decided. */
int cycle_explain(const struct manager *m, const struct cycle *c, size_t index, struct explanation *ret);

/* manager-restore.c: restoring, for on-exit, for Restore() and for services that no rule matches any more */
/* While a transition of it has a change under way this waits for the change's end: two writers of one cpuset have no order. */
int manager_restore_one(struct manager *m, const char *cgroup);
void manager_tell_late_restores(struct manager *m); /* once each */
/* The transition of this service has ended: begins the restore that waited for it, if any. */
void manager_restore_waiting(struct manager *m, struct service_note *n);
void manager_restore_orphans(struct manager *m, const struct cycle *c);
void manager_restore_asked(struct manager *m,
                           const struct cycle *c); /* what was asked for and failed: again, less and less often */
int manager_restore_request(struct manager *m, const char *unit, sd_bus_message *call);
void manager_restore_all_for_exit(struct manager *m);

void manager_restore_result(struct manager *m, const char *unit, const char *cgroup, const char *outcome, const char *detail);
void manager_restore_ended(struct manager *m); /* one of n_restoring: answers who asked, where it was the last */

/* manager-balancing.c: the kernel's own balancing */
/* Looks at it, and switches it off or gives it back where the configuration says so and changes may be made. At every cycle. */
void manager_balancing_check(struct manager *m, bool may_change);
int manager_balancing_look(struct manager *m); /* 0, -ENOENT: this kernel has none, or another negative errno */
/* Gives back what is on record; counts in n_restoring until that is done. -ENOENT: nothing is; -EALREADY: under way. */
int manager_balancing_restore(struct manager *m);
void manager_balancing_forgive(struct manager *m); /* a reload, or resume: tried anew */
void manager_balancing_done(struct manager *m);
char *manager_balancing_describe(const struct manager *m); /* one sentence; NULL: no memory */
/* A placement that is about to be carried out: does it redo what the kernel has undone? Then that is said and remembered, and true returned. */
bool manager_balancing_undid(struct manager *m, const struct cycle *c, size_t i);
/* The move that was decided in cycle `then` has ended, `now` shows what it left, and `refused_bytes` would not move: remembered for that. Returns how many
 * bytes of what it moved were taken back in between, having said so. */
uint64_t manager_balancing_settled(struct manager *m, const struct cycle *then, size_t then_index, const struct cycle *now,
                                   size_t now_index, uint64_t refused_bytes);

/* manager-look.c: the plan and advice for who asks. Requests return 0 (answered now or later), -EBUSY or another negative errno. */
int manager_request_plan(struct manager *m, sd_bus_message *call);
int manager_request_advice(struct manager *m, uint64_t mcpu, uint64_t bytes, sd_bus_message *call);
void manager_looked(struct manager *m, struct cycle *c); /* decided, or only planned: then takes the reference */
void manager_look_failed(struct manager *m, int error);
void manager_look_done(struct manager *m);
/* Of a cycle that decides nothing: what decide would make of this placement, without doing it. In manager-decide.c. */
void manager_foresee(struct manager *m, struct cycle *c, size_t i);

/* manager-hold.c: pause and held services, on disk */
int manager_hold_load(struct manager *m);
void manager_hold_save(struct manager *m); /* what cannot be written is in the journal */

/* manager-told.c: to the journal and to the history */
void manager_tell_decision(struct manager *m, const struct service_sample *s, const struct placement *p, bool dry_run);
void manager_tell_moved(struct manager *m, const struct move_report *r);
void manager_tell_blocked(struct manager *m, const struct service_sample *s, const char *reason);
void manager_tell_undone(struct manager *m, const struct undone_report *r);
void manager_tell_restored(struct manager *m, const char *unit, const char *cgroup, enum restore_outcome outcome, int error,
                           const char *detail);

/* manager-watch.c */
int manager_watch_begin(struct manager *m);
void manager_watch_done(struct manager *m);
/* What is to be watched after this cycle. */
void manager_watch_update(struct manager *m, const struct cycle *c);
/* Have nodes or CPUs come or gone since the topology was read? As of the last cycle; said when it happens. */
bool manager_hotplugged(const struct manager *m);
/* Has somebody's memory been narrowed without a way of hearing of its pressure? Then looking must not be put off. */
bool manager_is_blind(const struct manager *m);
struct json_object *manager_watch_json(const struct manager *m); /* NULL: no memory */

/* manager-units.c */
int manager_watch_units(struct manager *m);

/* manager-bus.c */
extern const struct bus_callbacks manager_bus_callbacks;
struct json_object *manager_list_json(struct manager *m);
int manager_watch_bus(struct manager *m); /* leaves with a failure when the connection is lost */

/* transition.c */
struct transition *transition_next(struct transition *t);
struct transition *transition_free(struct transition *t);
int transition_start(struct manager *m, struct cycle *c, size_t index);
const struct service_sample *transition_service(const struct transition *t); /* as it was decided upon */
const char *transition_cgroup(const struct transition *t);
struct transition *transition_find(const struct manager *m, const char *cgroup);
/* The next observation of this service, for verifying; called for every transition after each decision. */
void transition_observed(struct transition *t, struct cycle *c, ssize_t index);
bool transition_is_changing(const struct transition *t); /* a change of its cpusets is under way */
bool transition_is_late(const struct transition *t);     /* waits for a slice or a change that does not return */
/* Is a process of it moved with another service at this time? One that went from one cgroup to another below it can be in two observations. */
bool transition_has_process_of(const struct manager *m, const struct service_sample *s);
/* Is the other's memory to be on the same nodes, as of the plan that this one follows? */
bool transition_goes_to(const struct transition *t, const char *cgroup);
bool transition_wants_observation(const struct transition *t);
/* When it began, if it may have moved pages since; 0: it only waits, or widens. */
uint64_t transition_moves_since_usec(const struct transition *t);
/* Would a memory map whose reading began then serve to verify it? */
bool transition_accepts(const struct transition *t, uint64_t read_began_usec);
const char *transition_describe(const struct transition *t); /* "moving: 45M of 98M"; borrowed, valid until the next call */
void transition_cancel(struct transition *t, const char *why);
