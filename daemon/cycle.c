/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The observing half of a cycle: the screen and the deep reads, each off the event loop, and what became of them. When the last one is in (or late),
 * the cycle is decided. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"

/* After a read that failed or came late: until the next, doubled each time. */
#define DEEP_AGAIN_LEAST_USEC (15 * USEC_PER_SEC)
#define DEEP_AGAIN_DOUBLINGS  5u
/* What reading a memory map costs as long as it was not measured: between huge pages (2 ms for a GiB) and small ones (34 ms). */
#define DEEP_COST_BASE_USEC    500u
#define DEEP_COST_PER_GIB_USEC 10000u

struct screen_job {
        struct manager *m;
        struct cycle *cycle;
        struct applied *applied; /* own copy: the record can change meanwhile */
        size_t n_applied;
        uint64_t cpu_usec;
};

struct deep_job {
        struct manager *m;
        struct cycle *cycle;
        size_t index;
        bool abandoned; /* late: the cycle went on without it */
        struct deep_sample *result;
};

int manager_applied(const struct manager *m, struct applied **ret, size_t *ret_n) {
        const struct record *r = m->record;
        struct applied *a = calloc(r->n_entries + 1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_entries; i++)
                a[i] = (struct applied){
                        .cgroup = r->entries[i].cgroup,
                        .cpus = r->entries[i].changed_cpus && r->entries[i].ours.cpus_set,
                        .mems = r->entries[i].changed_mems && r->entries[i].ours.mems_set,
                };
        *ret = a;
        *ret_n = r->n_entries;
        return 0;
}

static void screen_job_free(struct screen_job *j) {
        for (size_t i = 0; i < j->n_applied; i++)
                free((char *) j->applied[i].cgroup);
        free(j->applied);
        cycle_unref(j->cycle);
        free(j);
}

static void finish_observing(struct manager *m) {
        if (m->n_deep_pending > 0)
                return;
        struct cycle *c = TAKE_PTR(m->cycle);
        throttle_take(&m->scan_budget, m->cycle_cpu_usec, manager_now(m));
        m->stats.last_cycle_cpu_usec = m->cycle_cpu_usec;
        m->stats.total_observe_cpu_usec += m->cycle_cpu_usec;
        m->stats.n_cycles++;
        if (m->exiting) {
                cycle_unref(c);
                return;
        }
        manager_decide(m, c);
}

/* Deep reads */

/* A map that cannot be read now is not asked for again at once, and the planner's wish for it does not hurry the next cycle. */
static void put_off_deep(struct manager *m, struct service_note *n) {
        n->deep_again_usec = manager_now(m) + (DEEP_AGAIN_LEAST_USEC << MIN2(n->n_deep_failed, DEEP_AGAIN_DOUBLINGS));
        n->n_deep_failed++;
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
        const struct deep_options options = deep_options_of(s->rule);
        return env->ops->read_deep(env->context, j->m->topology->n_ids, s->processes, s->n_processes, &options, &j->result);
}

static void done_deep(int result, void *arg) {
        struct deep_job *j = arg;
        struct manager *m = j->m;
        struct service_sample *s = &j->cycle->observation->services[j->index];

        struct service_note *n = manager_find_note(m, s->cgroup);
        if (j->abandoned) {
                if (n) {
                        n->stuck = false;
                        put_off_deep(m, n);
                }
                if (result >= 0)
                        throttle_take(&m->scan_budget, j->result->cpu_usec, manager_now(m));
        } else {
                if (result >= 0) {
                        service_sample_merge_deep(s, j->result, m->host->has_memory_controller);
                        m->cycle_cpu_usec += j->result->cpu_usec;
                        if (n) {
                                n->n_deep_failed = 0;
                                n->deep_cost_usec = j->result->cpu_usec;
                        }
                } else
                        deep_failed(m, s, result);
                m->n_deep_pending--;
                finish_observing(m);
        }
        deep_sample_free(j->result);
        cycle_unref(j->cycle);
        free(j);
}

static void late_deep(void *arg) {
        struct deep_job *j = arg;
        struct service_sample *s = &j->cycle->observation->services[j->index];
        struct service_note *n = manager_note(j->m, s->cgroup);
        if (n)
                n->stuck = true;
        journal_stuck(s->unit, s->cgroup, "reading its memory map");
        /* The worker still reads `s`, which the job's reference keeps; the cycle must not be changed by it any more. */
        j->abandoned = true;
        j->m->n_deep_pending--;
        finish_observing(j->m);
}

static const struct job_ops deep_job_ops = { run_deep, done_deep, late_deep };

static int start_deep(struct manager *m, struct cycle *c, size_t index) {
        struct deep_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct deep_job){ .m = m, .cycle = cycle_ref(c), .index = index };
        int r = manager_submit(m, &deep_job_ops, j, DEEP_DEADLINE_USEC);
        if (r < 0) {
                cycle_unref(j->cycle);
                free(j);
                return r;
        }
        m->n_deep_pending++;
        return 0;
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
                const struct service_sample *s = &o->services[i];
                struct service_note *n = manager_find_note(m, s->cgroup);
                bool cannot_wait = must_read(m, s);
                if (cannot_wait != must || (!must && !should_read(m, s, n, now)) || (n && (n->stuck || n->deep_again_usec > now)))
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
                if (r < 0)
                        failed = r;
        }
        return failed;
}

static void start_deep_reads(struct manager *m, struct cycle *c) {
        uint64_t available = throttle_available(&m->scan_budget, manager_now(m));
        uint64_t budget = m->options.once ? UINT64_MAX : available - MIN2(available, m->cycle_cpu_usec);
        size_t first = m->deep_turn;
        int failed = start_reads(m, c, true, 0, &budget, &m->deep_turn);
        int r = start_reads(m, c, false, first, &budget, &m->deep_turn);
        failed = r < 0 ? r : failed;
        if (failed < 0)
                log_warning(failed, "Could not read every memory map that was wanted: %s", strerror(-failed));
}

/* The screen */

static int run_screen(void *arg) {
        struct screen_job *j = arg;
        const struct environment *env = j->m->env;
        return env->ops->screen(env->context, j->cycle->config->config, j->applied, j->n_applied, j->cycle->started_usec,
                                &j->cycle->observation, &j->cpu_usec);
}

/* What is said of a service is not to depend on whether its memory map was read just now. */
static void recall(const struct manager *m, struct observation *o) {
        int r = 0;
        for (size_t i = 0; i < o->n_services && r >= 0; i++)
                r = history_recall(&m->history, &o->services[i]);
        if (r < 0)
                log_warning(r, "Could not recall what earlier memory maps said: %s", strerror(-r));
}

static void done_screen(int result, void *arg) {
        struct screen_job *j = arg;
        struct manager *m = j->m;

        m->screen_running = false;
        m->cycle_cpu_usec = m->screen_cpu_usec = j->cpu_usec;
        if (result < 0) {
                if (result != -ECANCELED)
                        log_warning(result, "Could not observe: %s", strerror(-result));
                m->cycle = cycle_unref(m->cycle);
                manager_look_failed(m, result);
                if (m->options.once)
                        manager_begin_exit(m, EXIT_FAILURE); /* said why; there is no later */
                if (!m->exiting)
                        manager_wake(m, m->interval_usec);
        } else if (m->exiting)
                m->cycle = cycle_unref(m->cycle);
        else {
                recall(m, m->cycle->observation);
                /* One more than there are, so that a read that ends at once does not end the cycle while others are started. */
                m->n_deep_pending = 1;
                start_deep_reads(m, m->cycle);
                m->n_deep_pending--;
                finish_observing(m);
        }
        screen_job_free(j);
}

static const struct job_ops screen_job_ops = { run_screen, done_screen, NULL };

int cycle_begin(struct manager *m) {
        if (m->cycle) {
                m->cycle->look_only = false; /* its end arms the timer, so it must be one that decides */
                return 0;
        }

        struct cycle *c = calloc(1, sizeof(*c));
        struct screen_job *j = calloc(1, sizeof(*j));
        if (!c || !j) {
                free(c);
                free(j);
                return -ENOMEM;
        }
        c->n_ref = 1;
        c->config = m->config;
        c->config->n_ref++;
        c->started_usec = manager_now(m);
        j->m = m;
        j->cycle = cycle_ref(c);

        size_t n;
        int r = manager_applied(m, &j->applied, &n);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                char *copy = strdup(j->applied[i].cgroup);
                if (!copy) {
                        r = -ENOMEM;
                        break;
                }
                j->applied[i].cgroup = copy;
                j->n_applied = i + 1;
        }
        if (r >= 0)
                r = manager_submit(m, &screen_job_ops, j, 0);
        if (r < 0) {
                screen_job_free(j);
                cycle_unref(c);
                return r;
        }
        m->screen_running = true;
        m->cycle = c;
        return 0;
}
