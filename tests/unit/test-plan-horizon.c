/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No move that does not pay for itself: what it takes at the allowed rate against its gain over the time that it is expected to last. */
#include "plan-test.h"

/* 12 GiB at 300 MiB/s are 41 s. A fifteenth of it is elsewhere: a gain of 6 % by distance. */
static struct world *large(struct service_sample **ret, struct rule **ret_rule, enum place place) {
        struct world *w = world_new(2, 8, 8, 256 * GIB);
        *ret_rule = world_rule(w, place);
        *ret = world_service(w, "a", *ret_rule);
        w->config->settings.migrate_rate_bytes = 300 * MIB;
        world_cpu(w, *ret, 0, 0.4);
        world_cpu(w, *ret, 1, 0.6);
        world_memory(w, *ret, 0, 12 * GIB); /* 16 on node 0, 14 on node 1 */
        return w;
}

static void test_not_worth_it(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = large(&s, &r, PLACE_FOLLOW);
        r->min_gain_permille = 20;
        world_cpu(w, s, 0, 0.48);
        world_cpu(w, s, 1, 0.52); /* 15.2 to 14.8: 2.6 % of ten minutes are 16 s */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_says(p->placements[0].reason,
                    "node 1 would not pay for itself: moving 12G takes 41s for a gain of 2.6% over 10min");
        /* What has lasted for a while is expected to last as long again. */
        w->now_usec += 14 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "over 24min");
        w->now_usec += 20 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "1");
}

static void test_the_rate_decides(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = large(&s, &r, PLACE_FOLLOW);
        _cleanup_(plan_freep) struct plan *p = world_plan(w); /* 16 to 14: 12.5 % of ten minutes are 75 s */
        assert_true(p->placements[0].act);
        r->migrate_rate_bytes = 100 * MIB; /* the lower of both is what it gets */
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "moving 12G takes 2min");
        r->migrate_rate_bytes = GIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        w->config->settings.migrate_rate_bytes = r->migrate_rate_bytes = 0; /* no limit */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

/* Pages that must be moved count, not those that are there or cannot be moved. */
static void test_only_what_must_move_counts(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 256 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        w->config->settings.migrate_rate_bytes = 10 * MIB;
        world_memory(w, s, 0, 100 * GIB); /* hours, if it had to move */
        world_memory(w, s, 1, 200 * MIB);
        world_cpu(w, s, 0, 0.5);
        world_cpu(w, s, 1, 0.5);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home, "0");
}

/* CPUs go for nothing. The home is taken for that, and the rest comes once it pays. */
static void test_home_first_memory_later(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 256 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        w->config->settings.migrate_rate_bytes = 100 * MIB;
        world_memory(w, s, 0, 80 * GIB);
        world_memory(w, s, 1, 10 * GIB); /* 102 s; 10 % of ten minutes are 60 s */
        world_cpu(w, s, 1, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home, "0");
        assert_false(p->placements[0].move_memory);
        assert_says(p->placements[0].reason,
                    "bringing the rest home would not pay for itself: moving 10G takes 103s for a gain of "
                    "10.0% over 10min");
        world_apply(w, p);
        w->now_usec += 2 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_STABLE);
        w->now_usec += 10 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].move_memory);
        assert_true(p->placements[0].bytes_to_move == 10 * GIB);
}

/* … also where bringing the rest does not pay for the new home as a whole, if its CPUs alone are gain enough. */
static void test_new_home_for_its_cpus(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 256 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        w->config->settings.migrate_rate_bytes = 28 * MIB;
        world_memory(w, s, 0, 80 * GIB);
        world_memory(w, s, 1, 10 * GIB); /* 366 s; from 18.9 to 10 are 47 %, of ten minutes 282 s; to 11.1 are 41 % */
        world_cpu(w, s, 1, 1);
        r->min_gain_permille = 450;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        r->min_gain_permille = 350;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_nodes(p->placements[0].home, "0");
        assert_false(p->placements[0].move_memory);
}

static void test_what_the_rule_says_is_done(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = large(&s, &r, PLACE_NODES);
        w->config->settings.migrate_rate_bytes = MIB; /* three hours */
        r->nodes = node_set_of(1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].move_memory);
        assert_true(p->placements[0].bytes_to_move == 12 * GIB);
}

/* The age of a home, not of the service, is what the next decision stands on. */
static void test_horizon_begins_anew(void **state) {
        struct service_sample *s;
        struct rule *r;
        _cleanup_(world_freep) struct world *w = large(&s, &r, PLACE_FOLLOW);
        assert_int_equal(world_cycle(w, 600 * USEC_PER_MINUTE), 1);
        const struct history_entry *h = history_find(&w->history, s->cgroup);
        assert_true(h->since_usec == h->placed_usec);
        world_cpu(w, s, 0, 0.6);
        world_cpu(w, s, 1, 0.4);
        s->cpu_window_usec = 36000 * USEC_PER_SEC; /* lastingly */
        world_cpu(w, s, 0, 0.6);
        world_cpu(w, s, 1, 0.4);
        assert_int_equal(world_cycle(w, 20 * USEC_PER_MINUTE), 1);
        assert_true(h->has_former && h->since_usec == h->left_usec);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_not_worth_it),
                cmocka_unit_test(test_the_rate_decides),
                cmocka_unit_test(test_only_what_must_move_counts),
                cmocka_unit_test(test_home_first_memory_later),
                cmocka_unit_test(test_new_home_for_its_cpus),
                cmocka_unit_test(test_what_the_rule_says_is_done),
                cmocka_unit_test(test_horizon_begins_anew),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
