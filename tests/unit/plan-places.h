/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of places have in common that divide or bring memory: one service whose memory is all on one node. */
#pragma once

#include "plan-test.h"

#define COOL (10 * USEC_PER_MINUTE)

static inline uint64_t on(const struct world *w, unsigned node) {
        return w->samples[0].bytes_by_node[node] / MIB;
}

static inline void assert_mib(const struct world *w, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t expected[] = { a, b, c, d };
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(on(w, n), expected[n]);
}

/* One service with 400 MiB on node 0 and half a CPU used on each. */
static inline struct world *placed_by(enum place place, struct rule **ret) {
        struct world *w = world_new(4, 4, 8, 8 * GIB);
        *ret = world_rule(w, place);
        struct service_sample *s = world_service(w, "s", *ret);
        world_spread(w, s, 0, 0.5);
        world_memory(w, s, 0, 400 * MIB);
        return w;
}
