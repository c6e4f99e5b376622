/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why a placement is as it is: the candidates term by term, what excluded which, and what would change it, which is then tried. */
#include "plan-test.h"

static bool has_change(const struct explanation *e, const char *text) {
        for (size_t i = 0; i < e->n_would_change; i++)
                if (strcmp(e->would_change[i], text) == 0)
                        return true;
        for (size_t i = 0; i < e->n_would_change; i++)
                print_error("would change: \"%s\"\n", e->would_change[i]);
        return false;
}

/* The first sentence that begins and ends like this, with the number between them; negative: there is none. */
static double change_by(const struct explanation *e, const char *before, const char *after) {
        for (size_t i = 0; i < e->n_would_change; i++) {
                const char *text = e->would_change[i];
                size_t n = strlen(text), n_after = strlen(after);
                if (strncmp(text, before, strlen(before)) == 0 && n >= n_after && strcmp(text + n - n_after, after) == 0)
                        return strtod(text + strlen(before), NULL);
        }
        return -1;
}

static const struct candidate *excluded(const struct explanation *e, unsigned node) {
        for (size_t i = 0; i < e->n_candidates; i++)
                if (e->candidates[i].verdict == VERDICT_EXCLUDED && node_set_has(&e->candidates[i].nodes, node))
                        return &e->candidates[i];
        return NULL;
}

static void test_terms(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 4, 4, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 1);
        world_cpu(w, s, 1, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0); /* that they add up is looked at in there */
        assert_true(e.n_candidates >= 3);
        assert_nodes(e.candidates[0].nodes, "0");
        assert_true(e.candidates[0].terms.moving == 0 && e.candidates[0].terms.distance == 10);
        assert_true(e.candidates[0].terms.load > 0 && e.candidates[0].terms.fill > 0 && e.candidates[0].terms.bandwidth > 0);
        assert_true(e.candidates[1].terms.moving > 0);
        assert_int_equal(e.candidates[1].verdict, VERDICT_COSTS_MORE);
        assert_true(e.candidates[1].against == e.candidates[0].cost);
        /* It is the plan's own decision, also of one that is left where it is. */
        assert_nodes(p->placements[0].home, "0");
        struct plan_input in = { 0 };
        assert_int_equal(plan_explain(&in, 0, &e), -EINVAL);
}

static void test_what_excludes(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 1);
        node_set_add(&r->avoid, 1);
        node_set_remove(&s->effective_cpu_nodes, 2);
        node_set_remove(&s->effective_mems, 2);
        s->admin_mems = true;
        (void) plan_free(world_plan(w)); /* takes in what was seen */
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        const struct candidate *avoided = excluded(&e, 1), *outside = excluded(&e, 2);
        assert_non_null(avoided);
        assert_non_null(outside);
        assert_null(excluded(&e, 3));
        assert_int_equal(avoided->excluded_by.constraint, CONSTRAINT_AVOID);
        assert_ptr_equal(avoided->excluded_by.rule, r);
        assert_int_equal(outside->excluded_by.constraint, CONSTRAINT_CPUSET);
        assert_null(outside->excluded_by.rule);
        _cleanup_free_ char *text = candidate_verdict(avoided);
        assert_says(text, "rejected: node 1 is excluded by avoid-nodes of rule ");
        assert_string_equal(constraint_to_string(CONSTRAINT_ALLOWED), "allowed-nodes");
        assert_string_equal(constraint_to_string(_CONSTRAINT_MAX), "invalid");
}

/* A service whose CPUs stay where they are; the node beside them is full. What is said to be missing is what is missing. */
static void test_more_room(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 1, 1);
        w->machine.nodes[1].bytes_free = 100 * MIB; /* 105 MiB below what is kept free */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        assert_true(has_change(&e, "node 1 had 1.1G more free"));
        w->machine.nodes[1].bytes_free += (uint64_t) (1.1 * GIB) + 8 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "1");
}

static void test_less_load(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT), *nodes = world_rule(w, PLACE_NODES);
        r->max_nodes = 1;
        nodes->nodes = node_set_of(1);
        struct service_sample *s = world_service(w, "a", r), *other = world_service(w, "b", nodes);
        world_memory(w, s, 1, GIB);
        s->movable_by_node[1] = 0;
        world_cpu(w, s, 0, 1.5);
        world_memory(w, other, 1, 100 * MIB);
        world_cpu(w, other, 1, 3.2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        assert_false(node_set_has(&p->placements[0].home, 1));
        assert_true(change_by(&e, "", " CPUs less were in use on node 1") > 0.69);
        world_cpu(w, other, 1, 2.4);
        history_done(&w->history);
        p = free_and_plan(p, w);
        assert_nodes(p->placements[0].home, "1");
}

static void test_distance_and_min_gain(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, 980 * MIB);
        world_memory(w, s, 1, 20 * MIB);
        world_cpu(w, s, 0, 0.2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        double grown = change_by(&e, "its distance grew by ", ""), gain = change_by(&e, "min-gain were below ", "%");
        assert_true(grown > 0.2 && grown < 0.4);
        assert_true(gain > 1 && gain < 5);
        world_memory(w, s, 0, 940 * MIB); /* by 0.4 */
        world_memory(w, s, 1, 60 * MIB);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        world_memory(w, s, 0, 980 * MIB);
        world_memory(w, s, 1, 20 * MIB);
        r->min_gain_permille = (unsigned) (gain * 10) - 1;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

static void test_excluded_nodes_that_would_be_better(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 1, GIB);
        s->movable_by_node[1] = 0;
        world_cpu(w, s, 0, 1);
        r->has_allowed = true;
        r->allowed = node_set_of(0);
        (void) plan_free(world_plan(w)); /* takes in what was seen */
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        _cleanup_free_ char *expected = format_string("rule %s did not exclude node 1 by allowed-nodes", r->name);
        assert_true(has_change(&e, expected));
        r->has_allowed = false;
        s->effective_cpu_nodes = s->effective_mems = node_set_of(0);
        s->admin_mems = true;
        explanation_done(&e);
        e = world_explain(w, 0);
        assert_true(has_change(&e, "its cpuset left node 1 to it"));
}

static void test_waiting(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 0.5);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_SEC), 1);
        world_memory(w, s, 1, 0);
        world_memory(w, s, 2, GIB);
        s->movable_by_node[2] = 0; /* all that it has is bound elsewhere now */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        bool cooldown = false;
        for (size_t i = 0; i < e.n_candidates; i++)
                cooldown |= e.candidates[i].verdict == VERDICT_COOLDOWN && node_set_has(&e.candidates[i].nodes, 2);
        assert_true(cooldown);
        assert_true(has_change(&e, "its cooldown ended (in 50s)"));
        w->now_usec += 50 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

static void test_unpaid(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 256 * GIB);
        struct rule *r = world_rule(w, PLACE_FOLLOW);
        struct service_sample *s = world_service(w, "a", r);
        w->config->settings.migrate_rate_bytes = 100 * MIB;
        world_cpu(w, s, 0, 0.4);
        world_cpu(w, s, 1, 0.6); /* 75 s would pay for themselves */
        world_memory(w, s, 0, 12 * GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        _cleanup_(explanation_done) struct explanation e = world_explain(w, 0);
        bool unpaid = false;
        for (size_t i = 0; i < e.n_candidates; i++)
                if (e.candidates[i].verdict == VERDICT_UNPAID) {
                        _cleanup_free_ char *text = candidate_verdict(&e.candidates[i]);
                        assert_says(text, "would not pay for itself: moving takes 2min for a gain of 12.5% over 10min");
                        unpaid = true;
                }
        assert_true(unpaid);
        assert_true(has_change(&e, "things stayed as they are for another 6min"));
        assert_true(has_change(&e, "migrate-rate allowed it 164M a second"));
        w->config->settings.migrate_rate_bytes = 180 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        w->config->settings.migrate_rate_bytes = 100 * MIB;
        w->now_usec += 8 * USEC_PER_MINUTE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

static void test_nothing_is_planned(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 4 * GIB);
        struct rule *ignore = world_rule(w, PLACE_IGNORE), *r = world_rule(w, PLACE_COMPACT);
        static const char *const expected[] = { "a rule matched it",
                                                "rule ignore gave it another place than ignore",
                                                "it gave up its own memory policy",
                                                "it used 24M of memory more",
                                                "rule compact had place: follow",
                                                "its threads ran" };
        const struct rule *rules[] = { NULL, ignore, r, r, r, r };
        for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
                char name[] = { (char) ('a' + i), 0 };
                struct service_sample *s = world_service(w, name, rules[i]);
                world_memory(w, s, 0, i == 3 ? 40 * MIB : GIB / 2);
                if (i < 5)
                        world_cpu(w, s, 0, 0.1);
                s->self_managed = i == 2;
                s->owner = i == 4 ? OWNER_NONE : OWNER_SYSTEMD;
        }
        (void) plan_free(world_plan(w)); /* takes in what was seen */
        for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
                _cleanup_(explanation_done) struct explanation e = world_explain(w, i);
                assert_int_equal(e.n_candidates, 0);
                assert_true(has_change(&e, expected[i]));
        }
}

/* Asking changes nothing: the same plan comes out, and so does the same explanation. */
static void test_asking_is_harmless(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 8, 4 * GIB);
        struct rule *rules[] = { world_rule(w, PLACE_COMPACT), world_rule(w, PLACE_FOLLOW), world_rule(w, PLACE_NODES), NULL };
        uint64_t seed = 11;
        rules[2]->nodes = node_set_of(3);
        for (unsigned i = 0; i < 30; i++) {
                _cleanup_free_ char *name = format_string("s%02u", i);
                struct service_sample *s = world_service(w, name, rules[random_below(&seed, 4)]);
                for (unsigned n = 0; n < 4; n++) {
                        world_memory(w, s, n, random_below(&seed, 60) * MIB);
                        world_cpu(w, s, n, (double) random_below(&seed, 100) / 300);
                }
        }
        for (unsigned cycle = 0; cycle < 3; cycle++) {
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                for (size_t i = 0; i < w->n_samples; i++) {
                        _cleanup_(explanation_done) struct explanation e = world_explain(w, i);
                        bool chosen = e.n_candidates > 0 && e.candidates[0].chosen;
                        assert_int_equal(chosen, !node_set_is_empty(&p->placements[i].home));
                        if (chosen)
                                assert_true(node_set_equal(&e.candidates[0].nodes, &p->placements[i].home));
                }
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
                struct explanation *all; /* all at once say the same */
                assert_int_equal(plan_explain_all(&in, &all), 0);
                for (size_t i = 0; i < w->n_samples; i++) {
                        if (!node_set_is_empty(&p->placements[i].home))
                                assert_true(node_set_equal(&all[i].candidates[0].nodes, &p->placements[i].home));
                        explanation_done(&all[i]);
                }
                free(all);
                _cleanup_(plan_freep) struct plan *again = world_plan(w);
                _cleanup_free_ char *one = plan_to_text(p), *two = plan_to_text(again);
                assert_string_equal(one, two);
                world_apply(w, p);
                w->now_usec += 60 * USEC_PER_SEC;
        }
}

/* Shared memory comes home with whoever is first: for the others it needs no room again, neither when one of them is asked about nor for
 * whoever is asked about after them. */
static void test_what_companions_share_counts_once(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 8 * GIB);
        struct rule *r = named_rule(w, PLACE_NODES, "pair", 200), *other = named_rule(w, PLACE_NODES, "other", 100);
        r->shared_pages = SHARED_PAGES_MOVE;
        r->nodes = other->nodes = node_set_of(1);
        add_name(&r->together_with, "pair");
        struct service_sample *a = service_on(w, "a", r, 0, GIB, 1), *b = service_on(w, "b", r, 0, GIB, 1);
        service_on(w, "c", other, 0, 200 * MIB, 0.5);
        a->mapped_file_by_node[0] = b->borrowed_by_node[0] = GIB;
        w->machine.nodes[1].bytes_free = 8 * GIB / 20 + GIB + 400 * MIB;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        struct plan_input in = world_input(w);
        struct explanation *all = NULL;
        assert_int_equal(plan_explain_all(&in, &all), 0);
        for (size_t i = 0; i < 3; i++) {
                const struct candidate *x = &all[i].candidates[0];
                assert_nodes(p->placements[i].home, "1");
                assert_int_equal(x->verdict, VERDICT_CHOSEN);
                assert_true(x->feasible && x->bytes_needed <= x->bytes_room);
                /* What is there, and not what the others bring: 1.4G without the 1G of the pair, and that of whoever comes after. */
                assert_true(x->bytes_room < (i == 0 ? GIB + 401 * MIB : 401 * MIB));
                _cleanup_(explanation_done) struct explanation alone = world_explain(w, i);
                assert_true(alone.candidates[0].feasible);
                assert_int_equal(alone.candidates[0].bytes_room, x->bytes_room);
        }
        explanations_free(all, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_terms),
                cmocka_unit_test(test_what_excludes),
                cmocka_unit_test(test_more_room),
                cmocka_unit_test(test_less_load),
                cmocka_unit_test(test_distance_and_min_gain),
                cmocka_unit_test(test_excluded_nodes_that_would_be_better),
                cmocka_unit_test(test_waiting),
                cmocka_unit_test(test_unpaid),
                cmocka_unit_test(test_nothing_is_planned),
                cmocka_unit_test(test_asking_is_harmless),
                cmocka_unit_test(test_what_companions_share_counts_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
