/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine in memory and in virtual time with the real manager on it: nodes, services with threads and memory, a scheduler, a kernel with its
 * cpusets, a service manager, and time that passes only when it is told to. For tests/sim and `numabalancectl simulate`.
 *
 * What is a model, and how coarse. Memory is counted in bytes by node and kind, not page by page. Threads are at most SIM_GROUPS_MAX groups per service; each
 * runs on some node that its cpuset allows, leaves an overloaded one for the least loaded, and now and then wanders for no reason; what is used
 * beyond a node's CPUs is lost, and felt as pressure. Memory that grows is allocated where threads run, and where that is full on the nearest node that
 * the cpuset allows. Moving takes time by a rate, and fails for pages that are pinned, busy or shared. Speed is not modelled: locality is not
 * either faster or slower.
 *
 * Everything follows from the settings, the seed and what is called: the same again gives the same course, byte for byte. Failing
 * to allocate is reported as -ENOMEM where a function can, and otherwise ends the program: nothing here runs in the daemon. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "act/ops.h"
#include "core/rule.h"
#include "core/sample.h"
#include "core/topology.h"
#include "core/util.h"

#define SIM_GROUPS_MAX    8u
#define SIM_PROCESSES_MAX 64u
#define SIM_SERVICES_MAX  10000u
#define SIM_NEWS_MAX      3u /* kinds of struct watch_event */
/* Virtual time begins here: the machine has been up for a while. */
#define SIM_START_USEC (1000 * USEC_PER_SEC)

struct sim_settings {
        uint64_t seed;
        unsigned start_week_minute;       /* local time at the start, Monday 00:00 = 0 */
        uint64_t tick_usec;               /* how finely time is cut for threads and growth: 1 s */
        uint64_t wander_usec;             /* a free group of threads changes node about this often: 60 s; 0: never */
        uint64_t move_rate_bytes;         /* what the kernel moves for us per second: 1 GiB */
        uint64_t balancing_rate_bytes;    /* the kernel's own balancing, per service and second; 0: a kernel without */
        bool balancing_off;               /* kernel.numa_balancing=0: switched off, by somebody or by us */
        bool balancing_counts;            /* it counts by service what it moves, as kernels since 6.12 or so */
        uint64_t demotion_rate_bytes;     /* cold memory goes to the nodes without CPUs, per service and second; 0: never */
        unsigned cold_permille;           /* of each service's memory: 250 */
        unsigned page_cache_permille;     /* of each node, droppable */
        unsigned low_mark_permille;       /* below this the kernel allocates elsewhere: 10 */
        uint64_t answer_usec, apply_usec; /* the service manager: answers, and has written the cgroup, after this */
        bool no_psi;                      /* a kernel without pressure stall information; before sim_new() */
        bool refuse_clear;                /* ENOSPC for clearing a populated cpuset, as kernels before 7.x */
        uint64_t deep_usec_per_gib;       /* what reading a memory map costs */
};
void sim_settings_init(struct sim_settings *s);

enum sim_kind {
        SIM_PLAIN,
        SIM_PINNED, /* looks movable and never moves */
        SIM_SHARED, /* mapped by others too */
        SIM_BOUND,  /* with a policy of its own */
        _SIM_KIND_MAX,
};

/* By the hour of the day; from one to the next it goes over gradually. Not given: always 1000. */
struct sim_hours {
        bool given;
        unsigned permille[24];
};

/* What a service would like. Texts are borrowed by sim_add(), which copies. */
struct sim_spec {
        const char *unit;  /* "x.service" */
        const char *slice; /* NULL: system.slice */
        enum owner owner;
        double cpus;                     /* at full load */
        unsigned n_threads, n_processes; /* 0: as many threads as CPUs, rounded up; one process */
        uint64_t bytes;                  /* when it begins */
        struct node_set start;           /* its first bytes are on these, in equal parts; empty: where its threads run */
        int64_t growth_bytes;            /* per hour; negative: it shrinks */
        uint64_t limit_bytes;            /* growth ends (or shrinking) here; 0: nowhere */
        struct sim_hours duty;           /* load by hour of the day */
        struct sim_hours memory;         /* the same for its memory */
        unsigned pinned_permille, shared_permille, bound_permille; /* of its bytes */
        unsigned busy_permille;                                    /* of what is moved, fails at first */
        const char *policy;                                        /* of its tasks ("bind:0"): self-managed; NULL: none */
        struct node_set parent_cpu_nodes, parent_mems;             /* what the slice allows; empty: all */
};
void sim_spec_init(struct sim_spec *s);

struct sim_service {
        char *unit, *slice, *cgroup, *policy;
        struct sim_spec spec; /* its texts are those above; may be changed while it runs */
        bool running;         /* has processes */
        bool has_cgroup;      /* may be there for a moment without processes */
        pid_t pid;            /* the first process; the others follow */
        unsigned n_processes;
        uint64_t start_ticks, started_usec;
        uint64_t *bytes[_SIM_KIND_MAX]; /* by node */
        uint64_t base_bytes;            /* what it has grown to, before memory_permille */
        double growth_rest;

        unsigned n_groups;
        int16_t group_node[SIM_GROUPS_MAX];
        uint64_t group_usec[SIM_GROUPS_MAX];        /* since the last screen */
        double used, wanted;                        /* CPUs, in the last tick */
        double *used_on;                            /* by node */
        double cpu_pressure, memory_pressure;       /* 0…1, smoothed over ten seconds */
        double cpu_stalled_sec, memory_stalled_sec; /* so far */

        struct cpuset_value configured, settings; /* the cgroup's files; what the service manager has */
        unsigned *allowed_cpus;                   /* by node, in force */
        struct node_set allowed_mems;
        struct node_set inner_cpu_nodes;    /* somebody gave cgroups inside of it CPUs of these; empty: nobody did */
        bool inner_mems;                    /* the same of memory nodes, */
        struct node_set inner_mems_allowed; /* which all of them have */
        bool holds_services;                /* others are inside of its cgroup */

        int fail_set;               /* set_cpuset() is answered so; 0: it works */
        int fail_mems;              /* the same of memory nodes: -EAGAIN before anything is changed, others after CPUs were */
        bool lose_changes;          /* the service manager answers and never writes */
        uint64_t stuck_usec;        /* reading its map or moving its pages takes this long */
        uint64_t queue_usec;        /* a change of its cpuset waits so long for its turn before it is asked for */
        uint64_t write_usec;        /* a change of its cpuset is answered after so long; 0: at once */
        uint64_t map_usec;          /* reading its map alone takes this long */
        uint64_t unshare_usec;      /* shared by a fork until then; */
        unsigned n_ending;          /* then so many of its processes end */
        struct sim_service *lender; /* it maps what that one shares, too, and is not charged with it; NULL: nobody */
        double memory_stall;        /* waits for memory this part of its time, 0…1, for a reason of its own */
        /* It waits for memory, or for CPUs, for so much of the time that its pages are moved. */
        unsigned move_stall_permille, move_wait_permille;

        struct {
                bool memory, cpu;
        } watched; /* the manager wants to hear of its pressure */
        bool news[SIM_NEWS_MAX];
        uint64_t told_memory_usec, told_cpu_usec;

        /* Measured. */
        bool managed; /* at the last screen: some rule places it */
        uint64_t moved_bytes, first_off_bytes, kernel_moved_bytes, demoted_bytes;
        unsigned n_changes; /* of home, by the manager */
        struct node_set home, home_before;
        uint64_t home_usec; /* when decided; 0: never */
        uint64_t first_home_usec;
        double local, local_weight; /* locality × CPU time, and CPU time */
};

struct sim_totals {
        uint64_t moved_bytes;          /* by us */
        uint64_t least_bytes;          /* no way of making each service local could move less; see sim_least_bytes() */
        uint64_t kernel_moved_bytes;   /* by its own balancing */
        uint64_t demoted_bytes;        /* by the kernel's demotion */
        uint64_t forced_bytes;         /* by narrowing a cpuset with memory left behind: what must not happen */
        uint64_t past_keep_free_bytes; /* the most that a move of ours went past keep-free on some node */
        uint64_t unplaced_bytes;       /* wanted by a service and not to be had: out of memory */
        unsigned n_changes;            /* of home */
        unsigned n_returns;            /* to the home before, within 15 minutes */
        unsigned n_hasty;              /* within the rule's cooldown */
        unsigned n_cpuset_writes;
        uint64_t n_events; /* told early to the manager, or held back for it */
        double locality;   /* of all that was managed, by CPU time, since the start */
        bool any_placed;   /* anything was, or there is no such locality */
};

struct sim;
struct manager;
struct environment;

/* Takes the topology over, also when it fails. */
int sim_new(struct topology *t, const struct sim_settings *settings, struct sim **ret);
struct sim *sim_free(struct sim *s);              /* stops the manager, too */
struct sim_settings *sim_settings(struct sim *s); /* may be changed at any time */
const struct topology *sim_topology(const struct sim *s);
struct environment *sim_environment(struct sim *s);
struct manager *sim_manager(struct sim *s);

/* What the manager reads as its configuration: one text, by the name shown in errors. Copies. Read at the start and at each reload. */
int sim_set_config(struct sim *s, const char *name, const char *text, size_t size);
/* Starts a manager. `runtime_dir`: where its record is; NULL: in memory, and gone with it. -EBADMSG: the configuration has errors. */
int sim_start_manager(struct sim *s, const char *runtime_dir);
/* kill -9: nothing more is done, what was asked of the service manager still is. */
void sim_kill_manager(struct sim *s);
/* kill -9 at the manager's n-th operation from now (reading a cpuset, before and after asking for one, before a slice of pages, …), whatever else it was about to do
 * in that moment: its record stays as it was then. 0: not. */
void sim_die_at(struct sim *s, uint64_t n);
/* That operation fails, and no other; what fails after it was asked for is done all the same. 0: none does. */
void sim_fail_at(struct sim *s, uint64_t n, int error);
/* After that operation, once the manager is back on its loop. */
void sim_call_after(struct sim *s, uint64_t n, void (*callback)(void *userdata), void *userdata);
uint64_t sim_n_operations(const struct sim *s); /* since sim_die_at() or sim_fail_at() */
/* SIGTERM; time passes until it has left, at most a minute. Returns its exit status, or -ETIME. */
int sim_stop_manager(struct sim *s);

/* Time. */
uint64_t sim_now(const struct sim *s);     /* µs, from SIM_START_USEC */
uint64_t sim_elapsed(const struct sim *s); /* from 0 */
unsigned sim_week_minute(const struct sim *s);
/* Lets time pass. */
void sim_run(struct sim *s, uint64_t usec);
/* From now on sim_run() ends early when this is not 0. */
void sim_heed(struct sim *s, const volatile sig_atomic_t *interrupted);
/* Calls back at that moment (of sim_elapsed()); in order where several are at the same. */
int sim_at(struct sim *s, uint64_t elapsed_usec, void (*callback)(struct sim *s, void *userdata), void *userdata);
/* Called after each whole hour. */
void sim_each_hour(struct sim *s, void (*callback)(struct sim *s, void *userdata), void *userdata);

/* Services. -EEXIST: this unit runs; -ENOSPC: too many. A unit that ended starts again with the settings that its service manager has. */
int sim_add(struct sim *s, const struct sim_spec *spec, struct sim_service **ret);
/* A slot may be NULL for `spec`: as it was. */
int sim_restart(struct sim *s, struct sim_service *service);
void sim_end(struct sim *s, struct sim_service *service); /* and its cgroup */
void sim_fork(struct sim *s, struct sim_service *service, unsigned n_more, uint64_t share_usec);
/* Something happens to its cgroup that changes nothing (frozen, thawed). */
void sim_disturb(struct sim *s, struct sim_service *service);
struct sim_service *sim_find(const struct sim *s, const char *unit); /* by unit or cgroup; NULL */
size_t sim_n_services(const struct sim *s);
struct sim_service *sim_service(const struct sim *s, size_t i); /* sorted by cgroup, ended ones too */
/* Somebody writes the cgroup's files, as an administrator does; NULL leaves alone, an empty set clears. */
int sim_write_cpuset(struct sim *s, struct sim_service *service, const struct cpu_mask *cpus, const struct node_set *mems);
/* The same of the slice that it is in; empty: all. */
void sim_restrict_slice(struct sim *s, struct sim_service *service, const struct node_set *cpu_nodes,
                        const struct node_set *mems);

/* What there is. */
uint64_t sim_bytes(const struct sim *s, const struct sim_service *service);
uint64_t sim_bytes_on(const struct sim_service *service, unsigned node);
double sim_locality(const struct sim *s, const struct sim_service *service); /* at this moment */
uint64_t sim_free_bytes(const struct sim *s, unsigned node);
void sim_take_bytes(struct sim *s, unsigned node, int64_t bytes); /* somebody else uses them, or gives them back where negative */

struct sim_totals sim_totals(const struct sim *s);
/* Locality by hour, 0…1, since the start; borrowed. */
const double *sim_hours(const struct sim *s, size_t *ret_n);

/* Numbers from a seed (splitmix64). */
uint64_t sim_random(uint64_t *seed);
