/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of changes that cannot be made in whole: what was done of them is given back at once, and waits for nothing that it need not wait for. */
#include <errno.h>

#include "scenario.h"

/* Its memory nodes are narrowed to node 0, then a rule wants it on node 1: its CPUs are written, its memory nodes are not. */
static void widened_in_part(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict}\n");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.owner = OWNER_CGROUPFS;
        p.start = node_set_of(0);
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(2));
        expect_home_count(r, v, 1);
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->fail_mems = -EIO;
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        for (unsigned i = 0; i < 600 && r->n_given_up == 0; i++)
                pass(r, SECONDS(1));
        expect(r, r->n_given_up == 1 && v->moved_bytes == 0, "it was not given up");
        pass(r, SECONDS(5));
        expect_home_count(r, v, 4);
        v->fail_mems = 0;
        pass(r, MINUTES(20));
        expect_home_count(r, v, 1);
        expect_local(r, v, 0.99);
}

/* The service manager says yes and does nothing: it must not do it later, when nobody reckons with it. */
static void widened_not_at_all(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->lose_changes = true;
        for (unsigned i = 0; i < 600 && r->n_given_up == 0; i++)
                pass(r, SECONDS(1));
        expect(r, r->n_given_up == 1 && v->moved_bytes == 0, "it was not given up");
        pass(r, SECONDS(5));
        expect(r, !v->settings.cpus_set, "the unit's setting stays");
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "still on record");
}

/* A rule that restricts nothing any more, and a thread that hangs, so that memory nodes have to wait: CPUs do not. */
static void freed_while_hung(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(2));
        expect_home_count(r, v, 1);
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->fail_mems = -EAGAIN;
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0', cpus: free}\n");
        pass(r, MINUTES(2));
        expect_home_count(r, v, 4);
        expect(r, node_set_count(&v->allowed_mems) == 1, "the simulation changed what it must not");
        v->fail_mems = 0;
        pass(r, MINUTES(20));
        expect(r, node_set_count(&v->allowed_mems) == 4, "its memory nodes are still narrowed");
}

const struct scenario scenarios_hung[] = {
        { 117, "widened-in-part", "CPUs were written, memory nodes refused: all is given back", widened_in_part },
        { 118, "widened-not-at-all", "what did not take effect is asked back", widened_not_at_all },
        { 119, "freed-while-hung", "CPUs are given back while memory nodes have to wait", freed_while_hung },
        { 0 },
};
