/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Demand is smoothed over time and not over cycles; what deep reads found is recalled; services that are gone are forgotten.
 * test-history-moves.c has what moves leave. */
#include "core/history.h"

#include "core/plan.h"
#include "core/util.h"
#include "unit.h"

#define N_IDS 2u

static struct service_sample sample(const char *cgroup, uint64_t bytes, uint64_t cpu_usec, uint64_t window_usec) {
        struct service_sample s;
        service_sample_init(&s);
        assert_int_equal(service_sample_alloc(&s, N_IDS), 0);
        s.cgroup = strdup(cgroup);
        s.bytes_by_node[1] = bytes;
        s.cpu_usec_by_node[0] = cpu_usec;
        s.cpu_window_usec = window_usec;
        return s;
}

static void update(struct history *h, const char *cgroup, uint64_t bytes, uint64_t cpu_usec, uint64_t window, uint64_t now) {
        _cleanup_(service_sample_done) struct service_sample s = sample(cgroup, bytes, cpu_usec, window);
        assert_int_equal(history_update(h, &s, 1, N_IDS, now), 0);
}

static void test_sorted(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        static const char *const names[] = { "/m", "/a", "/z", "/m/x", "/b", "/a" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_non_null(history_get(&h, names[i]));
        assert_int_equal(h.n_entries, 5);
        for (size_t i = 1; i < h.n_entries; i++)
                assert_true(strcmp(h.entries[i - 1].cgroup, h.entries[i].cgroup) < 0);
        assert_ptr_equal(history_find(&h, "/z"), &h.entries[4]);
        assert_null(history_find(&h, "/c"));
        assert_null(history_find(&h, "/zz"));
        struct history empty = { 0 };
        assert_null(history_find(&empty, "/a"));
}

static void test_demand(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        update(&h, "/a", GIB, 0, 0, 100 * USEC_PER_SEC); /* the first look has no window yet */
        assert_false(history_find(&h, "/a")->demand_known);
        update(&h, "/a", GIB, 20 * USEC_PER_SEC, 10 * USEC_PER_SEC, 110 * USEC_PER_SEC);
        assert_int_equal(history_find(&h, "/a")->demand_mcpu, 2000); /* taken as it is */
        update(&h, "/a", GIB, 0, 10 * USEC_PER_SEC, 120 * USEC_PER_SEC);
        uint64_t soon = history_find(&h, "/a")->demand_mcpu;
        assert_in_range(soon, 1600, 1800); /* one quiet cycle hardly counts */
        update(&h, "/a", GIB, 0, 600 * USEC_PER_SEC, 720 * USEC_PER_SEC);
        assert_in_range(history_find(&h, "/a")->demand_mcpu, 1, 200); /* ten quiet minutes do, though one cycle too */
        for (unsigned i = 0; i < 200; i++)
                update(&h, "/a", GIB, 10 * USEC_PER_SEC, 10 * USEC_PER_SEC, (730 + 10 * i) * USEC_PER_SEC);
        assert_in_range(history_find(&h, "/a")->demand_mcpu, 990, 1000);
}

static void test_demand_does_not_depend_on_the_interval(void **state) {
        _cleanup_(history_done) struct history fast = { 0 }, slow = { 0 };
        update(&fast, "/a", 0, 0, USEC_PER_SEC, USEC_PER_SEC);
        update(&slow, "/a", 0, 0, USEC_PER_SEC, USEC_PER_SEC);
        for (unsigned i = 1; i <= 60; i++)
                update(&fast, "/a", 0, USEC_PER_SEC, USEC_PER_SEC, (1 + i) * USEC_PER_SEC);
        for (unsigned i = 1; i <= 6; i++)
                update(&slow, "/a", 0, 10 * USEC_PER_SEC, 10 * USEC_PER_SEC, (1 + 10 * i) * USEC_PER_SEC);
        uint64_t f = history_find(&fast, "/a")->demand_mcpu, s = history_find(&slow, "/a")->demand_mcpu;
        assert_in_range(f, 600, 650); /* 1 − 1/e after one time constant */
        assert_in_range(s, 580, 650);
}

static void test_shares(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        _cleanup_(service_sample_done) struct service_sample s = sample("/a", GIB, 0, 10 * USEC_PER_SEC);
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 1), 0);
        assert_null(history_find(&h, "/a")->share_by_node); /* no threads: nothing is known */
        s.cpu_share_by_node[0] = 1000000;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 2), 0);
        assert_int_equal(history_find(&h, "/a")->share_by_node[0], 1000000);
        s.cpu_share_by_node[0] = 0;
        s.cpu_share_by_node[1] = 1000000;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 3), 0);
        assert_in_range(history_find(&h, "/a")->share_by_node[0], 967000, 968000); /* 10 s of a time constant of 300 */
        assert_in_range(history_find(&h, "/a")->share_by_node[1], 32000, 33000);
        s.cpu_share_by_node[1] = 0; /* no threads now: kept */
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 4), 0);
        assert_in_range(history_find(&h, "/a")->share_by_node[0], 967000, 968000);
}

static void test_deep_reads_are_remembered(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        _cleanup_(service_sample_done) struct service_sample s = sample("/a", GIB, 0, 0);
        struct node_set zero = node_set_of(0);
        assert_int_equal(history_record_placed(&h, "/a", &zero, 1), 0);
        assert_true(history_is_placed(&h, "/a"));
        assert_false(history_is_placed(&h, "/b"));
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 2), 0);
        assert_int_equal(history_find(&h, "/a")->deep_usec, 0);
        s.deep = true;
        s.movable_by_node[1] = GIB - 5 * MIB;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 3), 0);
        assert_int_equal(history_find(&h, "/a")->deep_usec, 3);
        assert_true(history_find(&h, "/a")->fixed_by_node[1] == 5 * MIB); /* not ours to move */
        assert_true(history_find(&h, "/a")->fixed_by_node[0] == 0);
}

/* What others lend it, and it may not move, says nothing of its own memory once it is not counted any more. */
static void test_fixed_and_borrowed(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        _cleanup_(service_sample_done) struct service_sample s = sample("/a", 100 * MIB, 0, 0);
        const unsigned node = 1;
        struct rule mover;
        rule_init(&mover);
        mover.shared_pages = SHARED_PAGES_MOVE;
        s.rule = &mover;
        s.deep = true;
        s.bytes_by_node[node] = GIB + 100 * MIB;
        s.borrowed_by_node[node] = GIB;
        s.movable_by_node[node] = 98 * MIB;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 5), 0);
        s.deep = false;
        assert_true(history_fixed_bytes(&h.entries[0], &s, node) == GIB + 2 * MIB);
        s.bytes_by_node[node] = 100 * MIB;
        s.borrowed_by_node[node] = 0;
        assert_true(history_fixed_bytes(&h.entries[0], &s, node) == 2 * MIB);
        s.bytes_by_node[node] = MIB; /* it has shrunk */
        assert_true(history_fixed_bytes(&h.entries[0], &s, node) == MIB);
        assert_true(history_fixed_bytes(&h.entries[0], &s, N_IDS) == 0);
        /* All of it is off home, and to be looked at. */
        s.bytes_by_node[node] = 100 * MIB;
        s.n_processes = 1;
        h.entries[0].placed = true;
        h.entries[0].home = node_set_of(1 - node);
        assert_true(plan_wants_deep(&s, &h.entries[0], N_IDS, 7));
        rule_done(&mover);
}

static void test_recall(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        _cleanup_(service_sample_done) struct service_sample s = sample("/a", GIB, 0, 0), later = sample("/a", GIB, 0, 0);
        s.processes = calloc(1, sizeof(*s.processes));
        later.processes = calloc(1, sizeof(*later.processes));
        assert_non_null(s.processes);
        assert_non_null(later.processes);
        s.n_processes = later.n_processes = 1;
        s.processes[0] = later.processes[0] = (struct process_ref) { .pid = 7, .start_ticks = 70 };
        s.deep = s.self_managed = s.has_bound_mappings = s.maps_incomplete = s.binds_threads = true;
        s.thread_nodes = node_set_of(2);
        s.own_policy = strdup("bind:0");
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 3), 0);
        assert_int_equal(history_recall(&h, &later, N_IDS), 0);
        assert_true(later.self_managed && later.has_bound_mappings && later.maps_incomplete && later.binds_threads &&
                    !later.deep);
        assert_true(node_set_has(&later.thread_nodes, 2));
        assert_string_equal(later.own_policy, "bind:0");
        assert_int_equal(history_update(&h, &later, 1, N_IDS, 4), 0); /* what was recalled is no news */
        assert_int_equal(history_find(&h, "/a")->deep_usec, 3);
        _cleanup_(history_done) struct history copy = { 0 };
        assert_int_equal(history_copy(&h, &copy), 0);
        assert_string_equal(copy.entries[0].own_policy, "bind:0");
        /* What it borrows: for rules that move it alone. */
        struct rule mover;
        rule_init(&mover);
        mover.shared_pages = SHARED_PAGES_MOVE;
        s.rule = &mover;
        s.borrowed_by_node[1] = 5 * MIB;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 5), 0);
        assert_int_equal(history_recall(&h, &later, N_IDS), 0);
        assert_true(later.borrowed_by_node[1] == 0);
        later.rule = &mover;
        assert_int_equal(history_recall(&h, &later, N_IDS), 0);
        assert_true(later.borrowed_by_node[1] == 5 * MIB && later.bytes_by_node[1] == s.bytes_by_node[1] + 5 * MIB);
        _cleanup_(history_done) struct history second = { 0 };
        assert_int_equal(history_copy(&h, &second), 0);
        assert_true(second.entries[0].borrowed_by_node[1] == 5 * MIB);
        s.borrowed_by_node[1] = 0;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, 6), 0);
        assert_null(history_find(&h, "/a")->borrowed_by_node);
        rule_done(&mover);
        /* Another process under the same name. */
        _cleanup_(service_sample_done) struct service_sample next = sample("/a", GIB, 0, 0);
        next.processes = calloc(1, sizeof(*next.processes));
        assert_non_null(next.processes);
        next.n_processes = 1;
        next.processes[0] = (struct process_ref) { .pid = 7, .start_ticks = 71 };
        assert_int_equal(history_recall(&h, &next, N_IDS), 0);
        assert_false(next.self_managed || next.has_bound_mappings);
        assert_null(next.own_policy);
}

static void test_peak(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        update(&h, "/a", 4 * GIB, 0, 0, USEC_PER_SEC);
        update(&h, "/a", GIB, 0, 0, 61 * USEC_PER_SEC);
        uint64_t peak = history_find(&h, "/a")->peak_bytes;
        assert_true(peak < 4 * GIB && peak > 3 * GIB + 900 * MIB); /* a minute of an hour's time constant */
        update(&h, "/a", 5 * GIB, 0, 0, 71 * USEC_PER_SEC);
        assert_true(history_find(&h, "/a")->peak_bytes == 5 * GIB);
        update(&h, "/a", 0, 0, 0, 100 * 3600 * USEC_PER_SEC);
        assert_true(history_find(&h, "/a")->peak_bytes < 64 * MIB);
}

static void test_forgets(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        update(&h, "/gone", GIB, 0, 0, USEC_PER_SEC);
        update(&h, "/a", GIB, 0, 0, 2 * USEC_PER_SEC);
        assert_int_equal(h.n_entries, 2);
        update(&h, "/a", GIB, 0, 0, USEC_PER_SEC + HISTORY_FORGET_USEC);
        assert_non_null(history_find(&h, "/gone"));
        update(&h, "/a", GIB, 0, 0, 2 * USEC_PER_SEC + HISTORY_FORGET_USEC);
        assert_null(history_find(&h, "/gone"));
        /* A long interval between cycles forgets nobody who is still there. */
        update(&h, "/a", GIB, 0, 0, 3 * HISTORY_FORGET_USEC);
        assert_non_null(history_find(&h, "/a"));
}

/* The more often a home was left, the longer the next is kept; a day of calm makes up for all. */
static void test_patience(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        uint64_t now = USEC_PER_MINUTE, minute = USEC_PER_MINUTE;
        struct node_set homes[] = { node_set_of(0), node_set_of(1) };
        assert_int_equal(history_record_placed(&h, "/a", &homes[0], now), 0);
        const struct history_entry *e = history_find(&h, "/a");
        assert_int_equal(history_patience_usec(e, now), 0); /* the first home is no change */
        assert_int_equal(history_record_placed(&h, "/a", &homes[0], now), 0);
        assert_int_equal(history_patience_usec(e, now), 0); /* nor is the same again */
        for (unsigned i = 1; i <= 12; i++) {
                now += minute;
                assert_int_equal(history_record_placed(&h, "/a", &homes[i % 2], now), 0);
                assert_int_equal(history_patience_usec(e, now), (15 * minute) << (MIN2(i, 6u) - 1));
        }
        assert_int_equal(history_patience_usec(e, now + 239 * minute), (15 * minute) << 5);
        assert_int_equal(history_patience_usec(e, now + 240 * minute), (15 * minute) << 4);
        assert_int_equal(history_patience_usec(e, now + 24 * 60 * minute), 0);
        assert_int_equal(history_patience_usec(e, 0), (15 * minute) << 5); /* a clock that went back */
        /* Twice a day is no restlessness. */
        now += 24 * 60 * minute;
        for (unsigned i = 1; i <= 20; i++) {
                assert_int_equal(history_record_placed(&h, "/a", &homes[i % 2], now), 0);
                assert_int_equal(history_patience_usec(e, now), 15 * minute);
                now += 12 * 60 * minute;
        }
        assert_int_equal(history_record_placed(&h, "/a", &homes[1], now), 0);
        _cleanup_(service_sample_done) struct service_sample s = sample("/a", GIB, 0, 0);
        _cleanup_(rule_done) struct rule rule;
        rule_init(&rule);
        s.rule = &rule;
        assert_int_equal(history_update(&h, &s, 1, N_IDS, now), 0);
        assert_true(history_patience_usec(history_find(&h, "/a"), now) > 0);
        rule.nodes = node_set_of(1);
        assert_int_equal(history_update(&h, &s, 1, N_IDS, now), 0);
        assert_int_equal(history_patience_usec(history_find(&h, "/a"), now), 0);
}

static void test_rule_that_changed(void **state) {
        _cleanup_(history_done) struct history h = { 0 };
        struct service_sample s;
        struct rule r, same;
        service_sample_init(&s);
        rule_init(&r);
        rule_init(&same);
        s.cgroup = strdup("/a");
        assert_int_equal(service_sample_alloc(&s, 2), 0);
        s.rule = &r;
        assert_int_equal(history_update(&h, &s, 1, 2, 100), 0);
        assert_int_equal(history_find(&h, "/a")->since_usec, 100);
        s.rule = &same; /* a reload that says the same */
        same.line = 7;
        assert_int_equal(history_update(&h, &s, 1, 2, 200), 0);
        assert_int_equal(history_find(&h, "/a")->rule_usec, 0);
        same.avoid = node_set_of(1);
        assert_int_equal(history_update(&h, &s, 1, 2, 300), 0);
        assert_int_equal(history_find(&h, "/a")->rule_usec, 300);
        s.rule = NULL;
        assert_int_equal(history_update(&h, &s, 1, 2, 400), 0);
        assert_int_equal(history_find(&h, "/a")->rule_usec, 400);
        assert_int_equal(history_find(&h, "/a")->since_usec, 100);
        service_sample_done(&s);
        rule_done(&r);
        rule_done(&same);
}

static void test_copy(void **state) {
        _cleanup_(history_done) struct history h = { 0 }, copy = { 0 };
        struct node_set one = node_set_of(1), two = node_set_of(2);
        struct service_sample s;
        service_sample_init(&s);
        s.cgroup = strdup("/b");
        s.deep = true;
        assert_int_equal(service_sample_alloc(&s, 3), 0);
        s.cpu_share_by_node[2] = 1000000;
        s.bytes_by_node[1] = MIB;
        assert_int_equal(history_update(&h, &s, 1, 3, 100), 0);
        assert_int_equal(history_record_placed(&h, "/a", &one, 100), 0);
        assert_int_equal(history_copy(&h, &copy), 0);
        assert_int_equal(history_record_placed(&h, "/a", &two, 200), 0);
        s.bytes_by_node[1] = 5 * MIB;
        assert_int_equal(history_update(&h, &s, 1, 3, 200), 0);
        assert_int_equal(copy.n_entries, 2);
        assert_true(node_set_equal(&history_find(&copy, "/a")->home, &one));
        assert_null(history_find(&copy, "/a")->share_by_node);
        assert_int_equal(history_find(&copy, "/b")->share_by_node[2], 1000000);
        assert_true(history_find(&copy, "/b")->fixed_by_node[1] == MIB);
        assert_true(history_find(&h, "/b")->fixed_by_node[1] == 5 * MIB);
        service_sample_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sorted),
                cmocka_unit_test(test_demand),
                cmocka_unit_test(test_demand_does_not_depend_on_the_interval),
                cmocka_unit_test(test_shares),
                cmocka_unit_test(test_deep_reads_are_remembered),
                cmocka_unit_test(test_fixed_and_borrowed),
                cmocka_unit_test(test_recall),
                cmocka_unit_test(test_peak),
                cmocka_unit_test(test_forgets),
                cmocka_unit_test(test_patience),
                cmocka_unit_test(test_rule_that_changed),
                cmocka_unit_test(test_copy),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
