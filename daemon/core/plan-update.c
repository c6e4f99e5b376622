/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan where only a few services changed since the last one. Everybody is set up and put where the last plan had them, which is cheap; looked at
 * again are only those that changed, those whose last placement was not at rest or came of a change, and those that a constraint drives out. */
#include <string.h>

#include "core/plan-internal.h"

static int copy_placement(const struct placement *from, struct placement *to) {
        char *reason = strdup(from->reason);
        if (!reason)
                return -ENOMEM;
        free(to->reason);
        *to = *from;
        to->reason = reason;
        to->room_by_node = NULL; /* at rest: nothing is to be moved */
        to->want_by_node = NULL;
        to->weight_by_node = NULL;
        return 0;
}

static bool at_rest(const struct placement *p) {
        return p->reason && !p->act && !p->wants_deep && (p->state == STATE_STABLE || p->state == STATE_OBSERVED);
}

int plan_update(const struct plan_input *in, const struct plan *previous, const size_t *changed, size_t n_changed,
                struct plan **ret) {
        struct planner pl;
        struct plan *plan = NULL;
        if (!previous || previous->n_placements != in->n_samples || (n_changed > 0 && !changed))
                return -EINVAL;
        bool *look = calloc(in->n_samples + 1, sizeof *look);
        if (!look)
                return -ENOMEM;
        for (size_t i = 0; i < in->n_samples; i++)
                look[i] = !at_rest(&previous->placements[i]) || previous->placements[i].changed;
        int r = 0;
        for (size_t i = 0; i < n_changed; i++) {
                if (changed[i] >= in->n_samples)
                        r = -EINVAL;
                else
                        look[changed[i]] = true;
        }
        if (r < 0) {
                free(look);
                return r;
        }
        r = planner_run(&pl, in, look, &plan);
        for (size_t i = 0; i < in->n_samples && r >= 0; i++)
                if (!look[i])
                        r = copy_placement(&previous->placements[i], &plan->placements[i]);
        for (size_t i = 0; i < n_changed && r >= 0; i++)
                plan->placements[changed[i]].changed = true;
        planner_done(&pl);
        free(look);
        if (r < 0) {
                plan_free(plan);
                return r;
        }
        *ret = plan;
        return 0;
}
