/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Little that is off home, again and again: a service that grows or churns where its home is full for a moment, or whose threads allocate elsewhere. Each move
 * has costs and lines of its own, so the more of them in a row brought only little, the longer little waits. Much does not wait, and little is too little
 * to lose the locality that is promised. */
#include "core/history.h"
#include "core/util.h"

bool history_is_little(uint64_t off_bytes, uint64_t bytes) {
        return off_bytes < bytes / HISTORY_LITTLE_SHARE;
}

/* After one alone nothing but the cooldown. */
static uint64_t wait_usec(unsigned n_little, uint64_t cooldown_usec) {
        return n_little > 1 ? cooldown_usec << MIN2(n_little - 1, HISTORY_LITTLE_DOUBLINGS) : 0; /* of at most seven days */
}

uint64_t history_little_wait_usec(const struct history_entry *e, uint64_t cooldown_usec, uint64_t now_usec) {
        if (!e)
                return 0;
        uint64_t last = MAX2(e->little_usec, e->settled_usec), wait = wait_usec(e->n_little, cooldown_usec);
        if (now_usec < last) /* a clock that runs backwards */
                return wait;
        return wait - MIN2(wait, now_usec - last);
}

void history_record_little(struct history *h, const char *cgroup, bool little, uint64_t cooldown_usec, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        if (!little) { /* little has waited for too long to stay little: not so long the next time */
                e->n_little -= e->n_little > 0;
                return;
        }
        uint64_t since = now_usec - MIN2(e->little_usec, now_usec);
        bool in_a_row = since < wait_usec(e->n_little, cooldown_usec) + HISTORY_CALM_USEC;
        e->n_little = in_a_row ? MIN2(e->n_little + 1, HISTORY_LITTLE_DOUBLINGS + 1) : 1;
        e->little_usec = now_usec;
}
