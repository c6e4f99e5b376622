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

const struct option *best_unpaid(const struct planner *pl, const struct job *j, const struct option *from) {
        const struct option *best = NULL;
        double best_gain = job_min_gain(j);
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (!option_fits(o) || o->standing != STANDING_FREE || from->cost <= 0 || node_set_equal(&o->nodes, &from->nodes))
                        continue;
                double by_cost = (from->cost - (o->cost - o->moving_cost)) / from->cost,
                       gain = MAX2(by_cost, distance_gain(from->distance, o->distance));
                if (gain < best_gain || (best && gain <= best_gain) || move_pays(pl, j, gain, o->bytes_in))
                        continue;
                best = o;
                best_gain = gain;
        }
        return best;
}
