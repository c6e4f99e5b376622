/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine most of whose memory is set aside for hugetlb pages, as databases have it: nodes are full, but for the pages in their pools. */
#include "manager-fixture.h"
#include "transition.h"

/* Its pages come out of the pool of the node that they go to: that there is nothing else free there is no reason to hold back. */
static void test_nodes_are_full_but_for_pools(void **state) {
        fx.host.has_cpuset = false; /* its pages alone */
        fx.moves = fx.pools = fx.sees_nodes = true;
        fx.migrate_rate_bytes = 64 * MIB;
        fx.slice_bytes = 2 * MIB;
        fx.services[0] = "managed.service";
        fx_start_manager();
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.manager->n_transitions, 1);
        assert_true(fx.moved_bytes > GIB / 2);
        assert_int_equal(LIST_FIRST(&fx.manager->transitions)->held_usec[HOLD_ROOM], 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_nodes_are_full_but_for_pools),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
