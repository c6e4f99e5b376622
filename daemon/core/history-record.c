/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of what was done to a service, and how long things are left alone because of that. */
#include "core/history.h"
#include "core/util.h"

/* Allocated elsewhere while the move went on, more likely than not. */
#define UNMOVABLE_NOISE_BYTES (256 * KIB)

/* More are not counted. */
#define CROWDED_PLANS_MOST 1000u

static unsigned restless_now(const struct history_entry *e, uint64_t now_usec) {
        uint64_t calm = (now_usec - MIN2(e->left_usec, now_usec)) / HISTORY_CALM_USEC;
        return e->restless - (unsigned) MIN2(calm, (uint64_t) e->restless);
}

uint64_t history_patience_usec(const struct history_entry *e, uint64_t now_usec) {
        unsigned n = MIN2(restless_now(e, now_usec), HISTORY_RESTLESS_MAX);
        return n > 0 ? HISTORY_PATIENCE_USEC << (n - 1) : 0;
}

int history_record_placed(struct history *h, const char *cgroup, const struct node_set *home, uint64_t now_usec) {
        struct history_entry *e = history_get(h, cgroup);
        if (!e)
                return -ENOMEM;
        if (!e->placed || !node_set_equal(&e->home, home)) {
                e->restless = e->placed ? MIN2(restless_now(e, now_usec) + 1, HISTORY_RESTLESS_MAX) : 0;
                e->has_former = e->placed;
                e->former_home = e->home;
                e->left_usec = now_usec;
                e->since_usec = now_usec;
                e->placed = true;
                e->home = *home;
                e->placed_usec = now_usec;
                e->unmovable_bytes = 0;
                e->retry_usec = 0;
                e->n_failed_moves = 0;
                e->failed = false;
                e->interleave_key = 0;
                e->kept_known = false;
                e->n_undone = 0;
                e->n_little = 0;
                e->crowded_usec = 0;
                e->crowded_plans = 0;
        }
        e->started_usec = now_usec;
        if (e->last_seen_usec == 0) /* created here: not to be forgotten at once */
                e->last_seen_usec = now_usec;
        return 0;
}

static void wait_for_retry(struct history_entry *e, uint64_t least_usec, unsigned doublings, uint64_t now_usec) {
        e->retry_usec = now_usec + (least_usec << MIN2(e->n_failed_moves, doublings));
        e->n_failed_moves++;
}

void history_record_settled(struct history *h, const char *cgroup, uint64_t unmovable_bytes, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        e->settled_usec = now_usec;
        e->failed = false;
        e->unmovable_bytes = unmovable_bytes < UNMOVABLE_NOISE_BYTES ? 0 : unmovable_bytes;
        if (e->unmovable_bytes > 0) {
                wait_for_retry(e, HISTORY_RETRY_USEC, HISTORY_RETRY_DOUBLINGS, now_usec);
                return;
        }
        e->retry_usec = 0;
        e->n_failed_moves = 0;
}

void history_record_failed(struct history *h, const char *cgroup, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        e->settled_usec = now_usec;
        e->failed = true;
        wait_for_retry(e, HISTORY_FAILED_USEC, HISTORY_FAILED_DOUBLINGS, now_usec);
}

void history_record_unable(struct history *h, const char *cgroup, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        e->settled_usec = now_usec;
        e->failed = true;
        unsigned n_failed = e->n_failed_moves;
        wait_for_retry(e, HISTORY_FAILED_USEC, HISTORY_UNABLE_DOUBLINGS, now_usec);
        if (n_failed >= HISTORY_UNABLE_DOUBLINGS) /* what fails after that waits no longer for it */
                e->n_failed_moves = n_failed;
}

void history_forgive(struct history *h) {
        for (size_t i = 0; i < h->n_entries; i++) {
                struct history_entry *e = &h->entries[i];
                e->n_undone = 0;
                e->n_little = 0;
                e->failed = false;
                e->n_failed_moves = e->n_shared_looks = 0;
                if (e->shared_processes > 0 || e->unmovable_bytes > 0)
                        history_look_again(e);
                e->retry_usec = 0;
        }
}

uint64_t history_widened_wait_usec(const struct history_entry *e, uint64_t cooldown_usec) {
        unsigned n = MIN2(e->n_widened, HISTORY_WIDENED_MAX);
        return n > 1 ? MAX2(cooldown_usec, (uint64_t) HISTORY_WIDENED_USEC) << (n - 1)
                     : cooldown_usec; /* of at most seven days */
}

void history_record_widened(struct history *h, const char *cgroup, uint64_t cooldown_usec, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        uint64_t since = now_usec - MIN2(e->widened_usec, now_usec), wait = history_widened_wait_usec(e, cooldown_usec);
        e->n_widened = since < wait + HISTORY_CALM_USEC ? MIN2(e->n_widened + 1, HISTORY_WIDENED_MAX) : 1;
        e->widened_usec = now_usec;
}

void history_record_crowded(struct history *h, const char *cgroup, bool crowded, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        if (crowded && e->crowded_plans == 0)
                e->crowded_usec = MAX2(now_usec, (uint64_t) 1);
        else if (!crowded)
                e->crowded_usec = 0;
        e->crowded_plans = crowded ? MIN2(e->crowded_plans + 1, CROWDED_PLANS_MOST) : 0;
}

void history_record_refused(struct history *h, const char *cgroup, bool refused) {
        struct history_entry *e = history_find(h, cgroup);
        if (e)
                e->refused = refused;
}

void history_record_interleaved(struct history *h, const char *cgroup, uint64_t key) {
        struct history_entry *e = history_find(h, cgroup);
        if (e)
                e->interleave_key = key;
}
