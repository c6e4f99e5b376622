/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that block whoever reads them: their address space is locked, or they wait for a device that is gone. Each holds up one thread until it
 * lets go; the service's other processes are read and counted without it. */
#include "core/companions.h"
#include "manager.h"

static bool is_aside(const struct service_note *n, const struct process_ref *p) {
        for (unsigned i = 0; i < n->n_aside; i++)
                if (process_ref_equal(&n->aside[i], p))
                        return true;
        return false;
}

bool aside_add(struct service_note *n, const struct service_sample *s, size_t process) {
        /* Without its only process a service would seem to be gone. */
        if (process >= s->n_processes || s->n_processes < 2)
                return false;
        return aside_add_newcomer(n, &s->processes[process]);
}

bool aside_add_newcomer(struct service_note *n, const struct process_ref *p) {
        if (is_aside(n, p)) /* by another who reads it */
                return true;
        if (n->n_aside >= ASIDE_MAX)
                return false;
        n->aside[n->n_aside++] = *p;
        return true;
}

void aside_remove(struct service_note *n, const struct process_ref *p) {
        for (unsigned i = 0; i < n->n_aside; i++)
                if (process_ref_equal(&n->aside[i], p)) {
                        n->aside[i] = n->aside[--n->n_aside];
                        return;
                }
}

void aside_leave_out(const struct service_note *n, struct service_sample *s) {
        size_t kept = 0;
        for (size_t i = 0; i < s->n_processes; i++) {
                if (!is_aside(n, &s->processes[i]))
                        s->processes[kept++] = s->processes[i];
        }
        if (kept > 0) /* else it has only those: it is read, and found to be stuck */
                s->n_processes = kept;
}

struct hung hung_leave_out(struct manager *m, const struct cycle *c, const struct companions *companions, size_t number) {
        struct hung h = { 0 };
        size_t i = 0;
        while (i < companions->n_items && number >= companions->items[i].n_processes)
                number -= companions->items[i++].n_processes;
        ssize_t k = i < companions->n_items ? cycle_find(c, companions->items[i].cgroup) : -1;
        struct service_note *n = k >= 0 ? manager_note(m, companions->items[i].cgroup) : NULL;
        if (!n)
                return h;
        const struct service_sample *s = &c->observation->services[k];
        h.cgroup = s->cgroup;
        h.process = companions->items[i].processes[number];
        size_t at = 0;
        while (at < s->n_processes && !process_ref_equal(&s->processes[at], &h.process))
                at++;
        if (!aside_add(n, s, at) && !n->stuck) { /* else whoever found that out releases it */
                h.alone = n->stuck = true;
                n->stuck_pid = h.process.pid;
        }
        return h;
}

void hung_release(struct manager *m, const struct hung *h) {
        struct service_note *n = h->cgroup ? manager_find_note(m, h->cgroup) : NULL;
        if (!n)
                return;
        aside_remove(n, &h->process);
        if (h->alone)
                n->stuck = false;
}
