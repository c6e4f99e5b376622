/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading one service's memory map: begun, in, or late. A service whose map always takes long is read beside the cycles, and the next one uses what was
 * found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/journal.h"

/* After a read that failed or came late: until the next, doubled each time. */
#define DEEP_AGAIN_LEAST_USEC (15 * USEC_PER_SEC)
#define DEEP_AGAIN_DOUBLINGS  5u
/* A read beside the cycles is given so long before it counts as stuck. */
#define DEEP_SLOW_DEADLINE_USEC (5 * USEC_PER_MINUTE)

struct deep_job {
        struct manager *m;
        struct cycle *cycle;
        size_t index;
        bool beside; /* the cycle does not wait for it, or went on without it */
        bool noted;  /* as the one read of its service that is under way */
        uint64_t began_usec;
        struct maps_reading reading;
        struct process_ref left_out[ASIDE_MAX]; /* who hung when it was submitted */
        unsigned n_left_out;
        struct companions companions;
        bool alone;               /* began when one of the cycle's companions was known to hang: read without them */
        bool companion_stuck;     /* one of theirs does not let go: */
        struct hung hung;         /* that one */
        struct process_ref aside; /* left out of other reads as long as this one goes on; pid 0: none */
        struct deep_sample *result;
};

static void deep_job_free(struct deep_job *j) {
        deep_sample_free(j->result);
        companions_done(&j->companions);
        cycle_unref(j->cycle);
        free(j);
}

void cycle_put_off_deep(struct manager *m, struct service_note *n) {
        n->deep_again_usec = manager_now(m) + (DEEP_AGAIN_LEAST_USEC << MIN2(n->n_deep_failed, DEEP_AGAIN_DOUBLINGS));
        n->n_deep_failed++;
}

/* Nothing was read: the next time is at once where that was chance (it was started anew meanwhile), and not where it is so again. */
static void put_off_if_again(struct manager *m, struct service_note *n) {
        if (n->n_deep_failed > 0)
                cycle_put_off_deep(m, n);
        else
                n->n_deep_failed = 1;
}

static void deep_failed(struct manager *m, const struct service_sample *s, int error) {
        if (error == -ECANCELED)
                return;
        struct service_note *n = manager_note(m, s->cgroup);
        if (!n || n->n_deep_failed == 0)
                log_warning(error, "%s: could not read its memory map, trying again later: %s", s->unit, strerror(-error));
        if (n)
                cycle_put_off_deep(m, n);
}

static int run_deep(void *arg) {
        struct deep_job *j = arg;
        const struct service_sample *s = &j->cycle->observation->services[j->index];
        const struct environment *env = j->m->env;
        struct deep_options options = deep_options_of(s, j->m->topology);
        options.reading = &j->reading;
        j->alone = atomic_load(&j->cycle->companion_hangs);
        options.companions = j->alone ? NULL : &j->companions;
        options.cgroup = s->cgroup;
        options.aside = j->left_out;
        options.n_aside = j->n_left_out;
        return env->ops->read_deep(env->context, j->m->topology->n_ids, s->processes, s->n_processes, &options, &j->result);
}

/* Takes what a late read found for a cycle to come. */
static void keep(struct service_note *n, struct deep_job *j) {
        const struct service_sample *s = &j->cycle->observation->services[j->index];
        uint64_t took = manager_now(j->m) - MIN2(j->began_usec, manager_now(j->m));
        if (!n->slow && took >= DEEP_DEADLINE_USEC)
                log_notice("%s: reading its memory map took %s. What it said is used all the same, and from now on others do not "
                           "wait for it",
                           s->unit, FORMAT_USEC(took));
        n->slow = took >= DEEP_DEADLINE_USEC / 2;
        n->deep_cost_usec = j->result->cpu_usec;
        n->n_deep_failed = 0;
        cycle_free_kept(n);
        n->kept = TAKE_PTR(j->result);
        n->kept_cycle = cycle_ref(j->cycle);
        n->kept_index = j->index;
        n->kept_began_usec = j->began_usec;
}

/* All its processes have ended since the screen, and others are there by now: this says nothing of theirs, not even that they have none. */
static bool is_of_nobody(const struct deep_job *j) {
        return j->result->n_processes_read == 0 && j->result->n_vanished > 0;
}

static void done_beside(struct deep_job *j, struct service_note *n, int result) {
        struct manager *m = j->m;
        if (result >= 0)
                throttle_take(&m->scan_budget, j->result->cpu_usec, manager_now(m));
        hung_release(m, &j->hung);
        if (!n)
                return;
        if (j->companion_stuck)
                n->without_companions = false;
        else if (j->aside.pid > 0)
                aside_remove(n, &j->aside);
        else
                n->stuck = false;
        if (j->noted)
                n->reading = false;
        if (m->exiting || result == -ECANCELED)
                return;
        if (result < 0)
                deep_failed(m, &j->cycle->observation->services[j->index], result);
        else {
                if (is_of_nobody(j))
                        put_off_if_again(m, n);
                else
                        keep(n, j);
                manager_wake(m, DEEP_SOON_USEC);
        }
}

/* What is kept is compared with what the screen will say, so it comes first. */
static void take_result(struct deep_job *j, struct service_note *n, struct service_sample *s) {
        const struct manager *m = j->m;
        const struct deep_sample *map = j->result;
        if (n)
                rest_keep(m, n, s, j->began_usec, j->alone ? 0 : companions_key(&j->companions), &j->result);
        service_sample_merge_deep(s, map, m->host->has_memory_controller);
}

static void done_deep(int result, void *arg) {
        struct deep_job *j = arg;
        struct manager *m = j->m;
        uint64_t began = cycle_loop_begin(m);
        struct service_sample *s = &j->cycle->observation->services[j->index];
        struct service_note *n = result >= 0 ? manager_note(m, s->cgroup) : manager_find_note(m, s->cgroup);

        if (j->beside)
                done_beside(j, n, result);
        else {
                if (result >= 0) {
                        m->cycle_cpu_usec += j->result->cpu_usec;
                        if (n && is_of_nobody(j))
                                put_off_if_again(m, n);
                        else if (n) {
                                n->n_deep_failed = 0;
                                n->deep_cost_usec = j->result->cpu_usec;
                        }
                        if (!is_of_nobody(j))
                                take_result(j, n, s);
                } else
                        deep_failed(m, s, result);
                m->n_deep_pending--;
                cycle_read_done(m);
        }
        deep_job_free(j);
        cycle_loop_end(m, began);
}

/* What blocks is not its own: it is read again without. */
static bool is_stuck_at_companion(const struct deep_job *j, size_t at) {
        size_t own = j->cycle->observation->services[j->index].n_processes;
        return at > own && j->companions.n_processes > 0;
}

/* The rest can be read, by another job, which this one must not take for itself when it ends. */
static void let_others_read(struct deep_job *j, struct service_note *n) {
        if (j->noted)
                n->reading = false;
        j->noted = false;
}

/* The service's own process, or one that has come to it since, that is being read. False: it is none of these (`ret`: of pid 0). */
static bool find_hung(const struct deep_job *j, const struct service_sample *s, size_t at, struct process_ref *ret) {
        *ret = (struct process_ref) { 0 };
        if (at > 0 && at <= s->n_processes)
                *ret = s->processes[at - 1];
        return at > 0 ? at <= s->n_processes : maps_reading_newcomer(&j->reading, ret);
}

static void late_deep(void *arg) {
        struct deep_job *j = arg;
        struct service_sample *s = &j->cycle->observation->services[j->index];
        struct service_note *n = manager_note(j->m, s->cgroup);
        struct process_ref p;
        size_t at = atomic_load(&j->reading.number);
        bool own = find_hung(j, s, at, &p);
        _cleanup_free_ char *what = own ? format_string("reading the memory map of process %d", (int) p.pid) : NULL;
        bool foreign = n && is_stuck_at_companion(j, at);
        if (foreign) {
                j->companion_stuck = n->without_companions = true;
                /* Those of this cycle that are not begun would hang as well, one thread each. */
                atomic_store(&j->cycle->companion_hangs, true);
                j->hung = hung_leave_out(j->m, j->cycle, &j->companions, at - s->n_processes - 1);
                let_others_read(j, n);
        } else if (n && own && (at > 0 ? aside_add(n, s, at - 1) : aside_add_newcomer(n, &p))) {
                j->aside = p;
                let_others_read(j, n);
        } else if (n) {
                n->stuck = true;
                n->stuck_pid = p.pid;
        }
        journal_stuck(s->unit, s->cgroup, foreign, !foreign && what ? what : "reading its memory map");
        if (j->beside)
                return;
        /* The worker still reads `s`, which the job's reference keeps; the cycle must not be changed by it any more. */
        j->beside = true;
        j->m->n_deep_pending--;
        cycle_read_done(j->m);
}

static const struct job_ops deep_job_ops = { run_deep, done_deep, late_deep, false };

int cycle_start_deep(struct manager *m, struct cycle *c, size_t index) {
        struct service_note *n = manager_find_note(m, c->observation->services[index].cgroup);
        struct deep_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct deep_job) {
                .m = m, .cycle = cycle_ref(c), .index = index, .beside = n && n->slow, .began_usec = manager_now(m)
        };
        for (; n && j->n_left_out < n->n_aside; j->n_left_out++)
                j->left_out[j->n_left_out] = n->aside[j->n_left_out];
        int r = cycle_companions(m, c, index, NULL, &j->companions);
        if (r >= 0)
                r = manager_submit(m, &deep_job_ops, j, j->beside ? DEEP_SLOW_DEADLINE_USEC : DEEP_DEADLINE_USEC);
        if (r < 0) {
                deep_job_free(j);
                return r;
        }
        if (n && j->beside)
                n->reading = j->noted = true;
        else
                m->n_deep_pending++;
        return 0;
}
