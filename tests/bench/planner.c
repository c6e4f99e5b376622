/* SPDX-License-Identifier: GPL-2.0-or-later */
/* planner [optimum [SEED [COUNT [SERVICES]]]] [size [quick | NODES SERVICES]]: see README.md. Without arguments: both, in full. */
#include <stdio.h>
#include <string.h>

#include "planner-bench.h"

#define COUNT_DEFAULT 4000u
#define COUNT_MAX     1000000u
#define NODES_MAX     128u /* of 64 CPUs each: ids of CPUs end there */
#define SERVICES_MAX  100000u

static int usage(void) {
        fprintf(stderr, "usage: planner [optimum [SEED [COUNT [SERVICES]]] | size [quick | NODES SERVICES]]\n");
        return 2;
}

int main(int argc, char **argv) {
        uint64_t seed = 1, count = COUNT_DEFAULT, services = SMALL_SERVICES;
        bool all = argc == 1, optimum = all || strcmp(argv[1], "optimum") == 0, size = all || strcmp(argv[1], "size") == 0;
        if (!optimum && !size)
                return usage();
        if (optimum && ((argc > 2 && parse_u64(argv[2], &seed) < 0) || (argc > 3 && parse_u64(argv[3], &count) < 0) ||
                        (argc > 4 && parse_u64(argv[4], &services) < 0) || count == 0 || count > COUNT_MAX || services == 0 ||
                        services > SMALL_SERVICES))
                return usage();
        int r = optimum ? bench_optimum(seed, count, (unsigned) services, count == 1) : 0;
        fflush(stdout);
        if (size && argc > 3) {
                uint64_t n_nodes, n_services;
                if (parse_u64(argv[2], &n_nodes) < 0 || parse_u64(argv[3], &n_services) < 0 || n_nodes == 0 ||
                    n_nodes > NODES_MAX || n_services == 0 || n_services > SERVICES_MAX)
                        return usage();
                return bench_size_of((unsigned) n_nodes, (unsigned) n_services);
        }
        if (size && bench_size(argc > 2 && strcmp(argv[2], "quick") == 0) != 0)
                r = 1;
        return r;
}
