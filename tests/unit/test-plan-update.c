/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan_update(): after few changes the same plan as one from the beginning, and the others untouched. */
#include "plan-test.h"

#define SERVICES 24u

/* On 12 nodes, each at home on one; one follows its threads, one is of no rule. */
static struct world *settled_world(struct rule **ret) {
        struct world *w = world_new(12, 8, 8, 16 * GIB);
        struct rule *web = named_rule(w, PLACE_COMPACT, "web", 100), *tool = named_rule(w, PLACE_FOLLOW, "tool", 100);
        for (unsigned i = 0; i < SERVICES; i++) {
                _cleanup_free_ char *name = format_string("s%02u", i);
                service_on(w, name, i == 7 ? tool : i == 9 ? NULL : web, i % 12, (200 + i) * MIB, 0.5);
        }
        for (unsigned k = 0; k < 3; k++)
                (void) world_cycle(w, 10 * USEC_PER_MINUTE);
        *ret = web;
        return w;
}

static struct plan *update(struct world *w, const struct plan *previous, size_t changed) {
        struct plan_input in = world_input(w);
        struct plan *p = NULL;
        assert_int_equal(history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec), 0);
        assert_int_equal(plan_update(&in, previous, &changed, 1, &p), 0);
        char *broken = world_check_plan(w, p);
        assert_null(broken);
        return p;
}

static void assert_same(const struct plan *a, const struct plan *b) {
        _cleanup_free_ char *x = plan_to_text(a), *y = plan_to_text(b);
        assert_string_equal(x, y);
}

static void test_one_that_must_move(void **state) {
        struct rule *web;
        _cleanup_(world_freep) struct world *w = settled_world(&web);
        world_cpu(w, &w->samples[17], 5, 4);
        for (unsigned k = 0; k < 3; k++)
                (void) world_cycle(w, 10 * USEC_PER_MINUTE);
        _cleanup_(plan_freep) struct plan *before = world_plan(w);
        assert_nodes(before->placements[5].home, "5");
        assert_nodes(before->placements[17].home, "5");
        for (unsigned k = 0; k < 10; k++) { /* more than both have CPUs for */
                world_cpu(w, &w->samples[5], 5, 7.8);
                w->now_usec += USEC_PER_MINUTE;
                assert_int_equal(history_update(&w->history, w->samples, w->n_samples, 12, w->now_usec), 0);
        }
        _cleanup_(plan_freep) struct plan *updated = update(w, before, 5);
        _cleanup_(plan_freep) struct plan *whole = world_plan(w);
        assert_false(node_set_equal(&updated->placements[5].home, &before->placements[5].home));
        assert_true(node_set_equal(&updated->placements[5].home, &whole->placements[5].home));
        assert_true(updated->placements[5].act);
        assert_string_equal(updated->placements[5].reason, whole->placements[5].reason);
        for (size_t i = 0; i < SERVICES; i++)
                if (i != 5)
                        assert_string_equal(updated->placements[i].reason, before->placements[i].reason);
}

static void test_nothing_changed(void **state) {
        struct rule *web;
        _cleanup_(world_freep) struct world *w = settled_world(&web);
        _cleanup_(plan_freep) struct plan *before = world_plan(w);
        _cleanup_(plan_freep) struct plan *updated = update(w, before, 3);
        assert_same(updated, before);
}

/* A service that was not at rest is looked at again, changed or not. */
static void test_what_was_not_at_rest(void **state) {
        struct rule *web;
        _cleanup_(world_freep) struct world *w = settled_world(&web);
        world_memory(w, &w->samples[4], 4, 100 * MIB); /* half of it is elsewhere now */
        world_memory(w, &w->samples[4], 8, 104 * MIB);
        _cleanup_(plan_freep) struct plan *before = world_plan(w);
        assert_true(before->placements[4].act && before->placements[4].room_by_node);
        _cleanup_(plan_freep) struct plan *updated = update(w, before, 0);
        assert_same(updated, before);
}

/* Who changed can drive out who did not. */
static void test_drives_out(void **state) {
        struct rule *web;
        _cleanup_(world_freep) struct world *w = settled_world(&web);
        struct rule *db = named_rule(w, PLACE_COMPACT, "db", 300);
        db->exclusive = true;
        db->min_size_bytes = 8 * GIB;
        db->has_allowed = true;
        db->allowed = node_set_of(2);
        service_on(w, "t", db, 2, GIB, 1);
        for (unsigned k = 0; k < 3; k++)
                (void) world_cycle(w, 10 * USEC_PER_MINUTE);
        _cleanup_(plan_freep) struct plan *before = world_plan(w);
        assert_home(w, before, "s02", "2");
        assert_home(w, before, "t", "");
        world_memory(w, &w->samples[SERVICES], 2, 9 * GIB);
        w->now_usec += 10 * USEC_PER_MINUTE;
        _cleanup_(plan_freep) struct plan *updated = update(w, before, SERVICES);
        assert_home(w, updated, "t", "2");
        assert_false(node_set_has(&placement_of(w, updated, "s02")->home, 2));
        assert_false(node_set_has(&placement_of(w, updated, "s14")->home, 2));
        assert_true(placement_of(w, updated, "s02")->act);
        assert_says(placement_of(w, updated, "s02")->reason, "because rule db (priority 300) has node 2 for itself");
        assert_home(w, updated, "s03", "3");
}

static void test_inconsistent(void **state) {
        struct rule *web;
        _cleanup_(world_freep) struct world *w = settled_world(&web);
        _cleanup_(plan_freep) struct plan *before = world_plan(w);
        struct plan_input in = world_input(w);
        struct plan *p = NULL;
        size_t beyond = SERVICES;
        assert_int_equal(plan_update(&in, before, &beyond, 1, &p), -EINVAL);
        assert_int_equal(plan_update(&in, NULL, NULL, 0, &p), -EINVAL);
        in.n_samples--;
        assert_int_equal(plan_update(&in, before, NULL, 0, &p), -EINVAL);
        assert_null(p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_that_must_move),   cmocka_unit_test(test_nothing_changed),
                cmocka_unit_test(test_what_was_not_at_rest), cmocka_unit_test(test_drives_out),
                cmocka_unit_test(test_inconsistent),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
