/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What belongs to the administrator, to the application, or to everybody: cpusets, policies, memory that runs short. */
#include "plan-test.h"

static void test_administrators_cpus(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 2, 1);
        s->effective_cpu_nodes = node_set_of(2);
        s->admin_cpus = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "2");
        assert_says(p->placements[0].reason, "its CPUs are left as the administrator set them");
}

/* Threads that were bound to CPUs are not thrown off them; what they use comes to them. */
static void test_bound_threads(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = service_on(w, "a", r, 0, GIB, 0);
        world_cpu(w, s, 2, 1);
        s->binds_threads = true;
        s->thread_nodes = node_set_of(2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "2");
        assert_says(p->placements[0].reason, "its CPUs are left alone, because some of its threads are bound to CPUs already");
        r->place = PLACE_NODES;
        r->nodes = node_set_of(1);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "1");
        r->app_policy = APP_POLICY_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_cpus, "1");
}

/* Whether they still are only a deep read tells: it is not left for half an hour, as with services that are at home and all is known of. */
static void test_bound_threads_are_looked_at_again(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = service_on(w, "a", world_rule(w, PLACE_COMPACT), 2, GIB, 2);
        const struct history_entry seen = { .placed = true, .home = node_set_of(2), .deep_usec = w->now_usec };
        uint64_t later = w->now_usec + 6 * USEC_PER_MINUTE;
        assert_false(plan_wants_deep(s, &seen, w->topology->n_ids, later));
        s->binds_threads = true;
        s->thread_nodes = node_set_of(2);
        assert_false(plan_wants_deep(s, &seen, w->topology->n_ids, w->now_usec + USEC_PER_MINUTE));
        assert_true(plan_wants_deep(s, &seen, w->topology->n_ids, later));
}

/* Its memory is spread over the nodes where its threads may run. */
static void test_bound_threads_spread(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = service_on(w, "a", world_rule(w, PLACE_SPREAD), 3, GIB, 0);
        world_cpu(w, s, 0, 1);
        world_cpu(w, s, 1, 1);
        s->binds_threads = true;
        s->thread_nodes = node_set_of(0);
        node_set_add(&s->thread_nodes, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "0-1");
}

/* Bound while a cpuset of ours is in force, as after a restart: it is given back. */
static void test_bound_threads_in_our_cpuset(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = service_on(w, "a", world_rule(w, PLACE_COMPACT), 0, GIB, 1);
        w->applied[0].cpus = true;
        s->effective_cpu_nodes = node_set_of(0);
        s->binds_threads = true;
        s->thread_nodes = node_set_of(0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_false(p->placements[0].move_memory);
        assert_says(p->placements[0].reason, "gives its CPUs back");
}

/* Restricting the whole would take them from cgroups inside of it; what was restricted before is given back. */
static void test_cpus_of_cgroups_inside(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 2, 1);
        s->inner_cpu_nodes = node_set_of(2);
        s->whole_cpus = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home_mems, "2");
        assert_says(p->placements[0].reason, "cgroups inside of it were given CPUs of their own");
        r->place = PLACE_NODES;
        r->nodes = node_set_of(1);
        p = free_and_plan(p, w);
        assert_false(p->placements[0].restrict_cpus);
        r->nodes = node_set_of(2); /* all of which the rule gives it */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].restrict_cpus);
}

static void test_memory_nodes_of_cgroups_inside(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        r->memory = MEMORY_STRICT;
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 2, 1);
        s->inner_mems = true;
        s->inner_mems_allowed = node_set_of(1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].narrow_mems);
        assert_nodes(p->placements[0].home_mems, "1"); /* where else the kernel allows none */
        assert_says(p->placements[0].reason, "cgroups inside of it were given memory nodes of their own");
}

/* Restricted by us already: no further than what the cgroups above it leave. */
static void test_above(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        r->nodes = node_set_of(3);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 1);
        s->effective_cpu_nodes = node_set_of(1);
        s->above_cpu_nodes = node_set_of(1);
        node_set_add(&s->above_cpu_nodes, 2);
        w->applied[0].cpus = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_int_equal(p->placements[0].state, STATE_BLOCKED);
        assert_says(p->placements[0].reason, "whose CPUs are not among those left to it");
        node_set_add(&s->above_cpu_nodes, 3);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home_cpus, "3");
}

static void test_nodes_that_are_not_allowed(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 3, 0.5);
        s->effective_mems = node_set_of(3); /* memory may come only here, CPUs only from here on */
        node_set_remove(&s->effective_cpu_nodes, 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "3");
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        unsigned excluded = 0;
        for (size_t i = 0; i < e.n_candidates; i++)
                if (node_set_has(&e.candidates[i].nodes, 0)) {
                        assert_int_equal(e.candidates[i].excluded_by.constraint, CONSTRAINT_CPUSET);
                        excluded++;
                }
        assert_true(excluded > 0);
}

static void test_strict(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        r->memory = MEMORY_STRICT;
        struct service_sample *s = world_service(w, "a", r);
        world_spread(w, s, 100 * MIB, 0.2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].narrow_mems);
        assert_says(p->placements[0].reason, "narrows its memory to node");
        s->movable_by_node[0] = s->movable_by_node[1] = s->movable_by_node[2] = 0; /* 200 MB or more would stay behind */
        p = free_and_plan(p, w);
        assert_false(p->placements[0].narrow_mems);
        assert_says(p->placements[0].reason, "would stay behind");
        s->has_bound_mappings = true;
        p = free_and_plan(p, w);
        assert_says(p->placements[0].reason, "because it bound some of its memory itself");
        s->has_bound_mappings = false;
        s->movable_by_node[0] = s->movable_by_node[1] = s->movable_by_node[2] = 100 * MIB;
        s->maps_incomplete = true; /* some of what was not read may be bound */
        p = free_and_plan(p, w);
        assert_false(p->placements[0].narrow_mems);
        assert_says(p->placements[0].reason, "because not all of its memory maps could be read");
        r->app_policy = APP_POLICY_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].narrow_mems);
        r->app_policy = APP_POLICY_RESPECT;
        s->maps_incomplete = false;
        s->admin_mems = true;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].narrow_mems);
        assert_says(p->placements[0].reason, "its memory nodes are left as the administrator set them");
}

static void test_memory_pressure(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        r->memory = MEMORY_STRICT;
        struct service_sample *s = world_service(w, "a", r);
        world_spread(w, s, 100 * MIB, 0.2);
        assert_int_equal(world_cycle(w, 5 * USEC_PER_SEC), 1);
        assert_true(w->applied[0].mems);
        s->memory_pressure_centipercent = 1250;
        s->deep = false; /* there is no time to look closely, nor to rest */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].widen_mems);
        assert_false(p->placements[0].narrow_mems);
        assert_false(p->placements[0].move_memory);
        assert_says(p->placements[0].reason, "memory pressure is 12.50%");
        assert_says(p->placements[0].reason, "gives its memory nodes back");
        world_apply(w, p);
        assert_false(w->applied[0].mems);
        s->deep = true;
        s->memory_pressure_centipercent = 0; /* over: but it stays so for the cooldown */
        w->now_usec += 30 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "given back under pressure");
        w->now_usec += 31 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].narrow_mems);
        world_apply(w, p);
        /* Its node runs out of memory without anybody telling of pressure yet. */
        unsigned home = (unsigned) node_set_next(&p->placements[0].home, 0);
        w->machine.nodes[home].bytes_free = 90 * MIB; /* 102 MiB is half of keep-free */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].widen_mems);
        assert_says(p->placements[0].reason, "short of memory");
}

/* Narrowed when all was read: not given back and forth where that comes and goes. */
static void test_strict_stays_on_incomplete_maps(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        world_rule(w, PLACE_COMPACT)->memory = MEMORY_STRICT;
        struct service_sample *s = world_service(w, "a", w->rules[0]);
        world_spread(w, s, 100 * MIB, 0.2);
        assert_int_equal(world_cycle(w, 5 * USEC_PER_SEC), 1);
        assert_true(w->applied[0].mems);
        s->maps_incomplete = true;
        w->now_usec += 10 * USEC_PER_MINUTE;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act || p->placements[0].widen_mems);
}

/* Nodes of a database host: nine tenths of each are set aside for its huge pages. What is left is not short of memory for that. */
static void test_strict_beside_pools(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        w->rules[0]->memory = MEMORY_STRICT;
        w->rules[0]->cooldown_usec = 60 * USEC_PER_SEC;
        world_memory(w, s, 1, 100 * MIB);
        world_cpu(w, s, 1, 1);
        for (unsigned n = 0; n < 4; n++) {
                w->machine.nodes[n].hugetlb_bytes = 3700 * MIB;
                w->machine.nodes[n].bytes_free = 100 * MIB; /* 102 MiB is half of a twentieth of all; of the rest it is 9.9 */
        }
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
        assert_true(p->placements[0].act && p->placements[0].narrow_mems);
        world_apply(w, p);
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        w->machine.nodes[1].bytes_free = 9 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].widen_mems);
        assert_says(p->placements[0].reason, "short of memory");
}

static void test_bound_mappings_attract(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_spread(w, s, 50 * MIB, 0.2);
        world_memory(w, s, 3, GIB);
        s->movable_by_node[3] = 0;
        s->has_bound_mappings = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "3");
        assert_true(p->placements[0].bytes_to_move == 150 * MIB);
}

static void test_hugetlb_needs_its_own_room(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        r->nodes = node_set_of(1);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, 600 * MIB);
        s->hugetlb_bytes = s->hugetlb_movable_by_node[0] = 400 * MIB;
        world_cpu(w, s, 0, 1);
        w->machine.nodes[1].hugetlb_free_bytes = 100 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].bytes_to_move == 300 * MIB);
        assert_says(p->placements[0].reason, "300M of its memory finds no room");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_administrators_cpus),
                cmocka_unit_test(test_bound_threads),
                cmocka_unit_test(test_bound_threads_are_looked_at_again),
                cmocka_unit_test(test_bound_threads_spread),
                cmocka_unit_test(test_bound_threads_in_our_cpuset),
                cmocka_unit_test(test_cpus_of_cgroups_inside),
                cmocka_unit_test(test_memory_nodes_of_cgroups_inside),
                cmocka_unit_test(test_above),
                cmocka_unit_test(test_nodes_that_are_not_allowed),
                cmocka_unit_test(test_strict),
                cmocka_unit_test(test_memory_pressure),
                cmocka_unit_test(test_strict_beside_pools),
                cmocka_unit_test(test_strict_stays_on_incomplete_maps),
                cmocka_unit_test(test_bound_mappings_attract),
                cmocka_unit_test(test_hugetlb_needs_its_own_room),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
