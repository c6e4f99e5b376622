/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory maps that a cycle reads: which, within the budget for observing, and what becomes of those that come late. A service whose map always takes
 * long is read beside the cycles, and the next one uses what was found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/journal.h"

/* After a read that failed or came late: until the next, doubled each time. */
#define DEEP_AGAIN_LEAST_USEC (15 * USEC_PER_SEC)
#define DEEP_AGAIN_DOUBLINGS  5u
/* What reading a memory map costs as long as it was not measured: between huge pages (2 ms for a GiB) and small ones (34 ms). */
#define DEEP_COST_BASE_USEC    500u
#define DEEP_COST_PER_GIB_USEC 10000u
/* A read beside the cycles is given so long before it counts as stuck, … */
#define DEEP_SLOW_DEADLINE_USEC (5 * USEC_PER_MINUTE)
/* … what it found is used for so long after it began, and compared by so many processes. */
#define DEEP_KEPT_USEC    (6 * USEC_PER_MINUTE)
#define KEPT_COMPARED_MAX 256u

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

static void free_kept(struct service_note *n) {
        n->kept = deep_sample_free(n->kept);
        n->kept_cycle = cycle_unref(n->kept_cycle);
}

/* A map that cannot be read now is not asked for again at once, and the planner's wish for it does not hurry the next cycle. */
static void put_off_deep(struct manager *m, struct service_note *n) {
        n->deep_again_usec = manager_now(m) + (DEEP_AGAIN_LEAST_USEC << MIN2(n->n_deep_failed, DEEP_AGAIN_DOUBLINGS));
        n->n_deep_failed++;
}

/* Nothing was read: the next time is at once where that was chance (it was started anew meanwhile), and not where it is so again. */
static void put_off_if_again(struct manager *m, struct service_note *n) {
        if (n->n_deep_failed > 0)
                put_off_deep(m, n);
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
                put_off_deep(m, n);
}

static int run_deep(void *arg) {
        struct deep_job *j = arg;
        const struct service_sample *s = &j->cycle->observation->services[j->index];
        const struct environment *env = j->m->env;
        struct deep_options options = deep_options_of(s->rule);
        options.reading = &j->reading;
        j->alone = atomic_load(&j->cycle->companion_hangs);
        options.companions = j->alone ? NULL : &j->companions;
        options.cgroup = s->cgroup;
        options.aside = j->left_out;
        options.n_aside = j->n_left_out;
        return env->ops->read_deep(env->context, j->m->topology->n_ids, s->processes, s->n_processes, &options, &j->result);
}

void cycle_forget_kept(struct service_note *n, uint64_t now_usec) {
        if (n->kept && now_usec - MIN2(n->kept_began_usec, now_usec) > DEEP_KEPT_USEC)
                free_kept(n);
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
        free_kept(n);
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
                rest_keep(n, s, m->topology->n_ids, j->began_usec, j->alone ? 0 : companions_key(&j->companions), &j->result);
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

static int start_deep(struct manager *m, struct cycle *c, size_t index) {
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

/* Kept results */

static bool has_process(const struct service_sample *s, const struct process_ref *p) {
        for (size_t i = 0; i < s->n_processes; i++)
                if (process_ref_equal(&s->processes[i], p))
                        return true;
        return false;
}

/* Is it of these processes, young enough, and from after what we moved? A few processes that come and go do not spoil it. */
static bool kept_holds(const struct manager *m, const struct service_note *n, const struct service_sample *s,
                       uint64_t company_moved, uint64_t now) {
        if (!n->kept || n->kept_began_usec < company_moved || now - MIN2(n->kept_began_usec, now) > DEEP_KEPT_USEC)
                return false;
        const struct history_entry *h = history_find(&m->history, s->cgroup);
        const struct transition *t = transition_find(m, s->cgroup);
        if ((h && n->kept_began_usec < MAX2(h->settled_usec, h->started_usec)) ||
            (t && !transition_accepts(t, n->kept_began_usec)))
                return false;
        const struct service_sample *then = &n->kept_cycle->observation->services[n->kept_index];
        size_t same = 0, n_compared = MIN2(then->n_processes, (size_t) KEPT_COMPARED_MAX);
        for (size_t i = 0; i < n_compared; i++)
                same += has_process(s, &then->processes[i]);
        return then->rule && s->rule && strcmp(then->rule->name, s->rule->name) == 0 && same * 10 >= n_compared * 9 &&
               s->n_processes * 9 <= then->n_processes * 10;
}

static bool use_kept(struct manager *m, struct cycle *c, size_t index, struct service_note *n, uint64_t now) {
        struct service_sample *s = &c->observation->services[index];
        struct companions companions;
        if (!n || (!n->kept && !n->rest) || cycle_companions(m, c, index, NULL, &companions) < 0)
                return false;
        uint64_t key = companions_key(&companions), company_moved = cycle_company_moved_usec(m, c, index);
        companions_done(&companions);
        if (!kept_holds(m, n, s, company_moved, now))
                free_kept(n);
        const struct deep_sample *map = n->kept ? n->kept : rest_find(m, n, s, key, company_moved, now);
        if (!map)
                return false;
        if (service_sample_needs_deep(s, m->topology->n_ids)) {
                uint64_t began = n->kept ? n->kept_began_usec : rest_began_usec(n->rest);
                s->bytes_age_usec = now - MIN2(began, now);
        }
        service_sample_merge_deep(s, map, m->host->has_memory_controller);
        n->wants_deep = n->deep_put_off = false;
        return true;
}

/* What cannot wait: a transition's verification, and services of which nothing is known without. */
static bool must_read(const struct manager *m, const struct service_sample *s) {
        const struct transition *t = transition_find(m, s->cgroup);
        if (t)
                return transition_wants_observation(t);
        return s->rule && s->rule->place != PLACE_IGNORE && service_sample_needs_deep(s, m->topology->n_ids);
}

static bool should_read(const struct manager *m, const struct service_sample *s, const struct service_note *n, uint64_t now) {
        if (transition_find(m, s->cgroup))
                return false;
        return (n && (n->wants_deep || n->keep_deep)) ||
               plan_wants_deep(s, history_find(&m->history, s->cgroup), m->topology->n_ids, now);
}

/* What it cost the last time, or about so much. */
static uint64_t deep_cost_usec(const struct manager *m, const struct service_sample *s, const struct service_note *n) {
        if (n && n->deep_cost_usec > 0)
                return n->deep_cost_usec;
        return DEEP_COST_BASE_USEC + sum_by_node(s->bytes_by_node, m->topology->n_ids) / (GIB / DEEP_COST_PER_GIB_USEC);
}

/* Those that can wait are read as far as the budget goes, in turn: reading all of a large machine at once would put off the next cycle, and
 * with it the verification of what is under way, by minutes. One is read in any case. `ret_left`: those that were put off begin here. */
static int start_reads(struct manager *m, struct cycle *c, bool must, size_t first, uint64_t *budget, size_t *ret_left) {
        const struct observation *o = c->observation;
        uint64_t now = manager_now(m);
        bool any = false, over = false;
        int failed = 0;

        for (size_t k = 0; k < o->n_services; k++) {
                size_t i = (first + k) % o->n_services;
                struct service_sample *s = &o->services[i];
                struct service_note *n = manager_find_note(m, s->cgroup);
                if (must && n && n->n_aside > 0) /* before any read: later they belong to the readers */
                        aside_leave_out(n, s);
                bool cannot_wait = must_read(m, s);
                if (cannot_wait != must || (!must && !should_read(m, s, n, now)) || use_kept(m, c, i, n, now) ||
                    (n && (n->stuck || n->reading || n->deep_again_usec > now)))
                        continue;
                uint64_t cost = deep_cost_usec(m, s, n);
                if (!must && any && !over && cost > *budget) {
                        over = true;
                        *ret_left = i;
                }
                if (n)
                        n->deep_put_off = over;
                if (over)
                        continue;
                any = true;
                *budget -= MIN2(*budget, cost);
                if (n)
                        n->wants_deep = false;
                int r = start_deep(m, c, i);
                if (r < 0 && (!n || n->n_deep_failed == 0)) /* said when it begins */
                        failed = r;
                if (r < 0 && n) /* else the next cycle would come soon for it, and so on */
                        put_off_deep(m, n);
        }
        return failed;
}

void cycle_read_maps(struct manager *m, struct cycle *c) {
        uint64_t available = throttle_available(&m->scan_budget, manager_now(m));
        uint64_t budget = m->options.once ? UINT64_MAX : available - MIN2(available, m->cycle_cpu_usec);
        size_t first = m->deep_turn;
        int failed = start_reads(m, c, true, 0, &budget, &m->deep_turn);
        int r = start_reads(m, c, false, first, &budget, &m->deep_turn);
        failed = r < 0 ? r : failed;
        if (failed < 0)
                log_warning(failed, "Could not read every memory map that was wanted: %s", strerror(-failed));
}
