/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of placing: where services end up, and what it cost. */
#include "scenario.h"

static void misplaced(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *v[4];
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = service(r, unit, 4, 2 * GIB, (i + 1) % 4);
        }
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < 4; i++) {
                expect_local(r, v[i], 0.99);
                expect_home_count(r, v[i], 1);
        }
        expect(r, sim_totals(r->sim).n_changes == 4, "%u changes of home for four services", sim_totals(r->sim).n_changes);
        expect(r, sim_totals(r->sim).moved_bytes <= 8 * GIB, "more was moved than there is");
        expect_good_manners(r);
}

const struct scenario scenarios_place[] = {
        { 1, "misplaced", "four services on four nodes, each with its memory on one of them", misplaced },
        { 0 },
};
