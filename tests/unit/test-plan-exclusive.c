/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exclusive and priority: nodes that a service has for itself, and who has the stronger claim to them. */
#include "plan-test.h"

static void test_alone(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200), *web = named_rule(w, PLACE_COMPACT, "web", 100);
        db->exclusive = true;
        service_on(w, "a", web, 0, 200 * MIB, 0.5);
        service_on(w, "b", web, 0, 200 * MIB, 0.5);
        service_on(w, "db", db, 0, GIB, 1);
        struct service_sample *other = service_on(w, "other", NULL, 0, 100 * MIB, 0.1); /* no rule: not touched */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "db", "0");
        assert_home(w, p, "a", "1");
        assert_home(w, p, "b", "1");
        assert_state(placement_of(w, p, "other"), STATE_OBSERVED);
        assert_true(other->bytes_by_node[0] > 0);
        for (unsigned k = 0; k < 5; k++)
                assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), k == 0 ? 3 : 0);
}

/* One service alone on each node, of the same rule too. */
static void test_own_services(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200);
        db->exclusive = true;
        service_on(w, "a", db, 0, GIB, 1);
        service_on(w, "b", db, 0, GIB, 1);
        service_on(w, "c", db, 0, 200 * MIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&placement_of(w, p, "a")->home), 1);
        assert_int_equal(node_set_count(&placement_of(w, p, "b")->home), 1);
        assert_false(node_set_equal(&placement_of(w, p, "a")->home, &placement_of(w, p, "b")->home));
        assert_state(placement_of(w, p, "c"), STATE_BLOCKED);
        assert_says(placement_of(w, p, "c")->reason, "left where it is: rule db (priority 200) has node");
        assert_says(placement_of(w, p, "c")->reason, "for itself");
}

/* Members of its group are not others. */
static void test_with_its_group(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200), *proxy = named_rule(w, PLACE_COMPACT, "proxy", 100),
                    *web = named_rule(w, PLACE_COMPACT, "web", 100);
        db->exclusive = true;
        add_name(&db->together_with, "proxy");
        service_on(w, "db", db, 1, GIB, 1);
        service_on(w, "proxy", proxy, 0, 100 * MIB, 0.2);
        service_on(w, "web", web, 1, 200 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "db", "1");
        assert_home(w, p, "proxy", "1");
        assert_home(w, p, "web", "0");
}

/* A weaker one that wants a node for itself does not get it where a stronger one is; it is placed all the same. */
static void test_weaker_gives_it_up(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(1, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 50), *web = named_rule(w, PLACE_COMPACT, "web", 100);
        db->exclusive = true;
        service_on(w, "db", db, 0, GIB, 1);
        service_on(w, "web", web, 0, 200 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "web", "0");
        assert_home(w, p, "db", "0");
        assert_says(placement_of(w, p, "db")->reason, "exclusive is given up: rule web (priority 100)");
}

/* A stronger newcomer that can live on one node only: who has it must leave, though it has just come. */
static void test_displaces(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200), *web = named_rule(w, PLACE_COMPACT, "web", 100);
        service_on(w, "a", web, 0, 200 * MIB, 0.5);
        assert_int_equal(world_cycle(w, USEC_PER_SEC), 1);
        db->exclusive = true;
        db->avoid = node_set_of(1);
        service_on(w, "db", db, 1, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "db", "0");
        assert_home(w, p, "a", "1");
        assert_true(placement_of(w, p, "a")->act);
        assert_says(placement_of(w, p, "a")->reason, "because rule db (priority 200) has node 0 for itself");
}

/* Stronger ones have all nodes: it is left where it is, narrowed as it was, until memory runs short there. */
static void test_left_and_pressed(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200), *web = named_rule(w, PLACE_COMPACT, "web", 100);
        web->memory = MEMORY_STRICT;
        struct service_sample *a = service_on(w, "a", web, 0, 200 * MIB, 0.5);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 1);
        assert_nodes(a->effective_mems, "0");
        db->exclusive = true;
        service_on(w, "db1", db, 0, GIB, 1);
        service_on(w, "db2", db, 1, GIB, 1);
        a = &w->samples[world_index(w, "a")];
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(placement_of(w, p, "a"), STATE_BLOCKED);
        assert_false(placement_of(w, p, "a")->act);
        a->memory_pressure_centipercent = PLAN_PRESSURE_CENTIPERCENT;
        p = free_and_plan(p, w);
        assert_true(placement_of(w, p, "a")->act && placement_of(w, p, "a")->relieves);
        assert_true(placement_of(w, p, "a")->widen_mems);
        a->memory_pressure_centipercent = 0;
        w->machine.nodes[0].bytes_free = 40 * MIB; /* far below keep-free */
        p = free_and_plan(p, w);
        assert_true(placement_of(w, p, "a")->act && placement_of(w, p, "a")->relieves);
}

/* It could as well live on a free node: then nobody is driven out. */
static void test_does_not_displace_without_need(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 200), *web = named_rule(w, PLACE_COMPACT, "web", 100);
        service_on(w, "a", web, 0, 200 * MIB, 0.5);
        assert_int_equal(world_cycle(w, USEC_PER_SEC), 1);
        db->exclusive = true;
        service_on(w, "db", db, 0, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "db", "1");
        assert_home(w, p, "a", "0");
}

/* Two claims to the only node: by priority, then by the order of the rules. A blocked one keeps the CPUs that it has. */
static void test_two_claims(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_NODES, "a", 100), *b = named_rule(w, PLACE_NODES, "b", 100);
        a->nodes = b->nodes = node_set_of(0);
        service_on(w, "a", a, 0, 200 * MIB, 0.5);
        service_on(w, "b", b, 0, 200 * MIB, 0.5);
        (void) world_cycle(w, USEC_PER_SEC);
        a->exclusive = b->exclusive = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "0");
        assert_state(placement_of(w, p, "b"), STATE_BLOCKED);
        assert_false(placement_of(w, p, "b")->act);
        assert_says(placement_of(w, p, "b")->reason, "rule a (priority 100) has node 0 for itself");
        b->priority = 101;
        p = free_and_plan(p, w);
        assert_home(w, p, "b", "0");
        assert_state(placement_of(w, p, "a"), STATE_BLOCKED);
}

/* Memory that follows its threads stays away from nodes that others have for themselves. */
static void test_follow_keeps_away(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *db = named_rule(w, PLACE_NODES, "db", 200), *tool = named_rule(w, PLACE_FOLLOW, "tool", 100);
        db->exclusive = true;
        db->nodes = node_set_of(0);
        service_on(w, "db", db, 0, GIB, 1);
        struct service_sample *s = service_on(w, "tool", tool, 1, 200 * MIB, 0);
        world_cpu(w, s, 0, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "db", "0");
        assert_false(node_set_has(&placement_of(w, p, "tool")->home, 0));
}

/* Local beside one that is to be alone: the reason is that one, not some crowding. */
static void test_makes_room_and_says_for_whom(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 4, 4, 4 * GIB);
        struct rule *alone = named_rule(w, PLACE_COMPACT, "alone", 100), *other = named_rule(w, PLACE_COMPACT, "other", 100);
        alone->exclusive = true;
        service_on(w, "a", alone, 0, GIB, 1);
        service_on(w, "b", other, 0, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "0");
        assert_says(placement_of(w, p, "b")->reason, "because rule alone (priority 100) has node 0 for itself");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_makes_room_and_says_for_whom),
                cmocka_unit_test(test_alone),
                cmocka_unit_test(test_own_services),
                cmocka_unit_test(test_with_its_group),
                cmocka_unit_test(test_weaker_gives_it_up),
                cmocka_unit_test(test_displaces),
                cmocka_unit_test(test_left_and_pressed),
                cmocka_unit_test(test_does_not_displace_without_need),
                cmocka_unit_test(test_two_claims),
                cmocka_unit_test(test_follow_keeps_away),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
