/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which services are worth reading deeply; and a machine of 64 nodes with 2,000 services. */
#include <stdio.h>

#include "plan-test.h"

static struct world *one_service(enum place place, struct service_sample **ret) {
        struct world *w = world_new(4, 2, 2, 4 * GIB);
        *ret = world_service(w, "a", world_rule(w, place));
        world_memory(w, *ret, 0, GIB);
        world_cpu(w, *ret, 1, 1);
        (*ret)->deep = false;
        return w;
}

static bool wants(const struct world *w, const struct service_sample *s) {
        return plan_wants_deep(s, history_find(&w->history, s->cgroup), w->topology->n_ids, w->now_usec);
}

static void look(struct world *w, struct service_sample *s, bool deep) {
        s->deep = deep;
        assert_int_equal(history_update(&w->history, s, 1, w->topology->n_ids, w->now_usec), 0);
        s->deep = false;
}

static void test_nobody_asked_for(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(PLACE_COMPACT, &s);
        assert_true(wants(w, s));
        s->self_managed = true;
        assert_false(wants(w, s));
        s->self_managed = false;
        s->n_processes = 0;
        assert_false(wants(w, s));
        s->n_processes = 1;
        w->rules[0]->min_size_bytes = 2 * GIB;
        assert_false(wants(w, s));
        s->hugetlb_bytes = GIB; /* not part of the screen's bytes */
        assert_true(wants(w, s));
        w->rules[0]->place = PLACE_IGNORE;
        assert_false(wants(w, s));
        s->rule = NULL;
        assert_false(wants(w, s));
}

static void test_unplaced(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(PLACE_COMPACT, &s);
        look(w, s, true);
        w->now_usec += USEC_PER_SEC;
        assert_true(wants(w, s)); /* locality is 0: there is a lot to gain, and something kept it from being done */
        world_cpu(w, s, 1, 0.01);
        world_cpu(w, s, 0, 0.99);
        assert_false(wants(w, s));
        w->now_usec += 10 * USEC_PER_MINUTE;
        assert_true(wants(w, s)); /* now and then all the same */
}

static void test_unplaced_follow(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(PLACE_FOLLOW, &s);
        look(w, s, true);
        world_spread(w, s, 256 * MIB, 0.25);
        assert_false(wants(w, s)); /* locality is bad, and moving memory cannot make it better */
        world_cpu(w, s, 2, 2);
        assert_true(wants(w, s));
}

static void test_placed(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = one_service(PLACE_COMPACT, &s);
        struct node_set home = node_set_of(0);
        assert_int_equal(history_record_placed(&w->history, s->cgroup, &home, w->now_usec), 0);
        assert_true(wants(w, s)); /* never read */
        world_memory(w, s, 3, 50 * MIB);
        s->movable_by_node[3] = 0; /* shared with others: it stays where it is */
        look(w, s, true);
        assert_false(wants(w, s));
        world_memory(w, s, 3, 51 * MIB);
        assert_false(wants(w, s));
        world_memory(w, s, 3, 60 * MIB); /* more than was known of */
        assert_true(wants(w, s));
        history_record_settled(&w->history, s->cgroup, 20 * MIB, w->now_usec);
        assert_false(wants(w, s)); /* and it is known not to move */
        w->now_usec += HISTORY_RETRY_USEC;
        assert_true(wants(w, s));
        world_memory(w, s, 3, 50 * MIB);
        assert_false(wants(w, s));
        w->now_usec += 3600 * USEC_PER_SEC;
        assert_true(wants(w, s));
}

static void test_deep_and_shallow_agree(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_memory(w, s, 2, 100 * MIB);
        s->movable_by_node[2] = 0;
        world_cpu(w, s, 1, 1);
        assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 1);
        uint64_t movable = s->movable_by_node[0];
        for (unsigned i = 0; i < 6; i++) {
                s->deep = i % 2 == 0;
                s->movable_by_node[0] = s->deep ? movable : 0;
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                assert_state(&p->placements[0], STATE_STABLE);
                assert_false(p->placements[0].wants_deep);
                w->now_usec += 60 * USEC_PER_SEC;
        }
}

/* It has used no CPU time: from how far is not known, and no number is made up for it. */
static void test_unknown_distance(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        struct service_sample *s = world_service(w, "a", r);
        r->nodes = node_set_of(1);
        world_memory(w, s, 0, GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_non_null(strstr(p->placements[0].reason, "as the rule says: distance unknown → 10.0"));
}

static void test_large_machine(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(64, 32, 64, 256 * GIB);
        struct rule *rules[3] = { world_rule(w, PLACE_COMPACT), world_rule(w, PLACE_FOLLOW), world_rule(w, PLACE_NODES) };
        assert_int_equal(node_set_parse("7,40-41", &rules[2]->nodes), 0);
        uint64_t seed = 1;
        for (unsigned a = 0; a < 64; a++)
                for (unsigned b = 0; b < a; b++)
                        world_set_distance(w, a, b, a / 8 == b / 8 ? 16 : a / 16 == b / 16 ? 22 : 32);
        for (unsigned i = 0; i < 2000; i++) {
                char name[16];
                (void) snprintf(name, sizeof name, "s%04u", i);
                struct service_sample *s = world_service(w, name, rules[i % 50 == 1 ? 2 : i % 10 == 2]);
                world_memory(w, s, (unsigned) random_below(&seed, 64), (64 + random_below(&seed, 1000)) * MIB);
                world_cpu(w, s, (unsigned) random_below(&seed, 64), (double) (1 + random_below(&seed, 99)) / 100);
                if (i % 100 == 0) { /* some need several nodes */
                        world_spread(w, s, (2 + random_below(&seed, 3)) * GIB, 1.2);
                        s->n_threads = 100;
                }
        }
        assert_true(world_cycle(w, 60 * USEC_PER_SEC) > 1900);
        /* More CPUs are wanted than there are cores: a few find a better place once all have moved, then nobody does. */
        assert_true(world_cycle(w, 60 * USEC_PER_SEC) < 10);
        for (unsigned i = 0; i < 12; i++)
                (void) world_cycle(w, 60 * USEC_PER_SEC);
        assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 0);
        for (size_t i = 0; i < w->n_samples; i++)
                if (w->samples[i].rule == rules[0] && node_set_count(&w->history.entries[i].home) == 1)
                        assert_true(sample_locality(&w->samples[i], 64) > 0.99);
        /* More asks than there is: bounded work all the same. */
        for (size_t i = 0; i < w->n_samples; i++)
                for (unsigned n = 0; n < 64; n++)
                        world_cpu(w, &w->samples[i], n, 0.2);
        assert_true(world_cycle(w, 600 * USEC_PER_SEC) <= 2000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nobody_asked_for),       cmocka_unit_test(test_unplaced),
                cmocka_unit_test(test_unplaced_follow),        cmocka_unit_test(test_placed),
                cmocka_unit_test(test_deep_and_shallow_agree), cmocka_unit_test(test_unknown_distance),
                cmocka_unit_test(test_large_machine),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
