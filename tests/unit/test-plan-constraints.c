/* SPDX-License-Identifier: GPL-2.0-or-later */
/* allowed-nodes, avoid-nodes, min-nodes and max-nodes: which nodes a home may have, and how many. */
#include "plan-test.h"

static struct rule *only_on(struct rule *r, const char *nodes) {
        r->has_allowed = true;
        assert_int_equal(node_set_parse(nodes, &r->allowed), 0);
        return r;
}

static void test_allowed_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = only_on(named_rule(w, PLACE_COMPACT, "web", 100), "1-2");
        service_on(w, "a", r, 0, GIB, 1); /* at home on node 0, were it up to it */
        world_set_distance(w, 0, 2, 12);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus && p->placements[0].move_memory);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_true(node_set_is_subset(&p->placements[0].home, &r->allowed));
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 1);
        assert_int_equal(world_cycle(w, 0), 0);
        /* Another list: the home that it has is no longer among them. */
        only_on(r, "3");
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "3");
        assert_true(p->placements[0].act);
        assert_says(p->placements[0].reason, "its former home is no longer possible");
}

/* All that it may have by its rule is not all that it may have: its CPUs are restricted all the same. */
static void test_all_of_the_allowed_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = only_on(named_rule(w, PLACE_COMPACT, "web", 100), "0-1");
        struct service_sample *s = world_service(w, "a", r);
        s->n_threads = 8;
        world_spread(w, s, 200 * MIB, 0.9);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0-1");
        assert_true(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_cpus, "0-1");
}

static void test_avoid_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        r->avoid = node_set_of(0);
        service_on(w, "a", r, 0, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
        r->avoid = node_set_of(1);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "0");
}

static void test_nothing_is_left(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = only_on(named_rule(w, PLACE_COMPACT, "web", 100), "5");
        service_on(w, "a", r, 0, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "allowed-nodes of rule web leaves it none");
}

static void test_follow_stays_within(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = only_on(named_rule(w, PLACE_FOLLOW, "web", 100), "2-3");
        struct service_sample *s = service_on(w, "a", r, 3, GIB, 0);
        world_set_distance(w, 0, 2, 12);
        world_cpu(w, s, 0, 1); /* its threads are on node 0: node 2 is the nearest that it may have */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home_mems, "2");
}

static void test_min_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        r->min_nodes = 2;
        struct service_sample *s = world_service(w, "a", r);
        world_set_distance(w, 1, 3, 12);
        world_spread(w, s, 200 * MIB, 0.1); /* one node would do */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1,3");
        r->max_nodes = 3;
        r->min_nodes = 3;
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 3);
        r->max_nodes = 0;
        r->min_nodes = 5;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "min-nodes of rule web is 5, which cannot be had");
}

static void test_home_of_too_few_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "web", 100);
        struct service_sample *s = world_service(w, "a", r);
        world_spread(w, s, 200 * MIB, 0.2);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 1);
        r->min_nodes = 2;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 2);
        assert_true(p->placements[0].act);
        world_apply(w, p);
        r->min_nodes = 0;
        r->max_nodes = 1;
        w->now_usec += USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
}

/* On a larger machine not all sets are tried, and the bounds hold all the same. */
static void test_many_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(16, 2, 2, 4 * GIB);
        struct rule *r = only_on(named_rule(w, PLACE_COMPACT, "web", 100), "3-12");
        r->min_nodes = 3;
        r->avoid = node_set_of(5);
        struct service_sample *s = world_service(w, "a", r);
        world_spread(w, s, 50 * MIB, 0.05);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 3);
        assert_true(node_set_is_subset(&p->placements[0].home, &r->allowed));
        assert_false(node_set_has(&p->placements[0].home, 5));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_allowed_nodes),         cmocka_unit_test(test_all_of_the_allowed_nodes),
                cmocka_unit_test(test_avoid_nodes),           cmocka_unit_test(test_nothing_is_left),
                cmocka_unit_test(test_follow_stays_within),   cmocka_unit_test(test_min_nodes),
                cmocka_unit_test(test_home_of_too_few_nodes), cmocka_unit_test(test_many_nodes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
