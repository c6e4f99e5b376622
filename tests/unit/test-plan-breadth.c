/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many nodes a compact service gets: as few as hold its CPU time and its memory. */
#include "plan-test.h"

static void test_more_nodes_only_if_needed(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        s->n_threads = 8;
        world_set_distance(w, 1, 2, 14);
        world_spread(w, s, 25 * MIB, 3.6 / 4); /* more than two cores: two nodes, and the closest, before SMT siblings */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1-2");
        r->max_nodes = 1; /* siblings then */
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_true(p->placements[0].act);
        world_spread(w, s, 25 * MIB, 6.0 / 4); /* more than a node has CPUs at all */
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_says(p->placements[0].reason, "oversubscribed: 6.0 CPUs of load on 4");
}

static void test_cores_before_siblings(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *a = world_service(w, "a", r);
        a->n_threads = 4;
        world_spread(w, a, 50 * MIB, 2.4 / 4); /* a fifth more than two cores */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 2);
        /* Two services with 1.2 CPUs each could share a node of four CPUs, but not its two cores. */
        struct service_sample *b = world_service(w, "b", r);
        world_spread(w, a, 50 * MIB, 1.2 / 4);
        for (unsigned n = 0; n < 4; n++) {
                world_memory(w, a, n, n == 1 ? 200 * MIB : 0);
                world_memory(w, b, n, n == 1 ? 200 * MIB : 0);
        }
        world_spread(w, b, 0, 1.2 / 4);
        world_memory(w, b, 1, 200 * MIB);
        history_done(&w->history);
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_int_equal(node_set_count(&p->placements[1].home), 1);
        assert_false(node_set_equal(&p->placements[0].home, &p->placements[1].home));
}

static void test_memory_needs_more_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        for (unsigned n = 0; n < 4; n++)
                world_memory(w, s, n, 1536 * MIB); /* 6 GiB on nodes of 4 */
        world_spread(w, s, 1536 * MIB, 0.25);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 2);
        assert_true(p->placements[0].bytes_to_move == 2 * 1536 * MIB);
        r->max_nodes = 1;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "has room for its 6.0G");
        assert_says(p->placements[0].reason, "max-nodes 1");
        bool said = false;
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        for (size_t i = 0; i < e.n_candidates; i++) {
                _cleanup_free_ char *verdict = candidate_verdict(&e.candidates[i]);
                said |= strstr(verdict, "needs 4.5G") != NULL;
        }
        assert_true(said);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_more_nodes_only_if_needed),
                cmocka_unit_test(test_cores_before_siblings),
                cmocka_unit_test(test_memory_needs_more_nodes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
