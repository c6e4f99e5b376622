/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Beside the kernel's own balancing: what it undoes is noticed and left, what it sorts is its own. */
#include "plan-test.h"

#define COOL (2 * USEC_PER_MINUTE)

/* One service with 400 MiB on node 0 and half a CPU used on each. */
static struct world *placed_by(enum place place, struct rule **ret) {
        struct world *w = world_new(4, 4, 8, 8 * GIB);
        *ret = world_rule(w, place);
        struct service_sample *s = world_service(w, "s", *ret);
        world_spread(w, s, 0, 0.5);
        world_memory(w, s, 0, 400 * MIB);
        w->machine.kernel_balancing = 1;
        (*ret)->kernel_balancing = KERNEL_BALANCING_OVERRIDE; /* to have it moved once, whatever the place */
        return w;
}

/* Its move has ended, all is where it belongs. */
static void settle(struct world *w, uint64_t off_bytes) {
        history_record_kept(&w->history, &w->samples[0], 4, off_bytes, &w->machine);
}

/* Somebody moves pages from everywhere to node 1. */
static void drift(struct world *w, uint64_t each) {
        for (unsigned n = 0; n < 4; n++)
                world_memory(w, &w->samples[0], n, n == 1 ? 100 * MIB + 3 * each : 100 * MIB - each);
}

static enum undone_by by;

static uint64_t undone(const struct world *w, uint64_t off_bytes) {
        return history_undone_bytes(&w->history, &w->samples[0], 4, off_bytes, 20 * MIB, &w->machine, &by);
}

static void test_evidence(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        struct service_sample *s = &w->samples[0];
        assert_int_equal(undone(w, 100 * MIB), 0); /* nothing was moved yet */
        assert_int_equal(world_cycle(w, COOL), 1);
        settle(w, 4 * MIB);
        drift(w, 40 * MIB);
        assert_int_equal(undone(w, 120 * MIB), 0); /* not by the kernel */
        w->machine.kernel_moved_bytes += 50 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* it has moved too little for that */
        w->machine.kernel_moved_bytes += 10 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        assert_int_equal(undone(w, 24 * MIB), 0); /* not worth a word */
        s->deep = false;
        assert_int_equal(undone(w, 120 * MIB), 0); /* not seen by ourselves */
        s->deep = true;
        w->machine.kernel_balancing = 0;
        assert_int_equal(undone(w, 120 * MIB), 0); /* off by now */
        w->machine.kernel_balancing = 2;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        /* What has come since may have come there. */
        world_memory(w, s, 1, 320 * MIB);
        assert_int_equal(undone(w, 220 * MIB), 116 * MIB);
        /* By its own count, where there is one. */
        drift(w, 40 * MIB);
        s->kernel_moved_known = true;
        s->kernel_moved_bytes = 7 * GIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* not the count of then */
        settle(w, 4 * MIB);
        w->machine.kernel_moved_bytes += GIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* of others */
        s->kernel_moved_bytes += 60 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        history_record_undone(&w->history, s->cgroup, 116 * MIB, UNDONE_BY_BALANCING, 0, w->now_usec);
        assert_int_equal(undone(w, 120 * MIB), 0); /* told once of each move */
}

/* Unused pages are taken to slower memory: by another count, and whatever the balancing is set to. */
static void test_demotion(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NODES, &r);
        struct service_sample *s = &w->samples[0];
        r->nodes = node_set_of(2);
        r->kernel_balancing = KERNEL_BALANCING_AUTO;
        w->machine.kernel_balancing = 0;
        assert_int_equal(world_cycle(w, COOL), 1);
        settle(w, 4 * MIB);
        drift(w, 40 * MIB);
        w->machine.kernel_demoted_bytes += 60 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* off */
        w->machine.kernel_demotes = true;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        assert_int_equal(by, UNDONE_BY_DEMOTION);
        w->machine.kernel_balancing = 2;
        w->machine.kernel_moved_bytes += 61 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        assert_int_equal(by, UNDONE_BY_BALANCING_AND_DEMOTION); /* more of it */
        w->machine.kernel_balancing = 0;
        w->machine.kernel_demoted_bytes -= 10 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* too little */
        assert_int_equal(by, UNDONE_BY_NOBODY);
        s->kernel_moved_known = true;
        s->kernel_demoted_bytes = GIB;
        settle(w, 4 * MIB);
        w->machine.kernel_demoted_bytes += GIB;
        assert_int_equal(undone(w, 120 * MIB), 0); /* of others */
        s->kernel_demoted_bytes += 60 * MIB;
        assert_int_equal(undone(w, 120 * MIB), 116 * MIB);
        assert_int_equal(by, UNDONE_BY_DEMOTION);

        /* It is left there for a while, with the reason; until demotion is off, or the rule has it otherwise. */
        history_record_undone(&w->history, s->cgroup, 116 * MIB, by, 0, w->now_usec);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].move_memory);
        assert_state(&p->placements[0], STATE_BLOCKED);
        assert_says(p->placements[0].reason,
                    "the kernel's demotion to slower memory has taken back what was moved, 1 time of late: ");
        w->machine.kernel_demotes = false;
        w->machine.kernel_balancing = 1; /* which is not what did it */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].move_memory);
        w->machine.kernel_demotes = true;
        r->kernel_balancing = KERNEL_BALANCING_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].move_memory);
}

/* Each of both is remembered by itself: what the one did is not put down to the other, and waits for as long as the one is on. */
static void test_one_and_the_other(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_NODES, &r);
        const struct service_sample *s = &w->samples[0];
        r->nodes = node_set_of(2);
        r->cpus = CPUS_FREE;
        r->kernel_balancing = KERNEL_BALANCING_AUTO;
        w->machine.kernel_demotes = true;
        assert_int_equal(world_cycle(w, COOL), 1);
        drift(w, 40 * MIB);
        history_record_undone(&w->history, s->cgroup, 120 * MIB, UNDONE_BY_BALANCING, 0, w->now_usec);
        history_record_undone(&w->history, s->cgroup, 120 * MIB, UNDONE_BY_BALANCING, 0, w->now_usec + USEC_PER_SEC);
        history_record_undone(&w->history, s->cgroup, 120 * MIB, UNDONE_BY_DEMOTION, 0, w->now_usec + 2 * USEC_PER_SEC);
        const struct history_entry *e = history_find(&w->history, s->cgroup);
        w->now_usec += 2 * USEC_PER_SEC;
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, w->now_usec), 8 * USEC_PER_MINUTE);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_says(p->placements[0].reason,
                    "; the kernel's demotion to slower memory has taken back what was moved, 1 time of late, "
                    "its own balancing (kernel.numa_balancing=1) 2 times: ");
        w->machine.kernel_demotes = false; /* the last one, but not the only one */
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, w->now_usec), 4 * USEC_PER_MINUTE - USEC_PER_SEC);
        p = free_and_plan(p, w);
        assert_false(p->placements[0].move_memory);
        assert_says(p->placements[0].reason,
                    "; the kernel's own balancing (kernel.numa_balancing=1) has taken back what was moved, 2 times of late: ");
        w->machine.kernel_balancing = 0;
        w->machine.kernel_demotes = true;
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, w->now_usec), 2 * USEC_PER_MINUTE);
        p = free_and_plan(p, w);
        assert_says(p->placements[0].reason,
                    "; the kernel's demotion to slower memory has taken back what was moved, 1 time of late: ");
        w->machine.kernel_demotes = false;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].move_memory);

        /* Both at once are one time, of each. */
        w->machine.kernel_balancing = 1;
        w->machine.kernel_demotes = true;
        history_forgive(&w->history);
        history_record_undone(&w->history, s->cgroup, 120 * MIB, UNDONE_BY_BALANCING_AND_DEMOTION, 0, w->now_usec);
        assert_int_equal(history_undone_by(e), UNDONE_BY_BALANCING_AND_DEMOTION);
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_BALANCING), 1);
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_DEMOTION), 1);
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, w->now_usec), 2 * USEC_PER_MINUTE);
        p = free_and_plan(p, w);
        assert_says(p->placements[0].reason,
                    "has taken back what was moved, 1 time of late, its demotion to slower memory 1 time: ");

        /* Remembered by a version that knew only which it was the last time. */
        struct history_entry *old = history_find(&w->history, s->cgroup);
        old->n_balanced = old->n_demoted = 0;
        old->undone_by_both = false;
        old->n_undone = 3;
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_BALANCING), 3);
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_DEMOTION), 0);
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, w->now_usec), 8 * USEC_PER_MINUTE);
        history_record_undone(&w->history, s->cgroup, 120 * MIB, UNDONE_BY_DEMOTION, 0, w->now_usec);
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_BALANCING), 3);
        assert_int_equal(history_undone_times(e, &w->machine, UNDONE_BY_DEMOTION), 1);
}

static void test_waits_longer_and_longer(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        assert_int_equal(world_cycle(w, COOL), 1);
        const char *cgroup = w->samples[0].cgroup;
        uint64_t last = 0;
        for (unsigned i = 0; i < 14; i++) {
                history_record_undone(&w->history, cgroup, 90 * MIB, UNDONE_BY_BALANCING, 0, w->now_usec);
                const struct history_entry *e = history_find(&w->history, cgroup);
                uint64_t wait = history_undone_wait_usec(e, &w->machine, r->cooldown_usec, w->now_usec);
                assert_true(i >= 10 ? wait == last : wait == (i == 0 ? 2 * USEC_PER_MINUTE : 2 * last));
                assert_int_equal(history_undone_wait_usec(e, &w->machine, 60 * USEC_PER_MINUTE, w->now_usec), 60 * wait);
                last = wait;
        }
        /* A move that lasted is no longer one of a row. */
        uint64_t later = w->now_usec + last + HISTORY_UNDONE_CALM_USEC + 1;
        history_record_undone(&w->history, cgroup, 90 * MIB, UNDONE_BY_BALANCING, 0, later);
        const struct history_entry *e = history_find(&w->history, cgroup);
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, later), 2 * USEC_PER_MINUTE);
        history_forgive(&w->history);
        assert_int_equal(history_undone_wait_usec(e, &w->machine, 0, later), 0);
        /* The row goes on after each wait, of a long cooldown, too. */
        const uint64_t cooldown = 60 * USEC_PER_MINUTE;
        for (unsigned i = 0; i < 14; i++) {
                history_record_undone(&w->history, cgroup, 90 * MIB, UNDONE_BY_BALANCING, cooldown, later);
                later += history_undone_wait_usec(e, &w->machine, cooldown, later) + USEC_PER_MINUTE;
        }
        assert_int_equal(e->n_undone, 14);
}

static void test_what_is_undone_is_left(void **state) {
        static const enum place places[] = { PLACE_INTERLEAVE, PLACE_NODES };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                struct rule *r;
                _cleanup_(world_freep) struct world *w = placed_by(places[i], &r);
                r->kernel_balancing = KERNEL_BALANCING_AUTO;
                r->nodes = node_set_of(2);
                r->cpus = CPUS_FREE;
                assert_int_equal(world_cycle(w, COOL), 1);
                drift(w, 40 * MIB);
                history_record_undone(&w->history, w->samples[0].cgroup, 120 * MIB, UNDONE_BY_BALANCING, 0, w->now_usec);
                _cleanup_(plan_freep) struct plan *p = world_plan(w);
                assert_false(p->placements[0].act);
                assert_false(p->placements[0].move_memory);
                assert_state(&p->placements[0], STATE_BLOCKED);
                assert_true(p->placements[0].undone_alone);
                assert_says(p->placements[0].reason, "has taken back what was moved, 1 time of late: ");
                /* That some of it has no room either is another thing, and not told yet. */
                uint64_t had = w->machine.nodes[2].bytes_free;
                w->machine.nodes[2].bytes_free = w->machine.nodes[2].bytes_total / 20 + 60 * MIB; /* keep-free and little more */
                p = free_and_plan(p, w);
                assert_state(&p->placements[0], STATE_BLOCKED);
                assert_int_equal(p->placements[0].undone_alone, places[i] != PLACE_NODES);
                w->machine.nodes[2].bytes_free = had;
                r->kernel_balancing = KERNEL_BALANCING_OVERRIDE;
                p = free_and_plan(p, w);
                assert_true(p->placements[0].act);
                r->kernel_balancing = KERNEL_BALANCING_AUTO;
                w->machine.kernel_balancing = 0; /* switched off */
                p = free_and_plan(p, w);
                assert_true(p->placements[0].act);
                w->machine.kernel_balancing = 1;
                w->now_usec += COOL;
                p = free_and_plan(p, w);
                assert_true(p->placements[0].act);
        }
}

/* By rule: which of its nodes each page is on is the kernel's; that it is on them is ours. */
static void test_respected(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_SPREAD, &r);
        r->kernel_balancing = KERNEL_BALANCING_AUTO;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_false(p->placements[0].act);
        assert_says(p->placements[0].reason, "is left to the kernel's own balancing");
        r->place = PLACE_INTERLEAVE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        r->kernel_balancing = KERNEL_BALANCING_RESPECT;
        p = free_and_plan(p, w);
        assert_false(p->placements[0].act);
        r->place = PLACE_SPREAD;
        r->avoid = node_set_of(0);
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act && p->placements[0].move_memory);
        assert_int_equal(p->placements[0].pages_how, PAGES_HOME);
        assert_in_range(p->placements[0].bytes_to_move, 399 * MIB, 400 * MIB);
        assert_nodes(p->placements[0].home_mems, "1-3");
        w->machine.kernel_balancing = 0;
        p = free_and_plan(p, w);
        assert_int_equal(p->placements[0].pages_how, PAGES_BALANCE);
}

/* On two nodes under a compact rule: it stays as the kernel sorts it. */
static void test_sorted_within_home(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 8, 8 * GIB);
        struct rule *r = world_rule(w, PLACE_COMPACT);
        r->min_nodes = r->max_nodes = 2;
        struct service_sample *s = world_service(w, "s", r);
        w->machine.kernel_balancing = 1;
        world_spread(w, s, 100 * MIB, 1);
        assert_int_equal(world_cycle(w, COOL), 1);
        const struct history_entry *e = history_find(&w->history, s->cgroup);
        struct node_set home = e->home;
        assert_int_equal(node_set_count(&home), 2);
        unsigned a = (unsigned) node_set_next(&home, 0), b = (unsigned) node_set_next(&home, a + 1);
        for (unsigned i = 0; i < 8; i++) {
                world_memory(w, s, a, i % 2 ? 390 * MIB : 10 * MIB);
                world_memory(w, s, b, i % 2 ? 10 * MIB : 390 * MIB);
                assert_int_equal(world_cycle(w, COOL), 0);
        }
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_state(&p->placements[0], STATE_STABLE);
}

static void test_follow_is_left_to_it(void **state) {
        _cleanup_(world_freep) struct world *w = world_new(4, 4, 8, 8 * GIB);
        struct rule *r = world_rule(w, PLACE_FOLLOW);
        struct service_sample *s = service_on(w, "s", r, 0, 400 * MIB, 0);
        world_cpu(w, s, 1, 2);
        w->machine.kernel_balancing = 1;
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_false(p->placements[0].act);
        assert_state(&p->placements[0], STATE_STABLE);
        assert_says(p->placements[0].reason, "is left to the kernel's own balancing");
        r->kernel_balancing = KERNEL_BALANCING_OVERRIDE;
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
        r->kernel_balancing = KERNEL_BALANCING_AUTO;
        w->machine.kernel_balancing = 2; /* between slow and fast memory alone */
        p = free_and_plan(p, w);
        assert_true(p->placements[0].act);
}

/* Who will be undone is told so before. */
static void test_told_before(void **state) {
        struct rule *r;
        _cleanup_(world_freep) struct world *w = placed_by(PLACE_INTERLEAVE, &r);
        _cleanup_(plan_freep) struct plan *p = world_plan(w);
        assert_says(p->placements[0].reason, "brings pages back to the threads");
        w->machine.kernel_balancing = 0;
        p = free_and_plan(p, w);
        assert_null(strstr(p->placements[0].reason, "kernel"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_evidence),
                cmocka_unit_test(test_demotion),
                cmocka_unit_test(test_one_and_the_other),
                cmocka_unit_test(test_waits_longer_and_longer),
                cmocka_unit_test(test_what_is_undone_is_left),
                cmocka_unit_test(test_respected),
                cmocka_unit_test(test_sorted_within_home),
                cmocka_unit_test(test_follow_is_left_to_it),
                cmocka_unit_test(test_told_before),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
