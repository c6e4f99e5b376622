/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Little that is off home, again and again: brought there the more seldom the more often it came; much of it, or what goes with something else, as ever. */
#include "plan-test.h"

/* One service at home on node 1, to which little was brought home four times in a row: it waits for eight cooldowns. */
static struct world *in_a_row(struct service_sample **ret, struct rule **ret_rule) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        *ret_rule = world_rule(w, PLACE_COMPACT);
        *ret = world_service(w, "a", *ret_rule);
        world_spread(w, *ret, 0, 0.25);
        world_memory(w, *ret, 1, GIB);
        assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 1);
        static const unsigned minutes[] = { 1, 1, 2, 4 };
        for (unsigned i = 0; i < ARRAY_SIZE(minutes); i++) {
                world_memory(w, *ret, 2, 5 * MIB);
                for (unsigned k = 1; k < minutes[i]; k++)
                        assert_int_equal(world_cycle(w, USEC_PER_MINUTE), 0);
                assert_int_equal(world_cycle(w, USEC_PER_MINUTE), 1);
                assert_true((*ret)->bytes_by_node[2] == 0);
        }
        world_memory(w, *ret, 2, 5 * MIB);
        return w;
}

static void test_waits(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = in_a_row(&s, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const struct placement *x = &p->placements[0];
        assert_state(x, STATE_STABLE);
        assert_false(x->act || x->wants_deep || x->move_memory);
        assert_string_equal(x->reason, "at home on node 1, distance 10.0; 5.0M elsewhere is little, tidied up in 7min");
        struct explanation e = world_explain(w, 0);
        bool said = false, more = false;
        for (size_t i = 0; i < e.n_would_change; i++) {
                said |= strstr(e.would_change[i], "the wait for the little that is elsewhere ended (in 7min)") != NULL;
                more |= strstr(e.would_change[i], "more of its memory were elsewhere") != NULL;
        }
        explanation_done(&e);
        assert_true(said && more);
        w->now_usec += 7 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].little);
        assert_true(p->placements[0].bytes_to_move == 5 * MIB);
}

static void test_much_does_not_wait(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = in_a_row(&s, &r);
        world_memory(w, s, 2, 30 * MIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].move_memory);
        assert_false(p->placements[0].little);
        world_apply(w, p);
        assert_int_equal(history_find(&w->history, s->cgroup)->n_little, 3);
}

/* What is being moved is not said to wait. */
static void test_under_way(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = in_a_row(&s, &r);
        w->now_usec += USEC_PER_MINUTE;
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &history_find(&w->history, s->cgroup)->home, w->now_usec),
                         0);
        history_record_little(&w->history, s->cgroup, true, r->cooldown_usec, w->now_usec);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "a move is under way");
        assert_null(strstr(p->placements[0].reason, "is little"));
}

/* Its cpuset is to be written anyway. */
static void test_goes_along(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = in_a_row(&s, &r);
        w->applied[0].cpus = false;
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_true(p->placements[0].bytes_to_move == 5 * MIB);
}

/* A map of its memory that nothing would come of is not read. */
static void test_not_read_for_it(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = in_a_row(&s, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w); /* read just now */
        assert_false(p->placements[0].wants_deep);
        const struct history_entry *e = history_find(&w->history, s->cgroup);
        s->deep = false;
        assert_false(plan_wants_deep(s, e, w->topology->n_ids, w->now_usec));
        world_memory(w, s, 2, 30 * MIB);
        assert_true(plan_wants_deep(s, e, w->topology->n_ids, w->now_usec));
        world_memory(w, s, 2, 5 * MIB);
        assert_true(plan_wants_deep(s, e, w->topology->n_ids, w->now_usec + 7 * USEC_PER_MINUTE));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_waits),      cmocka_unit_test(test_much_does_not_wait), cmocka_unit_test(test_under_way),
                cmocka_unit_test(test_goes_along), cmocka_unit_test(test_not_read_for_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
