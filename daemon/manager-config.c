/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loading and reloading: a fresh configuration is parsed beside the running one and put in its place only when it has no error. */
#include "manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/journal.h"

/* All error lines in one text, for the caller of Reload(). */
static char *join_lines(const struct config_errors *e) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < e->n_lines; i++)
                strbuf_printf(&b, "%s%s", i > 0 ? "\n" : "", e->lines[i]);
        return strbuf_steal(&b);
}

static const char *config_origin(const struct manager *m) {
        return m->options.config_file ? m->options.config_file : SYSCONFDIR "/numabalanced/numabalanced.yaml and drop-ins";
}

int manager_load_config(struct manager *m, char **ret_error) {
        struct config_errors errors = { 0 };
        struct config *config = NULL;
        int r = m->env->ops->load_config(m->env->context, m->options.config_file, m->topology, &config, &errors);
        if (r < 0) {
                if (r == -ENOMEM)
                        log_error(r, "Out of memory while reading the configuration");
                else
                        journal_config_rejected(config_origin(m), (const char *const *) errors.lines, (unsigned) errors.n_lines);
                if (ret_error)
                        *ret_error = join_lines(&errors);
                config_errors_done(&errors);
                return r == -ENOMEM ? r : -EBADMSG; /* a file that cannot be read is a wrong configuration, too */
        }
        config_errors_done(&errors);

        struct config_ref *ref = malloc(sizeof(*ref));
        if (!ref) {
                config_free(config);
                return -ENOMEM;
        }
        *ref = (struct config_ref) { .n_ref = 1, .config = config };
        config_ref_unref(m->config);
        m->config = ref;
        if (!m->options.once)
                journal_config_loaded(config_origin(m), (unsigned) config->n_rules);
        return 0;
}

/* Devices come and go, and rules may name those that just came. Nodes and CPUs are another matter: what is under way counts on them. */
static void read_devices_again(struct manager *m) {
        _cleanup_(topology_freep) struct topology *fresh = NULL;
        int r = m->env->ops->load_topology(m->env->context, &fresh);
        if (r < 0)
                log_warning(r, "Cannot read the topology again, going on with what it was: %s", strerror(-r));
        else if (topology_same_but_for_devices(m->topology, fresh))
                topology_swap_devices(m->topology, fresh);
        else
                log_notice(HOTPLUGGED_TEXT);
}

int manager_reload(struct manager *m, char **ret_error) {
        if (m->exiting)
                return -ESHUTDOWN; /* the service manager has been told that we stop: not that we are ready again */
        manager_notify(m, "RELOADING=1\nSTATUS=Reading the configuration");

        int r = manager_load_config(m, ret_error);
        if (r >= 0) {
                read_devices_again(m);
                uint64_t now = manager_now(m);
                const struct settings *s = &m->config->config->settings;
                throttle_set_rate(&m->machine_throttle, s->migrate_rate_bytes, now);
                m->scan_budget.rate_bytes = s->scan_cpu_permille * (USEC_PER_SEC / 1000);
                m->interval_usec = s->interval_usec;
                /* What runs was decided by rules that may be gone: it stops at its next slice and the next cycle decides anew. */
                struct transition *t, *next;
                for (t = LIST_FIRST(&m->transitions); t; t = next) {
                        next = transition_next(t);
                        transition_cancel(t, "the configuration was reloaded");
                }
                manager_forgive(m);
                manager_balancing_forgive(m);
                if (!manager_is_dry(m)) {
                        int q = manager_take_lock(m);
                        if (q < 0)
                                log_warning(q, "Staying in dry run until the other one is gone");
                        m->lock_denied = q < 0;
                }
                manager_wake_for(m, 0, WAKE_REQUEST);
        }
        manager_notify(m, "READY=1");
        manager_update_status(m);
        return r;
}
