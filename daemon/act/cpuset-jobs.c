/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One change after the other, as far as the service manager is concerned; as many as there are, otherwise. */
#include "act/cpuset-jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cgroupfs.h"
#include "act/cpuset.h"
#include "act/waiting.h"
#include "core/util.h"

struct cpuset_job {
        struct cpuset_jobs *jobs;
        LIST_ENTRY(cpuset_job) entry;    /* under way */
        STAILQ_ENTRY(cpuset_job) behind; /* waiting */
        char *cgroup, *unit;             /* unit: the service manager writes; NULL: we do */
        enum unit_job_kind kind;
        struct cpuset_change change;
        struct cpuset_premise *premise;
        bool lost; /* not answered in time */
        ops_done done;
        void *userdata;
};

static struct cpuset_job *job_free(struct cpuset_job *j) {
        free(j->cgroup);
        free(j->unit);
        free(j->premise);
        free(j);
        return NULL;
}

static int job_new(struct cpuset_jobs *jobs, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata,
                   struct cpuset_job **ret) {
        bool by_manager = t->owner == OWNER_SYSTEMD;
        struct cpuset_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct cpuset_job) { .jobs = jobs,
                                   .cgroup = strdup(t->cgroup),
                                   .unit = by_manager ? strdup(t->unit) : NULL,
                                   .kind = c->change_mems || jobs->enabling_waits ? UNIT_JOB_CHECKED : UNIT_JOB_QUICK,
                                   .change = *c,
                                   .done = done,
                                   .userdata = userdata };
        if (c->premise)
                j->premise = malloc(sizeof(*j->premise));
        if (!j->cgroup || (by_manager && !j->unit) || (c->premise && !j->premise)) {
                job_free(j);
                return -ENOMEM;
        }
        if (c->premise)
                *j->premise = *c->premise;
        j->change.premise = j->premise;
        *ret = j;
        return 0;
}

/* Last, as it may have waited for long: is there still what it was decided on? Of a cgroup that is gone whoever writes will tell so. */
static int check_premise(const struct cpuset_job *j) {
        struct cpuset_state now;
        int r = j->premise ? cgroupfs_get_cpuset(j->jobs->host, j->cgroup, &now) : -ENOENT;
        if (r == -EMFILE || r == -ENFILE || r == -ENOMEM) /* it was not looked at */
                return r;
        if (r < 0)
                return 0;
        return cpuset_premise_holds(j->premise, &j->change, &now.configured) ? 0 : -ESTALE;
}

/* That part of it which can run on another thread. */
static int job_run(void *arg) {
        const struct cpuset_job *j = arg;
        pid_t tid;
        int r = cpuset_find_waiting(j->jobs->host, j->cgroup, j->change.change_mems, j->jobs->enabling_waits, &tid);
        if (r != 0)
                return r > 0 ? -EAGAIN : r;
        r = j->unit ? 0 : check_premise(j);
        return r < 0 || j->unit ? r : cgroupfs_set_cpuset(j->jobs->host, j->cgroup, &j->change);
}

static void start_waiting(struct cpuset_jobs *jobs);

/* Who asked was told: another one may begin. */
static void finish(struct cpuset_job *j) {
        struct cpuset_jobs *jobs = j->jobs;
        if (j->unit) {
                LIST_REMOVE(j, entry);
                jobs->n_under_way[j->kind]--;
                jobs->n_lost[j->kind] -= j->lost;
        }
        job_free(j);
        start_waiting(jobs);
}

/* For as long as nothing is answered, none that waits can begin: they are told, and not only that it takes long. */
static void refuse_waiting(struct cpuset_jobs *jobs, enum unit_job_kind kind) {
        struct cpuset_job_queue refused = STAILQ_HEAD_INITIALIZER(refused);
        struct cpuset_job *j;
        STAILQ_CONCAT(&refused, &jobs->waiting[kind]);
        while ((j = STAILQ_FIRST(&refused))) {
                STAILQ_REMOVE_HEAD(&refused, behind);
                j->done(-EBUSY, j->userdata);
                job_free(j);
        }
}

static void on_answer(int result, void *userdata) {
        struct cpuset_job *j = userdata;
        struct cpuset_jobs *jobs = j->jobs;
        enum unit_job_kind kind = j->kind;
        j->lost = result == -ETIMEDOUT;
        jobs->n_lost[kind] += j->lost;
        j->done(result, j->userdata);
        if (jobs->n_lost[kind] >= UNIT_JOBS_MAX)
                refuse_waiting(jobs, kind);
}

static void on_over(void *userdata) {
        finish(userdata);
}

static int ask_manager(struct cpuset_job *j) {
        int r = check_premise(j);
        return r < 0 ? r
                     : systemd_set_cpuset(j->jobs->options->bus, j->jobs->unit_changes, j->unit, &j->change, on_answer, on_over,
                                          j);
}

static void job_done(int result, void *arg) {
        struct cpuset_job *j = arg;
        int r = result;
        if (result >= 0 && j->unit)
                r = ask_manager(j);
        if (r < 0 || !j->unit) {
                j->done(r, j->userdata);
                finish(j);
        }
}

/* Where this returns an error, the job is still the caller's. */
static int run(struct cpuset_job *j) {
        const struct act_real_options *o = j->jobs->options;
        /* What waits for nobody does not wait for a free worker either. */
        if (j->unit && j->kind == UNIT_JOB_QUICK)
                return ask_manager(j);
        if (o->run_blocking)
                return o->run_blocking(o->pool, job_run, job_done, j);
        job_done(job_run(j), j);
        return 0;
}

static int start(struct cpuset_job *j) {
        struct cpuset_jobs *jobs = j->jobs;
        if (j->unit) {
                LIST_INSERT_HEAD(&jobs->under_way, j, entry);
                jobs->n_under_way[j->kind]++;
        }
        int r = run(j);
        if (r < 0 && j->unit) {
                LIST_REMOVE(j, entry);
                jobs->n_under_way[j->kind]--;
        }
        return r;
}

/* The next that may begin, or NULL. */
static struct cpuset_job *take_waiting(struct cpuset_jobs *jobs) {
        for (int k = 0; k < _UNIT_JOB_KIND_MAX; k++) {
                struct cpuset_job *j = STAILQ_FIRST(&jobs->waiting[k]);
                if (!j || jobs->n_under_way[k] >= UNIT_JOBS_MAX)
                        continue;
                STAILQ_REMOVE_HEAD(&jobs->waiting[k], behind);
                return j;
        }
        return NULL;
}

/* Not from within itself: what is done at once may have another one begin. */
static void start_waiting(struct cpuset_jobs *jobs) {
        struct cpuset_job *j;
        if (jobs->starting)
                return;
        jobs->starting = true;
        while ((j = take_waiting(jobs))) {
                int r = start(j);
                if (r < 0) {
                        j->done(r, j->userdata);
                        job_free(j);
                }
        }
        jobs->starting = false;
}

int cpuset_jobs_begin(struct cpuset_jobs *jobs, const struct target *t, const struct cpuset_change *c, ops_done done,
                      void *userdata) {
        struct cpuset_job *j;
        int r = job_new(jobs, t, c, done, userdata, &j);
        if (r < 0)
                return r;
        if (j->unit && jobs->n_lost[j->kind] >= UNIT_JOBS_MAX) {
                job_free(j);
                return -EBUSY;
        }
        if (j->unit && jobs->n_under_way[j->kind] >= UNIT_JOBS_MAX) {
                STAILQ_INSERT_TAIL(&jobs->waiting[j->kind], j, behind);
                return 0;
        }
        r = start(j);
        if (r < 0)
                job_free(j);
        return r;
}

void cpuset_jobs_init(struct cpuset_jobs *jobs) {
        LIST_INIT(&jobs->under_way);
        for (int k = 0; k < _UNIT_JOB_KIND_MAX; k++)
                STAILQ_INIT(&jobs->waiting[k]);
}

void cpuset_jobs_done(struct cpuset_jobs *jobs) {
        struct cpuset_job *j;
        while ((j = LIST_FIRST(&jobs->under_way))) {
                LIST_REMOVE(j, entry);
                job_free(j);
        }
        for (int k = 0; k < _UNIT_JOB_KIND_MAX; k++)
                while ((j = STAILQ_FIRST(&jobs->waiting[k]))) {
                        STAILQ_REMOVE_HEAD(&jobs->waiting[k], behind);
                        job_free(j);
                }
}
