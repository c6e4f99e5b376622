/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans for some hundred random small machines beside the best homes there are: a short run of tests/bench/planner. A seed that it names is looked at
 * with `tests/bench/planner optimum SEED 1 SERVICES`. */
#include "../bench/planner-bench.h"

#define SEED     1u
#define COUNT    600u
#define SERVICES 6u

/* Machines where something went wrong once, with what was wrong. */
static const uint64_t once_wrong[] = {
        2051, 2959,  3194,  3318,  /* a home without CPUs */
        170,  415,                 /* weaker ones stayed beside one that gave way to a stronger */
        1066, 1601,  2467,         /* no room was left for memory that follows */
        1934, 11917, 12319, 13446, /* one controller for all memory that follows */
};

int main(void) {
        int failed = bench_optimum(SEED, COUNT, SERVICES, false);
        for (size_t i = 0; i < ARRAY_SIZE(once_wrong); i++)
                failed |= bench_optimum(once_wrong[i], 1, SMALL_SERVICES, true);
        return failed;
}
