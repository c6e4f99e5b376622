/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After the first placement: what keeps a service home, and what makes it leave. */
#include "plan-test.h"

/* One service at home on node 1, its cpuset in force. */
static struct world *at_home(struct service_sample **ret, struct rule **ret_rule) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        *ret_rule = world_rule(w, PLACE_COMPACT);
        *ret = world_service(w, "a", *ret_rule);
        world_memory(w, *ret, 1, GIB);
        world_spread(w, *ret, 0, 0.25);
        world_memory(w, *ret, 1, GIB);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_SEC), 1);
        assert_nodes(history_find(&w->history, (*ret)->cgroup)->home, "1");
        return w;
}

static void test_stays(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_string_equal(p->placements[0].reason, "at home on node 1, distance 10.0");
        world_memory(w, s, 2, 200 * KIB); /* not worth a move */
        w->now_usec += 3600 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
}

static void test_sweeps_after_the_cooldown(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        world_memory(w, s, 2, 3 * MIB); /* 0.3 %: no gain to speak of, but the locality that was promised */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "in cooldown for 50s");
        w->now_usec += 50 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_true(p->placements[0].bytes_to_move == 3 * MIB);
        assert_says(p->placements[0].reason, "moves 3.0M to node 1, its home");
}

static void test_what_would_not_move_is_left(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        world_memory(w, s, 1, 800 * MIB);
        world_memory(w, s, 2, 200 * MIB);
        history_record_settled(&w->history, s->cgroup, 200 * MIB, w->now_usec);
        w->now_usec += 120 * USEC_PER_SEC;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "200M of its memory would not move");
        assert_says(p->placements[0].reason, "tried again in 8min");
        world_memory(w, s, 3, 100 * MIB); /* more came: that is another matter */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        world_memory(w, s, 3, 0);
        w->now_usec += HISTORY_RETRY_USEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        /* A few pages that are pinned are nothing to report. */
        world_memory(w, s, 1, 999 * MIB);
        world_memory(w, s, 2, 10 * MIB);
        history_record_settled(&w->history, s->cgroup, 10 * MIB, w->now_usec);
        w->now_usec += 120 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_says(p->placements[0].reason, "10M of its memory would not move");
}

static void test_cpuset_that_is_gone(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        w->applied[0].cpus = false;
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        w->now_usec += 60 * USEC_PER_SEC;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_false(p->placements[0].move_memory);
        assert_nodes(p->placements[0].home_cpus, "1");
        /* Somebody widened it behind our back. */
        w->applied[0].cpus = true;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        /* A parent that grants less than asked for is lived with, once tried. */
        s->effective_cpu_nodes = node_set_of(1);
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
}

static void test_restart_of_the_daemon(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        history_done(&w->history); /* the record of what we applied is all that is left */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_nodes(p->placements[0].home, "1");
        world_memory(w, s, 0, 50 * MIB);
        history_done(&w->history);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act); /* no cooldown is known: what is due is done */
        assert_nodes(p->placements[0].home, "1");
}

static void test_what_was_given_back_is_no_home(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        history_done(&w->history);
        s->effective_cpu_nodes =
                topology_nodes_with_cpus(w->topology); /* the record says ours, and it is the parent's full set */
        s->whole_cpus = true;
        world_spread(w, s, 0, 0.25);
        world_memory(w, s, 1, GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
}

static void test_after_a_failure(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        w->applied[0].cpus = false; /* the cpuset was refused */
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        for (unsigned i = 0; i < 5; i++)
                history_record_failed(&w->history, s->cgroup, w->now_usec);
        w->now_usec += 120 * USEC_PER_SEC; /* longer than the cooldown */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "the last attempt had no effect, tried again in 6min");
        w->now_usec += HISTORY_RETRY_USEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        world_apply(w, p); /* it worked */
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
}

static void test_under_way(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        struct node_set home = node_set_of(1);
        w->now_usec += 100 * USEC_PER_SEC;
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &home, w->now_usec), 0);
        world_memory(w, s, 3, GIB);
        w->now_usec += 1000 * USEC_PER_SEC; /* a long move */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_says(p->placements[0].reason, "under way");
        assert_nodes(p->placements[0].home, "1");
}

static void test_home_that_is_not_possible_any_more(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        struct node_set two = node_set_of(1);
        node_set_add(&two, 2);
        world_memory(w, s, 1, 500 * MIB);
        world_memory(w, s, 2, 500 * MIB);
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &two, w->now_usec), 0);
        history_record_settled(&w->history, s->cgroup, 0, w->now_usec);
        r->max_nodes = 1; /* the rule changed */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act); /* without waiting */
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_says(p->placements[0].reason, "former home is no longer possible");
}

static void test_two_homes_to_one(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        struct node_set two = node_set_of(1);
        node_set_add(&two, 2);
        world_memory(w, s, 1, 500 * MIB);
        world_memory(w, s, 2, 500 * MIB);
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &two, w->now_usec), 0);
        history_record_settled(&w->history, s->cgroup, 0, w->now_usec);
        s->effective_cpu_nodes = two;
        for (unsigned n = 0; n < 4; n++)
                world_cpu(w, s, n, n == 1 || n == 2 ? 0.9 : 0);
        w->now_usec += 120 * USEC_PER_SEC;
        /* 1.8 CPUs would fit on a node of two, but with too little to spare for a service that was given four. */
        s->cpu_window_usec = 3600 * USEC_PER_SEC;
        world_cpu(w, s, 1, 0.9);
        world_cpu(w, s, 2, 0.9);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_nodes(p->placements[0].home, "1-2");
        w->now_usec += 120 * USEC_PER_SEC;
        for (unsigned i = 0; i < 5; i++) { /* the demand of the past fades */
                world_cpu(w, s, 1, 0.5);
                world_cpu(w, s, 2, 0.5);
                p = free_and_plan(p, w);
        }
        assert_true(p->placements[0].act);
        assert_int_equal(node_set_count(&p->placements[0].home), 1);
        assert_true(p->placements[0].bytes_to_move == 500 * MIB);
}

static void test_grows_when_it_wants_more(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        s->n_threads = 8;
        s->cpu_window_usec = 3600 * USEC_PER_SEC;
        for (unsigned n = 0; n < 4; n++)
                world_cpu(w, s, n, n == 1 ? 1.99 : 0);
        w->now_usec += 120 * USEC_PER_SEC;
        s->cpu_pressure_centipercent = 300; /* it fills its CPUs, and hardly ever waits: it has what it wants */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        s->cpu_pressure_centipercent = 9000;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_int_equal(node_set_count(&p->placements[0].home_cpus), 2);
        assert_true(node_set_has(&p->placements[0].home_cpus, 1));
        s->cpu_pressure_centipercent = -1; /* without PSI the threads are counted */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        s->n_threads = 3;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
}

static void test_two_that_outgrow_their_node(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s[2] = { world_service(w, "a", r), world_service(w, "b", r) };
        for (unsigned i = 0; i < 2; i++) {
                world_memory(w, s[i], 0, 200 * MIB);
                world_cpu(w, s[i], 0, 0.05);
        }
        assert_int_equal(world_cycle(w, 90 * USEC_PER_SEC), 2); /* idle, and both at home on node 0 */
        assert_nodes(history_find(&w->history, s[1]->cgroup)->home, "0");
        for (unsigned i = 0; i < 2; i++) {
                s[i]->cpu_window_usec = 60 * USEC_PER_SEC;
                world_cpu(w, s[i], 0, 1); /* each wants two CPUs and gets half of them */
        }
        size_t acts = 0;
        for (unsigned i = 0; i < 5; i++) /* a moment's load drives nobody out; this lasts */
                acts += world_cycle(w, 60 * USEC_PER_SEC);
        assert_int_equal(acts, 1); /* one goes, one stays */
        struct node_set homes =
                node_set_union(&history_find(&w->history, s[0]->cgroup)->home, &history_find(&w->history, s[1]->cgroup)->home);
        assert_nodes(homes, "0-1");
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 0);
}

static void test_patience(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 4, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 1.5);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 1);
        s->n_threads = 8;
        world_cpu(w, s, 1, 3.5); /* for a moment */
        assert_int_equal(world_cycle(w, 10 * USEC_PER_SEC), 0);
        s->cpu_window_usec = 36000 * USEC_PER_SEC;
        world_cpu(w, s, 1, 2.3); /* a little more than its cores, lastingly */
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 0);
        world_cpu(w, s, 1, 3.2);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(world_cycle(w, 200 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 0), 1);
        assert_int_equal(node_set_count(&history_find(&w->history, s->cgroup)->home), 2);
}

/* All nodes are a home as well, though nothing is to be done there. */
static void test_all_nodes_are_remembered(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, 500 * MIB);
        world_memory(w, s, 1, 500 * MIB);
        world_cpu(w, s, 0, 3);
        world_cpu(w, s, 1, 3);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 0);
        const struct history_entry *e = history_find(&w->history, w->samples[0].cgroup);
        assert_non_null(e);
        assert_true(e->placed && e->settled_usec >= e->started_usec);
        assert_nodes(e->home, "0-1");
        uint64_t placed = e->placed_usec;
        assert_int_equal(world_cycle(w, 10 * USEC_PER_MINUTE), 0);
        assert_true(history_find(&w->history, w->samples[0].cgroup)->placed_usec == placed);
}

static void test_rule_that_wants_less(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = at_home(&s, &r);
        w->now_usec += 60 * USEC_PER_SEC;
        r->place = PLACE_FOLLOW;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_says(p->placements[0].reason, "gives its CPUs back");
}

/* Cores were brought on line, and we were started again: its home is the same, and what is in force of it is not all. */
static void test_cpus_that_came(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = service_on(w, "a", world_rule(w, PLACE_COMPACT), 0, GIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        world_apply(w, p);
        w->now_usec += USEC_PER_MINUTE * 10;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        s->partial_cpus = true;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_cpus, "0");
        s->partial_cpus = false;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stays),
                cmocka_unit_test(test_sweeps_after_the_cooldown),
                cmocka_unit_test(test_what_would_not_move_is_left),
                cmocka_unit_test(test_cpuset_that_is_gone),
                cmocka_unit_test(test_restart_of_the_daemon),
                cmocka_unit_test(test_what_was_given_back_is_no_home),
                cmocka_unit_test(test_after_a_failure),
                cmocka_unit_test(test_under_way),
                cmocka_unit_test(test_home_that_is_not_possible_any_more),
                cmocka_unit_test(test_two_homes_to_one),
                cmocka_unit_test(test_grows_when_it_wants_more),
                cmocka_unit_test(test_two_that_outgrow_their_node),
                cmocka_unit_test(test_patience),
                cmocka_unit_test(test_all_nodes_are_remembered),
                cmocka_unit_test(test_rule_that_wants_less),
                cmocka_unit_test(test_cpus_that_came),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
