/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the simulated machine. */
#pragma once

#include <sys/queue.h>

#include "act/simulated.h"

struct sim_cgroup {
        LIST_ENTRY(sim_cgroup) entry;
        char *path, *unit;
        bool empty;
        struct cpuset_value configured;
};

struct sim_unit {
        LIST_ENTRY(sim_unit) entry;
        char *name;
        struct cpuset_value settings;
};

struct sim_mapping {
        LIST_ENTRY(sim_mapping) entry;
        struct simulated_mapping m;
        struct simulated_page *pages;
        bool borrowed; /* the pages are another mapping's, of another process */
};

struct sim_process {
        LIST_ENTRY(sim_process) entry;
        pid_t pid;
        uint64_t start_ticks;
        char *cgroup;
        bool ended;
        LIST_HEAD(, sim_mapping) mappings;
};

/* Something that falls due. */
struct sim_event {
        TAILQ_ENTRY(sim_event) entry;
        uint64_t when_usec;
        ops_later callback;
        void *userdata;
};

struct simulated {
        struct topology *topology;
        uint64_t now_usec;
        struct simulated_knobs knobs;
        struct simulated_counts counts;
        uint64_t *free_pages;
        LIST_HEAD(, sim_cgroup) cgroups;
        LIST_HEAD(, sim_unit) units;
        LIST_HEAD(, sim_process) processes;
        TAILQ_HEAD(, sim_event) events; /* by time; of the same time in the order they came */
};

int sim_call_later(void *context, uint64_t delay_usec, ops_later callback, void *userdata); /* of act_ops; 0 or -ENOMEM */

/* simulated-cgroups.c */

int sim_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret); /* of act_ops, as the next */
int sim_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata);
/* Frees what belongs to an event of the service manager's that will never be; other events are left alone. */
void sim_drop_job(const struct sim_event *e);
void sim_free_cgroups(struct simulated *s);

/* simulated-memory.c */

struct sim_process *sim_find_process(const struct simulated *s, pid_t pid);
uint64_t sim_page_bytes(const struct sim_mapping *m);
long sim_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status);
long sim_scan_pages(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                    size_t n_max, uint64_t *ret_end);
void sim_free_processes(struct simulated *s);
