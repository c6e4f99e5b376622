/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No way back to the former home within a quarter of an hour, but for causes that are stated. */
#include "plan-test.h"

/* A service that was moved from node 0 to node 1 by hand, so to speak, while all speaks for node 0: its memory, bound there. */
static struct world *sent_away(struct service_sample **ret, struct rule **ret_rule) {
        struct world *w = world_new(3, 4, 4, 4 * GIB);
        struct node_set first = node_set_of(0), second = node_set_of(1);
        *ret_rule = world_rule(w, PLACE_COMPACT);
        (*ret_rule)->max_nodes = 1;
        *ret = world_service(w, "a", *ret_rule);
        world_cpu(w, *ret, 1, 1);
        world_memory(w, *ret, 0, GIB);
        (*ret)->movable_by_node[0] = 0;
        (*ret)->effective_cpu_nodes = second;
        w->applied[0].cpus = true;
        assert_int_equal(history_update(&w->history, w->samples, 1, 3, 0), 0);
        assert_int_equal(history_record_placed(&w->history, (*ret)->cgroup, &first, 0), 0);
        history_record_settled(&w->history, (*ret)->cgroup, 0, 0);
        w->now_usec = 3600 * USEC_PER_SEC;
        assert_int_equal(history_record_placed(&w->history, (*ret)->cgroup, &second, w->now_usec), 0);
        history_record_settled(&w->history, (*ret)->cgroup, 0, w->now_usec);
        w->now_usec += 5 * USEC_PER_MINUTE; /* past any cooldown */
        return w;
}

static void test_not_back(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_nodes(p->placements[0].home, "1");
        assert_says(p->placements[0].reason, "node 0 would be better (distance 10.0");
        assert_says(p->placements[0].reason, "but it left there 5min ago and does not go back for another 10min");
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        bool told = false, changes = false;
        for (size_t i = 0; i < e.n_candidates; i++)
                if (e.candidates[i].verdict == VERDICT_GUARDED) {
                        assert_nodes(e.candidates[i].nodes, "0");
                        assert_true(e.candidates[i].wait_usec == 10 * USEC_PER_MINUTE);
                        told = true;
                }
        for (size_t i = 0; i < e.n_would_change; i++)
                changes |= strcmp(e.would_change[i], "a quarter of an hour had passed since it left node 0 (in 10min)") == 0;
        assert_true(told && changes);
        w->now_usec += 10 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "0");
        assert_null(strstr(p->placements[0].reason, "back after"));
}

static void test_another_home_is_open(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        world_set_distance(w, 2, 0, 12); /* nearly as good */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "2");
}

static void test_back_when_home_is_lost(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        world_cpu(w, s, 1, 0);
        world_cpu(w, s, 2, 1);
        world_take_node(w, 1);
        s->effective_cpu_nodes = s->effective_mems = topology_nodes(w->topology);
        w->applied[0].cpus = false;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        assert_says(p->placements[0].reason, "its former home is no longer possible");
}

static void test_back_when_the_rule_changed(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        r->min_gain_permille = 40;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "0");
        assert_says(p->placements[0].reason, "back after 5min because its rule was changed");
}

static void test_back_when_there_is_no_room(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        /* It wants seven of four CPUs, and so it does on any node; node 1 is shared with one that is there by its rule. */
        struct rule *nodes = world_rule(w, PLACE_NODES);
        nodes->nodes = node_set_of(1);
        struct service_sample *other = world_service(w, "b", nodes);
        world_memory(w, other, 1, 200 * MIB);
        world_cpu(w, other, 1, 3.9);
        s->movable_by_node[0] = GIB;
        w->topology->distance[2] = w->topology->distance[6] = 200; /* node 2 is out of the question */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        assert_says(p->placements[0].reason, "back after 5min because its home has no room for it");
}

static void test_the_rules_nodes_are_not_guarded(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = sent_away(&s, &r);
        r->place = PLACE_NODES;
        r->nodes = node_set_of(0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "0");
        assert_says(p->placements[0].reason, "as the rule says");
}

static void test_memory_does_not_run_back(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct node_set first = node_set_of(0), second = node_set_of(1);
        struct rule *r = world_rule(w, PLACE_FOLLOW);
        r->cooldown_usec = USEC_PER_SEC;
        struct service_sample *s = world_service(w, "a", r);
        world_cpu(w, s, 0, 1);
        world_memory(w, s, 1, GIB);
        assert_int_equal(history_update(&w->history, w->samples, 1, 2, 0), 0);
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &first, 0), 0);
        w->now_usec = 3600 * USEC_PER_SEC;
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &second, w->now_usec), 0);
        history_record_settled(&w->history, s->cgroup, 0, w->now_usec);
        w->now_usec += 899 * USEC_PER_SEC;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "does not go back for another 1s");
        w->now_usec += USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "0");
}

/* A home that is one by name alone, its CPUs given back, is not gone to where its memory is elsewhere and as near there. */
static void test_home_by_name_alone(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct node_set name = node_set_of(0);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = service_on(w, "a", r, 1, GIB, 1);
        assert_int_equal(history_update(&w->history, w->samples, 1, 2, w->now_usec), 0);
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &name, w->now_usec), 0);
        history_record_failed(&w->history, s->cgroup, w->now_usec);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_nodes(p->placements[0].home, "0");
        w->now_usec += 3600 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus && !p->placements[0].move_memory);
        assert_nodes(p->placements[0].home, "1");
        assert_says(p->placements[0].reason, "its former home, node 0, was not in force and is no nearer");
        /* Its CPUs are held there: that is its home. */
        w->applied[0].cpus = true;
        s->effective_cpu_nodes = name;
        world_cpu(w, s, 1, 0);
        world_cpu(w, s, 0, 1);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "0");
        assert_true(p->placements[0].move_memory);
        /* The name stands where a part of its memory has come there. */
        w->applied[0].cpus = false;
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        world_memory(w, s, 0, GIB / 4);
        world_memory(w, s, 1, GIB / 4 * 3);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "0");
        assert_true(p->placements[0].move_memory);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_not_back),
                cmocka_unit_test(test_another_home_is_open),
                cmocka_unit_test(test_back_when_home_is_lost),
                cmocka_unit_test(test_back_when_the_rule_changed),
                cmocka_unit_test(test_back_when_there_is_no_room),
                cmocka_unit_test(test_the_rules_nodes_are_not_guarded),
                cmocka_unit_test(test_memory_does_not_run_back),
                cmocka_unit_test(test_home_by_name_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
