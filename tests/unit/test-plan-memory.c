/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a node has room for: free above its watermarks and keep-free, the page cache that can be dropped, pools of huge pages; and nodes that are
 * not alike. */
#include "plan-test.h"

static struct world *one_service(unsigned n_nodes, enum place place, struct service_sample **ret) {
        struct world *w = world_new(n_nodes, 2, 2, 4 * GIB);
        *ret = world_service(w, "a", world_rule(w, place));
        return w;
}

/* Memory that it had an hour ago it will have again: a new home must hold that too. */
static void test_room_to_grow_into(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(2, PLACE_COMPACT, &s);
        world_memory(w, s, 0, 300 * MIB);
        world_cpu(w, s, 0, 0.3);
        world_cpu(w, s, 1, 0.7);
        assert_int_equal(history_update(&w->history, w->samples, 1, 2, w->now_usec), 0);
        history_find(&w->history, s->cgroup)->peak_bytes = GIB;
        world_memory(w, s, 0, 300 * MIB);
        w->machine.nodes[0].bytes_free = 800 * MIB; /* 595 above keep-free, 724 to grow by */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
        w->machine.nodes[0].bytes_free = 1000 * MIB;
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "0");
}

static void test_watermark_and_cache(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(2, PLACE_NODES, &s);
        w->rules[0]->nodes = node_set_of(1);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 1);
        struct node_memory *m = &w->machine.nodes[1];
        m->bytes_total = 4 * GIB;
        m->bytes_free = GIB;
        m->bytes_low_mark = 512 * MIB; /* more than keep-free */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].bytes_to_move == 512 * MIB);
        m->bytes_droppable = 600 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].bytes_to_move == 812 * MIB);
        m->bytes_low_mark = 0;
        w->config->settings.keep_free_permille = 250;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].bytes_to_move > 299 * MIB && p->placements[0].bytes_to_move <= 300 * MIB);
        m->bytes_free = m->bytes_droppable = 0;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].move_memory);
        assert_says(p->placements[0].reason, "finds no room there above keep-free");
}

/* Pages of hugetlb go only into free ones of the pools; a service goes to where its own are. */
static void test_hugetlb_attracts(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(2, PLACE_COMPACT, &s);
        world_cpu(w, s, 1, 0.5);
        world_memory(w, s, 0, 600 * MIB);
        world_memory(w, s, 1, 400 * MIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        s->hugetlb_bytes = s->hugetlb_movable_by_node[1] = 400 * MIB; /* and now those cannot leave node 1 */
        world_memory(w, s, 0, 300 * MIB);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1");
        w->machine.nodes[0].hugetlb_free_bytes = GIB;
        s->hugetlb_movable_by_node[1] = 400 * MIB;
        world_memory(w, s, 0, 900 * MIB);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "0");
        assert_true(p->placements[0].bytes_to_move == 400 * MIB);
}

static void test_unequal_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 4, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        w->topology->nodes[1].bytes_total = w->machine.nodes[1].bytes_total = w->machine.nodes[1].bytes_free = GIB;
        struct service_sample *s = world_service(w, "a", r);
        world_spread(w, s, 800 * MIB, 0.2); /* 2.4 GB: node 1 is too small as a whole */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_false(node_set_has(&p->placements[0].home, 1));
        /* Keep-free is a share of each node, not of the machine. */
        history_done(&w->history);
        world_spread(w, s, 0, 0.2);
        world_memory(w, s, 1, 800 * MIB);
        w->machine.nodes[1].bytes_free = 40 * MIB;
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1"); /* nothing must come */
        world_memory(w, s, 1, 700 * MIB);
        world_memory(w, s, 0, 100 * MIB);
        w->machine.nodes[1].bytes_free = 100 * MIB; /* 49 above keep-free */
        p = free_and_plan(p, w);
        assert_false(node_set_has(&p->placements[0].home, 1) && node_set_count(&p->placements[0].home) == 1);
}

/* A node without CPUs takes memory that finds none nearer, and one without memory none. */
static void test_nodes_without(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        world_take_memory(w, 1);
        world_take_cpus(w, 3);
        world_set_distance(w, 1, 0, 12); /* nearest to those CPUs */
        world_set_distance(w, 1, 3, 17);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        world_cpu(w, s, 1, 2);
        world_memory(w, s, 2, GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home_mems, "0");
        w->machine.nodes[0].bytes_free = 0;
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home_mems, "3");
        assert_true(node_set_is_empty(&p->placements[0].home_cpus));
        _cleanup_(world_freep) struct world *only = world_new(2, 4, 4, 4 * GIB);
        world_take_memory(only, 0);
        s = world_service(only, "a", world_rule(only, PLACE_COMPACT));
        world_cpu(only, s, 0, 1);
        world_memory(only, s, 1, GIB);
        p = free_and_plan(p, only);
        assert_nodes(p->placements[0].home_cpus, "1");
        assert_nodes(p->placements[0].home_mems, "1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_room_to_grow_into), cmocka_unit_test(test_watermark_and_cache),
                cmocka_unit_test(test_hugetlb_attracts),  cmocka_unit_test(test_unequal_nodes),
                cmocka_unit_test(test_nodes_without),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
