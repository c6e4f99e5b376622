/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: spread, interleave and near: what belongs where, and when it is left alone. */
#include "plan-test.h"

#define COOL (10 * USEC_PER_MINUTE)

static uint64_t on(const struct world *w, unsigned node) {
        return w->samples[0].bytes_by_node[node] / MIB;
}

static void assert_mib(const struct world *w, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t expected[] = { a, b, c, d };
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(on(w, n), expected[n]);
}

/* One service with 400 MiB on node 0 and half a CPU used on each. */
static struct world *placed_by(enum place place, struct rule **ret) {
        struct world *w = world_new(4, 4, 8, 8 * GIB);
        *ret = world_rule(w, place);
        struct service_sample *s = world_service(w, "s", *ret);
        world_spread(w, s, 0, 0.5);
        world_memory(w, s, 0, 400 * MIB);
        return w;
}

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
        r->weights[0] = (struct node_weight){ 1, 30 };
        r->weights[1] = (struct node_weight){ 2, 10 };
        r->weights[2] = (struct node_weight){ 9, 10 }; /* not on this machine */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        const uint32_t *weight = p->placements[0].weight_by_node;
        assert_int_equal(weight[0] + weight[3], 0);
        assert_int_equal(weight[1], 3);
        assert_int_equal(weight[2], 1);
        assert_nodes(p->placements[0].home_mems, "1-2");
        assert_says(p->placements[0].reason, "moves 400M to interleave it over nodes 1-2 by weights 3:1");
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
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 200, 100, 100, 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "100M of its memory finds no room there above keep-free");
}

static void add_device(struct world *w, const char *name, const char *nodes) {
        struct topology *t = w->topology;
        t->devices = realloc(t->devices, (t->n_devices + 1) * sizeof *t->devices); // NOLINT: ends the test where it fails
        assert_non_null(t->devices);
        struct topology_device *d = &t->devices[t->n_devices++];
        *d = (struct topology_device){ .name = strdup(name) };
        assert_int_equal(node_set_parse(nodes, &d->nodes), 0);
}

static void test_near_a_device(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no device net/eth0 on this machine");

        add_device(w, "net/eth0", "2");
        world_set_distance(w, 2, 1, 15);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus && p->placements[0].move_memory);
        assert_nodes(p->placements[0].home, "2");
        assert_says(p->placements[0].reason, "closest to net/eth0");
        assert_int_equal(p->placements[0].pages_how, PAGES_HOME);
        assert_int_equal(world_cycle(w, COOL), 1);
        assert_mib(w, 0, 0, 400, 0);
        assert_int_equal(world_cycle(w, COOL), 0);

        /* It outgrows the node: the next nearest is taken in. */
        for (unsigned n = 0; n < 4; n++)
                world_cpu(w, &w->samples[0], n, n == 2 ? 11 : 0);
        for (unsigned k = 0; k < 60; k++) {
                plan_free(world_plan(w));
                w->now_usec += 10 * USEC_PER_SEC;
        }
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1-2");
}

static void test_near_too_large_for_the_node(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "block/nvme0n1"), 0);
        add_device(w, "block/nvme0n1", "2");
        world_set_distance(w, 2, 3, 15);
        w->machine.nodes[2].bytes_free = 8 * GIB / 20 + 250 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "2-3");
        r->max_nodes = 1; /* the next nearest that holds it alone */
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "3");
        assert_says(p->placements[0].reason, "as close to block/nvme0n1 as it fits");
        for (unsigned n = 0; n < 4; n++)
                w->machine.nodes[n].bytes_free = 8 * GIB / 20 + 50 * MIB;
        r->avoid = node_set_of(0); /* where it is, and so would have room */
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no node that it may use has room");
}

static void test_near_several_devices(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NEAR, &r);
        assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
        assert_int_equal(string_list_add(&r->devices, "net/eth1"), 0);
        assert_int_equal(string_list_add(&r->devices, "net/lost"), 0);
        add_device(w, "net/eth0", "1");
        add_device(w, "net/eth1", "2-3");
        add_device(w, "net/lost", "");
        world_set_distance(w, 1, 3, 12);
        world_set_distance(w, 0, 1, 11);
        world_set_distance(w, 0, 2, 40);
        world_set_distance(w, 0, 3, 40);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        /* Nodes 1 and 3 are 10 from one and 12 from the other; the service's memory makes no difference. */
        assert_nodes(p->placements[0].home, "1");
        assert_says(p->placements[0].reason, "does not tell which node net/lost is on");
        w->samples[0].effective_cpu_nodes = node_set_of(3); /* the cgroups above leave it node 3 alone */
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "3");

        string_list_done(&r->devices);
        assert_int_equal(string_list_add(&r->devices, "net/lost"), 0);
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "does not tell which node net/lost is on");
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
        assert_int_not_equal(interleave_key(weight, 4), interleave_key((uint32_t[]){ 3, 1, 0, 0 }, 4));
        assert_int_not_equal(interleave_key(weight, 0), 0);
}

static struct world *world_of_two(enum place place, struct rule **ret, struct rule **ret_db) {
        struct world *w = world_new(4, 4, 8, 8 * GIB);
        *ret_db = world_rule(w, PLACE_NODES);
        *ret = world_rule(w, place);
        (*ret_db)->nodes = node_set_of(2);
        struct service_sample *db = world_service(w, "db", *ret_db), *s = world_service(w, "s", *ret);
        world_spread(w, db, 50 * MIB, 0.2);
        world_spread(w, s, 0, 0.5);
        world_memory(w, s, 0, 400 * MIB);
        return w;
}

/* Node 2 is another's alone, whether that one says so or the service does. */
static void test_clear_of_others(void **state) {
        static const enum place places[] = { PLACE_SPREAD, PLACE_INTERLEAVE, PLACE_NEAR };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                for (unsigned who = 0; who < 3; who++) {
                        struct rule *r, *db;
                        _cleanup_(world_freep) struct world *w = world_of_two(places[i], &r, &db);
                        if (places[i] == PLACE_NEAR) {
                                add_device(w, "net/eth0", "2");
                                assert_int_equal(string_list_add(&r->devices, "net/eth0"), 0);
                                world_set_distance(w, 2, 3, 15);
                        }
                        db->exclusive = who == 0;
                        if (who == 1)
                                assert_int_equal(string_list_add(&db->apart_from, r->name), 0);
                        if (who == 2)
                                assert_int_equal(string_list_add(&r->apart_from, db->name), 0);
                        _cleanup_(plan_freep) struct plan *p = world_plan(w);
                        assert_nodes(p->placements[0].home, "2");
                        assert_nodes(p->placements[1].home, places[i] == PLACE_NEAR ? "3" : "0-1,3");
                        w->samples[1].effective_mems = node_set_of(2);
                        p = free_and_plan(p, w);
                        if (who < 2 || places[i] == PLACE_INTERLEAVE) /* what it asks for itself can be given up */
                                assert_state(&p->placements[1], STATE_BLOCKED);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spread_is_even_and_stays),
                cmocka_unit_test(test_spread_follows_the_cores),
                cmocka_unit_test(test_spread_within_room),
                cmocka_unit_test(test_spread_over_some),
                cmocka_unit_test(test_spread_with_hugetlb),
                cmocka_unit_test(test_interleave_once),
                cmocka_unit_test(test_interleave_by_given_weights),
                cmocka_unit_test(test_interleave_by_bandwidth),
                cmocka_unit_test(test_interleave_without_room),
                cmocka_unit_test(test_near_a_device),
                cmocka_unit_test(test_near_too_large_for_the_node),
                cmocka_unit_test(test_near_several_devices),
                cmocka_unit_test(test_policy_of_its_own),
                cmocka_unit_test(test_bound_mappings_and_strict),
                cmocka_unit_test(test_screen),
                cmocka_unit_test(test_misplaced_bytes),
                cmocka_unit_test(test_clear_of_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
