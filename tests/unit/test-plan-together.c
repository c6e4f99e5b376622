/* SPDX-License-Identifier: GPL-2.0-or-later */
/* together-with: services that share one home, and which of them leaves where that cannot be. */
#include "plan-test.h"

static void test_two_rules_share(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        struct rule *app = named_rule(w, PLACE_COMPACT, "app", 100), *db = named_rule(w, PLACE_COMPACT, "db", 100);
        add_name(&app->together_with, "db");
        service_on(w, "app", app, 1, 100 * MIB, 0.1);
        service_on(w, "db", db, 2, 2 * GIB, 2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "app", "2"); /* where the busier of both is */
        assert_home(w, p, "db", "2");
        for (unsigned k = 0; k < 5; k++)
                assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), k == 0 ? 2 : 0);
}

/* Through a rule in the middle, and several services of one rule: all one group. A rule without services binds nobody. */
static void test_bonds_go_on(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 100),
                    *c = named_rule(w, PLACE_COMPACT, "c", 100), *d = named_rule(w, PLACE_COMPACT, "d", 100);
        add_name(&a->together_with, "b");
        add_name(&c->together_with, "b");
        add_name(&d->together_with, "nobody");
        add_name(&c->together_with, "nobody");
        service_on(w, "s1", a, 0, 100 * MIB, 0.5);
        service_on(w, "s2", a, 1, 100 * MIB, 0.5);
        service_on(w, "s3", b, 2, 100 * MIB, 0.5);
        service_on(w, "s4", c, 3, 100 * MIB, 0.5);
        service_on(w, "s5", d, 0, 100 * MIB, 0.5);
        service_on(w, "s6", d, 1, 100 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (unsigned i = 1; i < 4; i++)
                assert_true(node_set_equal(&p->placements[i].home, &p->placements[0].home));
        assert_home(w, p, "s5", "0");
        assert_home(w, p, "s6", "1");
}

/* The rule in the middle has a service that is too small for a home as yet: the others share one all the same. */
static void test_bonds_by_way_of_a_small_one(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 100),
                    *c = named_rule(w, PLACE_COMPACT, "c", 100);
        add_name(&a->together_with, "b");
        add_name(&c->together_with, "b");
        service_on(w, "s1", a, 0, 100 * MIB, 0.5);
        service_on(w, "s2", b, 1, 20 * MIB, 0.5);
        service_on(w, "s3", c, 2, 100 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(node_set_is_empty(&p->placements[0].home));
        assert_true(node_set_is_empty(&p->placements[1].home));
        assert_true(node_set_equal(&p->placements[0].home, &p->placements[2].home));
}

static void test_own_name(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        service_on(w, "a", r, 0, 100 * MIB, 0.5);
        service_on(w, "b", r, 1, 100 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(node_set_equal(&p->placements[0].home, &p->placements[1].home));
        add_name(&r->together_with, "web");
        p = free_and_plan(p, w);
        assert_false(node_set_is_empty(&p->placements[0].home));
        assert_true(node_set_equal(&p->placements[0].home, &p->placements[1].home));
}

/* The home obeys what each of them asks for, and goes where nodes are given. */
static void test_constraints_of_all(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 100),
                    *c = named_rule(w, PLACE_NODES, "c", 100);
        add_name(&a->together_with, "b");
        a->avoid = node_set_of(0);
        b->avoid = node_set_of(1);
        service_on(w, "a", a, 0, 400 * MIB, 1);
        service_on(w, "b", b, 1, 400 * MIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(node_set_has(&p->placements[0].home, 2) || node_set_has(&p->placements[0].home, 3));
        assert_true(node_set_equal(&p->placements[0].home, &p->placements[1].home));
        add_name(&b->together_with, "c");
        c->nodes = node_set_of(3);
        service_on(w, "c", c, 0, 100 * MIB, 0.1);
        p = free_and_plan(p, w);
        for (unsigned i = 0; i < 3; i++)
                assert_nodes(p->placements[i].home, "3");
}

/* One cannot be where the other must be: the weaker leaves, and says so. */
static void test_cannot_share(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 200);
        add_name(&a->together_with, "b");
        a->avoid = node_set_of(0);
        b->avoid = node_set_of(1);
        service_on(w, "a", a, 0, 400 * MIB, 1);
        service_on(w, "b", b, 1, 400 * MIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "1");
        assert_home(w, p, "b", "0");
        assert_says(placement_of(w, p, "a")->reason, "together-with is given up: rule b (priority 200)");
        assert_null(strstr(placement_of(w, p, "b")->reason, "given up"));
        /* And that comes to rest. */
        for (unsigned k = 0; k < 6; k++)
                assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), k == 0 ? 2 : 0);
}

/* Too much for one home: as many as can stay together do. */
static void test_too_much_for_one_home(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 2 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        r->max_nodes = 1;
        add_name(&r->together_with, "web");
        for (unsigned i = 0; i < 4; i++) {
                static const char *const names[] = { "a", "b", "c", "d" };
                service_on(w, names[i], r, i, 700 * MIB, 0.5);
        }
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(node_set_equal(&p->placements[0].home, &p->placements[1].home));
        assert_true(node_set_equal(&p->placements[2].home, &p->placements[3].home));
        assert_false(node_set_equal(&p->placements[0].home, &p->placements[2].home));
}

/* A newcomer joins those who have a home, rather than drawing them away. */
/* Who leads the group needs no CPUs, being held by the administrator's, or given a node that has none; the other does. */
static void test_who_needs_cpus(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 4, 4, 4 * GIB);
        struct rule *store = named_rule(w, PLACE_NODES, "store", 200), *app = named_rule(w, PLACE_COMPACT, "app", 100);
        world_take_cpus(w, 2);
        store->nodes = node_set_of(2);
        add_name(&app->together_with, "store");
        service_on(w, "app", app, 0, 300 * MIB, 1);
        service_on(w, "store", store, 1, 300 * MIB, 0.1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "store", "2");
        assert_home(w, p, "app", "0");
        assert_says(placement_of(w, p, "app")->reason, "together-with is given up: rule store (priority 200)");
        for (unsigned k = 0; k < 5; k++)
                assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), k == 0 ? 2 : 0);
}

static void test_newcomer_joins(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        add_name(&r->together_with, "web");
        service_on(w, "a", r, 0, GIB, 0.5);
        assert_int_equal(world_cycle(w, USEC_PER_MINUTE), 1);
        service_on(w, "b", r, 1, 100 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "0");
        assert_home(w, p, "b", "0");
        assert_false(placement_of(w, p, "a")->act);
        assert_true(placement_of(w, p, "b")->act);
}

/* Where it is given up for good, nobody loses his home to that again with each plan: what trembles moves those no more than others. */
static void test_apart_and_at_rest(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 2 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        add_name(&r->together_with, "web");
        r->max_nodes = 1;
        service_on(w, "a", r, 0, 1200 * MIB, 0.5);
        service_on(w, "b", r, 1, 1200 * MIB, 0.5);
        struct service_sample *z = service_on(w, "z", NULL, 1, 10 * MIB, 0);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 2);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 0);
        world_cpu(w, z, 1, 3); /* for now */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_says(placement_of(w, p, "b")->reason, "together-with is given up");
        assert_home(w, p, "a", "0");
        assert_home(w, p, "b", "1");
        assert_false(placement_of(w, p, "b")->act);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_rules_share),
                cmocka_unit_test(test_bonds_go_on),
                cmocka_unit_test(test_bonds_by_way_of_a_small_one),
                cmocka_unit_test(test_own_name),
                cmocka_unit_test(test_constraints_of_all),
                cmocka_unit_test(test_cannot_share),
                cmocka_unit_test(test_too_much_for_one_home),
                cmocka_unit_test(test_newcomer_joins),
                cmocka_unit_test(test_who_needs_cpus),
                cmocka_unit_test(test_apart_and_at_rest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
