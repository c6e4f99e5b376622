/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the planner says without planning, what it refuses, and what every plan has. */
#include "plan-test.h"

static void test_words(void **state) {
        assert_string_equal(service_state_to_string(STATE_BLOCKED), "blocked");
        assert_string_equal(service_state_to_string(STATE_OBSERVED), "observed");
        assert_string_equal(service_state_to_string(_SERVICE_STATE_INVALID), "invalid");
        assert_string_equal(service_state_to_string(_SERVICE_STATE_MAX), "invalid");
}

static void test_room(void **state) {
        struct node_memory m = { .bytes_total = 1000 * MIB, .bytes_free = 300 * MIB };
        assert_true(node_room_bytes(&m, 50) == 250 * MIB);
        assert_true(node_room_bytes(&m, 0) == 300 * MIB);
        m.bytes_low_mark = 80 * MIB; /* the larger of the two is kept */
        assert_true(node_room_bytes(&m, 50) == 220 * MIB);
        m.bytes_droppable = 40 * MIB; /* counts by half */
        assert_true(node_room_bytes(&m, 50) == 240 * MIB);
        assert_true(node_room_bytes(&m, 1000) == 0);
        m.bytes_free = 0;
        assert_true(node_room_bytes(&m, 50) == 0);
        m.bytes_total = UINT64_MAX;
        assert_true(node_room_bytes(&m, 1000) == 0);
}

/* What is kept free is a part of what can be free at all. */
static void test_room_beside_pools(void **state) {
        struct node_memory m = { .bytes_total = 1000 * MIB, .bytes_free = 40 * MIB, .hugetlb_bytes = 900 * MIB };
        assert_true(node_room_bytes(&m, 50) == 35 * MIB);
        m.bytes_low_mark = 10 * MIB;
        assert_true(node_room_bytes(&m, 50) == 30 * MIB);
        m.hugetlb_bytes = UINT64_MAX; /* read at another moment */
        assert_true(node_room_bytes(&m, 50) == 30 * MIB);
        m.bytes_low_mark = 0;
        m.bytes_total = UINT64_MAX;
        m.hugetlb_bytes = 0;
        assert_true(node_room_bytes(&m, 50) == 0);
}

static void test_unmatched_and_ignored(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", NULL);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 2);
        s = world_service(w, "b", world_rule(w, PLACE_IGNORE));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        for (size_t i = 0; i < 2; i++) {
                assert_state(&p->placements[i], STATE_OBSERVED);
                assert_false(p->placements[i].act);
                assert_true(node_set_is_empty(&p->placements[i].home));
                assert_true(p->placements[i].distance_before > 19.9);
                assert_true(p->placements[i].distance_after == p->placements[i].distance_before);
        }
        assert_string_equal(p->placements[0].reason, "no rule matches");
        assert_string_equal(p->placements[1].reason, "place: ignore");
        w->applied[1].cpus = true;
        p = free_and_plan(p, w);
        assert_false(p->placements[1].act);
        assert_says(p->placements[1].reason, "stay until restored");
}

/* Given back is given back: the kernel keeps the parent's full set where it refuses to clear, and there is nothing more to do. */
static void test_given_back_once(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct rule *rule = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", rule);
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 2);
        rule->memory = MEMORY_STRICT;
        rule->cpus = CPUS_FREE;
        s->deep = true;
        s->memory_pressure_centipercent = 9000;
        w->applied[0].cpus = w->applied[0].mems = true;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_true(p->placements[0].widen_mems);
        s->whole_cpus = true;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].widen_mems);
        s->whole_mems = true;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].widen_mems);
        assert_false(p->placements[0].act);
}

static void test_self_managed(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 3, 2);
        s->self_managed = true;
        s->own_policy = strdup("bind:0");
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_string_equal(p->placements[0].reason,
                            "self-managed: the application set its own memory policy (bind:0); left alone");
}

static void test_small(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, 63 * MIB);
        world_cpu(w, s, 1, 1);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_string_equal(p->placements[0].reason, "uses 63M, less than min-size 64M");
        r->min_size_bytes = 63 * MIB;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        /* One that has a home is not let go because it shrank. */
        world_apply(w, p);
        world_memory(w, s, 0, 0);
        r->min_size_bytes = GIB;
        p = free_and_plan(p, w);
        assert_says(p->placements[0].reason, "at home");
}

/* Nothing is not little: without a memory controller it is known only from the memory map. */
static void test_not_known(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, 0);
        world_cpu(w, s, 1, 1);
        s->deep = false;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_string_equal(p->placements[0].reason, "how much memory it uses is not known yet: its map has not been read");
        s->deep = true;
        p = free_and_plan(p, w);
        assert_string_equal(p->placements[0].reason, "uses 0B, less than min-size 64M");
}

static void test_cannot_be_restricted(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 1, 1);
        s->owner = OWNER_NONE;
        s->owner_detail = strdup("no cpuset controller");
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason, "no cpuset controller");
        assert_says(p->placements[0].reason, "`place: follow` works there");
        r->cpus = CPUS_FREE; /* its memory alone can be moved */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].restrict_cpus);
        assert_true(node_set_is_empty(&p->placements[0].home_cpus));
        assert_nodes(p->placements[0].home_mems, "1");
        r->cpus = CPUS_RESTRICT;
        r->place = PLACE_FOLLOW;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home_mems, "1");
}

static void test_waits_for_a_deep_read(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_spread(w, s, 512 * MIB, 0.5);
        s->deep = false;
        memset(s->movable_by_node, 0, 2 * sizeof(uint64_t)); /* not known */
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_false(p->placements[0].act);
        assert_true(p->placements[0].wants_deep);
        assert_says(p->placements[0].reason, "; its memory map is read first");
        s->deep = true;
        world_memory(w, s, 0, 512 * MIB);
        world_memory(w, s, 1, 512 * MIB);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        assert_false(p->placements[0].wants_deep);
}

/* What the last deep read found not to be ours to move is told by every plan, whether or not it was read just now. */
static void test_fixed_is_told_without_a_deep_read(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_NODES);
        r->nodes = node_set_of(1);
        r->cooldown_usec = 0;
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_memory(w, s, 1, GIB);
        world_cpu(w, s, 1, 1);
        s->movable_by_node[0] = 0;
        s->effective_cpu_nodes = node_set_of(1);
        w->applied[0].cpus = true;
        _cleanup_(plan_freep) struct plan *deep = world_plan(w), *shallow = NULL;
        assert_says(deep->placements[0].reason, "; 1.0G of its memory cannot be moved (shared with others, or bound)");
        assert_true(deep->placements[0].bytes_fixed == GIB);
        s->deep = false;
        memset(s->movable_by_node, 0, 2 * sizeof(uint64_t)); /* not known */
        w->now_usec += 10 * USEC_PER_SEC;
        shallow = world_plan(w);
        assert_string_equal(shallow->placements[0].reason, deep->placements[0].reason);
        assert_state(&shallow->placements[0], deep->placements[0].state);
        assert_true(shallow->placements[0].bytes_fixed == GIB);
}

static void test_without_threads(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_says(p->placements[0].reason, "none of its threads");
}

static struct plan_input input_of(const struct world *w) {
        return (struct plan_input) {
                .topology = w->topology,
                .machine = &w->machine,
                .config = w->config,
                .samples = w->samples,
                .n_samples = w->n_samples,
                .history = &w->history,
                .now_usec = w->now_usec,
        };
}

static void test_inconsistent_input(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        (void) world_service(w, "a", NULL);
        (void) world_service(w, "b", NULL);
        struct plan *untouched = (struct plan *) w, *p = untouched;
        struct plan_input in = input_of(w);
        in.history = NULL;
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        in = input_of(w);
        in.samples = NULL;
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        in = input_of(w);
        struct service_sample swapped[2] = { w->samples[1], w->samples[0] };
        in.samples = swapped;
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        swapped[0] = w->samples[0]; /* the same twice */
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        in = input_of(w);
        struct applied unsorted[2] = { { .cgroup = "/b" }, { .cgroup = "/a" } };
        in.applied = unsorted;
        in.n_applied = 2;
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        in = input_of(w);
        w->topology->nodes[1].n_cpus = 1;
        assert_int_equal(plan_make(&in, &p), -EINVAL);
        assert_ptr_equal(p, untouched);
        w->topology->nodes[1].n_cpus = 2;
        in.n_samples = 0;
        in.samples = NULL;
        assert_int_equal(plan_make(&in, &p), 0);
        assert_int_equal(p->n_placements, 0);
        plan_free(p);
        assert_null(plan_free(NULL));
}

static void test_same_input_same_plan(void **state) {
        char *texts[2];
        for (unsigned run = 0; run < 2; run++) {
                _cleanup_(world_freep) struct world *w = world_new(4, 4, 8, 4 * GIB);
                struct rule *rules[] = { world_rule(w, PLACE_COMPACT), world_rule(w, PLACE_FOLLOW), NULL };
                uint64_t seed = 7;
                struct strbuf b = { 0 };
                for (unsigned i = 0; i < 40; i++) {
                        _cleanup_free_ char *name = format_string("s%02u", i);
                        struct service_sample *s = world_service(w, name, rules[random_below(&seed, 3)]);
                        for (unsigned n = 0; n < 4; n++) {
                                world_memory(w, s, n, random_below(&seed, 60) * MIB);
                                world_cpu(w, s, n, (double) random_below(&seed, 100) / 400);
                        }
                }
                for (unsigned cycle = 0; cycle < 3; cycle++) {
                        _cleanup_(plan_freep) struct plan *p = world_plan(w);
                        char *text = plan_to_text(p);
                        strbuf_append(&b, text);
                        free(text);
                        world_apply(w, p);
                        w->now_usec += 30 * USEC_PER_SEC;
                }
                texts[run] = strbuf_steal(&b);
        }
        assert_string_equal(texts[0], texts[1]);
        free(texts[0]);
        free(texts[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_room),
                cmocka_unit_test(test_room_beside_pools),
                cmocka_unit_test(test_unmatched_and_ignored),
                cmocka_unit_test(test_given_back_once),
                cmocka_unit_test(test_self_managed),
                cmocka_unit_test(test_small),
                cmocka_unit_test(test_not_known),
                cmocka_unit_test(test_cannot_be_restricted),
                cmocka_unit_test(test_waits_for_a_deep_read),
                cmocka_unit_test(test_fixed_is_told_without_a_deep_read),
                cmocka_unit_test(test_without_threads),
                cmocka_unit_test(test_inconsistent_input),
                cmocka_unit_test(test_same_input_same_plan),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
