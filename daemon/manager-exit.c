/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaving: what is under way ends first, then the configuration decides whether the cpusets are given back. Both have a limit. */
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"

/* Leaving waits this long for what is under way, and then as long for what is given back (unit: TimeoutStopSec=). */
#define EXIT_LIMIT_USEC         (10 * USEC_PER_SEC)
#define EXIT_RESTORE_LIMIT_USEC (25 * USEC_PER_SEC)

static void on_exit_limit(void *userdata);

static int arm_exit_limit(struct manager *m, uint64_t delay_usec) {
        const struct environment *env = m->env;
        int r = m->exit_timer ? 0 : env->ops->timer_new(env->context, 0, on_exit_limit, m, &m->exit_timer);
        return r < 0 ? r : env->ops->timer_set(m->exit_timer, manager_now(m) + delay_usec);
}

static void leave(struct manager *m) {
        int r = m->lock_fd >= 0 ? record_settle(m->record) : 0;
        if (r < 0)
                log_warning(r, "Could not write the record anew, ignoring: an older version could not read it: %s", strerror(-r));
        if (m->env->ops->leave(m->env->context, m->exit_status) < 0)
                log_error(0, "Could not end the event loop");
}

/* Gives back what the configuration says, once, and leaves when that is done. */
static void finish_exit(struct manager *m) {
        bool may = !m->options.once && !m->options.dry_run;
        bool cpusets = may && m->config->config->settings.on_exit == ON_EXIT_RESTORE && m->record->n_entries > 0;
        bool balancing = may && m->record->balancing_changed; /* whatever on-exit says: it was off for us */
        if (!m->exit_restoring && (cpusets || balancing) && manager_take_lock(m) >= 0) {
                m->exit_restoring = true;
                if (arm_exit_limit(m, EXIT_RESTORE_LIMIT_USEC) >= 0) {
                        /* One more than there are: none that ends at once must end it all. */
                        m->n_restoring++;
                        if (cpusets)
                                manager_restore_all_for_exit(m);
                        if (balancing)
                                (void) manager_balancing_restore(m); /* says itself what goes wrong */
                        m->n_restoring--;
                }
        }
        if (m->n_restoring == 0)
                leave(m);
}

/* A process that does not respond holds up its own service only: the others are given back. */
static void on_exit_limit(void *userdata) {
        struct manager *m = userdata;
        log_warning(0, "Leaving with work unfinished: what was changed stays on record and can still be restored");
        if (!m->exit_restoring)
                finish_exit(m);
        else {
                leave(m);
                return;
        }
        if (!m->exit_restoring)
                leave(m);
}

/* Called whenever something that leaving waits for has ended. Who only reads is not waited for: nothing will be decided on it. */
static void continue_exit(struct manager *m) {
        bool busy = m->n_transitions > 0 || m->n_restoring > 0;
        if (m->exiting && (m->exit_restoring ? m->n_restoring == 0 : !busy))
                finish_exit(m);
}

static void on_each(void *userdata) {
        continue_exit(userdata);
}

int manager_watch_exit(struct manager *m) {
        return m->env->ops->after_each(m->env->context, on_each, m);
}

void manager_begin_exit(struct manager *m, int status) {
        if (m->exiting)
                return;
        m->exiting = true;
        m->exit_status = status;
        manager_notify(m, "STOPPING=1\nSTATUS=Stopping");
        struct transition *t, *next;
        for (t = LIST_FIRST(&m->transitions); t; t = next) {
                next = transition_next(t);
                transition_cancel(t, "the daemon stops");
        }
        if (arm_exit_limit(m, EXIT_LIMIT_USEC) < 0)
                leave(m);
        continue_exit(m);
}
