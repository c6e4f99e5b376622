/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager on a machine of two nodes that is made up, with a clock that goes only when told to, and a peer on its bus. One service, on node 0
 * with its CPU time and on node 1 with its memory; every try to change something is counted and refused. */
#pragma once

#include "manager.h"
#include "unit.h"

#define N_NODES     2u
#define N_CPUS      8u
#define NODE_BEYOND 64u /* which is not there */
#define JOBS_MAX    16u
#define TIMERS_MAX  8u
#define SERVICE_MAX 8u

struct env_timer {
        bool used, armed;
        uint64_t at_usec;
        env_callback callback;
        void *userdata;
};

struct env_mover {
        struct move_result result;
        size_t n_own, at; /* the process that it gets stuck at, counted with the companions' after its own; 0: none */
        bool at_newcomer; /* … it is one of the service that it was not told of */
};

/* What the tests set, and what they find. */
extern struct manager_fixture {
        struct environment env;
        struct host host;
        struct manager *manager;
        sd_bus *client; /* whoever is at the other end of the manager's bus */
        char directory[64];
        struct manager_options options; /* of the next manager; its runtime directory is that one */
        unsigned n_left;                /* so often it has ended its loop */
        uint64_t now;
        unsigned n_screens, n_changes;
        bool accept_changes;     /* of cpusets: counted, and have no effect */
        const char *held_cgroup; /* … but for this one's, which do not come to an end before fx_release_change() */
        struct {
                ops_done done;
                void *userdata;
        } held_change;
        int fail_screen;
        bool pools;      /* all its memory is of hugetlb, of which all nodes have pages enough, and next to nothing else free */
        bool sees_nodes; /* between cycles, too, what is free on nodes can be read; on those that are not there it is nothing */
        bool taken_away; /* … of the first one there is no memory any more */
        bool left_out;   /* there is more on the machine than is looked at */
        bool no_cgroup;  /* what is asked for its cpuset is gone */
        int fail_cpuset; /* … does not tell, with this error */
        struct {
                const struct job_ops *ops;
                void *arg;
                uint64_t deadline_usec, late_usec; /* 0: never */
                bool hangs;
        } jobs[JOBS_MAX];
        unsigned n_threads; /* so many jobs run at the same time, and one more for each that is late; 0: any number */
        bool hangs;         /* no job comes to an end */
        pid_t stuck_pid;    /* reading this process's memory map does not, until this is 0 again */
        bool moves;         /* movers are made, and move nothing; */
        int slice_error;    /* … or fail with this */
        bool shared_unsure; /* … they say that all of it is shared with others, as far as they know */
        bool shared_surely; /* … that it is */
        pid_t moved_pid;    /* who finds out who shares its pages gets stuck at this process, until this is 0 again */
        size_t n_processes; /* of each service, from 4000 on, */
        size_t n_newcomers; /* … and so many after them that no screen has found yet */
        bool shares;        /* what its processes share is to be moved */
        size_t n_read;      /* of the last memory map */
        bool full;          /* no thread is left but for what is vital */
        bool vanish;        /* none of the processes has a memory map */
        unsigned n_jobs;
        uint64_t moved_bytes; /* by all movers, where slice_bytes is set */
        struct env_timer timers[TIMERS_MAX];
        const char *services[SERVICE_MAX]; /* units, in order of name; NULL: no more */
        uint64_t interval_usec;
        bool at_home;
        bool maps_alone;                      /* memory maps alone tell where memory is; and nobody runs */
        struct env_timer each;                /* after_each(): to be called by the test */
        unsigned balancing, n_balancing_sets; /* kernel.numa_balancing, and how often it was to be set */
        bool no_balancing, lose_balancing;    /* this kernel has none; what is set has no effect */
        int fail_balancing;
        bool hold_balancing; /* who sets it takes his time, until fx_release_balancing() */
        unsigned n_held_balancing;
        struct {
                unsigned mode;
                ops_done done;
                void *userdata;
        } held_balancing[4];
        enum balancing_setting balancing_setting; /* of the configuration */
        bool dry_run;
        bool bonded;     /* they share memory, and are kept together */
        bool pids_apart; /* the second service's processes begin at 4010, and so on */
        bool other_rule; /* the configuration that is read next manages other*.service alone */
        bool unmatched;  /* the processes are others' now, and no rule matches them any more */
        uint64_t migrate_rate_bytes,
                slice_bytes; /* of the configuration; what a slice moves at most, of GIB in all. 0: all, and nothing */
} fx;

/* cmocka's, for each test: the machine without a manager; and no more of either. */
int fx_setup(void **state);
int fx_teardown(void **state);

void fx_connect(void); /* the manager to come and the client, by a bus of their own; done by setup */
void fx_start_manager(void);
int fx_try_manager(void); /* … which may fail: the error of that */
/* managed.service's memory nodes were narrowed by another run. */
void fx_make_record(void);
void fx_stop_manager(void);
/* Ends this manager and begins another on the same machine, as a restart of the daemon does. */
void fx_restart(void);

/* Lets everything happen that is due at this moment: jobs, timers, messages. */
void fx_settle(void);
/* Runs the first job that does not hang; a read that gets stuck goes on hanging, as its thread would. False: there was none. */
bool fx_run_job(void);
/* Lets so much time pass, from one timer to the next. */
void fx_pass(uint64_t usec);
void fx_release_change(void);
/* All that was held back happens, the last asked for first: units that are started have no order. */
void fx_release_balancing(void);

/* Between the fixture's own files: what manager-fixture-machine.c has of the environment, and its operations. */
void fx_machine_ops(struct environment_ops *ops);
extern const struct act_ops fx_act_ops;
int fx_get_cpuset(void *context, const struct target *t,
                  struct cpuset_state *ret); /* of act_ops: of any cgroup, all CPUs and nodes */
