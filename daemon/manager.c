/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes a manager out of its parts, sets it going and takes it apart again: timers, signals, notifications. */
#include "manager.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/journal.h"

/* Saved-up budget for observing: what a start or a burst of new services may cost at once. */
#define SCAN_BURST_USEC (5 * USEC_PER_SEC)

uint64_t manager_now(const struct manager *m) {
        return m->env->ops->now(m->env->context);
}

int manager_submit(struct manager *m, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        return m->env->ops->submit(m->env->context, ops, arg, deadline_usec);
}

void manager_notify(struct manager *m, const char *state) {
        m->env->ops->notify(m->env->context, state);
}

bool manager_is_dry(const struct manager *m) {
        return m->options.dry_run || m->config->config->settings.dry_run || m->lock_denied || !m->host->live;
}

const struct act *manager_act(const struct manager *m) {
        return manager_is_dry(m) ? &m->dry : &m->env->act;
}

/* Timer */

static void on_timer(void *userdata) {
        struct manager *m = userdata;
        m->next_cycle_usec = USEC_INFINITY;
        if (m->exiting)
                return;
        manager_woken(m, m->next_wake);
        if (m->lock_denied && manager_take_lock(m) >= 0)
                log_notice("The other numabalanced is gone: changes are made from now on");
        int r = cycle_begin(m);
        if (r < 0) {
                cycle_tell_failed(m, r);
                manager_wake_for(m, m->interval_usec, WAKE_TIMER);
        }
}

/* Notifications */

void manager_update_status(struct manager *m) {
        const char *mode = m->paused ? "paused, " : manager_is_dry(m) ? "dry run, " : "";
        size_t managed = 0, total = 0;
        if (m->last) {
                total = m->last->observation->n_services;
                for (size_t i = 0; i < total; i++)
                        managed += m->last->observation->services[i].rule != NULL;
        }
        _cleanup_free_ char *state = format_string("STATUS=%s%zu services observed, %zu with a rule, %u moving", mode, total,
                                                   managed, m->n_transitions);
        if (state)
                manager_notify(m, state);
}

/* Signals */

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        manager_begin_exit(userdata, EXIT_SUCCESS);
        return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        (void) manager_reload(userdata, NULL); /* has said what is wrong; the old configuration stays */
        return 0;
}

static int add_signals(struct manager *m) {
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } signals[] = { { SIGTERM, on_terminate }, { SIGINT, on_terminate }, { SIGHUP, on_hangup } };
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
                sigset_t set;
                sigemptyset(&set);
                sigaddset(&set, signals[i].number);
                if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                        return -errno;
                int r = sd_event_add_signal(m->env->event, &m->signal_sources[i], signals[i].number, signals[i].handler, m);
                if (r < 0)
                        return r;
        }
        /* A reader of our output that goes away must not end us. */
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        return 0;
}

int manager_new(const struct manager_options *options, struct environment *env, struct manager **ret) {
        struct manager *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->options = *options;
        m->env = env;
        m->host = env->host;
        m->bus = env->bus;
        m->lock_fd = -EBADF;
        m->next_cycle_usec = USEC_INFINITY;
        LIST_INIT(&m->transitions);

        int r = env->ops->load_topology(env->context, &m->topology);
        if (r < 0) {
                log_error(r, "Cannot read the topology: %s", strerror(-r));
                goto fail;
        }
        m->limitations = host_limitations(m->host);
        m->online = host_online(m->host);
        m->events = events_new();
        if (!m->limitations || !m->events || !m->online) {
                r = -ENOMEM;
                goto fail;
        }
        r = manager_load_config(m, NULL);
        if (r < 0)
                goto fail; /* said already */

        const struct settings *settings = &m->config->config->settings;
        m->stats.started_usec = manager_now(m);
        throttle_init(&m->machine_throttle, settings->migrate_rate_bytes, m->stats.started_usec);
        throttle_init(&m->scan_budget, settings->scan_cpu_permille * (USEC_PER_SEC / 1000), m->stats.started_usec);
        m->scan_budget.burst_bytes = SCAN_BURST_USEC;
        m->scan_budget.tokens_bytes = SCAN_BURST_USEC;
        m->interval_usec = settings->interval_usec;

        if ((r = env->ops->use_topology(env->context, m->topology)) < 0 || (env->event && (r = add_signals(m)) < 0) ||
            (r = manager_open_acting(m)) < 0 ||
            (r = env->ops->timer_new(env->context, 100 * USEC_PER_MSEC, on_timer, m, &m->timer)) < 0 ||
            (r = manager_watch_exit(m)) < 0)
                goto fail;
        *ret = m;
        return 0;
fail:
        manager_free(m);
        return r;
}

struct manager *manager_free(struct manager *m) {
        if (!m)
                return NULL;
        m->exiting = true; /* also where the loop has failed: what ends now begins nothing new */
        /* The jobs first: a running one still uses its transition. Those that only read are hardly waited for. */
        bool changes = m->n_transitions > 0 || m->n_restoring > 0;
        if (!m->env->ops->stop_jobs(m->env->context, changes ? 5 * USEC_PER_SEC : USEC_PER_SEC))
                return NULL; /* a stuck thread uses it all; the process ends now and takes everything along */
        while (!LIST_EMPTY(&m->transitions))
                transition_free(LIST_FIRST(&m->transitions));
        manager_look_done(m);
        manager_watch_done(m);
        m->bus_service = bus_service_free(m->bus_service);
        events_free(m->events);
        m->cycle = cycle_unref(m->cycle);
        m->last = cycle_unref(m->last);
        m->whole = cycle_unref(m->whole);
        record_free(m->record);
        if (m->have_dry)
                act_null_done(&m->dry);
        config_ref_unref(m->config);
        history_done(&m->history);
        for (size_t i = 0; i < m->n_notes; i++)
                service_note_free(m->notes[i]);
        free(m->notes);
        host_limitations_freep(&m->limitations);
        if (m->restore_results)
                json_object_put(m->restore_results);
        sd_bus_message_unref(m->restore_call);
        for (size_t i = 0; i < ARRAY_SIZE(m->signal_sources); i++)
                sd_event_source_disable_unref(m->signal_sources[i]);
        m->env->ops->timer_free(m->timer);
        m->env->ops->timer_free(m->exit_timer);
        free(m->online);
        free(m->online_last);
        manager_balancing_done(m);
        topology_free(m->topology);
        if (m->lock_fd >= 0)
                close(m->lock_fd);
        free(m);
        return NULL;
}

int manager_start(struct manager *m) {
        int r;
        for (char **l = m->limitations; *l; l++)
                journal_limitation(*l);
        if (!m->options.once && (r = manager_hold_load(m)) < 0)
                return r;
        if (!m->options.once && m->bus) {
                r = bus_service_new(m->bus, &manager_bus_callbacks, m, &m->bus_service);
                if (r < 0)
                        return log_error(r, "Cannot take the name %s on the system bus: %s", BUS_NAME, strerror(-r));
                r = manager_watch_bus(m);
                if (r < 0)
                        return log_error(r, "Cannot watch the connection to the system bus: %s", strerror(-r));
                r = manager_watch_units(m);
                if (r < 0)
                        log_warning(r, "Cannot watch units come and go, new ones are seen at the next cycle: %s", strerror(-r));
        }
        if (!m->options.once && (r = manager_watch_begin(m)) < 0)
                log_warning(r, "Cannot watch cgroups, what happens to them is seen at the next cycle: %s", strerror(-r));
        if (!m->options.once) {
                r = m->env->event ? sd_event_set_watchdog(m->env->event, true) : 0;
                if (r < 0)
                        return log_error(r, "Cannot serve the watchdog: %s", strerror(-r));
                manager_notify(m, "READY=1\nSTATUS=Observing");
        }
        manager_wake_for(m, 0, WAKE_REQUEST);
        return 0;
}
