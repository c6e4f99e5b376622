/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of two options is better, by how much, and how little is not worth a move. */
#include "core/plan-internal.h"

#define MIN_GAIN_LEAST  0.01        /* whatever the rule says: below this lies noise */
#define TOLERATED_SHARE 500         /* 1/500 of the resident bytes … */
#define TOLERATED_BYTES (256 * KIB) /* … or this much may be off home */

bool option_fits(const struct option *o) {
        return o->fits_memory && o->fits_cpus;
}

/* Compared as lists of ids: the one that has the lowest id which the other has not. */
static bool ids_lower(const struct node_set *a, const struct node_set *b) {
        struct node_set only_a = node_set_subtract(a, b), only_b = node_set_subtract(b, a);
        int first_a = node_set_next(&only_a, 0), first_b = node_set_next(&only_b, 0);
        return first_b < 0 ? false : first_a < 0 ? true : first_a < first_b;
}

bool option_better(const struct job *j, const struct option *a, const struct option *b) {
        int rank_a = a->fits_memory + option_fits(a), rank_b = b->fits_memory + option_fits(b);
        if (rank_a != rank_b)
                return rank_a > rank_b;
        if (a->cost < b->cost - COST_EPSILON || a->cost > b->cost + COST_EPSILON)
                return a->cost < b->cost;
        if (j->has_home) {
                bool home_a = node_set_equal(&a->nodes, &j->home), home_b = node_set_equal(&b->nodes, &j->home);
                if (home_a != home_b)
                        return home_a;
        }
        if (a->bytes_off != b->bytes_off)
                return a->bytes_off < b->bytes_off;
        return ids_lower(&a->nodes, &b->nodes);
}

double distance_gain(double before, double after) {
        return before > 0 ? (before - after) / before : 0;
}

double option_gain(double cost_a, double distance_a, const struct option *b) {
        if (cost_a <= 0 || b->cost >= cost_a)
                return 0;
        double by_cost = (cost_a - b->cost) / cost_a;
        return MAX2(by_cost, distance_gain(distance_a, b->distance));
}

double job_min_gain(const struct job *j) {
        double min = j->rule->min_gain_permille / 1000.0;
        return MAX2(min, MIN_GAIN_LEAST);
}

uint64_t job_tolerated_bytes(const struct job *j) {
        uint64_t few = MAX2(j->bytes / TOLERATED_SHARE, (uint64_t) TOLERATED_BYTES);
        if (job_divides(j) && j->stray_bytes <= few)
                return division_tolerated_bytes(j->rule, j->movable_bytes);
        return few;
}
