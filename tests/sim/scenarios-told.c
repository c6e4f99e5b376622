/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of what is told and what is tried again: it must not depend on what happened to be read last. */
#include <inttypes.h>
#include <string.h>

#include "core/plan.h"
#include "scenario.h"

/* What is said of a service at present; borrowed, until time passes. */
static const struct placement *placement_of(const struct run *r, const struct sim_service *v) {
        const struct cycle *c = sim_manager(r->sim)->last;
        ssize_t i = c ? cycle_find(c, v->cgroup) : -1;
        return i < 0 ? NULL : &c->plan->placements[i];
}

/* Some of it is shared, some bound, one service looks after itself: that is told by every cycle, and its state stays. */
static void told(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        struct sim_service *v[3];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                struct sim_spec p = spec(unit, 1, 2 * GIB);
                p.start = node_set_of(0);
                p.shared_permille = i == 0 ? 300 : 0;
                p.bound_permille = i == 1 ? 300 : 0;
                p.policy = i == 2 ? "bind:0" : NULL;
                v[i] = add(r, &p);
        }
        pass(r, MINUTES(20));
        char *said[ARRAY_SIZE(v)] = { 0 };
        enum service_state states[ARRAY_SIZE(v)];
        for (unsigned k = 0; k < 360; k++) {
                for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                        const struct placement *p = placement_of(r, v[i]);
                        expect(r, p != NULL, "%s is not seen", v[i]->unit);
                        if (p && !said[i]) {
                                said[i] = strdup(p->reason);
                                states[i] = p->state;
                        }
                        if (!p || !said[i])
                                continue;
                        expect(r, p->state == states[i], "%s was %s, now it is %s", v[i]->unit,
                               service_state_to_string(states[i]), service_state_to_string(p->state));
                        expect(r, text_same_but_for_amounts(said[i], p->reason), "%s: \"%s\" became \"%s\"", v[i]->unit, said[i],
                               p->reason);
                }
                pass(r, SECONDS(20));
        }
        expect(r, said[0] && strstr(said[0], "cannot be moved"), "shared pages are not told: %s", said[0]);
        expect(r, said[1] && strstr(said[1], "cannot be moved"), "bound pages are not told: %s", said[1]);
        expect(r, said[2] && strstr(said[2], "self-managed"), "its own policy is not told: %s", said[2]);
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                free(said[i]);
}

const struct scenario scenarios_told[] = {
        { 50, "told", "what cannot move is told by every cycle", told },
        { 0 },
};
