/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a move pay for itself? While its memory is moved a service is taken to stand still: pages that are being moved are waited for, and the
 * copying takes the memory's bandwidth; that is more than what it really loses, and so errs on the side of leaving it. The gain lasts as long
 * as things stay as they are, which nobody knows; what has lasted for a while is expected to last as long again (the rule named after
 * Lindy), and everything for ten minutes. */
#include "core/plan-internal.h"

#define HORIZON_LEAST_USEC   (10 * USEC_PER_MINUTE)
#define HORIZON_MOST_USEC    (24 * 60 * USEC_PER_MINUTE)
#define RATE_UNLIMITED_BYTES (2 * GIB) /* per second: about what the kernel does where nothing is said */

static uint64_t allowed_rate(const struct planner *pl, const struct job *j) {
        uint64_t rate = pl->in->config->settings.migrate_rate_bytes, own = j->rule->migrate_rate_bytes;
        if (own > 0 && (rate == 0 || own < rate))
                rate = own;
        return rate > 0 ? rate : RATE_UNLIMITED_BYTES;
}

double job_move_seconds(const struct planner *pl, const struct job *j, uint64_t bytes) {
        return (double) bytes / (double) allowed_rate(pl, j);
}

double job_horizon_seconds(const struct job *j) {
        uint64_t lasted = MIN2(j->lasted_usec, (uint64_t) HORIZON_MOST_USEC);
        return (double) MIN2(HORIZON_LEAST_USEC + lasted, (uint64_t) HORIZON_MOST_USEC) / (double) USEC_PER_SEC;
}

bool move_pays(const struct planner *pl, const struct job *j, double gain, uint64_t bytes) {
        return gain * job_horizon_seconds(j) >= job_move_seconds(pl, j, bytes);
}
