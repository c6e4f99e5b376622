/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a set of homes is worth, by every kind of breach; and no set is worth more than what the planner chooses. */
#include "plan-test.h"

#define NODES 3u

static unsigned n_broken(const struct plan_score *s) {
        unsigned n = 0;
        for (unsigned i = 0; i < _CONSTRAINT_MAX; i++)
                n += s->broken[i];
        return n;
}

static struct plan_score score_of(struct world *w, const struct node_set *homes) {
        struct plan_input in = world_input(w);
        struct plan_score s;
        assert_int_equal(plan_score(&in, homes, &s), 0);
        return s;
}

/* Weights are those of the nodes that it is given, whichever they are. */
static void test_interleaved(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(NODES, 4, 4, 2 * GIB);
        service_on(w, "a", named_rule(w, PLACE_INTERLEAVE, "a", 100), 0, 300 * MIB, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_home(w, p, "a", "0-2");
        struct node_set here = node_set_of(0), none = { 0 };
        struct plan_score all = score_of(w, &p->placements[0].home), one = score_of(w, &here), left = score_of(w, &none);
        assert_int_equal(n_broken(&all) + n_broken(&one) + all.n_left + one.n_left, 0);
        assert_int_equal(left.n_left, 1);
        assert_true(one.cost < all.cost); /* its CPU is there: interleaved memory is farther, as asked for */
        assert_true(one.cost >= 10);
}

static void test_counts(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(NODES, 4, 4, 2 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *b = named_rule(w, PLACE_COMPACT, "b", 100);
        service_on(w, "a", a, 0, 200 * MIB, 1);
        service_on(w, "b", b, 1, 200 * MIB, 1);
        struct node_set homes[2] = { node_set_of(0), node_set_of(0) };
        struct plan_score s = score_of(w, homes);
        assert_int_equal(n_broken(&s), 0);
        assert_true(s.memory_fits && s.cpus_fit && s.n_left == 0);
        assert_true(s.weight > 1.99 && s.weight < 2.01);
        add_name(&a->apart_from, "b");
        a->min_nodes = 2;
        b->avoid = node_set_of(0);
        s = score_of(w, homes);
        assert_int_equal(s.broken[CONSTRAINT_APART], 1);
        assert_int_equal(s.broken[CONSTRAINT_MIN_NODES], 1);
        assert_int_equal(s.broken[CONSTRAINT_AVOID], 1);
        string_list_done(&a->apart_from);
        a->min_nodes = 0;
        b->avoid = (struct node_set) { 0 };
        b->has_allowed = a->exclusive = true;
        b->allowed = node_set_of(1);
        s = score_of(w, homes);
        assert_int_equal(s.broken[CONSTRAINT_EXCLUSIVE], 1);
        assert_int_equal(s.broken[CONSTRAINT_ALLOWED], 1);
        b->has_allowed = a->exclusive = false;
        add_name(&a->together_with, "b");
        homes[1] = node_set_of(1);
        s = score_of(w, homes);
        assert_int_equal(s.broken[CONSTRAINT_TOGETHER], 1);
        assert_int_equal(n_broken(&s), 1);
        homes[1] = (struct node_set) { 0 };
        s = score_of(w, homes);
        assert_int_equal(s.n_left, 1);
        assert_int_equal(n_broken(&s), 0);
        world_cpu(w, &w->samples[0], 0, 6); /* on four CPUs */
        w->machine.nodes[0].bytes_free = 0;
        homes[1] = node_set_of(0);
        s = score_of(w, homes);
        assert_false(s.cpus_fit);
        assert_false(s.memory_fits);
}

static void test_same_again(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(NODES, 4, 4, 2 * GIB);
        struct rule *a = named_rule(w, PLACE_COMPACT, "a", 100), *f = named_rule(w, PLACE_FOLLOW, "f", 100);
        service_on(w, "a", a, 0, 200 * MIB, 1);
        service_on(w, "b", f, 1, 200 * MIB, 1);
        service_on(w, "c", NULL, 1, 200 * MIB, 1);
        struct plan_input in = world_input(w);
        _cleanup_(plan_scorer_freep) struct plan_scorer *scorer = NULL;
        assert_int_equal(plan_scorer_new(&in, &scorer), 0);
        assert_true(plan_scorer_places(scorer, 0) && plan_scorer_places(scorer, 1));
        assert_false(plan_scorer_places(scorer, 2) || plan_scorer_places(scorer, 3));
        struct node_set homes[3] = { node_set_of(0), node_set_of(2), { { 0 } } }, others[3] = { node_set_of(1) };
        struct plan_score first, between, again;
        assert_int_equal(plan_scorer_score(scorer, homes, &first), 0);
        assert_int_equal(plan_scorer_score(scorer, others, &between), 0);
        assert_int_equal(plan_scorer_score(scorer, homes, &again), 0);
        assert_true(first.cost > again.cost - 1e-9 && first.cost < again.cost + 1e-9);
        homes[2] = node_set_of(0); /* no rule */
        assert_int_equal(plan_scorer_score(scorer, homes, &again), -EINVAL);
        homes[2] = (struct node_set) { 0 };
        homes[0] = node_set_of(NODES);
        assert_int_equal(plan_scorer_score(scorer, homes, &again), -EINVAL);
}

static void set_constraints(struct rule *r, unsigned i, uint64_t *seed) {
        static const char *const names[] = { "a", "b", "c", "d" };
        switch (random_below(seed, 8)) {
        case 0: r->exclusive = true; break;
        case 1: add_name(&r->apart_from, names[(i + 1) % 4]); break;
        case 2: add_name(&r->together_with, names[(i + 1) % 4]); break;
        case 3: r->avoid = node_set_of((unsigned) random_below(seed, NODES)); break;
        case 4: r->max_nodes = 1; break;
        case 5: r->min_nodes = 2; break;
        default: break;
        }
        r->priority = (unsigned) random_below(seed, 3) * 100;
        r->min_gain_permille = 0;
}

static struct world *random_world(uint64_t seed) {
        static const char *const names[] = { "a", "b", "c", "d" };
        struct world *w = world_new(NODES, 2 + (unsigned) random_below(&seed, 4), 6, GIB);
        for (unsigned n = 1; n < NODES; n++)
                world_set_distance(w, n, n - 1, 11 + (uint32_t) random_below(&seed, 20));
        for (unsigned i = 0; i < 4; i++) {
                struct rule *r = named_rule(w, PLACE_COMPACT, names[i], 100);
                set_constraints(r, i, &seed);
                struct service_sample *s = world_service(w, names[i], r);
                for (unsigned n = 0; n < NODES; n++) {
                        world_memory(w, s, n, (30 + random_below(&seed, 170)) * MIB);
                        world_cpu(w, s, n, (double) random_below(&seed, 100) / 100);
                }
        }
        return w;
}

/* All homes for all services; the best that breaks nothing. False: every one breaks something. */
static bool find_best(struct plan_scorer *scorer, size_t n, double *ret) {
        struct node_set homes[4];
        bool found = false;
        unsigned ways = 1;
        for (size_t i = 0; i < n; i++)
                ways *= (1u << NODES) - 1;
        for (unsigned way = 0; way < ways; way++) {
                unsigned rest = way;
                for (size_t i = 0; i < n; i++) {
                        unsigned bits = 1 + rest % ((1u << NODES) - 1);
                        homes[i] = (struct node_set) { { bits } };
                        rest /= (1u << NODES) - 1;
                }
                struct plan_score s;
                assert_int_equal(plan_scorer_score(scorer, homes, &s), 0);
                if (n_broken(&s) > 0 || !s.memory_fits)
                        continue;
                *ret = found ? MIN2(*ret, s.cost) : s.cost;
                found = true;
        }
        return found;
}

static void test_nothing_is_better(void **state) {
        unsigned n_feasible = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
                _cleanup_(world_freep) struct world *w = random_world(seed);
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                _cleanup_(plan_scorer_freep) struct plan_scorer *scorer = NULL;
                struct plan_input in = world_input(w);
                struct node_set homes[4];
                struct plan_score mine;
                double best = 0;
                assert_int_equal(plan_scorer_new(&in, &scorer), 0);
                for (size_t i = 0; i < 4; i++)
                        homes[i] = p->placements[i].home;
                assert_int_equal(plan_scorer_score(scorer, homes, &mine), 0);
                if (!find_best(scorer, 4, &best))
                        continue;
                n_feasible++;
                assert_int_equal(n_broken(&mine), 0);
                assert_true(mine.memory_fits);
                if (mine.n_left == 0) /* those that are left gain too little: not what the score is about */
                        assert_true(mine.cost <= best * 1.0001);
        }
        assert_true(n_feasible >= 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_interleaved),
                cmocka_unit_test(test_same_again),
                cmocka_unit_test(test_nothing_is_better),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
