/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to services is told twice: to the journal for good, and to a short memory for "numabalancectl history". */
#include <string.h>
#include <time.h>

#include "manager.h"
#include "report/journal.h"

static uint64_t realtime_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail for this clock */
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static void check(int r) {
        if (r < 0)
                log_warning(r, "An event is missing from the history (it is in the journal): %s", strerror(-r));
}

void manager_tell_decision(struct manager *m, const struct service_sample *s, const struct placement *p, bool dry_run) {
        journal_decision(s, p, m->topology->n_ids, dry_run);
        check(events_add_decision(m->events, realtime_usec(), s, p, m->topology->n_ids, dry_run));
}

void manager_tell_moved(struct manager *m, const struct move_report *r) {
        journal_moved(r);
        check(events_add_moved(m->events, realtime_usec(), r));
}

void manager_tell_blocked(struct manager *m, const struct service_sample *s, const char *reason) {
        journal_blocked(s, reason);
        check(events_add_blocked(m->events, realtime_usec(), s, reason));
}

void manager_tell_undone(struct manager *m, const struct undone_report *r) {
        journal_undone(r);
        check(events_add_undone(m->events, realtime_usec(), r));
}

void manager_tell_restored(struct manager *m, const char *unit, const char *cgroup, enum restore_outcome outcome, int error,
                           const char *detail) {
        journal_restored(unit, cgroup, outcome, error, detail);
        check(events_add_restored(m->events, realtime_usec(), unit, cgroup, outcome, detail));
}
