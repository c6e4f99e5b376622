/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a new service should start. */
#include "plan-test.h"

static struct advice *advise(struct world *w, uint64_t mcpu, uint64_t bytes) {
        struct advice *a = NULL;
        if (history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec) < 0)
                return NULL;
        struct plan_input in = {
                .topology = w->topology,
                .machine = &w->machine,
                .config = w->config,
                .samples = w->samples,
                .n_samples = w->n_samples,
                .history = &w->history,
                .applied = w->applied,
                .n_applied = w->n_samples,
                .now_usec = w->now_usec,
        };
        return plan_advise(&in, mcpu, bytes, &a) < 0 ? NULL : a;
}

static void test_idle_machine(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 8 * GIB);
        _cleanup_(advice_freep) struct advice *a = advise(w, 2000, GIB);
        assert_non_null(a);
        assert_nodes(a->nodes, "0");
        assert_true(a->fits);
        assert_says(a->reason, "node 0 for 2 CPUs and 1.0G");
        assert_says(a->reason, "; chosen: costs ");
}

static void test_keeps_clear_of_load(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct service_sample *s = world_service(w, "/a.service", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 3);
        (void) world_cycle(w, 60 * USEC_PER_SEC);
        _cleanup_(advice_freep) struct advice *a = advise(w, 2000, 0);
        assert_non_null(a);
        assert_nodes(a->nodes, "1");
        assert_true(a->fits);
}

/* Nobody manages it, and it counts all the same. */
static void test_keeps_clear_of_unmanaged(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct service_sample *s = world_service(w, "/a.service", NULL);
        world_cpu(w, s, 0, 3);
        for (unsigned i = 0; i < 2; i++) /* seen for a moment, it might be anywhere */
                (void) world_cycle(w, 60 * USEC_PER_SEC);
        _cleanup_(advice_freep) struct advice *a = advise(w, 2000, 0);
        assert_non_null(a);
        assert_nodes(a->nodes, "1");
}

static void test_goes_where_memory_is(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        w->machine.nodes[0].bytes_free = GIB;
        _cleanup_(advice_freep) struct advice *a = advise(w, 1000, 2 * GIB);
        assert_non_null(a);
        assert_nodes(a->nodes, "1");
        /* Without memory to place the fuller node would do as well; half of it is in neither's way. */
        _cleanup_(advice_freep) struct advice *small = advise(w, 1000, 256 * MIB);
        assert_non_null(small);
        assert_nodes(small->nodes, "1");
}

static void test_keep_free(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        w->config->settings.keep_free_permille = 500;
        _cleanup_(advice_freep) struct advice *both = advise(w, 1000, 5 * GIB);
        assert_non_null(both);
        assert_nodes(both->nodes, "0-1");
        _cleanup_(advice_freep) struct advice *none = advise(w, 1000, 9 * GIB);
        assert_non_null(none);
        assert_nodes(none->nodes, "");
        assert_false(none->fits);
        assert_says(none->reason, "no nodes hold 9.0G: all together have room for 8.0G above keep-free");
}

static void test_more_cpus_than_a_node(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 8 * GIB);
        world_set_distance(w, 0, 1, 30);
        world_set_distance(w, 0, 2, 15);
        _cleanup_(advice_freep) struct advice *two = advise(w, 6000, GIB);
        assert_non_null(two);
        assert_nodes(two->nodes, "0,2");
        _cleanup_(advice_freep) struct advice *too_many = advise(w, 40000, GIB);
        assert_non_null(too_many);
        assert_false(node_set_is_empty(&too_many->nodes));
        assert_false(too_many->fits);
        assert_says(too_many->reason, "so many CPUs are not left");
}

/* What a service of a rule has for itself is no place for others: rules of the real configuration keep their identity. */
static void test_rules_keep_their_place(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct rule own[2];
        for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
                rule_init(&own[i]);
                own[i].name = i == 0 ? (char *) "first" : (char *) "second";
        }
        own[1].place = PLACE_NODES;
        own[1].nodes = node_set_of(0);
        struct rule *were = w->config->rules;
        size_t n_were = w->config->n_rules;
        w->config->rules = own;
        w->config->n_rules = 2;
        struct service_sample *s = world_service(w, "/a.service", &own[1]);
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 3);
        _cleanup_(advice_freep) struct advice *a = advise(w, 2000, 0);
        w->config->rules = were;
        w->config->n_rules = n_were;
        assert_non_null(a);
        assert_nodes(a->plan->placements[0].home_mems, "0");
        assert_nodes(a->nodes, "1"); /* not where it is seen, but where it is going to leave */
}

/* What a service has for itself is nobody's, however idle it is there; and where all is somebody's, there is no place. */
static void test_exclusive_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct rule *own = world_rule(w, PLACE_NODES), *other = world_rule(w, PLACE_NODES);
        own->nodes = node_set_of(0);
        own->exclusive = true;
        other->nodes = node_set_of(1);
        struct service_sample *a = world_service(w, "/a.service", own), *b = world_service(w, "/b.service", other);
        world_memory(w, a, 0, GIB);
        world_memory(w, b, 1, 6 * GIB);
        world_cpu(w, a, 0, 0.01);
        world_cpu(w, b, 1, 3.5);
        (void) world_cycle(w, 60 * USEC_PER_SEC);
        _cleanup_(advice_freep) struct advice *busy = advise(w, 500, 256 * MIB);
        assert_non_null(busy);
        assert_nodes(busy->nodes, "1");
        assert_true(busy->fits);
        /* More than node 1 has left does not go to node 0 either. */
        _cleanup_(advice_freep) struct advice *large = advise(w, 500, 4 * GIB);
        assert_non_null(large);
        assert_false(node_set_has(&large->nodes, 0));

        other->exclusive = true;
        _cleanup_(advice_freep) struct advice *none = advise(w, 500, 256 * MIB);
        assert_non_null(none);
        assert_nodes(none->nodes, "");
        assert_says(none->reason, "no nodes are left for it");
}

static void test_memory_only_nodes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        world_take_cpus(w, 0);
        _cleanup_(advice_freep) struct advice *a = advise(w, 500, GIB);
        assert_non_null(a);
        assert_nodes(a->nodes, "1");
        assert_says(a->reason, "node 1 for 0.5 CPUs");
}

static void test_limits(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct plan_input in = { .topology = w->topology, .machine = &w->machine, .config = w->config, .history = &w->history };
        struct advice *a = NULL;
        assert_int_equal(plan_advise(&in, 0, 0, &a), -EINVAL);
        assert_int_equal(plan_advise(&in, ADVISE_MCPU_MAX + 1, 0, &a), -EINVAL);
        assert_int_equal(plan_advise(&in, 1000, ADVISE_BYTES_MAX + 1, &a), -EINVAL);
        assert_null(a);
        assert_int_equal(plan_advise(&in, ADVISE_MCPU_MAX, ADVISE_BYTES_MAX, &a), 0);
        assert_nodes(a->nodes, "");
        a = advice_free(a);
        assert_int_equal(plan_advise(&in, 1, 0, &a), 0);
        assert_nodes(a->nodes, "0");
        advice_free(a);
}

/* Asking changes no plan, and the same question has the same answer. */
static void test_asking_changes_nothing(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 8 * GIB);
        struct service_sample *s = world_service(w, "/a.service", world_rule(w, PLACE_COMPACT));
        world_spread(w, s, GIB, 2);
        struct plan *before = world_plan(w);
        _cleanup_free_ char *text = plan_to_text(before);
        _cleanup_(advice_freep) struct advice *a = advise(w, 2000, GIB), *b = advise(w, 2000, GIB);
        struct plan *after = world_plan(w);
        _cleanup_free_ char *again = plan_to_text(after);
        assert_string_equal(text, again);
        assert_string_equal(a->reason, b->reason);
        plan_free(before);
        plan_free(after);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_idle_machine),
                cmocka_unit_test(test_keeps_clear_of_load),
                cmocka_unit_test(test_keeps_clear_of_unmanaged),
                cmocka_unit_test(test_goes_where_memory_is),
                cmocka_unit_test(test_keep_free),
                cmocka_unit_test(test_more_cpus_than_a_node),
                cmocka_unit_test(test_rules_keep_their_place),
                cmocka_unit_test(test_exclusive_nodes),
                cmocka_unit_test(test_memory_only_nodes),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_asking_changes_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
