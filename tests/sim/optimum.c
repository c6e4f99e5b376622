/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans for some hundred random small machines beside the best homes there are: a short run of tests/bench/planner. A seed that it names is looked at
 * with `tests/bench/planner optimum SEED 1 SERVICES`. */
#include "../bench/planner-bench.h"

#define SEED     1u
#define COUNT    600u
#define SERVICES 6u

int main(void) {
        return bench_optimum(SEED, COUNT, SERVICES, false);
}
