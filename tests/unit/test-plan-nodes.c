/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: nodes and place: follow. */
#include "plan-test.h"

static struct world *world_with_nodes(const char *list, struct service_sample **ret) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        assert_int_equal(node_set_parse(list, &r->nodes), 0);
        *ret = world_service(w, "a", r);
        world_spread(w, *ret, 100 * MIB, 0.2);
        return w;
}

static void test_nodes(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_nodes("2", &s);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_cpus, "2");
        assert_nodes(p->placements[0].home_mems, "2");
        assert_true(p->placements[0].bytes_to_move == 300 * MIB);
        assert_true(p->placements[0].room_by_node[2] >= 300 * MIB);
        assert_true(p->placements[0].room_by_node[1] == 0);
        assert_says(p->placements[0].reason, "as the rule says");
        world_apply(w, p);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_true(p->placements[0].restrict_cpus); /* still so */
}

static void test_nodes_that_are_not_there(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_nodes("9", &s);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_string_equal(p->placements[0].reason, "the rule gives node 9, which this machine does not have");
        assert_int_equal(node_set_parse("3,9", &w->rules[0]->nodes), 0);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "3");
        assert_says(p->placements[0].reason, "; node 9 of the rule is not on this machine");
}

static void test_memory_only_nodes(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_nodes("1-2", &s);
        world_take_cpus(w, 2);
        world_cpu(w, s, 2, 0);
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home_cpus, "1");
        assert_nodes(p->placements[0].home_mems, "1-2");
        assert_nodes(p->placements[0].home, "1-2");
        assert_int_equal(node_set_parse("2", &w->rules[0]->nodes), 0);
        p = free_and_plan(p, w);
        assert_true(node_set_is_empty(&p->placements[0].home_cpus));
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "2");
        assert_true(p->placements[0].act);
        world_take_memory(w, 3);
        world_memory(w, s, 3, 0);
        assert_int_equal(node_set_parse("3", &w->rules[0]->nodes), 0);
        s->effective_mems = topology_nodes_with_memory(w->topology);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no memory that it may use");
}

static void test_nodes_without_room(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_nodes("2", &s);
        w->machine.nodes[2].bytes_free = 205 * MIB + 100 * MIB; /* 204.8 MiB are kept free */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act); /* as much as there is room for */
        assert_true(p->placements[0].bytes_to_move > 99 * MIB && p->placements[0].bytes_to_move < 101 * MIB);
        assert_says(p->placements[0].reason, "of its memory finds no room there above keep-free");
        world_apply(w, p);
        w->now_usec += 3600 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_false(p->placements[0].act);
        world_memory(w, s, 0, 0); /* room is made where it does not help, and then where it does */
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        w->machine.nodes[2].bytes_free += GIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

static void test_nodes_with_free_cpus(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_nodes("0-1", &s);
        w->rules[0]->cpus = CPUS_FREE;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].move_memory);
        assert_false(p->placements[0].restrict_cpus);
        assert_true(node_set_is_empty(&p->placements[0].home_cpus));
        assert_nodes(p->placements[0].home_mems, "0-1");
}

static void test_room_is_given_once(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        r->nodes = node_set_of(1);
        struct service_sample *a = world_service(w, "a", r), *b = world_service(w, "b", r);
        world_memory(w, a, 0, GIB);
        world_memory(w, b, 0, GIB);
        world_cpu(w, a, 1, 1);
        world_cpu(w, b, 1, 1);
        w->machine.nodes[1].bytes_free = 205 * MIB + 1536 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w); /* which checks the sum too */
        uint64_t both = p->placements[0].bytes_to_move + p->placements[1].bytes_to_move;
        assert_true(p->placements[0].bytes_to_move == GIB);
        assert_true(both <= 1537 * MIB && both >= 1400 * MIB);
}

static struct world *world_with_follow(struct service_sample **ret) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        *ret = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        return w;
}

static void test_follow(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        s->owner = OWNER_NONE;
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 1, 0.3);
        world_cpu(w, s, 3, 0.7);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_true(node_set_is_empty(&p->placements[0].home_cpus));
        assert_nodes(p->placements[0].home_mems, "3"); /* the largest share */
        assert_true(p->placements[0].distance_after > 12.9 && p->placements[0].distance_after < 13.1);
        world_apply(w, p);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
}

static void test_follow_balanced(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        world_spread(w, s, 100 * MIB, 0.25);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "less than min-gain 5.0%");
}

static void test_follow_spills(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 1, 0.4);
        world_cpu(w, s, 3, 0.6);
        for (unsigned n = 1; n < 4; n++)
                w->machine.nodes[n].bytes_free = 205 * MIB + 700 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "1,3"); /* not 2, where none of its threads is */
        assert_true(p->placements[0].room_by_node[3] > p->placements[0].room_by_node[1]);
        assert_true(p->placements[0].bytes_to_move == GIB);
        for (unsigned n = 1; n < 4; n++)
                w->machine.nodes[n].bytes_free = 205 * MIB;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no node that it may use has room for its 1.0G");
}

static void test_follow_rests(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 1);
        assert_int_equal(world_cycle(w, 0), 1);
        world_cpu(w, s, 3, 0);
        world_cpu(w, s, 2, 1);
        s->cpu_window_usec = 3600 * USEC_PER_SEC; /* seen for long enough to be believed */
        world_cpu(w, s, 2, 1);
        w->now_usec += 30 * USEC_PER_SEC;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "in cooldown for 30s");
        w->now_usec += 30 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "2");
}

static void test_follow_is_not_led_by_wandering_threads(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        uint64_t seed = 3;
        size_t acts = 0;
        world_memory(w, s, 0, GIB);
        for (unsigned i = 0; i < 200; i++) {
                for (unsigned n = 0; n < 4; n++)
                        world_cpu(w, s, n, 0);
                world_cpu(w, s, (unsigned) random_below(&seed, 4), 1);
                acts += world_cycle(w, 10 * USEC_PER_SEC);
        }
        /* 200 cycles; without smoothing one in six of them, after each cooldown, would move all. */
        assert_true(acts <= 3);
}

static void test_follow_takes_its_time_for_little(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 1);
        assert_int_equal(world_cycle(w, 100 * USEC_PER_SEC), 1);
        s->cpu_window_usec = 36000 * USEC_PER_SEC;
        world_cpu(w, s, 3, 0.4);
        world_cpu(w, s, 2, 0.6); /* distance 16 → 14 */
        assert_int_equal(world_cycle(w, 199 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 1 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 0), 1);
        assert_nodes(history_find(&w->history, s->cgroup)->home, "2");
}

static void test_follow_waits_until_old_and_new_agree(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 1);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 1);
        world_cpu(w, s, 3, 0);
        world_cpu(w, s, 2, 1);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 0); /* now: node 2, mostly: node 3 */
        s->cpu_window_usec = 36000 * USEC_PER_SEC;
        world_cpu(w, s, 2, 1);
        assert_int_equal(history_update(&w->history, s, 1, 4, w->now_usec), 0);
        s->cpu_window_usec = 10 * USEC_PER_SEC;
        world_cpu(w, s, 2, 0);
        world_cpu(w, s, 3, 1);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 0); /* mostly: node 2, now: back on node 3 */
        world_cpu(w, s, 3, 0);
        world_cpu(w, s, 2, 1);
        assert_int_equal(world_cycle(w, 0), 1);
}

static void test_follow_between(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = world_with_follow(&s);
        /* Threads on 0 and 3; node 1 is between them, and in the end nearer to all. */
        world_set_distance(w, 0, 3, 40);
        world_set_distance(w, 0, 1, 12);
        world_set_distance(w, 3, 1, 12);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 3, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home_mems, "1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nodes),
                cmocka_unit_test(test_nodes_that_are_not_there),
                cmocka_unit_test(test_memory_only_nodes),
                cmocka_unit_test(test_nodes_without_room),
                cmocka_unit_test(test_nodes_with_free_cpus),
                cmocka_unit_test(test_room_is_given_once),
                cmocka_unit_test(test_follow),
                cmocka_unit_test(test_follow_balanced),
                cmocka_unit_test(test_follow_spills),
                cmocka_unit_test(test_follow_rests),
                cmocka_unit_test(test_follow_is_not_led_by_wandering_threads),
                cmocka_unit_test(test_follow_takes_its_time_for_little),
                cmocka_unit_test(test_follow_waits_until_old_and_new_agree),
                cmocka_unit_test(test_follow_between),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
