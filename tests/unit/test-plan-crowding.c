/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What something else uses for a moment moves nobody: less crowding alone has to last. */
#include "plan-test.h"

/* A service whose memory and threads are on node 1, as are the threads of something that no rule matches and that uses most of it. */
static struct world *crowded_world(struct service_sample **ret) {
        struct world *w = world_new(2, 4, 4, 4 * GIB);
        *ret = service_on(w, "a", world_rule(w, PLACE_COMPACT), 1, GIB, 0.5);
        (*ret)->cpu_pressure_centipercent = 0;
        service_on(w, "noise", NULL, 1, 100 * MIB, 2.5);
        return w;
}

static void test_a_moment_moves_nothing(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "1");
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus);
        assert_false(p->placements[0].move_memory);
        world_apply(w, p);
        world_cpu(w, &w->samples[1], 1, 0.01);
        for (unsigned i = 0; i < 40; i++) {
                w->now_usec += 60 * USEC_PER_SEC;
                assert_int_equal(world_cycle(w, 0), 0);
        }
}

/* Five cooldowns, and at least three plans; one that is not crowded begins it anew. */
static void test_what_lasts_does(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        struct service_sample *noise = &w->samples[1];
        assert_int_equal(world_cycle(w, 120 * USEC_PER_SEC), 1);
        noise->rule = world_rule(w, PLACE_NODES); /* held where it is: it does not go away by itself */
        ((struct rule *) noise->rule)->nodes = node_set_of(1);
        noise->n_threads = 8;
        noise->cpu_window_usec = 3600 * USEC_PER_SEC;
        world_cpu(w, noise, 1, 2.5);
        (void) world_cycle(w, 200 * USEC_PER_SEC); /* as the rule says: it gets its home */
        assert_int_equal(world_cycle(w, 200 * USEC_PER_SEC), 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].crowded);
        assert_true(p->placements[0].act);
        assert_nodes(p->placements[0].home, "0");
        assert_says(p->placements[0].reason, "where its CPUs are less crowded");
        world_cpu(w, noise, 1, 0.1);
        assert_int_equal(world_cycle(w, 10 * USEC_PER_SEC), 0); /* over */
        world_cpu(w, noise, 1, 2.5);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(world_cycle(w, 149 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 149 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 0), 1);
}

/* Few plans in a long time are no long time of crowding. */
static void test_seldom_looked_at(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        struct service_sample *noise = &w->samples[1];
        struct rule *there = world_rule(w, PLACE_NODES);
        there->nodes = node_set_of(1);
        noise->rule = there;
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 2);
        noise->n_threads = 8;
        noise->cpu_window_usec = 3600 * USEC_PER_SEC;
        world_cpu(w, noise, 1, 2.5);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 1);
}

/* What is said of it names what held. */
static void test_the_reason_is_named(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        struct rule *there = world_rule(w, PLACE_NODES);
        there->nodes = node_set_of(1);
        w->samples[1].rule = there;
        w->samples[1].n_threads = 8;
        assert_int_equal(world_cycle(w, 1000 * USEC_PER_SEC), 2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_PENDING);
        assert_says(p->placements[0].reason, "node 0 would be better");
        assert_says(p->placements[0].reason, "waits to see whether that lasts");
}

/* Nearer memory behind a controller that has to bear more than it can: a gain by distance that is none. */
static void test_nearer_and_dearer(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 8, 8, 64 * GIB);
        struct rule *follow = world_rule(w, PLACE_FOLLOW), *there = world_rule(w, PLACE_NODES);
        there->nodes = node_set_of(0);
        world_set_distance(w, 0, 1, 13);
        service_on(w, "a", there, 0, GIB, 8);
        service_on(w, "b", there, 0, GIB, 7);
        struct service_sample *s = service_on(w, "c", follow, 1, GIB, 0);
        follow->has_allowed = true;
        follow->allowed = node_set_of(0);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 2);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[2], STATE_STABLE);
        assert_says(p->placements[2].reason, "and costs more than staying");
}

static void test_one_that_waits_goes_at_once(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        s->cpu_pressure_centipercent = 4000;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        assert_true(p->placements[0].act && p->placements[0].move_memory);
}

/* One that is not local is not kept waiting, and goes where there is more room for it. */
static void test_first_placement_does_not_wait(void **state) {
        struct service_sample *s;
        _cleanup_(world_freep) struct world *w = crowded_world(&s);
        world_spread(w, s, 512 * MIB, 0.25);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_nodes(p->placements[0].home, "0");
        assert_true(p->placements[0].act && p->placements[0].move_memory);
}

static void test_crowding_alone_takes_its_time(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s[2] = { world_service(w, "a", r), world_service(w, "b", r) };
        for (unsigned i = 0; i < 2; i++) {
                world_memory(w, s[i], 0, 200 * MIB);
                world_cpu(w, s[i], 0, 0.05);
        }
        assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 2); /* idle, and both at home on node 0 */
        for (unsigned i = 0; i < 2; i++) {
                s[i]->cpu_window_usec = 3600 * USEC_PER_SEC;
                world_cpu(w, s[i], 0, 0.7); /* now 1.4 of its two CPUs are in use: it would be nicer alone */
        }
        w->now_usec += 3600 * USEC_PER_SEC; /* at home for an hour; that it is crowded is news all the same */
        assert_int_equal(world_cycle(w, 150 * USEC_PER_SEC), 0);
        assert_int_equal(world_cycle(w, 140 * USEC_PER_SEC), 0);
        _cleanup_(plan_freep) struct plan *p = world_plan(w); /* after 290 s of it */
        assert_false(p->placements[0].act);
        assert_false(p->placements[1].act);
        assert_true(p->placements[0].state == STATE_PENDING || p->placements[1].state == STATE_PENDING);
        w->now_usec += 10 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_int_equal(p->placements[0].act + p->placements[1].act, 1);
}

static void test_a_little_crowding_is_lived_with(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 2, 2, 4 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        struct service_sample *s[2] = { world_service(w, "a", r), world_service(w, "b", r) };
        for (unsigned i = 0; i < 2; i++) {
                world_memory(w, s[i], 0, 200 * MIB);
                world_cpu(w, s[i], 0, 0.05);
        }
        assert_int_equal(world_cycle(w, 60 * USEC_PER_SEC), 2);
        for (unsigned i = 0; i < 2; i++) {
                s[i]->cpu_window_usec = 3600 * USEC_PER_SEC;
                world_cpu(w, s[i], 0, 0.35); /* a gain of 7 %: enough by distance, not by crowding */
        }
        w->now_usec += 100000 * USEC_PER_SEC;
        assert_int_equal(world_cycle(w, 0), 0);
}

/* Its thread is somewhere else for a moment: memory does not run after it, and the reason says so as long as that is all there is to say. */
static void test_thread_that_passes_by(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_FOLLOW));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 1);
        for (unsigned i = 0; i < 3; i++)
                (void) world_cycle(w, 10 * USEC_PER_MINUTE);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_null(strstr(p->placements[0].reason, "only what lasts"));
        world_cpu(w, s, 0, 0);
        world_cpu(w, s, 1, 1);
        w->now_usec += 10 * USEC_PER_SEC;
        p = free_and_plan(p, w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "; its threads run elsewhere at the moment (of late it was 10.");
        assert_says(p->placements[0].reason, "memory follows only what lasts");
        for (unsigned i = 0; i < 180; i++)
                (void) world_cycle(w, 10 * USEC_PER_SEC);
        p = free_and_plan(p, w);
        assert_true(s->bytes_by_node[1] > s->bytes_by_node[0]); /* and it did last */
        assert_null(strstr(p->placements[0].reason, "only what lasts"));
}

/* The other way round: it happens to be near its memory while that follows where it mostly is. The distance of the moment is not what is left. */
static void test_thread_that_comes_by(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(2, 4, 4, 8 * GIB);
        struct rule *r = world_rule(w, PLACE_FOLLOW);
        struct service_sample *s = world_service(w, "a", r);
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 1, 1);
        s->cpu_window_usec = 10 * USEC_PER_SEC;
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids,
                                                w->now_usec += 10 * USEC_PER_MINUTE),
                                 0);
        world_cpu(w, s, 1, 0);
        world_cpu(w, s, 0, 1);
        w->now_usec += 10 * USEC_PER_SEC;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act);
        assert_says(p->placements[0].reason, " of late) → 10.");
}

/* Its CPUs alone are restricted, to more nodes than its memory is on: what for is said. */
static void test_wider_for_cpus_alone(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(3, 4, 4, 8 * GIB);
        struct service_sample *s = world_service(w, "a", world_rule(w, PLACE_COMPACT));
        world_memory(w, s, 0, GIB);
        world_cpu(w, s, 0, 6);
        (void) history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_true(p->placements[0].act && p->placements[0].restrict_cpus && !p->placements[0].move_memory);
        assert_true(p->placements[0].distance_after > p->placements[0].distance_before);
        assert_says(p->placements[0].reason, ", where its CPUs are less crowded: distance 10.0 → 15.0");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_moment_moves_nothing),
                cmocka_unit_test(test_what_lasts_does),
                cmocka_unit_test(test_seldom_looked_at),
                cmocka_unit_test(test_the_reason_is_named),
                cmocka_unit_test(test_nearer_and_dearer),
                cmocka_unit_test(test_one_that_waits_goes_at_once),
                cmocka_unit_test(test_first_placement_does_not_wait),
                cmocka_unit_test(test_thread_that_passes_by),
                cmocka_unit_test(test_thread_that_comes_by),
                cmocka_unit_test(test_wider_for_cpus_alone),
                cmocka_unit_test(test_crowding_alone_takes_its_time),
                cmocka_unit_test(test_a_little_crowding_is_lived_with),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
