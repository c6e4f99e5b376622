/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cycles, which transitions hold on to, and the observing half of one: the screen, off the event loop, and the end of it all: when the
 * last memory map (cycle-deep.c) is in, or late, the cycle is decided. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/journal.h"

/* So many looks that read everything, until it counts as affordable again. */
#define COMPLETE_SCREENS 10u

struct config_ref *config_ref_unref(struct config_ref *c) {
        if (c && --c->n_ref == 0) {
                config_free(c->config);
                free(c);
        }
        return NULL;
}

struct cycle *cycle_ref(struct cycle *c) {
        c->n_ref++;
        return c;
}

struct cycle *cycle_unref(struct cycle *c) {
        if (c && --c->n_ref == 0) {
                plan_free(c->plan);
                free(c->bonds);
                cycle_input_free(c->input);
                observation_free(c->observation);
                config_ref_unref(c->config);
                free(c);
        }
        return NULL;
}

static int compare_service(const void *key, const void *element) {
        return strcmp(key, ((const struct service_sample *) element)->cgroup);
}

ssize_t cycle_find(const struct cycle *c, const char *cgroup) {
        const struct observation *o = c->observation;
        if (!o || o->n_services == 0)
                return -1;
        const struct service_sample *s = bsearch(cgroup, o->services, o->n_services, sizeof(*o->services), compare_service);
        return s ? s - o->services : -1;
}

int manager_applied(const struct manager *m, struct applied **ret, size_t *ret_n) {
        const struct record *r = m->record;
        struct applied *a = calloc(r->n_entries + 1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_entries; i++)
                a[i] = (struct applied) {
                        .cgroup = r->entries[i]->cgroup,
                        .cpus = r->entries[i]->changed_cpus && r->entries[i]->ours.cpus_set,
                        .mems = r->entries[i]->changed_mems && r->entries[i]->ours.mems_set,
                };
        *ret = a;
        *ret_n = r->n_entries;
        return 0;
}

uint64_t cycle_loop_begin(const struct manager *m) {
        return m->env->ops->cpu_usec ? m->env->ops->cpu_usec(m->env->context) : 0;
}

void cycle_loop_end(struct manager *m, uint64_t began) {
        uint64_t spent = cycle_loop_begin(m) - began;
        throttle_take(&m->scan_budget, spent, manager_now(m));
        m->stats.total_observe_cpu_usec += spent;
}

void cycle_read_done(struct manager *m) {
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

/* Past the limits of one look. Who is not seen is not gone. */
static void tell_left_out(struct manager *m, const struct observation *o) {
        if (o->truncated && !m->left_out)
                journal_limitation(LEFT_OUT_TEXT);
        m->left_out |= o->truncated;
}

/* The screen */

struct screen_job {
        struct manager *m;
        struct cycle *cycle;
        struct applied *applied; /* own copy: the record can change meanwhile */
        size_t n_applied;
        uint64_t cpu_usec;
};

static void screen_job_free(struct screen_job *j) {
        for (size_t i = 0; i < j->n_applied; i++)
                free((char *) j->applied[i].cgroup);
        free(j->applied);
        cycle_unref(j->cycle);
        free(j);
}

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
                r = history_recall(&m->history, &o->services[i], m->topology->n_ids);
        if (r < 0)
                log_warning(r, "Could not recall what earlier memory maps said: %s", strerror(-r));
}

/* Once when it begins, and once when it was over for a while: at the limit it comes and goes. */
static void tell_sparing(struct manager *m, const struct observation *o) {
        if (o->n_put_off > 0) {
                m->n_complete_screens = 0;
                if (m->sparing)
                        return;
                m->sparing = true;
                log_notice("Looking at all threads costs more than scan-cpu allows (%.1f%% of a CPU): in each cycle some "
                           "services are read, in "
                           "turn, and cycles come less often. Of %zu services %zu wait for their turn now",
                           m->config->config->settings.scan_cpu_permille / 10.0, o->n_services, o->n_put_off);
        } else if (m->sparing && ++m->n_complete_screens >= COMPLETE_SCREENS) {
                m->sparing = false;
                log_notice("All services are read in each cycle again");
        }
}

/* Where descriptors or memory run out they do so for every look until somebody does something: said once, and when it is over. */
void cycle_tell_failed(struct manager *m, int error) {
        if (error < 0 && error != m->screen_error)
                log_warning(error, "Could not observe: %s", strerror(-error));
        else if (error == 0 && m->screen_error < 0)
                log_notice("Looking at the machine works again");
        m->screen_error = error;
}

static void done_screen(int result, void *arg) {
        struct screen_job *j = arg;
        struct manager *m = j->m;
        uint64_t began = cycle_loop_begin(m);

        if (m->screen_late)
                log_notice("Looking at the machine has come to an end, deciding goes on");
        m->screen_running = m->screen_late = false;
        m->cycle_cpu_usec = m->screen_cpu_usec = j->cpu_usec;
        if (result < 0) {
                if (result != -ECANCELED)
                        cycle_tell_failed(m, result);
                m->cycle = cycle_unref(m->cycle);
                manager_look_failed(m, result);
                if (m->options.once)
                        manager_begin_exit(m, EXIT_FAILURE); /* said why; there is no later */
                if (!m->exiting)
                        manager_wake_for(m, m->interval_usec, WAKE_TIMER);
        } else if (m->exiting)
                m->cycle = cycle_unref(m->cycle);
        else {
                cycle_tell_failed(m, 0);
                recall(m, m->cycle->observation);
                tell_sparing(m, m->cycle->observation);
                tell_left_out(m, m->cycle->observation);
                /* One more than there are, so that a read that ends at once does not end the cycle while others are started. */
                m->n_deep_pending = 1;
                cycle_read_maps(m, m->cycle);
                m->n_deep_pending--;
                cycle_read_done(m);
        }
        screen_job_free(j);
        cycle_loop_end(m, began);
}

/* No other begins before this one is done, so that nothing piles up; who waits for a plan is told. */
static void late_screen(void *arg) {
        struct screen_job *j = arg;
        j->m->screen_late = true;
        log_warning(
                0,
                "Looking at the machine has not come to an end for %s (files below /proc or /sys that do not answer): nothing "
                "is decided until it does",
                FORMAT_USEC(SCREEN_DEADLINE_USEC));
        manager_look_failed(j->m, -ETIMEDOUT);
}

static const struct job_ops screen_job_ops = { run_screen, done_screen, late_screen, true };

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
                r = manager_submit(m, &screen_job_ops, j, SCREEN_DEADLINE_USEC);
        if (r < 0) {
                screen_job_free(j);
                cycle_unref(c);
                return r;
        }
        m->screen_running = true;
        m->cycle = c;
        return 0;
}
