/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of moves: the home that one went to and the one before, what would not move, and how long to wait for another try. */
#include "core/history.h"

#include "core/util.h"
#include "unit.h"

static void test_placed_and_settled(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1), two = node_set_of(2);
        assert_int_equal(history_record_placed(&h, "/a", &one, 100), 0);
        struct history_entry *e = history_find(&h, "/a");
        assert_true(e->placed && node_set_equal(&e->home, &one));
        assert_int_equal(e->placed_usec, 100);
        history_record_settled(&h, "/a", 5 * MIB, 200);
        assert_int_equal(e->settled_usec, 200);
        assert_true(e->unmovable_bytes == 5 * MIB);
        assert_true(e->retry_usec == 200 + HISTORY_RETRY_USEC);
        /* The same home again: decided when it was, and the wait doubles. */
        assert_int_equal(history_record_placed(&h, "/a", &one, 300), 0);
        assert_int_equal(e->placed_usec, 100);
        assert_int_equal(e->started_usec, 300);
        history_record_settled(&h, "/a", 5 * MIB, 400);
        assert_true(e->retry_usec == 400 + 2 * HISTORY_RETRY_USEC);
        /* Another home: a fresh start. */
        assert_int_equal(history_record_placed(&h, "/a", &two, 500), 0);
        assert_int_equal(e->placed_usec, 500);
        assert_int_equal(e->retry_usec, 0);
        assert_int_equal(e->unmovable_bytes, 0);
        history_record_settled(&h, "/a", 0, 600);
        assert_int_equal(e->retry_usec, 0);
        history_record_settled(&h, "/a", 200 * KIB, 600); /* noise */
        assert_int_equal(e->unmovable_bytes, 0);
        assert_int_equal(e->retry_usec, 0);
        history_record_failed(&h, "/a", 700);
        assert_true(e->failed && e->retry_usec == 700 + HISTORY_FAILED_USEC);
        history_record_failed(&h, "/a", 800);
        assert_true(e->retry_usec == 800 + 2 * HISTORY_FAILED_USEC);
        history_record_settled(&h, "/a", 0, 900);
        assert_false(e->failed);
        history_record_failed(&h, "/unknown", 600);
        history_record_settled(&h, "/unknown", MIB, 600);
        assert_null(history_find(&h, "/unknown"));
}

static void test_retry_is_bounded(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1);
        assert_int_equal(history_record_placed(&h, "/a", &one, 0), 0);
        for (unsigned i = 0; i < 100; i++)
                history_record_settled(&h, "/a", MIB, 0);
        assert_true(history_find(&h, "/a")->retry_usec == HISTORY_RETRY_USEC << HISTORY_RETRY_DOUBLINGS);
        for (unsigned i = 0; i < 100; i++)
                history_record_failed(&h, "/a", 0);
        assert_true(history_find(&h, "/a")->retry_usec == HISTORY_FAILED_USEC << HISTORY_FAILED_DOUBLINGS);
}

/* It was not to blame: the wait stays short, and what fails by itself afterwards begins where that would have ended. */
static void test_unable(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1);
        history_record_unable(&h, "/unknown", 0);
        assert_int_equal(history_record_placed(&h, "/a", &one, 0), 0);
        for (unsigned i = 0; i < 100; i++)
                history_record_unable(&h, "/a", 0);
        const struct history_entry *e = history_find(&h, "/a");
        assert_true(e->failed && e->retry_usec == HISTORY_FAILED_USEC << HISTORY_UNABLE_DOUBLINGS);
        history_record_failed(&h, "/a", 0);
        assert_true(e->retry_usec == HISTORY_FAILED_USEC << HISTORY_UNABLE_DOUBLINGS);
        history_record_failed(&h, "/a", 0);
        assert_true(e->retry_usec == HISTORY_FAILED_USEC << (HISTORY_UNABLE_DOUBLINGS + 1));
}

static void test_former_home(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1), two = node_set_of(2);
        assert_int_equal(history_record_placed(&h, "/a", &one, 100), 0);
        struct history_entry *e = history_find(&h, "/a");
        assert_false(e->has_former);
        assert_int_equal(history_record_placed(&h, "/a", &one, 200), 0); /* the same again: nothing was left */
        assert_false(e->has_former);
        assert_int_equal(history_record_placed(&h, "/a", &two, 300), 0);
        assert_true(e->has_former && e->left_usec == 300 && e->since_usec == 300);
        assert_true(node_set_equal(&e->former_home, &one));
}

static void test_forgive(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1);
        assert_int_equal(history_record_placed(&h, "/a", &one, 0), 0);
        assert_int_equal(history_record_placed(&h, "/b", &one, 0), 0);
        history_record_failed(&h, "/a", 100);
        history_record_settled(&h, "/b", MIB, 100);
        assert_true(history_find(&h, "/b")->retry_usec > 0);
        history_forgive(&h);
        assert_true(!history_find(&h, "/a")->failed && history_find(&h, "/a")->retry_usec == 0);
        const struct history_entry *b = history_find(&h, "/b");
        assert_true(b->retry_usec == 0 && b->unmovable_bytes == 0 && b->deep_again);
        assert_false(history_find(&h, "/a")->deep_again); /* nothing was left behind: its memory map is as good as it was */
}

/* Much of it is shared: looked at again in two minutes, then later and later, and at once when processes have ended. */
static void test_shared(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct service_sample s;
        struct node_set one = node_set_of(1);
        service_sample_init(&s);
        assert_int_equal(service_sample_alloc(&s, 3), 0);
        s.cgroup = strdup("/a");
        s.deep = true;
        s.n_processes = 3;
        s.processes = calloc(3, sizeof(*s.processes));
        s.bytes_by_node[0] = GIB;
        uint64_t now = 1000 * USEC_PER_SEC;
        assert_int_equal(history_record_placed(&h, "/a", &one, now), 0);
        assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
        history_record_settled(&h, "/a", 512 * MIB, now);
        history_record_shared(&h, "/a", 3, now);
        const struct history_entry *e = history_find(&h, "/a");
        assert_true(e->retry_usec == now + HISTORY_SHARED_USEC);
        s.deep = false;
        unsigned looks = 0;
        for (unsigned i = 0; i < 180; i++) { /* half an hour, each look in vain */
                now += 10 * USEC_PER_SEC;
                assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
                if (!e->deep_again)
                        continue;
                looks++;
                assert_true(e->retry_usec == 0);
                s.deep = true;
                assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
                s.deep = false;
                assert_false(e->deep_again);
        }
        assert_int_equal(looks, 4); /* after 2, 6, 14 and 30 minutes */
        s.n_processes = 2;
        assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
        assert_true(e->deep_again);
        history_record_settled(&h, "/a", 0, now);
        history_record_shared(&h, "/a", 0, now);
        s.deep = true;
        s.movable_by_node[0] = GIB;
        assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
        s.deep = false;
        now += HISTORY_FORGET_USEC;
        assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
        assert_false(e->deep_again);
        /* Never found by a move of ours, but by its memory map: looked at again when processes have ended. */
        s.deep = true;
        s.movable_by_node[0] = 0;
        assert_int_equal(history_update(&h, &s, 1, 3, now), 0);
        s.deep = false;
        s.n_processes = 1;
        assert_int_equal(history_update(&h, &s, 1, 3, now + USEC_PER_SEC), 0);
        assert_false(e->deep_again); /* not more often than once in a minute */
        assert_int_equal(history_update(&h, &s, 1, 3, now + USEC_PER_MINUTE), 0);
        assert_true(e->deep_again);
        history_record_shared(&h, "/unknown", 3, now);
        service_sample_done(&s);
}

static void test_widened(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        history_record_widened(&h, "/a", 0, 7);
        assert_null(history_find(&h, "/a"));
        assert_non_null(history_get(&h, "/a"));
        history_record_widened(&h, "/a", 0, 7);
        const struct history_entry *e = history_find(&h, "/a");
        assert_int_equal(e->widened_usec, 7);
        /* Once: the cooldown, also none. Then twice as long each time, and not for ever. */
        assert_int_equal(history_widened_wait_usec(e, 0), 0);
        assert_int_equal(history_widened_wait_usec(e, 5), 5);
        uint64_t now = 8;
        history_record_widened(&h, "/a", 0, now);
        assert_int_equal(history_widened_wait_usec(e, 5), 2 * USEC_PER_MINUTE);
        assert_int_equal(history_widened_wait_usec(e, 10 * USEC_PER_MINUTE), 20 * USEC_PER_MINUTE);
        for (unsigned i = 0; i < 100; i++)
                history_record_widened(&h, "/a", 0, now += 60 * USEC_PER_MINUTE);
        assert_int_equal(history_widened_wait_usec(e, 5), 256 * USEC_PER_MINUTE);
        assert_int_equal(history_widened_wait_usec(e, 7 * 24 * 60 * USEC_PER_MINUTE), 256 * 7 * 24 * 60 * USEC_PER_MINUTE);
        history_record_widened(&h, "/a", 0, now + 256 * USEC_PER_MINUTE + HISTORY_CALM_USEC);
        assert_int_equal(history_widened_wait_usec(e, 5), 5);
        history_record_widened(&h, "/a", 0, 0); /* a clock that runs backwards */
        assert_int_equal(history_widened_wait_usec(e, 5), 2 * USEC_PER_MINUTE);
        /* It waits by its rule's cooldown, and so long that it could not have come again counts for nothing. */
        const uint64_t cooldown = 30 * USEC_PER_MINUTE;
        history_record_widened(&h, "/a", cooldown, now = 100 * HISTORY_CALM_USEC);
        for (unsigned i = 0; i < 100; i++)
                history_record_widened(&h, "/a", cooldown, now += history_widened_wait_usec(e, cooldown) + USEC_PER_MINUTE);
        assert_int_equal(history_widened_wait_usec(e, cooldown), 256 * cooldown);
}

static uint64_t little_wait(const struct history_entry *e, uint64_t now_usec) {
        return history_little_wait_usec(e, USEC_PER_MINUTE, now_usec);
}

static void test_little(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1);
        uint64_t now = 1000 * USEC_PER_MINUTE;
        history_record_little(&h, "/a", true, USEC_PER_MINUTE, now); /* unknown */
        assert_null(history_find(&h, "/a"));
        assert_int_equal(little_wait(NULL, now), 0);
        assert_true(history_is_little(GIB / 50 - 1, GIB));
        assert_false(history_is_little(GIB / 50, GIB));
        assert_int_equal(history_record_placed(&h, "/a", &one, now), 0);
        const struct history_entry *e = history_find(&h, "/a");
        /* The first: the cooldown alone. Then twice that and so on, up to 64 times. */
        uint64_t expected = 0;
        for (unsigned i = 0; i < 20; i++) {
                history_record_little(&h, "/a", true, USEC_PER_MINUTE, now);
                assert_int_equal(little_wait(e, now), expected);
                assert_int_equal(history_little_wait_usec(e, 0, now), 0);
                expected = expected == 0 ? 2 * USEC_PER_MINUTE : MIN2(2 * expected, 64 * USEC_PER_MINUTE);
                now += 65 * USEC_PER_MINUTE;
                assert_int_equal(little_wait(e, now), 0);
        }
        /* From the end of the move on, whatever a clock that runs backwards says. */
        history_record_little(&h, "/a", true, USEC_PER_MINUTE, now);
        history_record_settled(&h, "/a", 0, now + 5);
        assert_int_equal(little_wait(e, now + 10), 64 * USEC_PER_MINUTE - 5);
        assert_int_equal(little_wait(e, now - 10), 64 * USEC_PER_MINUTE);
        /* More than little: one less each time. */
        history_record_little(&h, "/a", false, USEC_PER_MINUTE, now);
        assert_int_equal(little_wait(e, now + 5), 32 * USEC_PER_MINUTE);
        for (unsigned i = 0; i < 10; i++)
                history_record_little(&h, "/a", false, USEC_PER_MINUTE, now);
        assert_int_equal(little_wait(e, now + 5), 0);
        assert_int_equal(e->n_little, 0);
}

static void fill_row(struct history *h, uint64_t now) {
        for (unsigned i = 0; i < 4; i++)
                history_record_little(h, "/a", true, USEC_PER_MINUTE, now);
        assert_int_equal(little_wait(history_find(h, "/a"), now), 8 * USEC_PER_MINUTE);
}

static void test_end_of_little(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct node_set one = node_set_of(1), two = node_set_of(2);
        uint64_t now = 1000 * USEC_PER_MINUTE;
        assert_int_equal(history_record_placed(&h, "/a", &one, now), 0);
        const struct history_entry *e = history_find(&h, "/a");
        /* The same home again is not the end, another one is; and so is being asked for it. */
        fill_row(&h, now);
        assert_int_equal(history_record_placed(&h, "/a", &one, now), 0);
        assert_int_equal(little_wait(e, now), 8 * USEC_PER_MINUTE);
        assert_int_equal(history_record_placed(&h, "/a", &two, now), 0);
        assert_int_equal(little_wait(e, now), 0);
        fill_row(&h, now);
        history_forgive(&h);
        assert_int_equal(little_wait(e, now), 0);
        /* Another rule. */
        fill_row(&h, now);
        struct rule r = { .place = PLACE_COMPACT };
        struct service_sample s = { .cgroup = (char *) "/a", .rule = &r };
        uint64_t bytes[4] = { 0 }, cpu[4] = { 0 };
        uint32_t shares[4] = { 0 };
        s.bytes_by_node = bytes;
        s.cpu_usec_by_node = cpu;
        s.cpu_share_by_node = shares;
        assert_int_equal(history_update(&h, &s, 1, 4, now), 0);
        assert_int_equal(little_wait(e, now), 8 * USEC_PER_MINUTE);
        r.place = PLACE_FOLLOW;
        assert_int_equal(history_update(&h, &s, 1, 4, now), 0);
        assert_int_equal(little_wait(e, now), 0);
        /* Four hours in which nothing was to be done. */
        fill_row(&h, now);
        now += 8 * USEC_PER_MINUTE + HISTORY_CALM_USEC;
        history_record_little(&h, "/a", true, USEC_PER_MINUTE, now - 1);
        assert_int_equal(e->n_little, 5);
        now += 16 * USEC_PER_MINUTE + HISTORY_CALM_USEC;
        history_record_little(&h, "/a", true, USEC_PER_MINUTE, now);
        assert_int_equal(e->n_little, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_placed_and_settled),
                cmocka_unit_test(test_retry_is_bounded),
                cmocka_unit_test(test_unable),
                cmocka_unit_test(test_former_home),
                cmocka_unit_test(test_forgive),
                cmocka_unit_test(test_shared),
                cmocka_unit_test(test_widened),
                cmocka_unit_test(test_little),
                cmocka_unit_test(test_end_of_little),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
