/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager runs the cycle: observe → decide → act → verify. This header is for the manager's own files (manager*.c, cycle*.c,
 * transition*.c) and for those who make one: main.c in an environment that is this machine, sim/ in a simulated one. All of it lives on one
 * event loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "act/record.h"
#include "act/restore.h"
#include "core/backoff.h"
#include "core/history.h"
#include "core/throttle.h"
#include "cycle.h"
#include "environment.h"
#include "manager-balancing.h"
#include "manager-notes.h"
#include "report/bus-names.h"
#include "report/bus.h"
#include "report/events.h"

/* Transitions at the same time; further ones wait for their turn. */
#define TRANSITIONS_MAX 4u
/* Of these, those whose rule has a migrate-rate of its own: the others do not wait for all of them. */
#define TRANSITIONS_SLOW_MAX (TRANSITIONS_MAX - 1)
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

#define LEFT_OUT_TEXT                                                                                                            \
        "more cgroups, processes or threads than are looked at (LIMITS in numabalanced(8)): "                                    \
        "some services, or where some of their threads ran, are not seen"

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

struct transition;

/* Somebody waits for the next observation. */
struct look {
        sd_bus_message *call;
        uint64_t mcpu, bytes; /* wants advice for a service of that size; mcpu 0: the plan */
};

struct manager_stats {
        uint64_t started_usec, n_cycles, by_wake[_WAKE_MAX], moved_bytes, n_moves, n_failed, last_cycle_cpu_usec,
                total_observe_cpu_usec;
};

struct manager {
        struct manager_options options;
        struct environment *env; /* borrowed, as are the next two, which are its */
        sd_bus *bus;             /* system bus; NULL: none */
        const struct host *host;
        struct bus_service *bus_service;
        struct topology *topology;
        struct config_ref *config;
        char **limitations;
        char *online, *online_last; /* host_online() when the topology was read, and by the last cycle */
        struct env_timer *timer;    /* the next cycle */
        sd_event_source *signal_sources[4];

        /* Changing something. */
        struct act dry; /* every change goes through manager_act(): the environment's or this */
        bool have_dry;
        int lock_fd;      /* one daemon at a time changes the machine; negative: not held */
        bool lock_denied; /* another one holds it: dry run */
        bool paused;
        struct record *record;
        LIST_HEAD(transition_list, transition) transitions;
        unsigned n_transitions, n_restoring;
        unsigned n_restoring_services;    /* of these: the others are kernel.numa_balancing */
        struct throttle machine_throttle; /* bytes moved */
        struct balancing balancing;

        /* The cycle. */
        struct cycle *cycle; /* under way, or NULL */
        struct cycle *last;  /* the last that was decided, or NULL */
        struct cycle *whole; /* the last of these whose plan was made whole: see plan_next() */
        unsigned n_deep_pending;
        size_t deep_turn; /* index of the service whose memory map is read next where the budget does not reach to all */
        bool screen_running, screen_late; /* late: said so */
        int screen_error;                 /* the last could not be made, for this reason: said so; 0: it was */
        unsigned n_complete_screens;      /* in a row, while `sparing` */
        bool sparing;                     /* the budget for observing does not pay for all threads: said so */
        bool left_out;                    /* the machine is past what is looked at: said so */
        struct throttle scan_budget;      /* CPU µs spent on observing */
        uint64_t cycle_cpu_usec;          /* of the cycle; */
        uint64_t screen_cpu_usec;         /* of its screen alone, which is what the next will cost at least */

        /* What is known of the services. */
        struct history history;
        struct service_note **notes; /* sorted by cgroup; pointers are stable */
        size_t n_notes, notes_capacity;

        /* When the next cycle begins: manager-wake.c. */
        uint64_t interval_usec; /* now, between interval and max-interval */
        uint64_t next_cycle_usec;
        enum wake next_wake, last_wake; /* why then, and why the last cycle began */
        bool urgent;                    /* the next is an urgent one, and the budget for observing does not put it off */
        unsigned n_urgent_left;         /* that many may be */
        uint64_t urgent_earned_usec;    /* when one of them was last earned */
        uint64_t measure_usec;          /* when those that have just appeared are, or were, looked at early; 0: never */

        /* Being told early: manager-watch.c. */
        struct env_watch *watch; /* NULL: nobody tells us anything */
        struct watch_counts watched;
        struct env_timer *glance_timer;
        int watch_error;     /* told */
        bool watch_left_out; /* told, that it is past our own limits */

        /* Leaving: manager-exit.c. */
        bool exiting, exit_restoring;
        int exit_status;
        struct env_timer *exit_timer;

        /* Who has asked: manager-restore.c and manager-look.c. */
        sd_bus_message *restore_call; /* a Restore() that waits for its outcomes */
        struct json_object *restore_results;
        unsigned n_awaited; /* services that it waits for */
        struct look looks[LOOKS_MAX];
        unsigned n_looks;
        struct cycle *looked; /* the last that was only looked at, or NULL */
        struct env_timer *look_timer;

        struct events *events;
        struct manager_stats stats;
};

/* manager.c */

/* Borrows the environment, which must outlive it. Negative errno, having said what is wrong; -EBADMSG: the configuration has errors. */
int manager_new(const struct manager_options *options, struct environment *env, struct manager **ret);
struct manager *manager_free(struct manager *m);
/* Offers itself on the bus and begins the first cycle; all else happens on the environment's loop. Negative errno, having said why. */
int manager_start(struct manager *m);
/* A job of the environment's, beside the loop; see worker_submit(). */
int manager_submit(struct manager *m, const struct job_ops *ops, void *arg, uint64_t deadline_usec);
void manager_notify(struct manager *m, const char *state); /* sd_notify(3) */
void manager_update_status(struct manager *m);             /* STATUS= of it */
uint64_t manager_now(const struct manager *m);             /* CLOCK_BOOTTIME of this loop iteration */
bool manager_is_dry(const struct manager *m);
/* Every change of the machine goes through it, and nothing happens in a dry run; borrowed. */
const struct act *manager_act(const struct manager *m);

/* manager-exit.c */

int manager_watch_exit(struct manager *m);
/* Ends what is under way, gives back what the configuration says, and then leaves with this exit status. Once; later calls do nothing. */
void manager_begin_exit(struct manager *m, int status);

/* manager-wake.c: when the next cycle begins */

/* In `delay_usec`, if it would begin later and as far as the budget for observing goes. */
void manager_wake_for(struct manager *m, uint64_t delay_usec, enum wake why);
void manager_wake(struct manager *m, uint64_t delay_usec); /* WAKE_STEP */
/* Looks because of events are so far apart at least: the interval, or half a minute where that is longer. */
uint64_t manager_events_apart_usec(const struct manager *m);
/* Something has happened to `who`: at most one cycle in that time, however often. */
void manager_wake_by_event(struct manager *m, enum wake why, const char *who);
/* Memory nodes that we narrowed are to be given back: at once, a few times, and then like other events. */
void manager_wake_urgently(struct manager *m, enum wake why, const char *who);
void manager_woken(struct manager *m, enum wake why); /* a cycle begins */

/* manager-acting.c: what changes need. Both log what goes wrong and return a negative errno. */

/* The operations for a dry run, the lock unless this is one, and the record. */
int manager_open_acting(struct manager *m);
/* One daemon at a time changes the machine; 0 also where it is held already. -EWOULDBLOCK: another one has it. */
int manager_take_lock(struct manager *m);
/* Where somebody else has set a cpuset that was ours, it is theirs from now on: in the samples and in `applied` (of manager_applied()). */
void manager_find_foreign(struct manager *m, struct cycle *c, struct applied *applied);
/* Would the change touch a side that somebody else has set, as `now` has it, so that it restrains something? `e`: what is on record of the cgroup, or NULL.
 * No plan has such a change: it was set after the look that this one was decided on. */
bool manager_is_foreign(const struct record_entry *e, const struct cpuset_state *now, const struct cpuset_change *c);

/* manager-config.c. -EBADMSG: it has errors; after any error the old one stays. `ret_error`, if not NULL, may then get all error lines in one text (heap). */

int manager_load_config(struct manager *m, char **ret_error);
/* With notifications and journal. -ESHUTDOWN: the daemon is leaving. */
int manager_reload(struct manager *m, char **ret_error);

/* manager-decide.c */

/* Takes the reference to the cycle, whose observation is complete. Says what goes wrong. */
void manager_decide(struct manager *m, struct cycle *c);
/* cycle.c: which of our cpusets are in force, from the record. Heap array sorted by cgroup, as the record is, that borrows from it; or -ENOMEM. */
int manager_applied(const struct manager *m, struct applied **ret, size_t *ret_n);

/* manager-place.c: what becomes of the placement of the i-th service that was observed */

/* Carries it out, or holds it back and puts the reason into the plan. Does the service still want something, so that the next look should come at the
 * normal interval? */
bool manager_place(struct manager *m, struct cycle *c, size_t i);
/* So long from now until what this cycle has seen for the first time has been measured: its own time counts, and a machine that is slow to look at must
 * not wait for longer. */
uint64_t manager_measured_in_usec(const struct manager *m, const struct cycle *c);
/* Of a cycle that decides nothing: what manager_place() would make of this placement, without doing it. */
void manager_foresee(struct manager *m, struct cycle *c, size_t i);
unsigned manager_n_active(const struct manager *m); /* transitions that do not wait for a stuck process */
/* Is this a time at which the configuration lets changes be made? */
bool manager_window_is_open(const struct manager *m, const struct cycle *c);

/* manager-restore.c: restoring, for on-exit, for Restore() and for services that no rule matches any more. What comes of it is told by the journal and, where
 * somebody waits for it, on the bus. */

/* While a transition of it has a change under way this waits for the change's end: two writers of one cpuset have no order. Counts in n_restoring until it
 * is done. -ENOENT: nothing of it is on record; -EALREADY: under way; or another negative errno. */
int manager_restore_one(struct manager *m, const char *cgroup);
void manager_tell_late_restores(struct manager *m); /* once each */
/* The transition of this service has ended: begins the restore that waited for it, if any. `n` may be NULL. */
void manager_restore_waiting(struct manager *m, struct service_note *n);
/* What no rule manages any more, or was not seen for long: within the windows, or where memory runs short. */
void manager_restore_orphans(struct manager *m, const struct cycle *c);
/* What was asked for and failed: again, less and less often. */
void manager_restore_asked(struct manager *m, const struct cycle *c);
/* Answers `call` later; `unit` may be a pattern, and is "" for all. -ENOENT: nothing of it is on record; -EBUSY: another one is being answered;
 * -EPERM: another daemon has the lock. */
int manager_restore_request(struct manager *m, const char *unit, sd_bus_message *call);
void manager_restore_all_for_exit(struct manager *m);
/* For the answer to who asked, if anybody did. */
void manager_restore_result(struct manager *m, const char *unit, const char *cgroup, const char *outcome, const char *detail);
void manager_restore_ended(struct manager *m); /* one of n_restoring: answers who asked, where it was the last */

/* manager-look.c: the plan and advice for who asks */

/* Answers `call`, now or later. -EBUSY: too many ask; -ETIMEDOUT: looking takes too long; -ESHUTDOWN: the daemon is leaving; or another negative errno. */
int manager_request_plan(struct manager *m, sd_bus_message *call);
/* The same with where a service of `mcpu` thousandths of a CPU and so many bytes should start. */
int manager_request_advice(struct manager *m, uint64_t mcpu, uint64_t bytes, sd_bus_message *call);
void manager_looked(struct manager *m, struct cycle *c); /* decided, or only planned: then takes the reference */
void manager_look_failed(struct manager *m, int error);  /* negative errno, for all who wait */
void manager_look_done(struct manager *m);

/* manager-hold.c: pause and held services, on disk */

int manager_hold_load(struct manager *m);  /* negative errno, having said what is wrong; a damaged file is a pause */
void manager_hold_save(struct manager *m); /* what cannot be written is in the journal */

/* manager-told.c: to the journal and to the history of events */

void manager_tell_decision(struct manager *m, const struct service_sample *s, const struct placement *p, bool dry_run);
void manager_tell_moved(struct manager *m, const struct move_report *r);
void manager_tell_blocked(struct manager *m, const struct service_sample *s, const char *reason);
void manager_tell_undone(struct manager *m, const struct undone_report *r);
/* `error`: negative errno where it failed; `detail` may be NULL. */
void manager_tell_restored(struct manager *m, const char *unit, const char *cgroup, enum restore_outcome outcome, int error,
                           const char *detail);

/* manager-watch.c: what is to be watched, so that we are told early */

int manager_watch_begin(struct manager *m); /* 0 also where there is nothing to watch; or a negative errno */
void manager_watch_done(struct manager *m);
/* What is to be watched after this cycle. */
void manager_watch_update(struct manager *m, const struct cycle *c);
/* Have nodes or CPUs come or gone since the topology was read? As of the last cycle; said when it happens. */
bool manager_hotplugged(const struct manager *m);
/* Has somebody's memory been narrowed without a way of hearing of its pressure? Then looking must not be put off. */
bool manager_is_blind(const struct manager *m);
struct json_object *manager_watch_json(const struct manager *m); /* a reference of its own; NULL: no memory */

/* manager-units.c */

int manager_watch_units(struct manager *m); /* the service manager's signals about units; 0 or a negative errno */

/* manager-bus.c */

extern const struct bus_callbacks manager_bus_callbacks;
struct json_object *manager_list_json(struct manager *m); /* all services; a reference of its own; NULL: no memory */
int manager_watch_bus(struct manager *m);                 /* leaves with a failure when the connection is lost */

/* transition.c: one service's way home */

/* Begins to carry out the placement of the service at `index`. 0: it is under way, or has ended already and said why; a negative errno: nothing was
 * begun. It ends by itself; borrowed pointers to it hold until the loop's next turn. */
int transition_start(struct manager *m, struct cycle *c, size_t index);
/* The next observation of this service (`index` -1: it was not seen), for verifying; called for every transition after each decision. May end it. */
void transition_observed(struct transition *t, struct cycle *c, ssize_t index);
/* Ends it as soon as nothing of it runs, perhaps at once. `why`: static text. */
void transition_cancel(struct transition *t, const char *why);
struct transition *transition_free(struct transition *t); /* takes NULL, returns NULL */

struct transition *transition_find(const struct manager *m, const char *cgroup); /* NULL: the service has none */
struct transition *transition_next(struct transition *t);                        /* in the manager's list; NULL: the last */
const struct service_sample *transition_service(const struct transition *t);     /* as it was decided upon */
const char *transition_cgroup(const struct transition *t);
bool transition_is_changing(const struct transition *t); /* a change of its cpusets is under way */
bool transition_is_late(const struct transition *t);     /* waits for a slice or a change that does not return */
/* Is a process of it moved with another service at this time? One that went from one cgroup to another below it can be in two observations. */
bool transition_has_process_of(const struct manager *m, const struct service_sample *s);
/* Is the other's memory to be on the same nodes, as of the plan that this one follows? */
bool transition_goes_to(const struct transition *t, const char *cgroup);
bool transition_wants_observation(const struct transition *t); /* to verify it */
/* When it began, if it may have moved pages since; 0: it only waits, or widens. */
uint64_t transition_moves_since_usec(const struct transition *t);
/* Would a memory map whose reading began then serve to verify it? */
bool transition_accepts(const struct transition *t, uint64_t read_began_usec);
const char *transition_describe(const struct transition *t); /* "moving: 45M of 98M"; borrowed, valid until the next call */
