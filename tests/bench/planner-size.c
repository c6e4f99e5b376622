/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long plans take, and how that grows. CPU time of one core, medians; beside it what it takes to read the same samples once and to sort the services
 * by size, which any plan has to do at the least. Times are printed, never asserted. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "planner-bench.h"

#define RUNS       5u
#define CYCLES     10u
#define POINTS_MAX 8u

struct timing {
        double first, settled, changed, reference; /* seconds */
        double cost;                               /* of the first plan, per weight: plan_score() */
        size_t n_acts;                             /* placements acted upon at first */
};

static double now(void) {
        struct timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;
        return (x > y) - (x < y);
}

static double median(double *values, unsigned n) {
        qsort(values, n, sizeof *values, ascending);
        return values[n / 2];
}

static void observe(struct world *w) {
        if (history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec) < 0)
                abort();
}

static struct plan *make_plan(const struct world *w) {
        struct plan_input in = world_input(w);
        struct plan *p;
        if (plan_make(&in, &p) < 0)
                abort();
        return p;
}

static double median_plan(const struct world *w) {
        double times[RUNS];
        for (unsigned i = 0; i < RUNS; i++) {
                double start = now();
                struct plan *p = make_plan(w);
                times[i] = now() - start;
                plan_free(p);
        }
        return median(times, RUNS);
}

/* One service now uses more and has more memory; another one each time. */
static double median_changed(struct world *w, uint64_t seed) {
        double times[RUNS];
        struct plan *before = make_plan(w);
        for (unsigned i = 0; i < RUNS; i++) {
                size_t changed = random_below(&seed, w->n_samples);
                struct service_sample *s = &w->samples[changed];
                unsigned node = (unsigned) random_below(&seed, w->topology->n_ids);
                world_cpu(w, s, node, (double) s->cpu_usec_by_node[node] / (double) s->cpu_window_usec + 2);
                world_memory(w, s, node, MIN2(s->bytes_by_node[node] + 512 * MIB, w->machine.nodes[node].bytes_free / 2));
                w->now_usec += 10 * USEC_PER_SEC;
                observe(w);
                struct plan_input in = world_input(w);
                struct plan *p;
                double start = now();
                if (plan_update(&in, before, &changed, 1, &p) < 0)
                        abort();
                times[i] = now() - start;
                plan_free(before);
                before = p;
        }
        plan_free(before);
        return median(times, RUNS);
}

static int larger_first(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;
        return (x[0] < y[0]) - (x[0] > y[0]);
}

/* Reads every number of every sample once, and sorts the services by what they have. */
static double median_reference(const struct world *w) {
        double times[RUNS];
        uint64_t(*keys)[2] = calloc(w->n_samples + 1, sizeof *keys);
        if (!keys)
                abort();
        for (unsigned run = 0; run < RUNS; run++) {
                double start = now();
                for (size_t i = 0; i < w->n_samples; i++) {
                        const struct service_sample *s = &w->samples[i];
                        uint64_t sum = 0;
                        for (unsigned n = 0; n < w->topology->n_ids; n++)
                                sum += s->bytes_by_node[n] + s->movable_by_node[n] + s->hugetlb_movable_by_node[n] +
                                       s->cpu_usec_by_node[n] + s->cpu_share_by_node[n];
                        keys[i][0] = sum;
                        keys[i][1] = i;
                }
                qsort(keys, w->n_samples, sizeof *keys, larger_first);
                times[run] = now() - start;
        }
        free(keys);
        return median(times, RUNS);
}

/* What is due is done; two minutes later everybody is looked at again. Without the checks of world_plan(), which take far longer than a plan. */
static void settle(struct world *w) {
        struct plan *p = make_plan(w);
        world_apply(w, p);
        plan_free(p);
        w->now_usec += 120 * USEC_PER_SEC;
        observe(w);
}

static double cost_of(const struct world *w, const struct plan *p) {
        struct node_set *homes = calloc(p->n_placements + 1, sizeof *homes);
        struct plan_input in = world_input(w);
        struct plan_score score;
        if (!homes)
                abort();
        for (size_t i = 0; i < p->n_placements; i++)
                homes[i] = p->placements[i].home;
        if (plan_score(&in, homes, &score) < 0)
                abort();
        free(homes);
        return score.cost / score.weight;
}

static struct timing measure(unsigned n_nodes, unsigned n_services, enum large_kind kind) {
        struct world *w = large_world(1, n_nodes, n_services, kind);
        struct timing t = { 0 };
        observe(w);
        w->now_usec +=
                120 * USEC_PER_SEC; /* what runs anywhere has been seen where it is for a while: it stays there in this world */
        observe(w);
        struct plan *p = make_plan(w); /* and warms up */
        for (size_t i = 0; i < p->n_placements; i++)
                t.n_acts += p->placements[i].act;
        t.cost = cost_of(w, p);
        plan_free(p);
        t.first = median_plan(w);
        t.reference = median_reference(w);
        for (unsigned i = 0; i < CYCLES; i++)
                settle(w);
        t.settled = median_plan(w);
        t.changed = median_changed(w, 1);
        world_free(w);
        return t;
}

/* Least squares in logarithms: time grows as n to the power of this. */
static double exponent(const double *n, const double *seconds, unsigned count) {
        double sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (unsigned i = 0; i < count; i++) {
                double x = log(n[i]), y = log(seconds[i]);
                sx += x;
                sy += y;
                sxx += x * x;
                sxy += x * y;
        }
        return (count * sxy - sx * sy) / (count * sxx - sx * sx);
}

static const char *const kinds[N_LARGE_KINDS] = {
        [LARGE_COMPACT] = "compact services alone",
        [LARGE_MIXED] = "all kinds of rules",
        [LARGE_BUSY] = "more wanted than all cores",
        [LARGE_OVERLOADED] = "more wanted than all CPUs",
};

static void print_header(const char *what) {
        printf("# %s\n# %6s %8s %8s %8s %10s %10s %10s %10s %10s\n", what, "nodes", "services", "changes", "cost", "first ms",
               "settled ms", "changed ms", "read ms", "first/read");
}

static void print_timing(unsigned n_nodes, unsigned n_services, const struct timing *t) {
        printf("# %6u %8u %8zu %8.3f %10.2f %10.2f %10.2f %10.3f %10.1f\n", n_nodes, n_services, t->n_acts, t->cost,
               t->first * 1e3, t->settled * 1e3, t->changed * 1e3, t->reference * 1e3, t->first / t->reference);
        fflush(stdout);
}

static void grow(const char *what, const unsigned (*points)[2], unsigned n_points, unsigned which, enum large_kind kind) {
        double n[POINTS_MAX], first[POINTS_MAX], settled[POINTS_MAX], changed[POINTS_MAX];
        print_header(what);
        for (unsigned i = 0; i < n_points; i++) {
                struct timing t = measure(points[i][0], points[i][1], kind);
                print_timing(points[i][0], points[i][1], &t);
                n[i] = points[i][which];
                first[i] = t.first;
                settled[i] = t.settled;
                changed[i] = t.changed;
        }
        printf("# grows with the power of: first %.2f, settled %.2f, changed %.2f\n", exponent(n, first, n_points),
               exponent(n, settled, n_points), exponent(n, changed, n_points));
}

int bench_size_of(unsigned n_nodes, unsigned n_services) {
        for (enum large_kind kind = 0; kind < N_LARGE_KINDS; kind++) {
                struct timing t = measure(n_nodes, n_services, kind);
                print_header(kinds[kind]);
                print_timing(n_nodes, n_services, &t);
        }
        return 0;
}

int bench_size(bool quick) {
        static const unsigned small[][2] = { { 4, 250 }, { 16, 250 }, { 32, 500 } },
                              nodes[][2] = { { 4, 2000 }, { 8, 2000 }, { 16, 2000 }, { 32, 2000 }, { 64, 2000 }, { 128, 2000 } },
                              services[][2] = { { 64, 125 }, { 64, 250 }, { 64, 500 }, { 64, 1000 }, { 64, 2000 }, { 64, 4000 } };
        if (quick) {
                for (enum large_kind kind = 0; kind < N_LARGE_KINDS; kind++)
                        grow(kinds[kind], small, ARRAY_SIZE(small), 0, kind);
                return 0;
        }
        for (enum large_kind kind = 0; kind < N_LARGE_KINDS; kind++) {
                char *by_nodes = format_string("%s, by nodes", kinds[kind]),
                     *by_services = format_string("%s, by services", kinds[kind]);
                grow(by_nodes ? by_nodes : "", nodes, ARRAY_SIZE(nodes), 0, kind);
                grow(by_services ? by_services : "", services, ARRAY_SIZE(services), 1, kind);
                free(by_nodes);
                free(by_services);
        }
        return 0;
}
