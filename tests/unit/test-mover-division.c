/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover where being on a home node is not enough: amounts by node, and the node that a page's number tells. What must not move does not, and a
 * second pass finds nothing to do. */
#include "mover-fixture.h"

static uint64_t want[4], have[4];
static uint32_t parts[4];

static struct move_result balance(const char *home) {
        for (unsigned n = 0; n < 4; n++)
                have[n] = simulated_pages_on(sim, PID, n) * 4096;
        goal_of_test.how = PAGES_BALANCE;
        goal_of_test.want_by_node = want;
        goal_of_test.have_by_node = have;
        return move_home(home, 0);
}

static struct move_result interleave(const char *home, const uint32_t by[4]) {
        memcpy(parts, by, sizeof(parts));
        goal_of_test.how = PAGES_INTERLEAVE;
        goal_of_test.interleave_by_node = parts;
        return move_home(home, 0);
}

static void assert_pages(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t expected[4] = { a, b, c, d };
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(simulated_pages_on(sim, PID, n), expected[n]);
}

/* The node of each page, run by run: how often it changes. */
static size_t count_runs(uint64_t start, size_t n_pages) {
        size_t runs = 1;
        for (size_t i = 1; i < n_pages; i++)
                runs += simulated_page(sim, PID, start + i * 4096)->node !=
                        simulated_page(sim, PID, start + (i - 1) * 4096)->node;
        return runs;
}

static void set_want(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t pages[4] = { a, b, c, d };
        for (unsigned n = 0; n < 4; n++)
                want[n] = pages[n] * 4096;
}

static void test_balance_is_exact_and_in_runs(void **state) {
        add(PID, BASE, 4000, 0);
        set_want(1000, 1000, 1000, 1000);
        struct move_result r = balance("0-3");
        assert_pages(1000, 1000, 1000, 1000);
        assert_int_equal(r.moved_pages, 3000);
        assert_int_equal(r.asked_pages, 3000); /* none that was to stay */
        assert_int_equal(r.moved_from[0], 3000 * 4096);
        assert_true(count_runs(BASE, 4000) <= 8);
        r = balance("0-3");
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.moved_pages, 0);
}

/* Nodes 0 and 1 lie close together, so do 2 and 3: nothing crosses. */
static void test_balance_by_nearest_pairs(void **state) {
        struct topology *t = (struct topology *) simulated_topology(sim);
        for (unsigned a = 0; a < 4; a++)
                for (unsigned b = 0; b < 4; b++)
                        t->distance[a * 4 + b] = a == b ? 10 : a / 2 == b / 2 ? 12 : 30;
        add(PID, BASE, 1000, 0);
        add(PID, BASE + 16 * MIB, 1000, 2);
        set_want(500, 500, 500, 500);
        struct move_result r = balance("0-3");
        assert_pages(500, 500, 500, 500);
        assert_int_equal(r.moved_from[0], 500 * 4096);
        for (size_t i = 0; i < 1000; i++) {
                assert_true(simulated_page(sim, PID, BASE + i * 4096)->node < 2);
                assert_true(simulated_page(sim, PID, BASE + 16 * MIB + i * 4096)->node >= 2);
        }
}

static void test_balance_takes_what_there_is_room_for(void **state) {
        add(PID, BASE, 4000, 0);
        set_want(1000, 1000, 1000, 1000);
        room[1] = 100 * 4096;
        simulated_set_free_pages(sim, 2, 300); /* fuller than was known */
        struct move_result r = balance("0-3");
        assert_pages(4000 - 100 - 300 - 1000, 100, 300, 1000);
        assert_int_equal(r.moved_pages, 1400);
        assert_true(r.skipped_room_bytes > 0);
}

static void test_balance_of_huge_pages(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 8 * 512, .node = 1, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        /* node 0 is to have 2.5 huge pages: the half one stays */
        set_want(2 * 512 + 256, 4 * 512 + 256, 512, 0);
        struct move_result r = balance("0-2");
        assert_pages(2 * 512, 5 * 512, 512, 0);
        assert_int_equal(r.huge_moved, 3);
        assert_int_equal(r.asked_pages, 3);
        for (size_t i = 0; i < m.n_pages; i++)
                assert_true(simulated_page(sim, PID, BASE + i * 4096)->thp);
        assert_int_equal(balance("0-2").asked_pages, 0);
}

/* What each of three nodes lacks is no whole number of huge pages, as little things lie there already: the rests add up to some that
 * must not all be left behind. */
static void test_balance_of_huge_pages_and_rests(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 40 * 512, .node = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        add(PID, BASE + 256 * MIB, 140, 0);
        add(PID, BASE + 300 * MIB, 140, 1);
        add(PID, BASE + 320 * MIB, 20, 3);
        set_want(5195, 5195, 5195, 5195);
        struct move_result r = balance("0-3");
        assert_pages(10 * 512 + 140, 10 * 512 + 140, 10 * 512, 10 * 512 + 20);
        assert_int_equal(r.huge_moved, 30);
        assert_int_equal(r.asked_pages, 30);
        /* Once more: what little there is of small pages may make it exact, no huge one moves. */
        r = balance("0-3");
        assert_int_equal(r.huge_moved, 0);
        assert_true(r.moved_pages <= 140);
        assert_int_equal(balance("0-3").asked_pages, 0);
}

/* Several nodes that lack less than half of one: one of them gets it. */
static void test_balance_of_many_small_rests(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 4 * 512, .node = 0, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        set_want(2 * 512 + 320, 240, 240, 224); /* 2.6, and less than half thrice */
        struct move_result r = balance("0-3");
        assert_int_equal(r.huge_moved, 1);
        assert_int_equal(simulated_pages_on(sim, PID, 0), 3 * 512);
        assert_int_equal(balance("0-3").asked_pages, 0);
}

/* Nothing may stay on node 1, also where half a huge page is left over: somebody has more than its part. */
static void test_balance_leaves_nothing_off_home(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 5 * 512, .node = 1, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        add(PID, BASE + 64 * MIB, 100, 1);
        set_want(1330, 0, 1330, 0);
        struct move_result r = balance("0,2");
        assert_int_equal(simulated_pages_on(sim, PID, 1), 0);
        assert_int_equal(r.moved_pages, 2660);
        assert_int_equal(r.huge_moved, 5);
        assert_in_range(simulated_pages_on(sim, PID, 0), 2 * 512, 3 * 512 + 100);
        assert_int_equal(balance("0,2").asked_pages, 0);
}

static void test_interleave_is_exact(void **state) {
        add(PID, BASE, 4000, 0);
        const uint32_t equal[4] = { 7, 7, 7, 7 };
        struct move_result r = interleave("0-3", equal);
        assert_pages(1000, 1000, 1000, 1000);
        assert_int_equal(r.moved_pages, 3000);
        assert_int_equal(r.asked_pages, 3000);
        assert_int_equal(count_runs(BASE, 4000), 4000); /* page by page */
        r = interleave("0-3", equal);
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.moved_pages, 0);
        assert_int_equal(r.skipped_room_bytes, 0);
}

/* By address: mappings that come and go do not change where the others' pages belong. */
static void test_interleave_by_weights(void **state) {
        add(PID, BASE, 800, 0);
        add(PID, BASE + 16 * MIB, 800, 3);
        const uint32_t uneven[4] = { 6, 2, 0, 0 };
        struct move_result r = interleave("0-1", uneven);
        assert_pages(1200, 400, 0, 0);
        assert_int_equal(r.moved_pages, 200 + 800);
        assert_true(count_runs(BASE, 800) >= 400); /* three here, one there, and so on */
        assert_int_equal(interleave("0-1", uneven).asked_pages, 0);
}

static void test_interleave_counts_huge_pages_as_one(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 8 * 512, .node = 1, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        struct simulated_mapping large = { .start = BASE + 64 * MIB, .n_pages = 8, .page_bytes = HUGE, .node = 1 };
        assert_int_equal(simulated_add_mapping(sim, PID, &large), 0);
        const uint32_t equal[4] = { 1, 1, 1, 1 };
        struct move_result r = interleave("0-3", equal);
        assert_pages(4 * 512, 4 * 512, 4 * 512, 4 * 512);
        assert_int_equal(r.huge_moved, 12);
        assert_int_equal(r.asked_pages, 12);
        for (size_t i = 0; i < m.n_pages; i++)
                assert_true(simulated_page(sim, PID, BASE + i * 4096)->thp);
        assert_int_equal(interleave("0-3", equal).asked_pages, 0);
}

/* Huge and small pages in one mapping: where the kernel does not tell them apart, blocks of small ones that lie together go where a huge page there would. */
static void test_interleave_of_mixed_pages(void **state) {
        add(PID, BASE, 16 * 512, 2);
        for (size_t b = 0; b < 16; b += 4)
                for (size_t i = 0; i < 512; i++)
                        simulated_page(sim, PID, BASE + b * HUGE + i * 4096)->thp = true;
        const uint32_t equal[4] = { 1, 1, 1, 1 };
        (void) interleave("0-3", equal);
        for (size_t b = 0; b < 16; b += 4)
                for (size_t i = 1; i < 512; i++)
                        assert_int_equal(simulated_page(sim, PID, BASE + b * HUGE + i * 4096)->node,
                                         simulated_page(sim, PID, BASE + b * HUGE)->node);
        if (simulated_knobs(sim)->scans)
                assert_pages(4 * 512 + 3 * 512, 3 * 512, 3 * 512, 3 * 512);
        else
                assert_pages(4 * 512, 4 * 512, 4 * 512, 4 * 512);
        uint64_t calls = simulated_counts(sim)->move_calls;
        assert_int_equal(interleave("0-3", equal).moved_pages, 0);
        assert_int_equal(simulated_counts(sim)->move_calls, calls);
}

/* The other nodes do without what a full one cannot take; it still gives away what belongs elsewhere, and takes as much as that. */
static void test_interleave_with_a_full_node(void **state) {
        add(PID, BASE, 4000, 0);
        room[3] = 0;
        const uint32_t equal[4] = { 1, 1, 1, 1 };
        struct move_result r = interleave("0-3", equal);
        assert_pages(2000, 1000, 1000, 0);
        assert_int_equal(r.skipped_room_bytes, 1000 * 4096);
        add(PID, BASE - 16 * MIB, 2000, 3);
        r = interleave("0-3", equal);
        assert_pages(1000 + 500, 1500, 1500, 500 + 1000); /* 1500 went, so the first mapping's 1000 could come */
        assert_int_equal(r.skipped_room_bytes, 0);
}

static void test_interleave_respects_a_policy_unless_told_not_to(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 400, .node = 1, .policy = "bind:1" };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        const uint32_t equal[4] = { 1, 1, 1, 1 };
        struct move_result r = interleave("0-3", equal);
        assert_pages(0, 400, 0, 0);
        assert_int_equal(r.skipped_policy_bytes, 400 * 4096);
        assert_int_equal(r.asked_pages, 0);
        override_policy = true;
        r = interleave("0-3", equal);
        assert_pages(100, 100, 100, 100);
        assert_int_equal(r.skipped_policy_bytes, 0);
}

static void test_goals_that_make_no_sense(void **state) {
        static const struct process_ref one = { PID, PID + 1000 };
        uint64_t some[4] = { 0 };
        uint32_t none[4] = { 0 }, large[4] = { 256, 0, 0, 0 };
        struct move_goal goals[] = {
                { .how = PAGES_BALANCE, .want_by_node = some },
                { .how = PAGES_BALANCE, .have_by_node = some },
                { .how = PAGES_INTERLEAVE },
                { .how = PAGES_INTERLEAVE, .interleave_by_node = none },
                { .how = PAGES_INTERLEAVE, .interleave_by_node = large },
        };
        for (size_t i = 0; i < ARRAY_SIZE(goals); i++) {
                struct mover *m;
                goals[i].room_bytes = room;
                assert_int_equal(node_set_parse("0-3", &goals[i].home), 0);
                assert_int_equal(mover_new(&act, &fx.host, simulated_topology(sim), CGROUP, &one, 1, &goals[i], &m), -EINVAL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ALL(test_balance_is_exact_and_in_runs),
                ALL(test_balance_by_nearest_pairs),
                ALL(test_balance_takes_what_there_is_room_for),
                ALL(test_balance_of_huge_pages),
                ALL(test_balance_of_huge_pages_and_rests),
                ALL(test_balance_of_many_small_rests),
                ALL(test_balance_leaves_nothing_off_home),
                ALL(test_interleave_is_exact),
                ALL(test_interleave_by_weights),
                ALL(test_interleave_counts_huge_pages_as_one),
                ALL(test_interleave_of_mixed_pages),
                ALL(test_interleave_with_a_full_node),
                ALL(test_interleave_respects_a_policy_unless_told_not_to),
                PAGEMAP(test_goals_that_make_no_sense),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
