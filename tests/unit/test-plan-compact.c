/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Homes for compact services: apart where they would crowd, on as few nodes as hold them, and left only for a gain. */
#include "plan-test.h"

static struct node_set homes_of(const struct plan *p) {
        struct node_set all = { 0 };
        for (size_t i = 0; i < p->n_placements; i++)
                all = node_set_union(&all, &p->placements[i].home_mems);
        return all;
}

static const char *const four[] = { "a", "b", "c", "d" };

enum start { PILED, SPREAD, SHIFTED };

/* Four services of 100 MB with two threads each, on four nodes with two CPUs each. */
static struct world *four_services(enum start start, double cpus) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        for (unsigned i = 0; i < 4; i++) {
                struct service_sample *s = world_service(w, four[i], r);
                if (start == PILED) {
                        world_memory(w, s, 0, 100 * MIB);
                        world_cpu(w, s, 0, cpus);
                } else {
                        world_spread(w, s, 25 * MIB, cpus / 4);
                        if (start == SHIFTED)
                                for (unsigned n = 0; n < 4; n++)
                                        world_memory(w, s, n, n == (i + 1) % 4 ? 100 * MIB : 0);
                }
        }
        return w;
}

static void assert_four_apart(enum start start, double cpus) {
        _cleanup_(world_freep) struct world *w = four_services(start, cpus);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(homes_of(p), "0-3");
        for (unsigned i = 0; i < 4; i++) {
                const struct placement *x = &p->placements[i];
                assert_true(x->act);
                assert_true(x->restrict_cpus);
                assert_false(x->narrow_mems);
                assert_int_equal(node_set_count(&x->home_cpus), 1);
                assert_true(node_set_equal(&x->home_cpus, &x->home_mems));
                assert_true(x->distance_after > 9.99 && x->distance_after < 10.01);
        }
        world_apply(w, p);
        for (unsigned i = 0; i < 4; i++)
                assert_true(sample_locality(&w->samples[i], 4) > 0.999);
        for (unsigned cycle = 0; cycle < 20; cycle++) {
                w->now_usec += 30 * USEC_PER_SEC;
                assert_int_equal(world_cycle(w, 0), 0);
        }
}

static void test_four_services_on_four_nodes(void **state) {
        static const enum start starts[] = { PILED, SPREAD, SHIFTED };
        static const double loads[] = { 0.3, 0.6, 1.0, 2.0 };
        for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
                for (size_t k = 0; k < ARRAY_SIZE(loads); k++)
                        if (starts[i] != PILED || (loads[k] >= 0.6 && loads[k] * 4 <= 2.5)) /* PILED: its CPUs are full */
                                assert_four_apart(starts[i], loads[k]);
}

static void test_goes_to_its_memory(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_spread(w, s, 0, 0.25);
        world_memory(w, s, 2, GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const struct placement *x = &p->placements[0];
        assert_nodes(x->home, "2");
        assert_true(x->act && x->restrict_cpus);
        assert_false(x->move_memory); /* all of it is there: only the CPUs go */
        assert_true(x->bytes_to_move == 0);
        assert_says(x->reason, "restricts its CPUs to node 2");
        assert_says(x->reason, "distance 17.5 → 10.0");
}

static void test_idle_service(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 1, GIB);
        s->cpu_share_by_node[3] = 1000000; /* where its threads last ran */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "1");
}

static void test_local_without_us_is_kept_there(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 3, GIB);
        world_cpu(w, s, 3, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_false(p->placements[0].move_memory);
        assert_nodes(p->placements[0].home_cpus, "3");
}

static void test_gain_below_min_gain(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, 970 * MIB); /* 3 % elsewhere: distance 10.3 */
        world_memory(w, s, 1, 30 * MIB);
        world_cpu(w, s, 0, 0.2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "less than min-gain 5.0%");
        r->min_gain_permille = 20;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_true(p->placements[0].bytes_to_move == 30 * MIB);
}

static void test_two_that_do_not_fit_together(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *a = world_service(w, "a", r), *b = world_service(w, "b", r);
        /* In memory: 2.5 GiB each, both mostly on node 0. */
        world_memory(w, a, 0, 1800 * MIB);
        world_memory(w, a, 1, 760 * MIB);
        world_memory(w, b, 0, 1800 * MIB);
        world_memory(w, b, 1, 760 * MIB);
        world_cpu(w, a, 0, 0.1);
        world_cpu(w, a, 1, 0.1);
        world_cpu(w, b, 0, 0.1);
        world_cpu(w, b, 1, 0.1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(homes_of(p), "0-1");
        assert_false(node_set_equal(&p->placements[0].home, &p->placements[1].home));
        /* In CPU: three of four each. */
        for (unsigned n = 0; n < 2; n++) {
                world_memory(w, a, n, 100 * MIB);
                world_memory(w, b, n, 100 * MIB);
                world_cpu(w, a, n, 1.5);
                world_cpu(w, b, n, 1.5);
        }
        p = free_and_plan(p, w);
        assert_nodes(homes_of(p), "0-1");
        assert_false(node_set_equal(&p->placements[0].home, &p->placements[1].home));
}

static void test_unmatched_load_is_avoided(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        struct service_sample *hog = world_service(w, "hog", NULL);
        world_memory(w, s, 0, 500 * MIB);
        world_memory(w, s, 1, 500 * MIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 1, 0.5);
        world_cpu(w, hog, 0, 2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0"); /* seen for a moment, it may be anywhere soon; */
        w->now_usec += 2 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1"); /* but it stays where it is */
        world_apply(w, p);
        /* It is not chased about by what moves by itself. */
        for (unsigned i = 0; i < 10; i++) {
                world_cpu(w, hog, i % 2, 0);
                world_cpu(w, hog, (i + 1) % 2, 2);
                assert_int_equal(world_cycle(w, 10 * 60 * USEC_PER_SEC), 0);
        }
}

static void test_verdicts(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, 300 * MIB);
        world_cpu(w, s, 0, 0.1);
        world_cpu(w, s, 1, 0.9);
        w->machine.nodes[1].bytes_free = 325 * MIB; /* 205 MiB are kept free */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        _cleanup_(explanation_done) struct explanation x = world_explain(w, 0);
        unsigned rejected = 0, lacking = 0;
        assert_nodes(p->placements[0].home, "0");
        assert_true(x.n_candidates >= 3);
        assert_true(x.candidates[0].chosen && x.candidates[0].feasible);
        for (size_t i = 0; i < x.n_candidates; i++) {
                const struct candidate *c = &x.candidates[i];
                _cleanup_free_ char *verdict = candidate_verdict(c);
                if (c->chosen) {
                        assert_says(verdict, "chosen: costs ");
                        assert_says(verdict, "distance 10.0");
                        continue;
                }
                rejected += strstr(verdict, "rejected: costs ") != NULL;
                if (!c->feasible) {
                        lacking++;
                        assert_nodes(c->nodes, "1");
                        assert_string_equal(verdict, "rejected: node 1 has room for 120M above keep-free, needs 300M");
                }
        }
        assert_int_equal(lacking, 1);
        assert_int_equal(rejected, x.n_candidates - 2);
}

static void test_sparse_and_odd_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(9, 2, 2, 4 * GIB);
        for (unsigned n = 0; n < 9; n++)
                if (n != 1 && n != 4 && n != 5 && n != 8)
                        world_take_node(w, n);
        world_take_cpus(w, 5);   /* memory only */
        world_take_memory(w, 8); /* CPUs only */
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *a = world_service(w, "a", r), *b = world_service(w, "b", r);
        world_spread(w, a, 200 * MIB, 0.6);
        world_spread(w, b, 200 * MIB, 0.6);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (unsigned i = 0; i < 2; i++) {
                assert_true(p->placements[i].act);
                assert_int_equal(node_set_count(&p->placements[i].home), 1);
        }
        assert_nodes(homes_of(p), "1,4");
        /* Too much for a node with CPUs: the node without takes the rest, and no CPUs are expected there. */
        world_take_node(w, 4);
        world_take_node(w, 8);
        for (unsigned i = 0; i < 2; i++) {
                w->samples[i].effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
                w->samples[i].effective_mems = topology_nodes_with_memory(w->topology);
        }
        world_memory(w, a, 4, 0);
        world_memory(w, b, 4, 0);
        world_memory(w, b, 1, 0);
        world_memory(w, b, 5, 0);
        world_memory(w, a, 1, 500 * MIB);
        world_memory(w, a, 5, 3800 * MIB);
        world_cpu(w, a, 4, 0);
        world_cpu(w, a, 8, 0);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1,5");
        assert_true(node_set_is_empty(&p->placements[0].home_cpus)); /* node 1 has all the CPUs there are */
}

static void test_one_node(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(1, 4, 8, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 6);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_says(p->placements[0].reason, "on all its nodes");
}

static void test_swap(void **state) {
        /* Both can move all their memory, but each has bound half of it: to the other's node, were they placed in order. */
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *a = world_service(w, "a", r), *b = world_service(w, "b", r);
        world_memory(w, a, 0, 100 * MIB);
        world_memory(w, a, 1, 120 * MIB);
        world_memory(w, b, 1, 200 * MIB);
        a->movable_by_node[1] = b->movable_by_node[1] = 0;
        a->has_bound_mappings = b->has_bound_mappings = true;
        for (unsigned n = 0; n < 2; n++) {
                world_cpu(w, a, n, 0.9);
                world_cpu(w, b, n, 0.9);
        }
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        assert_nodes(p->placements[1].home, "1");
}

static void test_fuller_nodes_are_left_alone(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, 200 * MIB);
        world_memory(w, s, 1, 200 * MIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 1, 0.5);
        w->machine.nodes[0].bytes_free = GIB; /* enough, but less than elsewhere */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_four_services_on_four_nodes),
                cmocka_unit_test(test_goes_to_its_memory),
                cmocka_unit_test(test_idle_service),
                cmocka_unit_test(test_local_without_us_is_kept_there),
                cmocka_unit_test(test_gain_below_min_gain),
                cmocka_unit_test(test_two_that_do_not_fit_together),
                cmocka_unit_test(test_unmatched_load_is_avoided),
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_sparse_and_odd_nodes),
                cmocka_unit_test(test_one_node),
                cmocka_unit_test(test_swap),
                cmocka_unit_test(test_fuller_nodes_are_left_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
