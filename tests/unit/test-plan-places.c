/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: spread and interleave: what belongs where, and when it is left alone. */
#include "plan-places.h"

static void test_spread_is_even_and_stays(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const struct placement *x = &p->placements[0];
        assert_true(x->act && x->move_memory && !x->restrict_cpus);
        assert_int_equal(x->pages_how, PAGES_BALANCE);
        assert_int_equal(x->bytes_to_move, 300 * MIB);
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(x->want_by_node[n], 100 * MIB);
        assert_nodes(x->home, "0-3");
        assert_says(x->reason, "moves 300M to spread it over nodes 0-3");
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 100, 100, 100, 100);

        /* A little out of balance is nothing, more is. */
        world_memory(w, &w->samples[0], 1, 115 * MIB);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "spread over nodes 0-3");
        world_memory(w, &w->samples[0], 1, 200 * MIB);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_int_equal(p->placements[0].bytes_to_move, 75 * MIB);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 125, 125, 125, 125);
        assert_int_equal(world_cycle(w, COOL), 0);
}

static void test_spread_follows_the_cores(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        w->topology->nodes[1].n_cores = 8;
        world_take_cpus(w, 3);
        w->samples[0].effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        w->samples[0].cpu_usec_by_node[3] = 0;
        world_cpu(w, &w->samples[0], 0, 0.5);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 100, 200, 100, 0); /* nobody computes on node 3 */
        assert_int_equal(world_cycle(w, COOL), 0);
}

static void test_spread_within_room(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        uint64_t keep = 8 * GIB / 1000 * 50 + 8 * GIB % 1000 * 50 / 1000;
        w->machine.nodes[2].bytes_free = keep + 40 * MIB;
        w->machine.nodes[3].bytes_free = keep;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(p->placements[0].bytes_to_move, 220 * MIB);
        assert_int_equal(p->placements[0].want_by_node[0], 180 * MIB);
        assert_int_equal(p->placements[0].want_by_node[1], 180 * MIB);
        assert_int_equal(p->placements[0].want_by_node[2], 40 * MIB);
        assert_int_equal(p->placements[0].want_by_node[3], 0);
        assert_int_equal(p->placements[0].room_by_node[3], 0);
}

/* What belongs elsewhere and finds no room there stays, and is as far as it was. */
static void test_no_room_is_no_nearer(void **state) {
        static const enum place places[] = { PLACE_SPREAD, PLACE_INTERLEAVE };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                struct rule *r;
                _cleanup_(world_freep) struct world *w = placed_by(places[i], &r);
                uint64_t keep = 8 * GIB / 1000 * 50 + 8 * GIB % 1000 * 50 / 1000;
                struct node_set home = topology_nodes(w->topology); /* from a better time */
                r->avoid = node_set_of(0);
                node_set_remove(&home, 0);
                assert_int_equal(history_record_placed(&w->history, w->samples[0].cgroup, &home, w->now_usec), 0);
                history_record_settled(&w->history, w->samples[0].cgroup, 0, w->now_usec);
                w->now_usec += COOL;
                w->machine.nodes[1].bytes_free = keep + 40 * MIB;
                w->machine.nodes[2].bytes_free = w->machine.nodes[3].bytes_free = keep;
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                const struct placement *x = &p->placements[0];
                assert_int_equal(x->bytes_to_move, 40 * MIB);
                assert_says(x->reason, "360M of its memory finds no room there above keep-free");
                /* 40 MiB on one of three nodes with its CPUs and 360 MiB on the fourth; or its CPUs are on all four. */
                double expected = places[i] == PLACE_SPREAD ? (40 * 50.0 / 3 + 360 * 20) / 400 : 17.5;
                assert_true(x->distance_after > expected - 0.01 && x->distance_after < expected + 0.01);
        }
}

/* Left to the kernel within its nodes: none of it makes room there for what is elsewhere. */
static void test_no_room_beside_the_kernel(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        uint64_t keep = 8 * GIB / 1000 * 50 + 8 * GIB % 1000 * 50 / 1000;
        r->kernel_balancing = KERNEL_BALANCING_RESPECT;
        r->avoid = node_set_of(0);
        w->machine.kernel_balancing = 1;
        for (unsigned n = 1; n < 4; n++) {
                world_memory(w, &w->samples[0], n, 400 * MIB);
                w->machine.nodes[n].bytes_free = keep;
        }
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "400M of its memory finds no room there above keep-free");
        w->machine.nodes[2].bytes_free += 40 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_int_equal(p->placements[0].bytes_to_move, 40 * MIB);
        assert_int_equal(p->placements[0].pages_how, PAGES_HOME);
        assert_says(p->placements[0].reason, "moves 40M to");
}

/* A home that it shares can have a node without CPUs: within the home the kernel sorts, and nothing is to be brought there. */
static void test_memory_alone_beside_the_kernel(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        struct node_set home = topology_nodes(w->topology);
        world_take_cpus(w, 3);
        w->samples[0].effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        world_spread(w, &w->samples[0], 100 * MIB, 0.5);
        world_cpu(w, &w->samples[0], 3, 0);
        assert_int_equal(history_record_placed(&w->history, w->samples[0].cgroup, &home, w->now_usec), 0);
        history_record_settled(&w->history, w->samples[0].cgroup, 0, w->now_usec);
        w->now_usec += COOL;
        w->machine.kernel_balancing = 1;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home_mems, "0-3");
        assert_false(p->placements[0].act);
}

static void test_spread_over_some(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        r->max_nodes = 2;
        world_set_distance(w, 0, 3, 12);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0,3"); /* where it is, and what is nearest to that */
        assert_true(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_cpus, "0,3");
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 200, 0, 0, 200);
        world_memory(w, &w->samples[0], 1, 2 * MIB); /* little, but where nothing of it belongs */
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 201, 0, 0, 201);
        world_set_distance(w, 1, 2, 11); /* better, but no reason to leave */
        assert_int_equal(world_cycle(w, COOL), 0);
        r->min_nodes = 5;
        r->max_nodes = 0;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "min-nodes is 5");
}

static void test_spread_with_hugetlb(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        w->samples[0].hugetlb_movable_by_node[0] = 200 * MIB;
        w->machine.nodes[1].hugetlb_free_bytes = 50 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        /* Regular pages 50 each; huge ones only where there is a pool. */
        const uint64_t *want = p->placements[0].want_by_node;
        assert_int_equal(want[0], (50 + 150) * MIB);
        assert_int_equal(want[1], (50 + 50) * MIB);
        assert_int_equal(want[2], 50 * MIB);
        assert_int_equal(p->placements[0].bytes_to_move, 200 * MIB);
}

/* Even amounts say nothing of page by page: it is done once, and known from then on. */
static void test_interleave_once(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        world_spread(w, &w->samples[0], 100 * MIB, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const struct placement *x = &p->placements[0];
        assert_true(x->act && x->move_memory && !x->restrict_cpus);
        assert_int_equal(x->pages_how, PAGES_INTERLEAVE);
        assert_int_equal(x->bytes_to_move, 300 * MIB); /* three of four pages, as far as can be told */
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(x->weight_by_node[n], 1);
        assert_true(node_set_is_empty(&x->home_cpus));
        assert_int_equal(world_cycle(w, COOL), 1);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_says(p->placements[0].reason, "interleaved over nodes 0-3");
        /* Something new on one node: only so much is out of place. */
        world_memory(w, &w->samples[0], 2, 180 * MIB);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_int_equal(p->placements[0].bytes_to_move, 60 * MIB);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 120, 120, 120, 120);
        assert_int_equal(world_cycle(w, COOL), 0);
        /* The same nodes under another rule, and back: it must be done again. */
        history_record_interleaved(&w->history, w->samples[0].cgroup, 0);
        assert_int_equal(world_cycle(w, COOL), 1);
}

static void test_interleave_by_given_weights(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        r->interleave_by = INTERLEAVE_GIVEN;
        r->weights = calloc(3, sizeof *r->weights);
        r->n_weights = 3;
        r->weights[0] = (struct node_weight) { 1, 30 };
        r->weights[1] = (struct node_weight) { 2, 10 };
        r->weights[2] = (struct node_weight) { 9, 10 }; /* not on this machine */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const uint32_t *weight = p->placements[0].weight_by_node;
        assert_int_equal(weight[0] + weight[3], 0);
        assert_int_equal(weight[1], 3);
        assert_int_equal(weight[2], 1);
        assert_nodes(p->placements[0].home_mems, "1-2");
        assert_says(p->placements[0].reason, "moves 400M to interleave it over nodes 1-2 by weights 3:1");
        assert_false(p->placements[0].restrict_cpus); /* it runs where it likes */
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 0, 300, 100, 0);
        assert_int_equal(world_cycle(w, COOL), 0);
        r->weights[0].weight = 10; /* the same nodes by other weights */
        r->weights[1].weight = 10;
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 0, 200, 200, 0);
        r->weights[0].node = 7;
        r->weights[1].node = 8;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "weights");
}

static void test_interleave_by_bandwidth(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        r->interleave_by = INTERLEAVE_BANDWIDTH;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(p->placements[0].weight_by_node[n], 1);
        assert_says(p->placements[0].reason, "is not known");

        world_take_cpus(w, 3); /* memory alone: from where it is reached best */
        w->samples[0].effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        w->samples[0].cpu_usec_by_node[3] = 0;
        w->topology->bandwidth_mibps = calloc(16, sizeof(uint32_t));
        for (unsigned n = 0; n < 3; n++)
                w->topology->bandwidth_mibps[n * 4 + n] = 102400;
        w->topology->bandwidth_mibps[0 * 4 + 3] = 25600;
        w->topology->bandwidth_mibps[1 * 4 + 3] = 51200;
        p = free_and_plan(p, w);
        assert_int_equal(p->placements[0].weight_by_node[0], 2);
        assert_int_equal(p->placements[0].weight_by_node[2], 2);
        assert_int_equal(p->placements[0].weight_by_node[3], 1);

        w->topology->bandwidth_mibps[1 * 4 + 3] = 51199; /* no small ratio */
        p = free_and_plan(p, w);
        assert_int_equal(p->placements[0].weight_by_node[0], 2);
        assert_int_equal(p->placements[0].weight_by_node[3], 1);
}

static void test_interleave_without_room(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        w->machine.nodes[3].bytes_free = 0;
        w->machine.nodes[3].hugetlb_free_bytes = GIB; /* of no use to what has no such pages */
        _cleanup_(plan_freep) struct plan *first = world_plan(w);
        assert_int_equal(first->placements[0].bytes_to_move, 200 * MIB);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 200, 100, 100, 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "100M of its memory finds no room there above keep-free");
}

static void test_policy_of_its_own(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        w->samples[0].self_managed = true;
        w->samples[0].own_policy = strdup("bind:0");
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "self-managed");
        assert_false(plan_wants_deep(&w->samples[0], NULL, 4, w->now_usec));
        r->app_policy = APP_POLICY_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_true(plan_wants_deep(&w->samples[0], NULL, 4, w->now_usec));
}

static void test_bound_mappings_and_strict(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NODES, &r);
        r->nodes = node_set_of(1);
        r->memory = MEMORY_STRICT;
        w->samples[0].has_bound_mappings = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].narrow_mems);
        r->app_policy = APP_POLICY_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].narrow_mems);
}

/* The planner asks for a memory map where amounts say so, and the screen does not ask each time. */
static void test_screen(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        struct service_sample *s = &w->samples[0];
        assert_true(plan_wants_deep(s, NULL, 4, w->now_usec));
        assert_int_equal(world_cycle(w, COOL), 1);
        const struct history_entry *h = history_find(&w->history, s->cgroup);
        assert_false(plan_wants_deep(s, h, 4, w->now_usec));
        world_memory(w, s, 1, 200 * MIB);
        s->deep = false;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].wants_deep);
        assert_false(p->placements[0].act);
}

static void test_misplaced_bytes(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        uint64_t want[4] = { 100, 100, 100, 100 };
        uint32_t weight[4] = { 0, 3, 1, 0 };
        struct placement balance = { .pages_how = PAGES_BALANCE, .want_by_node = want };
        struct placement interleave = { .pages_how = PAGES_INTERLEAVE, .weight_by_node = weight };
        struct placement home = { .home_mems = node_set_of(1) };
        assert_int_equal(placement_misplaced_bytes(&balance, &w->samples[0], 4), 300 * MIB);
        assert_int_equal(placement_misplaced_bytes(&interleave, &w->samples[0], 4), 400 * MIB);
        assert_int_equal(placement_misplaced_bytes(&home, &w->samples[0], 4), 400 * MIB);
        world_memory(w, &w->samples[0], 0, 0);
        world_memory(w, &w->samples[0], 1, 240 * MIB);
        world_memory(w, &w->samples[0], 2, 80 * MIB);
        assert_int_equal(placement_misplaced_bytes(&balance, &w->samples[0], 4), 160 * MIB);
        assert_int_equal(placement_misplaced_bytes(&interleave, &w->samples[0], 4), 0);
        assert_int_equal(placement_misplaced_bytes(&home, &w->samples[0], 4), 80 * MIB);
        assert_int_equal(division_tolerated_bytes(r, 400 * MIB), 20 * MIB);
        assert_int_equal(division_tolerated_bytes(r, MIB), 2 * MIB);
        assert_int_not_equal(interleave_key(weight, 4), interleave_key((uint32_t[]) { 3, 1, 0, 0 }, 4));
        assert_int_not_equal(interleave_key(weight, 0), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spread_is_even_and_stays),
                cmocka_unit_test(test_spread_follows_the_cores),
                cmocka_unit_test(test_spread_within_room),
                cmocka_unit_test(test_no_room_is_no_nearer),
                cmocka_unit_test(test_no_room_beside_the_kernel),
                cmocka_unit_test(test_memory_alone_beside_the_kernel),
                cmocka_unit_test(test_spread_over_some),
                cmocka_unit_test(test_spread_with_hugetlb),
                cmocka_unit_test(test_interleave_once),
                cmocka_unit_test(test_interleave_by_given_weights),
                cmocka_unit_test(test_interleave_by_bandwidth),
                cmocka_unit_test(test_interleave_without_room),
                cmocka_unit_test(test_policy_of_its_own),
                cmocka_unit_test(test_bound_mappings_and_strict),
                cmocka_unit_test(test_screen),
                cmocka_unit_test(test_misplaced_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
