/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apart-from: services that never share a node, and who gives way where there are too few nodes. */
#include "plan-test.h"

static bool meet(const struct placement *a, const struct placement *b) {
        struct node_set both = node_set_intersect(&a->home, &b->home);
        return !node_set_is_empty(&both);
}

static void test_each_of_its_own(void **state) {
        static const char *const names[] = { "a", "b", "c", "d" };
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "replica", 100);
        add_name(&r->apart_from, "replica");
        for (unsigned i = 0; i < 4; i++)
                service_on(w, names[i], r, 0, 200 * MIB, 0.1); /* all at home on node 0, if it were for themselves */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (unsigned i = 0; i < 4; i++)
                for (unsigned k = 0; k < i; k++) {
                        assert_false(node_set_is_empty(&p->placements[i].home));
                        assert_false(meet(&p->placements[i], &p->placements[k]));
                }
        for (unsigned k = 0; k < 5; k++)
                assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), k == 0 ? 4 : 0);
}

/* Its CPUs are the administrator's to choose; its memory keeps away all the same, and on as many nodes as min-nodes asks for. */
static void test_memory_alone(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 100);
        add_name(&a->apart_from, "b");
        a->min_nodes = 2;
        b->has_allowed = true;
        b->allowed = node_set_of(2);
        world_set_distance(w, 2, 1, 12);
        struct service_sample *s = service_on(w, "a", a, 3, 400 * MIB, 0);
        world_cpu(w, s, 2, 1);
        s->admin_cpus = true;
        service_on(w, "b", b, 2, 200 * MIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "b", "2");
        const struct placement *x = placement_of(w, p, "a");
        assert_true(x->act && x->move_memory && node_set_is_empty(&x->home_cpus));
        assert_true(node_set_has(&x->home, 1)); /* node 2 would be nearest */
        assert_false(node_set_has(&x->home, 2));
        assert_int_equal(node_set_count(&x->home), 2);
}

/* Five for four nodes: the last by name stays where it is, and blames the one that is there. */
static void test_one_too_many(void **state) {
        static const char *const names[] = { "a", "b", "c", "d", "e" };
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *r = named_rule(w, PLACE_COMPACT, "replica", 100);
        add_name(&r->apart_from, "replica");
        for (unsigned i = 0; i < 5; i++)
                service_on(w, names[i], r, 0, 200 * MIB, 0.1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(node_set_count(&p->placements[i].home), 1);
        const struct placement *e = placement_of(w, p, "e");
        assert_state(e, STATE_BLOCKED);
        assert_false(e->act);
        assert_says(e->reason, "rule replica (priority 100), which it is to be apart from, is on node");
}

/* Said by one alone, it holds for both; said by the weaker, it is that one's to give up. */
static void test_either_says_it(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 200);
        add_name(&a->apart_from, "b");
        service_on(w, "a", a, 0, 200 * MIB, 0.1);
        service_on(w, "b", b, 0, 200 * MIB, 0.1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(meet(&p->placements[0], &p->placements[1]));
        a->avoid = b->avoid = node_set_of(1); /* only node 0 for both */
        p = free_and_plan(p, w);
        assert_home(w, p, "a", "0");
        assert_home(w, p, "b", "0");
        assert_says(placement_of(w, p, "a")->reason, "apart-from is given up: rule b (priority 200)");
        string_list_done(&a->apart_from);
        add_name(&b->apart_from, "a"); /* now the stronger asks for it */
        p = free_and_plan(p, w);
        assert_home(w, p, "b", "0");
        assert_home(w, p, "a", "");
        assert_state(placement_of(w, p, "a"), STATE_BLOCKED);
        assert_says(placement_of(w, p, "a")->reason, "rule b (priority 200), which is to be apart from it, is on node 0");
}

/* The stronger could live on either node, the weaker on one alone: all can hold, so all does. */
static void test_room_is_made(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 300), *b = named_rule(w, PLACE_COMPACT, "b", 100);
        add_name(&b->apart_from, "a");
        b->avoid = node_set_of(1);
        service_on(w, "a", a, 0, 200 * MIB, 0.5);
        assert_int_equal(world_cycle(w, 20 * USEC_PER_MINUTE), 1); /* settled on node 0 */
        service_on(w, "b", b, 1, 200 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "b", "0");
        assert_home(w, p, "a", "1");
        assert_says(placement_of(w, p, "a")->reason, "because rule b (priority 100), which is to be apart from it, is on node 0");
}

/* Two who have homes on the same node when the rule changes: the weaker leaves, the stronger stays. */
static void test_displaced(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 8, 8, 4 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 200);
        service_on(w, "a", a, 0, 200 * MIB, 0.1);
        service_on(w, "b", b, 0, 200 * MIB, 0.1);
        assert_int_equal(world_cycle(w, USEC_PER_SEC), 2);
        add_name(&a->apart_from, "b");
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "b", "0");
        assert_false(placement_of(w, p, "b")->act);
        assert_false(meet(&p->placements[0], &p->placements[1]));
        assert_true(placement_of(w, p, "a")->act); /* at once, though its home is new */
        assert_says(placement_of(w, p, "a")->reason, "because rule b (priority 200), which it is to be apart from, is on node 0");
}

/* A chain: each could go where the next one is, and the last has a node to spare. */
static void test_chain(void **state) {
        static const char *const names[] = { "a", "b", "c" };
        _cleanup_(world_freep) struct world *w = world_new(5, 8, 8, 4 * GIB); /* too large for trying all ways */
        struct rule *rules[3];
        for (unsigned i = 0; i < 3; i++) {
                rules[i] = named_rule(w, PLACE_COMPACT, names[i], 300 - i * 100);
                for (unsigned k = 0; k < 3; k++)
                        if (k != i)
                                add_name(&rules[i]->apart_from, names[k]);
                rules[i]->has_allowed = true;
        }
        rules[0]->allowed = node_set_of(1);
        rules[1]->allowed = node_set_of(0);
        rules[2]->allowed = node_set_of(0);
        node_set_add(&rules[0]->allowed, 2);
        node_set_add(&rules[1]->allowed, 1);
        service_on(w, "a", rules[0], 1, 200 * MIB, 0.1);
        service_on(w, "b", rules[1], 0, 200 * MIB, 0.1);
        service_on(w, "c", rules[2], 0, 200 * MIB, 0.1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "2");
        assert_home(w, p, "b", "1");
        assert_home(w, p, "c", "0");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory_alone), cmocka_unit_test(test_each_of_its_own),
                cmocka_unit_test(test_one_too_many), cmocka_unit_test(test_either_says_it),
                cmocka_unit_test(test_room_is_made), cmocka_unit_test(test_displaced),
                cmocka_unit_test(test_chain),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
