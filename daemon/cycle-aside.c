/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that block whoever reads them: their address space is locked, or they wait for a device that is gone. Each holds up one thread until it
 * lets go; the service's other processes are read and counted without it. */
#include "manager.h"

bool aside_add(struct service_note *n, const struct service_sample *s, size_t process) {
        /* Without its only process a service would seem to be gone. */
        if (process >= s->n_processes || s->n_processes < 2 || n->n_aside >= ASIDE_MAX)
                return false;
        n->aside[n->n_aside++] = s->processes[process];
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
                bool aside = false;
                for (unsigned k = 0; k < n->n_aside; k++)
                        aside = aside || process_ref_equal(&n->aside[k], &s->processes[i]);
                if (!aside)
                        s->processes[kept++] = s->processes[i];
        }
        if (kept > 0) /* else it has only those: it is read, and found to be stuck */
                s->n_processes = kept;
}
