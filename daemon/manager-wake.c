/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the next cycle begins, and why. Whatever happens, and however often, there is a bound: events make one cycle in an interval; memory that runs out for
 * a service that we narrowed makes a few at once, and then counts like any event. */
#include <string.h>

#include "manager.h"
#include "report/format.h"
#include "report/journal.h"

/* Units and cgroups come in bursts (a boot, a container stack): look once they have settled. */
#define SETTLE_USEC (2 * USEC_PER_SEC)
/* The budget for observing comes before a short max-interval, too; but so long after the last wish there is a look, whatever it costs. */
#define STARVED_USEC USEC_PER_MINUTE
/* Looks because of events are an interval apart, but not for longer than this: whoever looks seldom still wants newcomers seen soon. */
#define EVENTS_APART_MAX_USEC (30 * USEC_PER_SEC)
/* Urgent looks: so many in a row, one more earned in each max-interval, and this much apart. */
#define URGENT_MAX        4u
#define URGENT_APART_USEC USEC_PER_SEC

const char *wake_to_string(enum wake w) {
        static const char *const words[] = {
                [WAKE_TIMER] = "timer",   [WAKE_STEP] = "step", [WAKE_REQUEST] = "request",   [WAKE_UNIT] = "unit",
                [WAKE_CGROUP] = "cgroup", [WAKE_CPU] = "cpu",   [WAKE_PRESSURE] = "pressure", [WAKE_NODE] = "node",
        };
        return words[w];
}

/* False where a cycle would begin before that anyway. */
static bool arm(struct manager *m, uint64_t at, enum wake why) {
        if (at >= m->next_cycle_usec)
                return false;
        m->next_cycle_usec = at;
        m->next_wake = why;
        int r = m->env->ops->timer_set(m->timer, at);
        if (r < 0)
                log_error(r, "Could not arm the cycle's timer: %s", strerror(-r));
        return true;
}

void manager_wake_for(struct manager *m, uint64_t delay_usec, enum wake why) {
        uint64_t now = manager_now(m), at = now + delay_usec;
        /* The budget for observing comes before any wish to look again, but never starves a transition's verification for long. */
        uint64_t affordable = throttle_when(&m->scan_budget, MAX2(m->screen_cpu_usec, (uint64_t) 1), now);
        at = MAX2(at, MIN2(affordable, now + MAX2(m->config->config->settings.max_interval_usec, STARVED_USEC)));
        (void) arm(m, at, why);
}

void manager_wake(struct manager *m, uint64_t delay_usec) {
        manager_wake_for(m, delay_usec, WAKE_STEP);
}

static uint64_t latest_usec(const struct manager *m) {
        const struct cycle *latest = m->cycle ? m->cycle : m->last;
        return latest ? latest->started_usec : 0;
}

uint64_t manager_events_apart_usec(const struct manager *m) {
        return MIN2(m->config->config->settings.interval_usec, EVENTS_APART_MAX_USEC);
}

void manager_wake_by_event(struct manager *m, enum wake why, const char *who) {
        if (m->exiting)
                return;
        uint64_t now = manager_now(m), before = m->next_cycle_usec, latest = latest_usec(m), at = now + SETTLE_USEC;
        if (latest > 0)
                at = MAX2(at, latest + manager_events_apart_usec(m));
        manager_wake_for(m, at - now, why);
        if (m->next_cycle_usec != before)
                log_debug("Looking in %s (%s): %s", FORMAT_USEC(m->next_cycle_usec - now), wake_to_string(why), who);
}

static void earn_urgent(struct manager *m, uint64_t now) {
        uint64_t each = MAX2(m->config->config->settings.max_interval_usec, USEC_PER_SEC);
        if (m->urgent_earned_usec == 0) { /* not begun: all of them */
                m->n_urgent_left = URGENT_MAX;
                m->urgent_earned_usec = now;
        }
        uint64_t earned = (now - MIN2(m->urgent_earned_usec, now)) / each;
        m->n_urgent_left = (unsigned) MIN2(m->n_urgent_left + earned, (uint64_t) URGENT_MAX);
        m->urgent_earned_usec += earned * each;
}

void manager_wake_urgently(struct manager *m, enum wake why, const char *who) {
        if (m->exiting || m->paused || manager_is_dry(m)) /* nothing would come of it */
                return;
        uint64_t now = manager_now(m), at = MAX2(now, latest_usec(m) + URGENT_APART_USEC);
        earn_urgent(m, now);
        if (m->urgent || at >= m->next_cycle_usec)
                return;
        if (m->n_urgent_left == 0) {
                manager_wake_by_event(m, why, who);
                return;
        }
        m->n_urgent_left--;
        m->urgent = arm(m, at, why);
        log_debug("Looking in %s (%s): %s", FORMAT_USEC(at - now), wake_to_string(why), who);
}

void manager_woken(struct manager *m, enum wake why) {
        m->last_wake = why;
        m->urgent = false;
        m->stats.by_wake[why]++;
        log_debug("A cycle begins: %s", wake_to_string(why));
}
