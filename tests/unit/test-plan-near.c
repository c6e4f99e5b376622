/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: near: by one device or several, with too little room beside them, and clear of whoever is there. */
#include "plan-places.h"

static void add_device(struct world *w, const char *name, const char *nodes) {
        struct topology *t = w->topology;
        t->devices = realloc(t->devices, (t->n_devices + 1) * sizeof *t->devices); // NOLINT: ends the test where it fails
        assert_non_null(t->devices);
        struct topology_device *d = &t->devices[t->n_devices++];
        *d = (struct topology_device) { .name = strdup(name) };
        assert_int_equal(node_set_parse(nodes, &d->nodes), 0);
}

static void test_near_a_device(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no device net/eth0 on this machine");

        add_device(w, "net/eth0", "2");
        world_set_distance(w, 2, 1, 15);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus && p->placements[0].move_memory);
        assert_nodes(p->placements[0].home, "2");
        assert_says(p->placements[0].reason, "closest to net/eth0");
        assert_int_equal(p->placements[0].pages_how, PAGES_HOME);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 0, 0, 400, 0);
        assert_int_equal(world_cycle(w, COOL), 0);

        /* It outgrows the node: the next nearest is taken in. */
        for (unsigned n = 0; n < 4; n++)
                world_cpu(w, &w->samples[0], n, n == 2 ? 11 : 0);
        for (unsigned k = 0; k < 60; k++) {
                plan_free(world_plan(w));
                w->now_usec += 10 * USEC_PER_SEC;
        }
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1-2");
}

static void test_near_too_large_for_the_node(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "block/nvme0n1"), 0);
        add_device(w, "block/nvme0n1", "2");
        world_set_distance(w, 2, 3, 15);
        w->machine.nodes[2].bytes_free = 8 * GIB / 20 + 250 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "2-3");
        r->max_nodes = 1; /* the next nearest that holds it alone */
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "3");
        assert_says(p->placements[0].reason, "as close to block/nvme0n1 as it fits");
        for (unsigned n = 0; n < 4; n++)
                w->machine.nodes[n].bytes_free = 8 * GIB / 20 + 50 * MIB;
        r->avoid = node_set_of(0); /* where it is, and so would have room */
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no node that it may use has room");
}

static void test_near_several_devices(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
        assert_int_equal(string_list_add(&r->devices, "net/eth1"), 0);
        assert_int_equal(string_list_add(&r->devices, "net/lost"), 0);
        add_device(w, "net/eth0", "1");
        add_device(w, "net/eth1", "2-3");
        add_device(w, "net/lost", "");
        world_set_distance(w, 1, 3, 12);
        world_set_distance(w, 0, 1, 11);
        world_set_distance(w, 0, 2, 40);
        world_set_distance(w, 0, 3, 40);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        /* Nodes 1 and 3 are 10 from one and 12 from the other; the service's memory makes no difference. */
        assert_nodes(p->placements[0].home, "1");
        assert_says(p->placements[0].reason, "does not tell which node net/lost is on");
        w->samples[0].effective_cpu_nodes = node_set_of(3); /* the cgroups above leave it node 3 alone */
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "3");

        string_list_done(&r->devices);
        assert_int_equal(string_list_add(&r->devices, "net/lost"), 0);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "does not tell which node net/lost is on");
}

static struct world *world_of_two(enum place place, struct rule **ret, struct rule **ret_db) {
        struct world *w = world_new(4, 4, 8, 8 * GIB);
        *ret_db = world_rule(w, PLACE_NODES);
        *ret = world_rule(w, place);
        (*ret_db)->nodes = node_set_of(2);
        struct service_sample *db = world_service(w, "db", *ret_db), *s = world_service(w, "s", *ret);
        world_spread(w, db, 50 * MIB, 0.2);
        world_spread(w, s, 0, 0.5);
        world_memory(w, s, 0, 400 * MIB);
        return w;
}

/* Node 2 is another's alone, whether that one says so or the service does. */
static void test_clear_of_others(void **state) {
        static const enum place places[] = { PLACE_SPREAD, PLACE_INTERLEAVE, PLACE_NEAR };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                for (unsigned who = 0; who < 3; who++) {
                        struct rule *r, *db;
                        _cleanup_(world_freep) struct world *w = world_of_two(places[i], &r, &db);
                        if (places[i] == PLACE_NEAR) {
                                add_device(w, "net/eth0", "2");
                                assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
                                world_set_distance(w, 2, 3, 15);
                        }
                        db->exclusive = who == 0;
                        if (who == 1)
                                assert_int_equal(string_list_add(&db->apart_from, r->name), 0);
                        if (who == 2)
                                assert_int_equal(string_list_add(&r->apart_from, db->name), 0);
                        _cleanup_(plan_freep) struct plan *p = world_plan(w);
                        assert_nodes(p->placements[0].home, "2");
                        assert_nodes(p->placements[1].home, places[i] == PLACE_NEAR ? "3" : "0-1,3");
                        w->samples[1].effective_mems = node_set_of(2);
                        p = free_and_plan(p, w);
                        if (who < 2 || places[i] == PLACE_INTERLEAVE) /* what it asks for itself can be given up */
                                assert_state(&p->placements[1], STATE_BLOCKED);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_near_a_device),
                cmocka_unit_test(test_near_too_large_for_the_node),
                cmocka_unit_test(test_near_several_devices),
                cmocka_unit_test(test_clear_of_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
