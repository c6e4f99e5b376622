/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A simulated machine with one process, as a directory that the mover reads and a kernel that it calls. */
#pragma once

#include "act/mover-internal.h"

#include "act-fixture.h"
#include "act/simulated.h"

#define CGROUP "/system.slice/x.service"
#define PID    100
#define BASE   0x10000000ull
#define HUGE   (2 * MIB)

static struct fixture fx;
static struct simulated *sim;
static struct act act;
static bool with_pagemap;
static uint64_t room[4];
static uint32_t weights[4];
static bool use_weights;
static struct move_goal goal_of_test; /* how, what it needs, move_shared; the rest make() fills in */
static bool override_policy;

static inline int setup_with(bool pagemap) {
        fixture_new(&fx);
        assert_int_equal(simulated_new(4, 2, &sim), 0);
        simulated_act(sim, &act);
        assert_int_equal(simulated_add_process(sim, PID, CGROUP), 0);
        fixture_write(&fx, "sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
        with_pagemap = pagemap;
        use_weights = override_policy = false;
        goal_of_test = (struct move_goal) { 0 };
        for (size_t i = 0; i < ARRAY_SIZE(room); i++)
                room[i] = UINT64_MAX;
        return 0;
}

static inline int setup(void **state) {
        return setup_with(true);
}

static inline int setup_without_pagemap(void **state) {
        return setup_with(false);
}

/* As from Linux 6.7, where the kernel tells what is present and what is huge. */
static inline int setup_with_scan(void **state) {
        setup_with(true);
        simulated_knobs(sim)->scans = true;
        return 0;
}

static inline int teardown(void **state) {
        simulated_free(sim);
        fixture_done(&fx);
        return 0;
}

static inline void add(pid_t pid, uint64_t start, size_t n_pages, int node) {
        struct simulated_mapping m = { .start = start, .n_pages = n_pages, .node = node };
        assert_int_equal(simulated_add_mapping(sim, pid, &m), 0);
}

static inline struct mover *make(const char *home, const struct process_ref *processes, size_t n) {
        struct mover *m;
        struct move_goal goal = goal_of_test;
        goal.room_bytes = room;
        goal.weight_by_node = use_weights ? weights : NULL;
        goal.respect_own_policy = !override_policy;
        static const struct process_ref one = { PID, PID + 1000 };
        assert_int_equal(node_set_parse(home, &goal.home), 0);
        assert_int_equal(simulated_write_proc(sim, fx.host.root_fd, with_pagemap), 0);
        assert_int_equal(mover_new(&act, &fx.host, simulated_topology(sim), CGROUP, processes ? processes : &one,
                                   processes ? n : 1, &goal, &m),
                         0);
        m->slice_limit_usec = m->load_limit_usec = UINT64_MAX;
        return m;
}

static inline int run(struct mover *m, uint64_t budget_bytes) {
        for (unsigned i = 0; i < 100000; i++) {
                int r = mover_slice(m, budget_bytes);
                if (r <= 0)
                        return r;
        }
        fail_msg("the mover does not come to an end");
        return 0;
}

static inline struct move_result move_home(const char *home, int expected) {
        struct mover *m = make(home, NULL, 0);
        assert_int_equal(run(m, 4 * MIB), expected);
        struct move_result r = *mover_result(m);
        mover_free(m);
        return r;
}

#define PAGEMAP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SCAN(f)    cmocka_unit_test_setup_teardown(f, setup_with_scan, teardown)
#define ALL(f)     PAGEMAP(f), cmocka_unit_test_setup_teardown(f, setup_without_pagemap, teardown), SCAN(f)
