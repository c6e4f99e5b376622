/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan_next(): when a plan is made whole, and when only what changed is looked at again. */
#include "plan-test.h"

#define SERVICES 32u

/* A cycle that was planned: what it was made from, kept. */
struct kept {
        struct world *w;
        struct plan_input in;
        struct history history;
        struct service_sample *samples;
        struct machine_sample machine;
        struct plan *plan;
};

static uint64_t *copy_array(const uint64_t *from, unsigned n) {
        uint64_t *to = calloc(n, sizeof *to);
        assert_non_null(to);
        for (unsigned i = 0; from && i < n; i++)
                to[i] = from[i];
        return to;
}

/* Of the samples only what the comparison reads is made anew. */
static void setup_with(struct kept *k, enum memory_mode memory) {
        *k = (struct kept) { .w = world_new(16, 8, 8, 16 * GIB) };
        struct world *w = k->w;
        struct rule *web = named_rule(w, PLACE_COMPACT, "web", 100);
        web->memory = memory;
        for (unsigned i = 0; i < SERVICES; i++) {
                _cleanup_free_ char *name = format_string("s%02u", i);
                service_on(w, name, web, i % 16, 2 * GIB, 0.5);
        }
        for (unsigned i = 0; i < 3; i++)
                (void) world_cycle(w, 10 * USEC_PER_MINUTE);
        k->plan = world_plan(w);
        unsigned n = w->topology->n_ids;
        k->samples = calloc(w->n_samples, sizeof *k->samples);
        k->machine.nodes = calloc(n, sizeof *k->machine.nodes);
        assert_non_null(k->samples);
        assert_non_null(k->machine.nodes);
        for (unsigned i = 0; i < n; i++)
                k->machine.nodes[i] = w->machine.nodes[i];
        for (size_t i = 0; i < w->n_samples; i++) {
                w->samples[i].deep = false;
                k->samples[i] = w->samples[i];
                k->samples[i].bytes_by_node = copy_array(w->samples[i].bytes_by_node, n);
        }
        assert_int_equal(history_copy(&w->history, &k->history), 0);
        k->in = world_input(w);
        k->in.samples = k->samples;
        k->in.machine = &k->machine;
        k->in.history = &k->history;
        w->now_usec += 10 * USEC_PER_SEC;
}

static void setup(struct kept *k) {
        setup_with(k, MEMORY_PREFER);
}

static void done(struct kept *k) {
        for (size_t i = 0; i < k->in.n_samples; i++)
                free(k->samples[i].bytes_by_node);
        free(k->samples);
        free(k->machine.nodes);
        history_done(&k->history);
        plan_free(k->plan);
        world_freep(&k->w);
}

/* Is the next plan made whole? Checks that it is a plan, and the same as a whole one for all that acts. */
static bool next_is_whole(struct kept *k) {
        struct plan_input in = world_input(k->w);
        _cleanup_(plan_freep) struct plan *p = NULL, *whole = NULL;
        bool was_whole;
        assert_int_equal(history_update(&k->w->history, k->w->samples, k->w->n_samples, k->w->topology->n_ids, k->w->now_usec),
                         0);
        assert_int_equal(plan_next(&in, &k->in, k->plan, &p, &was_whole), 0);
        assert_null(world_check_plan(k->w, p));
        assert_int_equal(plan_make(&in, &whole), 0);
        for (size_t i = 0; i < p->n_placements; i++) {
                assert_int_equal(p->placements[i].act, whole->placements[i].act);
                assert_true(node_set_equal(&p->placements[i].home, &whole->placements[i].home));
        }
        return was_whole;
}

static void test_nothing_before(void **state) {
        struct kept k;
        setup(&k);
        struct plan_input in = world_input(k.w);
        _cleanup_(plan_freep) struct plan *p = NULL;
        bool whole = false;
        assert_int_equal(plan_next(&in, NULL, NULL, &p, &whole), 0);
        assert_true(whole);
        done(&k);
}

static void test_noise_is_no_change(void **state) {
        struct kept k;
        setup(&k);
        for (unsigned i = 0; i < SERVICES; i++)
                world_memory(k.w, &k.w->samples[i], i % 16, 2 * GIB + i * 100 * KIB);
        assert_false(next_is_whole(&k));
        done(&k);
}

static void test_one_changed(void **state) {
        struct kept k;
        setup(&k);
        world_memory(k.w, &k.w->samples[3], 3, 3 * GIB);
        assert_false(next_is_whole(&k));
        done(&k);
}

/* It must be seen, and be acted upon as by a whole plan. */
static void test_one_went_elsewhere(void **state) {
        struct kept k;
        setup(&k);
        world_memory(k.w, &k.w->samples[3], 3, GIB);
        world_memory(k.w, &k.w->samples[3], 9, GIB);
        assert_false(next_is_whole(&k));
        done(&k);
}

static void test_many_changed(void **state) {
        struct kept k;
        setup(&k);
        for (unsigned i = 0; i < 6; i++)
                world_memory(k.w, &k.w->samples[i], i, 3 * GIB);
        assert_true(next_is_whole(&k));
        done(&k);
}

/* Each step is small, the sum of them is not. */
static void test_creeping(void **state) {
        struct kept k;
        setup(&k);
        bool whole = false;
        for (unsigned step = 1; step <= 5 && !whole; step++) {
                for (unsigned i = 0; i < SERVICES; i++)
                        world_memory(k.w, &k.w->samples[i], i % 16, 2 * GIB + step * 10 * MIB);
                k.w->now_usec += USEC_PER_SEC;
                whole = next_is_whole(&k);
        }
        assert_true(whole);
        done(&k);
}

static void test_time_and_machine(void **state) {
        struct kept k;
        setup(&k);
        k.w->machine.nodes[2].bytes_free -= 6 * GIB;
        assert_true(next_is_whole(&k));
        k.w->machine.nodes[2].bytes_free += 6 * GIB;
        assert_false(next_is_whole(&k));
        k.w->now_usec += USEC_PER_MINUTE;
        assert_true(next_is_whole(&k));
        done(&k);
}

/* What was looked at again for a change that is over by now is looked at once more. */
static void test_there_and_back(void **state) {
        struct kept k;
        setup(&k);
        struct plan_input in = world_input(k.w);
        bool was_whole;
        for (unsigned i = 0; i < 2; i++) {
                struct plan *p;
                k.w->samples[3].self_managed = i == 0;
                assert_int_equal(plan_next(&in, &k.in, k.plan, &p, &was_whole), 0);
                assert_false(was_whole);
                plan_free(k.plan);
                k.plan = p;
                _cleanup_(plan_freep) struct plan *whole = NULL;
                assert_int_equal(plan_make(&in, &whole), 0);
                assert_int_equal(p->placements[3].state, whole->placements[3].state);
                assert_true(node_set_equal(&p->placements[3].home, &whole->placements[3].home));
                assert_string_equal(p->placements[3].reason, whole->placements[3].reason);
        }
        done(&k);
}

/* A small change is one where it crosses what memory nodes are given back for. */
static void test_pressure(void **state) {
        struct kept k;
        setup_with(&k, MEMORY_STRICT);
        assert_true(k.w->applied[3].mems);
        k.samples[3].memory_pressure_centipercent = PLAN_PRESSURE_CENTIPERCENT - 50;
        k.w->samples[3].memory_pressure_centipercent = PLAN_PRESSURE_CENTIPERCENT + 50;
        assert_false(next_is_whole(&k));
        k.samples[3].memory_pressure_centipercent = k.w->samples[3].memory_pressure_centipercent = 0;
        /* Half of keep-free is what its node runs short at. */
        uint64_t short_bytes = k.machine.nodes[3].bytes_total / 1000 * (k.w->config->settings.keep_free_permille / 2);
        k.machine.nodes[3].bytes_free = short_bytes + 8 * MIB;
        k.w->machine.nodes[3].bytes_free = short_bytes - 8 * MIB;
        assert_false(next_is_whole(&k));
        done(&k);
}

static void test_other_services(void **state) {
        struct kept k;
        setup(&k);
        k.in.n_samples--;
        k.plan->n_placements--;
        assert_true(next_is_whole(&k));
        k.in.n_samples++;
        k.plan->n_placements++;
        k.samples[4].rule = NULL;
        assert_true(next_is_whole(&k));
        done(&k);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_before),   cmocka_unit_test(test_noise_is_no_change),
                cmocka_unit_test(test_one_changed),      cmocka_unit_test(test_one_went_elsewhere),
                cmocka_unit_test(test_many_changed),     cmocka_unit_test(test_creeping),
                cmocka_unit_test(test_time_and_machine), cmocka_unit_test(test_other_services),
                cmocka_unit_test(test_there_and_back),   cmocka_unit_test(test_pressure),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
