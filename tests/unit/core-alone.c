/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linked with libcore.a and the C library only: that it links is the test. See core-pure.sh. */
#include "core/plan.h"
#include "core/throttle.h"
#include "core/util.h"

int main(void) {
        _Static_assert(sizeof(struct node_set) * 8 == NODE_ID_MAX + 1, "one bit per node");
        struct topology *t = topology_new(1, 1);
        struct config *c = config_new();
        struct history h = { 0 };
        struct throttle throttle;
        throttle_init(&throttle, 1, 0);
        struct plan *p = NULL;
        struct machine_sample machine = { .nodes = calloc(1, sizeof(struct node_memory)) };
        struct plan_input in = { .topology = t, .machine = &machine, .config = c, .history = &h };
        bool ok = t && c && machine.nodes && history_get(&h, "/") && throttle_available(&throttle, 0) > 0;
        if (ok) {
                t->nodes[0].present = true;
                ok = plan_make(&in, &p) == 0 && p->n_placements == 0;
        }
        plan_free(p);
        free(machine.nodes);
        history_done(&h);
        config_free(c);
        topology_free(t);
        return ok ? 0 : 1;
}
