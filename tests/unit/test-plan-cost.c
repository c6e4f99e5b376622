/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is weighed: latency where it is known, the load of memory controllers, CPUs that were waited for. */
#include "plan-test.h"

static void set_latency(struct world *w, unsigned from, unsigned to, uint32_t nsec) {
        struct topology *t = w->topology;
        if (!t->latency_nsec)
                t->latency_nsec = calloc((size_t) t->n_ids * t->n_ids, sizeof *t->latency_nsec);
        assert_non_null(t->latency_nsec);
        t->latency_nsec[(size_t) from * t->n_ids + to] = nsec;
}

static void set_bandwidth(struct world *w, unsigned node, uint32_t mibps) {
        struct topology *t = w->topology;
        if (!t->bandwidth_mibps)
                t->bandwidth_mibps = calloc((size_t) t->n_ids * t->n_ids, sizeof *t->bandwidth_mibps);
        assert_non_null(t->bandwidth_mibps);
        t->bandwidth_mibps[(size_t) node * t->n_ids + node] = mibps;
}

static const struct candidate *candidate_on(const struct explanation *e, unsigned node) {
        struct node_set one = node_set_of(node);
        for (size_t i = 0; i < e->n_candidates; i++)
                if (node_set_equal(&e->candidates[i].nodes, &one))
                        return &e->candidates[i];
        fail_msg("no candidate on node %u", node);
        return NULL;
}

/* Three nodes; all memory of one service is bound to node 0, so that its distance tells those of node 0 from all others. */
static struct world *bound_to_node_0(void) {
        struct world *w = world_new(3, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        s->movable_by_node[0] = 0;
        world_spread(w, s, 0, 0.1);
        world_memory(w, s, 0, GIB);
        s->movable_by_node[0] = 0;
        return w;
}

static double distance_from(struct world *w, unsigned node) {
        (void) plan_free(world_plan(w)); /* takes in what was seen */
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        return candidate_on(&e, node)->terms.distance;
}

static void assert_near(double value, double expected) {
        assert_true(value > expected - 1e-6 && value < expected + 1e-6);
}

static void test_latency(void **state) {
        _cleanup_(world_freep) struct world *w = bound_to_node_0();
        world_set_distance(w, 1, 0, 16);
        world_set_distance(w, 2, 0, 30);
        assert_near(distance_from(w, 1), 16);
        set_latency(w, 0, 0, 100);
        set_latency(w, 1, 1, 80); /* the least local one is 10 */
        set_latency(w, 1, 0, 240);
        assert_near(distance_from(w, 0), 12.5);
        assert_near(distance_from(w, 1), 30);
        assert_near(distance_from(w, 2), 37.5); /* not known: local latency of the target, stretched as SLIT says */
        set_latency(w, 0, 0, 0);                /* nor is that: by the one who knows: 240 ns are 16/10 of 150 */
        assert_near(distance_from(w, 0), 18.75);
        assert_near(distance_from(w, 2), 56.25);
        set_latency(w, 1, 0, 40); /* firmware says nonsense: nothing is nearer than local */
        assert_near(distance_from(w, 1), 10);
        set_latency(w, 1, 1, 0);
        set_latency(w, 1, 0, 0); /* nothing is known */
        assert_near(distance_from(w, 2), 30);
}

static void test_latency_decides_and_slit_is_reported(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 1, 0.5); /* by SLIT it is all the same where its memory is */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        set_latency(w, 0, 0, 200);
        set_latency(w, 1, 0, 400);
        set_latency(w, 1, 1, 80);
        set_latency(w, 0, 1, 160);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "1");
        assert_near(p->placements[0].distance_before, 15);
        assert_near(p->placements[0].distance_after, 15);
        assert_says(p->placements[0].reason, "where memory answers sooner: distance 15.0 → 15.0");
}

/* Nothing gets nearer: at once nobody goes, but once it has lasted. */
static struct plan *after_lasting(struct world *w) {
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 0);
        return world_plan(w);
}

/* Threads everywhere, memory in one place: as near as it can be, and all through one controller. */
static void test_a_busy_controller_is_relieved(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 16 * GIB);
        struct rule *r = world_rule(w, PLACE_FOLLOW);
        for (unsigned i = 0; i < 4; i++) {
                char name[] = { (char) ('a' + i), 0 };
                struct service_sample *s = world_service(w, name, r);
                world_memory(w, s, 0, GIB);
                world_cpu(w, s, 0, 2);
                world_cpu(w, s, 1, 2);
        }
        _cleanup_(plan_freep) struct plan *p = after_lasting(w);
        size_t moved = 0;
        for (size_t i = 0; i < 4; i++)
                if (p->placements[i].act) {
                        assert_nodes(p->placements[i].home_mems, "1");
                        assert_says(p->placements[i].reason, "where memory is less busy: distance 15.0 → 15.0");
                        moved++;
                }
        assert_int_equal(moved, 2);
        world_apply(w, p);
        for (unsigned i = 0; i < 20; i++) { /* and that is that */
                w->now_usec += 300 * USEC_PER_SEC;
                assert_int_equal(world_cycle(w, 0), 0);
        }
        /* Little demand makes no controller busy. */
        for (size_t i = 0; i < 4; i++) {
                world_memory(w, &w->samples[i], 0, GIB);
                world_memory(w, &w->samples[i], 1, 0);
                world_cpu(w, &w->samples[i], 0, 0.4);
                world_cpu(w, &w->samples[i], 1, 0.4);
        }
        history_done(&w->history);
        p = free_and_plan(p, w);
        for (size_t i = 0; i < 4; i++)
                assert_false(p->placements[i].act);
}

static void test_unequal_controllers(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 16 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 4);
        world_cpu(w, s, 1, 4);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        assert_near(candidate_on(&e, 0)->terms.bandwidth, candidate_on(&e, 1)->terms.bandwidth);
        set_bandwidth(w, 0, 10000);
        set_bandwidth(w, 1, 30000);
        p = free_and_plan(p, w);
        explanation_done(&e);
        e = world_explain(w, 0);
        /* Quadratic per CPU of demand: nine times as dear where there is a third of the bandwidth. */
        assert_near(candidate_on(&e, 0)->terms.bandwidth, 9 * candidate_on(&e, 1)->terms.bandwidth);
        plan_free(p);
        p = after_lasting(w);
        assert_nodes(p->placements[0].home_mems, "1");
        set_bandwidth(w, 0, 0); /* not known: as much as the mean of the others */
        p = free_and_plan(p, w);
        explanation_done(&e);
        e = world_explain(w, 0);
        assert_near(candidate_on(&e, 0)->terms.bandwidth, candidate_on(&e, 1)->terms.bandwidth);
        assert_non_null(p->placements[0].reason);
}

/* Memory that is to be divided is weighed where it will be, not where it is: the same as once it is there, but for what moving it costs. */
static void test_divided_memory(void **state) {
        static const enum place places[] = { PLACE_INTERLEAVE, PLACE_SPREAD };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 16 * GIB);
                struct rule *r = world_rule(w, places[i]);
                r->cpus = CPUS_FREE;
                struct service_sample *s = world_service(w, "a", r);
                world_memory(w, s, 0, 2 * GIB);
                world_cpu(w, s, 0, 6);
                world_cpu(w, s, 1, 2);
                (void) plan_free(world_plan(w)); /* takes in what was seen */
                _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
                assert_int_equal(e.n_candidates, 1);
                const struct candidate before = e.candidates[0];
                world_memory(w, s, 0, GIB);
                world_memory(w, s, 1, GIB);
                (void) plan_free(world_plan(w));
                explanation_done(&e);
                e = world_explain(w, 0);
                assert_int_equal(e.n_candidates, 1);
                assert_near(before.terms.distance, e.candidates[0].terms.distance);
                assert_near(before.terms.bandwidth, e.candidates[0].terms.bandwidth);
                assert_true(before.terms.moving > 0);
        }
}

/* Each pays what it adds: what all pay, each with those before it in place, does not depend on the order. */
static void test_bandwidth_is_a_potential(void **state) {
        static const double uses[3] = { 1.5, 0.25, 3 };
        static const unsigned orders[3][3] = { { 0, 1, 2 }, { 2, 0, 1 }, { 1, 2, 0 } };
        double sums[3] = { 0 };
        for (unsigned k = 0; k < 3; k++) {
                for (unsigned n = 1; n <= 3; n++) { /* the last looks, those before it are fixed on node 0 */
                        _cleanup_(world_freep) struct world *part = world_new(2, 8, 8, 16 * GIB);
                        struct rule *nodes = world_rule(part, PLACE_NODES), *follow = world_rule(part, PLACE_FOLLOW);
                        nodes->nodes = node_set_of(0);
                        for (unsigned i = 0; i < n; i++) {
                                char name[] = { (char) ('a' + i), 0 };
                                struct service_sample *s = world_service(part, name, i + 1 < n ? nodes : follow);
                                world_memory(part, s, 0, GIB);
                                world_cpu(part, s, 0, uses[orders[k][i]]);
                        }
                        (void) plan_free(world_plan(part)); /* takes in what was seen */
                        _cleanup_(explanation_done) struct explanation e = world_explain(part, n - 1);
                        sums[k] += uses[orders[k][n - 1]] * candidate_on(&e, 0)->terms.bandwidth;
                }
        }
        assert_true(sums[0] > 0);
        assert_near(sums[1], sums[0]);
        assert_near(sums[2], sums[0]);
}

/* What fits in the caches asks nothing of a controller: a busy program of a few MiB keeps nobody away from memory. */
static void test_little_memory_is_no_traffic(void **state) {
        static const uint64_t bytes[] = { 3 * MIB, 64 * MIB, GIB };
        double dearer[3];
        for (size_t k = 0; k < 3; k++) {
                _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
                struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT)), *busy;
                world_spread(w, s, 160 * MIB, 0.5);
                busy = world_service(w, "busy", NULL);
                world_memory(w, busy, 0, bytes[k]);
                world_cpu(w, busy, 0, 1);
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
                dearer[k] = candidate_on(&e, 0)->terms.bandwidth - candidate_on(&e, 1)->terms.bandwidth;
                assert_non_null(p->placements[0].reason);
        }
        assert_true(dearer[0] > 0 && dearer[0] < dearer[1] / 20);
        assert_near(dearer[1], dearer[2]);
}

/* Two that have half of their memory on each of two nodes: which of them goes where is not for the busy little program between them to say. */
static void test_little_memory_moves_nobody(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *a = world_service(w, "a", r), *b = world_service(w, "b", r);
        world_memory(w, a, 0, 200 * MIB);
        world_memory(w, a, 1, 120 * MIB);
        world_cpu(w, a, 0, 1.5);
        world_memory(w, b, 0, 120 * MIB);
        world_memory(w, b, 1, 200 * MIB);
        world_cpu(w, b, 1, 0.5);
        struct service_sample *busy = world_service(w, "busy", NULL);
        world_memory(w, busy, 0, 3 * MIB);
        world_cpu(w, busy, 0, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "0");
        assert_home(w, p, "b", "1");
}

static void test_waiting_counts_as_demand(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        s->n_threads = 8;
        world_spread(w, s, 100 * MIB, 0.85); /* 1.7 CPUs: one node holds that */
        s->cpu_pressure_centipercent = 400;  /* less than comes of waking up */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        history_done(&w->history);
        s->cpu_pressure_centipercent = 6000; /* and it was ready to use at least 0.6 more */
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 2);
        history_done(&w->history);
        s->n_threads = 2; /* no more than it has threads */
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        history_done(&w->history);
        s->n_threads = 8;
        s->cpu_pressure_centipercent = -1;
        p = free_and_plan(p, w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
}

/* What it waited for a moment ago fades as what it used does. */
static void test_waiting_is_smoothed(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        s->cpu_pressure_centipercent = 8000;
        world_cpu(w, s, 0, 1);
        assert_int_equal(history_update(&w->history, w->samples, 1, 2, USEC_PER_SEC), 0);
        assert_int_equal(history_find(&w->history, s->cgroup)->wait_mcpu, 800);
        s->cpu_pressure_centipercent = 0;
        s->cpu_window_usec = HISTORY_DEMAND_TAU_USEC;
        assert_int_equal(history_update(&w->history, w->samples, 1, 2, 60 * USEC_PER_SEC), 0);
        assert_int_equal(history_find(&w->history, s->cgroup)->wait_mcpu, 400);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_latency),
                cmocka_unit_test(test_latency_decides_and_slit_is_reported),
                cmocka_unit_test(test_a_busy_controller_is_relieved),
                cmocka_unit_test(test_unequal_controllers),
                cmocka_unit_test(test_divided_memory),
                cmocka_unit_test(test_bandwidth_is_a_potential),
                cmocka_unit_test(test_little_memory_is_no_traffic),
                cmocka_unit_test(test_little_memory_moves_nobody),
                cmocka_unit_test(test_waiting_counts_as_demand),
                cmocka_unit_test(test_waiting_is_smoothed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
