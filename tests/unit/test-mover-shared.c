/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover and pages that several processes map: moved where all of them are of the service, or of a companion with the same home, and told to; left
 * alone where anybody else is among them. */
#include "host/maps.h"
#include "host/numa-maps.h"
#include "mover-fixture.h"

#define OTHER_PID 101

struct numa_maps_parser *__real_numa_maps_parser_new(unsigned n_ids, uint64_t page_bytes, numa_maps_callback callback,
                                                     void *userdata);
struct numa_maps_parser *__wrap_numa_maps_parser_new(unsigned n_ids, uint64_t page_bytes, numa_maps_callback callback,
                                                     void *userdata);

static const char *ends; /* is gone once numa_maps is read; NULL: nothing */

struct numa_maps_parser *__wrap_numa_maps_parser_new(unsigned n_ids, uint64_t page_bytes, numa_maps_callback callback,
                                                     void *userdata) {
        if (ends)
                assert_int_equal(unlinkat(fx.host.root_fd, ends, 0), 0);
        ends = NULL;
        return __real_numa_maps_parser_new(n_ids, page_bytes, callback, userdata);
}

static void assert_pages(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t expected[4] = { a, b, c, d };
        for (unsigned n = 0; n < 4; n++)
                assert_int_equal(simulated_pages_on(sim, PID, n), expected[n]);
}

/* Two processes map a file of 1000 pages; `mapmax`: how often the kernel says that its pages are mapped. */
static struct move_result move_shared(uint64_t mapmax, bool told) {
        static const struct process_ref both[] = { { PID, PID + 1000 }, { OTHER_PID, OTHER_PID + 1000 } };
        struct simulated_mapping m = {
                .start = BASE, .n_pages = 1000, .node = 1, .name = "/dev/zero\\040(deleted)", .inode = 77, .mapmax = mapmax
        };
        assert_int_equal(simulated_add_process(sim, OTHER_PID, CGROUP), 0);
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        for (size_t i = 0; i < 1000; i++)
                simulated_page(sim, PID, BASE + i * 4096)->shared = true;
        assert_int_equal(simulated_share_mapping(sim, PID, BASE, OTHER_PID), 0);
        add(PID, BASE + 64 * MIB, 10, 1);
        goal_of_test.move_shared = told;
        struct mover *mover = make("0", both, 2);
        assert_int_equal(run(mover, 4 * MIB), 0);
        struct move_result r = *mover_result(mover);
        mover_free(mover);
        return r;
}

static void test_shared_by_the_service_alone(void **state) {
        struct move_result r = move_shared(2, true);
        assert_pages(1010, 0, 0, 0);
        assert_int_equal(r.moved_pages, 1010); /* once, though both map it */
        assert_int_equal(r.asked_pages, 1010);
        assert_int_equal(r.failed_shared, 0);
}

static void test_shared_with_others(void **state) {
        struct move_result r = move_shared(3, true);
        assert_pages(10, 1000, 0, 0);
        assert_int_equal(r.moved_pages, 10);
        assert_int_equal(r.failed_shared, 2000); /* seen from each of the two */
}

/* A process that was forked after it was read who maps what, as a database's connections are: looked at again, and what it maps as well is moved. */
static void meet_a_newcomer(bool aside) {
        enum { NEWCOMER_PID = 102 };
        static const struct process_ref newcomer = { NEWCOMER_PID, NEWCOMER_PID + 1000 };
        static const struct process_ref both[] = { { PID, PID + 1000 }, { OTHER_PID, OTHER_PID + 1000 } };
        struct simulated_mapping m = { .start = BASE + 64 * MIB,
                                       .n_pages = 1000,
                                       .node = 1,
                                       .name = "/dev/zero\\040(deleted)",
                                       .inode = 77,
                                       .mapmax = 2,
                                       .map_shared = true };
        add(PID, BASE, 1000, 1);
        assert_int_equal(simulated_add_process(sim, OTHER_PID, CGROUP), 0);
        assert_int_equal(simulated_add_mapping(sim, OTHER_PID, &m), 0);
        for (size_t i = 0; i < 1000; i++)
                simulated_page(sim, OTHER_PID, m.start + i * 4096)->shared = true;
        goal_of_test.move_shared = true;
        goal_of_test.aside = &newcomer;
        goal_of_test.n_aside = aside;
        struct mover *mover = make("0", both, 2);
        goal_of_test.aside = NULL;
        goal_of_test.n_aside = 0;
        assert_int_equal(mover_slice(mover, 4096), 1); /* of the first, which shares nothing */
        assert_non_null(mover->mappers);
        assert_int_equal(simulated_add_process(sim, NEWCOMER_PID, CGROUP), 0);
        assert_int_equal(simulated_share_mapping(sim, OTHER_PID, m.start, NEWCOMER_PID), 0);
        fixture_write(&fx, "cg" CGROUP "/cgroup.procs", "100\n101\n102\n");
        assert_int_equal(simulated_write_proc(sim, fx.host.root_fd, with_pagemap), 0);
        assert_int_equal(run(mover, 4 * MIB), 0);
        assert_int_equal(mover->n_mappers_again, 1);
        assert_int_equal(mover_result(mover)->failed_shared, aside ? 1000 : 0);
        assert_int_equal(simulated_pages_on(sim, OTHER_PID, 0), aside ? 0 : 1000);
        mover_free(mover);
}

static void test_shared_with_a_newcomer(void **state) {
        meet_a_newcomer(false);
}

/* It hangs, and its maps are not read: a stranger. */
static void test_shared_with_one_aside(void **state) {
        meet_a_newcomer(true);
}

/* One that ends once it was counted how often memory is mapped, and so is missing from then on. */
static void test_shared_with_one_that_ends(void **state) {
        ends = "proc/101/maps";
        struct move_result r = move_shared(2, true);
        assert_pages(1010, 0, 0, 0);
        assert_int_equal(r.moved_pages, 1010);
}

/* Memory that others map, again and again: looked at again where somebody has come, so often and no more. */
static void meet_strangers(bool crowd) {
        struct process_ref processes[2 + MAPPERS_AGAIN_MAX];
        for (size_t i = 0; i < ARRAY_SIZE(processes); i++) {
                processes[i] = (struct process_ref) { PID + (pid_t) i, PID + (pid_t) i + 1000 };
                assert_true(i == 0 || simulated_add_process(sim, processes[i].pid, CGROUP) == 0);
                struct simulated_mapping m = { .start = BASE,
                                               .n_pages = 10,
                                               .node = 1,
                                               .name = "/dev/shm/all",
                                               .inode = 77,
                                               .mapmax = 99,
                                               .map_shared = true };
                assert_int_equal(simulated_add_mapping(sim, processes[i].pid, &m), 0);
                for (size_t k = 0; k < 10; k++)
                        simulated_page(sim, processes[i].pid, BASE + k * 4096)->shared = true;
        }
        struct strbuf b = { 0 };
        for (unsigned i = 0; i <= NEWCOMERS_MAX; i++) /* more than are looked at: there is always somebody who was not */
                strbuf_printf(&b, "%u\n", 5000 + i);
        _cleanup_free_ char *text = strbuf_steal(&b);
        assert_non_null(text);
        fixture_write(&fx, "cg" CGROUP "/cgroup.procs", crowd ? text : "100\n101\n");
        goal_of_test.move_shared = true;
        struct mover *mover = make("0", processes, ARRAY_SIZE(processes));
        assert_int_equal(run(mover, 4 * MIB), 0);
        assert_int_equal(mover->n_mappers_again, crowd ? MAPPERS_AGAIN_MAX : 0);
        assert_int_equal(mover_result(mover)->shared_unsure, crowd);
        assert_int_equal(mover_result(mover)->moved_pages, 0);
        mover_free(mover);
}

static void test_shared_with_strangers(void **state) {
        meet_strangers(false);
}

static void test_shared_with_a_crowd(void **state) {
        meet_strangers(true);
}

/* The other is of another service, which goes to the same nodes: moved once, and found there by the other's mover. */
static void test_shared_with_a_companion(void **state) {
        static const struct process_ref both[] = { { PID, PID + 1000 }, { OTHER_PID, OTHER_PID + 1000 } };
        static const struct {
                bool told;
                const char *cgroup; /* where the companion is thought to be */
                unsigned mover;     /* whose */
                size_t moves;
        } turns[] = { { false, CGROUP, 0, 0 }, { true, "/elsewhere", 0, 0 }, { true, CGROUP, 0, 1000 }, { true, CGROUP, 1, 0 } };
        struct simulated_mapping m = {
                .start = BASE, .n_pages = 1000, .node = 1, .name = "/dev/shm/both", .inode = 77, .mapmax = 2
        };
        assert_int_equal(simulated_add_process(sim, OTHER_PID, CGROUP), 0);
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        for (size_t i = 0; i < 1000; i++)
                simulated_page(sim, PID, BASE + i * 4096)->shared = true;
        assert_int_equal(simulated_share_mapping(sim, PID, BASE, OTHER_PID), 0);
        goal_of_test.move_shared = true;
        for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
                struct process_ref other = both[1 - turns[i].mover];
                struct companion x = { .cgroup = (char *) turns[i].cgroup, .processes = &other, .n_processes = 1 };
                const struct companions companions = { .items = &x, .n_items = 1, .n_processes = 1 };
                goal_of_test.companions = turns[i].told ? &companions : NULL;
                struct mover *mover = make("0", &both[turns[i].mover], 1);
                goal_of_test.companions = NULL;
                assert_int_equal(run(mover, 4 * MIB), 0);
                assert_int_equal(mover_result(mover)->moved_pages, turns[i].moves);
                if (with_pagemap || turns[i].moves > 0) /* which tells what others map */
                        assert_int_equal(mover_result(mover)->asked_pages, turns[i].moves);
                mover_free(mover);
        }
        assert_pages(1000, 0, 0, 0);
}

/* Whoever hangs while maps are read: who is read says whether it is one of the service's own (host/maps.h). */
static void test_whose_maps_are_read(void **state) {
        static const struct process_ref own = { PID, PID + 1000 };
        struct process_ref other = { OTHER_PID, OTHER_PID + 1000 };
        struct companion x = { .cgroup = (char *) CGROUP, .processes = &other, .n_processes = 1 };
        const struct companions companions = { .items = &x, .n_items = 1, .n_processes = 1 };
        assert_int_equal(simulated_add_process(sim, OTHER_PID, CGROUP), 0);
        add(PID, BASE, 1000, 1);
        goal_of_test.move_shared = true;
        goal_of_test.companions = &companions;
        struct mover *mover = make("0", &own, 1);
        goal_of_test.companions = NULL;
        assert_int_equal(mover_waits_for_companion(mover), 0);
        atomic_store(&mover->reading.number, 1);
        assert_int_equal(mover_waits_for_companion(mover), 0);
        atomic_store(&mover->reading.number, 2);
        assert_int_equal(mover_waits_for_companion(mover), 1);
        assert_int_equal(mover_slice(mover, 4096), 1); /* it has read them, and moves */
        assert_int_equal(mover_waits_for_companion(mover), 0);
        mover_free(mover);
}

static void test_shared_pages_stay_unless_told(void **state) {
        struct move_result r = move_shared(2, false);
        assert_pages(10, 1000, 0, 0);
        assert_int_equal(r.moved_pages, 10);
}

/* One page of its mapping is another's, too: that one stays, and the others move, huge or not. */
static void test_one_shared_page_of_many(void **state) {
        struct simulated_mapping m = { .start = BASE, .n_pages = 4 * 512, .node = 1, .mapmax = 2, .thp = true };
        assert_int_equal(simulated_add_mapping(sim, PID, &m), 0);
        for (size_t i = 0; i < 512; i++)
                simulated_page(sim, PID, BASE + i * 4096)->thp = false;
        simulated_page(sim, PID, BASE + 7 * 4096)->shared = true;
        struct move_result r = move_home("0", 0);
        assert_pages(4 * 512 - 1, 1, 0, 0);
        assert_int_equal(r.moved_pages, 4 * 512 - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ALL(test_shared_by_the_service_alone),   ALL(test_shared_with_others),        ALL(test_shared_with_a_newcomer),
                ALL(test_shared_with_one_aside),         ALL(test_shared_with_one_that_ends), ALL(test_shared_with_a_crowd),
                ALL(test_shared_with_strangers),         ALL(test_shared_with_a_companion),   PAGEMAP(test_whose_maps_are_read),
                ALL(test_shared_pages_stay_unless_told), ALL(test_one_shared_page_of_many),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
