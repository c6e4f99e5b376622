/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of cpusets that are under way on this machine: looked at whether they would wait for a thread that hangs, written on another thread, or asked
 * for from the service manager, of which only so much is asked at a time. */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "act/ops.h"
#include "act/systemd-units.h"

struct host;
struct cpuset_job;

/* Of the service manager, so many changes of each kind at a time; others wait for their turn. The system bus lets nobody wait for more than 128 answers
 * (dbus-daemon's max_replies_per_connection), and refuses the rest. What is not answered in time it goes on waiting for, so that counts until it is answered
 * after all; where all of a kind are such, the others are told -EBUSY. */
#define UNIT_JOBS_MAX 48u
/* Those that would wait for a thread that hangs are looked at before, which takes seconds where one does: the others go past them. */
enum unit_job_kind { UNIT_JOB_QUICK, UNIT_JOB_CHECKED, _UNIT_JOB_KIND_MAX };

LIST_HEAD(cpuset_job_list, cpuset_job);
STAILQ_HEAD(cpuset_job_queue, cpuset_job);

struct cpuset_jobs {
        const struct host *host; /* these three are borrowed */
        const struct act_real_options *options;
        struct unit_change_list *unit_changes;
        bool enabling_waits; /* see act/waiting.h */
        bool starting;
        /* Of the service manager: under way, of these those that nobody waits for any more, and waiting for their turn. */
        unsigned n_under_way[_UNIT_JOB_KIND_MAX], n_lost[_UNIT_JOB_KIND_MAX];
        struct cpuset_job_list under_way;
        struct cpuset_job_queue waiting[_UNIT_JOB_KIND_MAX];
};

void cpuset_jobs_init(struct cpuset_jobs *jobs);
/* As act_ops.set_cpuset, of the owners OWNER_SYSTEMD and OWNER_CGROUPFS. */
int cpuset_jobs_begin(struct cpuset_jobs *jobs, const struct target *t, const struct cpuset_change *c, ops_done done,
                      void *userdata);
/* Abandons what waits, and what the service manager was asked for: after systemd_abandon(). Those on other threads must have ended. */
void cpuset_jobs_done(struct cpuset_jobs *jobs);
