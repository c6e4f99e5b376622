/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans for random small machines beside the best homes that there are. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "planner-bench.h"

#define MEAN_MOST       1.01
#define WORST_MOST      1.10
#define CHECKS          12u /* random homes, by which the scorer's judgement of constraints is held to the one made here */
#define TRIED_ALL_LIMIT 3u  /* services: with so few every set is also tried without leaving anything out */
#define SETTLE_CYCLES   40u
#define STAYING_EVERY   5u /* every fifth instance is one where hysteresis may leave services where they are */

/* Ratios to the optimum, one column of the table. */
struct column {
        const char *name;
        double *ratio;
        uint64_t *seed;
        size_t n, n_none; /* that have a ratio; where nothing valid was found though there is */
};

enum { PLAN, FOLLOW, SETTLED, STAYING, GREEDY, RANDOM, STAY, N_COLUMNS };

struct tally {
        struct column columns[N_COLUMNS];
        unsigned long count, n_feasible, n_infeasible, n_exact, n_breaches, n_own_broken, n_unproven, n_disagreements,
                n_search_differs;
        unsigned long n_later; /* settled in homes that had no room at the start */
        unsigned long n_left_infeasible, n_owed_infeasible;
        uint64_t n_scored, most_scored;
        double plan_seconds;
        bool verbose;
};

static void complain(uint64_t seed, const struct world *w, const struct plan *p, const struct optimum *o, const char *what) {
        printf("seed %" PRIu64 ": %s\n", seed, what);
        for (size_t i = 0; i < w->n_samples; i++) {
                char *text = service_describe(w, i), *home = node_set_format(&p->placements[i].home);
                char *best = o && o->found ? node_set_format(&o->homes[i]) : NULL;
                printf("    %s\n        home [%s] best [%s]: %s\n", text ? text : "", home ? home : "", best ? best : "",
                       p->placements[i].reason);
                free(text);
                free(home);
                free(best);
        }
}

static void add_ratio(struct column *c, double ratio, uint64_t seed) {
        c->ratio[c->n] = ratio;
        c->seed[c->n++] = seed;
}

static void homes_of_plan(const struct world *w, const struct plan *p, const struct plan_scorer *s, struct node_set *ret) {
        for (size_t i = 0; i < p->n_placements; i++)
                ret[i] = is_judged(w, s, i) ? p->placements[i].home : (struct node_set) { 0 };
}

/* Whatever cannot hold, no service has a home that its own rule forbids. */
static void check_own_rules(struct tally *t, uint64_t seed, const struct world *w, const struct plan *p,
                            const struct node_set *homes) {
        for (size_t i = 0; i < w->n_samples; i++) {
                if (node_set_is_empty(&homes[i]) || !own_rule_breaks(w, i, &homes[i]))
                        continue;
                t->n_own_broken++;
                complain(seed, w, p, NULL, "a home that the service's own rule forbids");
        }
}

/* The scorer's count of what is broken beside one made from the manual page. */
static void check_scorer(struct tally *t, uint64_t seed, const struct rulebook *b, struct plan_scorer *s) {
        struct node_set homes[SMALL_SERVICES], all = topology_nodes(b->w->topology);
        for (unsigned n = 0; n < CHECKS; n++) {
                uint64_t random = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
                struct plan_score score;
                for (size_t i = 0; i < b->w->n_samples; i++) {
                        homes[i] = (struct node_set) { 0 };
                        NODE_SET_FOREACH (id, &all)
                                if (is_judged(b->w, s, i) && chance(&random, n < 6 ? 25 : 50))
                                        node_set_add(&homes[i], (unsigned) id);
                }
                if (plan_scorer_score(s, homes, &score) < 0)
                        abort();
                char *why = rulebook_check_score(b, s, homes, &score);
                if (why) {
                        t->n_disagreements++;
                        printf("seed %" PRIu64 ": %s\n", seed, why);
                }
                free(why);
        }
}

/* Carried out and left to settle: where all are then, by what it was worth at the start. */
static void settle(struct world *w, const struct plan_scorer *s, struct node_set *ret) {
        for (unsigned i = 0; i < SETTLE_CYCLES; i++)
                (void) world_cycle(w, 60 * USEC_PER_SEC);
        struct plan *p = world_plan(w);
        homes_of_plan(w, p, s, ret);
        plan_free(p);
}

static void count_infeasible(struct tally *t, const struct world *w, const struct plan_scorer *s, const struct node_set *homes) {
        t->n_infeasible++;
        for (size_t i = 0; i < w->n_samples; i++)
                if (is_judged(w, s, i) && service_is_bound(w, i)) {
                        t->n_owed_infeasible++;
                        t->n_left_infeasible += node_set_is_empty(&homes[i]);
                }
}

static void judge_rivals(struct tally *t, uint64_t seed, const struct rulebook *b, struct plan_scorer *s,
                         const struct node_set *planned, double best) {
        struct node_set homes[SMALL_SERVICES];
        uint64_t random = seed;
        double cost;
        for (unsigned c = GREEDY; c <= STAY; c++) {
                memcpy(homes, planned, sizeof homes);
                bool ok = c == GREEDY   ? rival_greedy(b, s, homes, &cost)
                          : c == RANDOM ? rival_random(b, s, &random, homes, &cost)
                                        : rival_stay(b, s, homes, &cost);
                if (ok)
                        add_ratio(&t->columns[c], cost / best, seed);
                else
                        t->columns[c].n_none++;
        }
}

/* Its memory goes to its threads by distance, and only where that pays: by rule, whatever it costs otherwise. */
static bool any_follows(const struct world *w, const struct plan_scorer *s) {
        bool any = false;
        for (size_t i = 0; i < w->n_samples; i++)
                any |= is_judged(w, s, i) && service_may_stay(w, i);
        return any;
}

static void judge(struct tally *t, uint64_t seed, const struct rulebook *b, struct plan_scorer *s, const struct plan *p,
                  bool asked) {
        const struct world *w = b->w;
        struct node_set homes[SMALL_SERVICES] = { 0 };
        struct plan_score score;
        double cost;
        homes_of_plan(w, p, s, homes);
        check_own_rules(t, seed, w, p, homes);
        struct optimum o = optimum_search(b, s, homes, true);
        t->n_scored += o.n_scored;
        t->most_scored = MAX2(t->most_scored, o.n_scored);
        if (w->n_samples <= TRIED_ALL_LIMIT) {
                struct optimum all = optimum_search(b, s, homes, false);
                t->n_exact++;
                if (all.found != o.found || (o.found && fabs(all.cost - o.cost) > 1e-9 * o.cost)) {
                        t->n_search_differs++;
                        printf("seed %" PRIu64 ": the search left out something better: %.9g, not %.9g\n", seed, all.cost,
                               o.cost);
                }
        }
        t->n_unproven += !o.proven;
        if (!o.proven)
                return;
        if (!o.found) {
                count_infeasible(t, w, s, homes);
                return;
        }
        t->n_feasible++;
        if (o.cost <= 0)
                return; /* there is nothing to place */
        bool valid = homes_are_valid(b, s, homes, &cost);
        if (!asked) { /* it may leave services where they are; that costs what it costs */
                if (plan_scorer_score(s, homes, &score) >= 0)
                        add_ratio(&t->columns[STAYING], score.cost / o.cost, seed);
                return;
        }
        judge_rivals(t, seed, b, s, homes, o.cost);
        if (!valid) {
                t->n_breaches++;
                complain(seed, w, p, &o, "something is broken, without home or without room, and need not be");
                return;
        }
        bool follows = any_follows(w, s);
        add_ratio(&t->columns[follows ? FOLLOW : PLAN], cost / o.cost, seed);
        if (cost / o.cost > WORST_MOST || t->verbose) {
                char *what = format_string("cost %.6g, best %.6g, ratio %.4f", cost, o.cost, cost / o.cost);
                complain(seed, w, p, &o, what ? what : "");
                free(what);
        }
}

static void try_one(struct tally *t, uint64_t seed, unsigned max_services, bool asked) {
        struct world *w = small_world(seed, max_services, asked);
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        struct plan *p = world_plan(w);
        clock_gettime(CLOCK_MONOTONIC, &after);
        t->plan_seconds += (double) (after.tv_sec - before.tv_sec) + (double) (after.tv_nsec - before.tv_nsec) / 1e9;
        struct plan_input in = world_input(w);
        struct plan_scorer *s;
        if (plan_scorer_new(&in, &s) < 0)
                abort();
        struct rulebook b = rulebook_new(w, s);
        check_scorer(t, seed, &b, s);
        judge(t, seed, &b, s, p, asked);
        t->count++;
        plan_scorer_free(s);
        rulebook_done(&b);
        plan_free(p);
        world_free(w);
}

/* By the room that there is now. */
static bool are_valid_now(const struct world *w, const struct node_set *homes) {
        struct plan_input in = world_input(w);
        struct plan_scorer *s;
        double cost;
        if (plan_scorer_new(&in, &s) < 0)
                abort();
        struct rulebook b = rulebook_new(w, s);
        bool valid = homes_are_valid(&b, s, homes, &cost);
        rulebook_done(&b);
        plan_scorer_free(s);
        return valid;
}

/* What was first decided is not all: after it was done, homes are looked at again. */
static void try_settled(struct tally *t, uint64_t seed, unsigned max_services) {
        struct world *first = small_world(seed, max_services, true), *later = small_world(seed, max_services, true);
        struct plan *p = world_plan(first);
        struct plan_input in = world_input(first);
        struct plan_scorer *s;
        struct node_set homes[SMALL_SERVICES] = { 0 };
        double cost;
        if (plan_scorer_new(&in, &s) < 0)
                abort();
        struct rulebook b = rulebook_new(first, s);
        homes_of_plan(first, p, s, homes);
        struct optimum o = optimum_search(&b, s, homes, true);
        bool judged = o.proven && o.found && o.cost > 0 && !any_follows(first, s);
        settle(later, s, homes);
        if (judged && homes_are_valid(&b, s, homes, &cost))
                add_ratio(&t->columns[SETTLED], cost / o.cost, seed);
        else if (judged && are_valid_now(later, homes)) /* not before others had left: the scorer does not count on that */
                t->n_later++;
        else if (judged) {
                t->columns[SETTLED].n_none++;
                printf("seed %" PRIu64 ": something is broken once it has settled\n", seed);
        }
        plan_scorer_free(s);
        rulebook_done(&b);
        plan_free(p);
        world_free(first);
        world_free(later);
}

static int ascending(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;
        return (x > y) - (x < y);
}

static double mean_of(const struct column *c) {
        double sum = 0;
        for (size_t i = 0; i < c->n; i++)
                sum += c->ratio[i];
        return c->n > 0 ? sum / (double) c->n : 1;
}

static double print_column(struct column *c) {
        uint64_t seed = 0;
        double worst = 0, mean = mean_of(c);
        for (size_t i = 0; i < c->n; i++)
                if (c->ratio[i] > worst) {
                        worst = c->ratio[i];
                        seed = c->seed[i];
                }
        if (c->n == 0)
                return 1;
        qsort(c->ratio, c->n, sizeof *c->ratio, ascending);
        size_t best = 0;
        while (best < c->n && c->ratio[best] <= 1 + 1e-9)
                best++;
        printf("# %-34s %6zu %6zu %7.1f%% %7.4f %7.4f %7.4f %7.4f %8.4f  %" PRIu64 "\n", c->name, c->n, c->n_none,
               100 * (double) best / (double) c->n, mean, c->ratio[c->n / 2], c->ratio[c->n * 9 / 10], c->ratio[c->n * 99 / 100],
               worst, seed);
        return worst;
}

static bool print(struct tally *t) {
        double mean = mean_of(&t->columns[PLAN]), mean_follow = mean_of(&t->columns[FOLLOW]), worst = 0, worst_follow = 0;
        printf("# %lu machines: %lu where all rules can hold, %lu where they cannot (of %lu services there that are owed a home, "
               "%lu have none)\n",
               t->count, t->n_feasible, t->n_infeasible, t->n_owed_infeasible, t->n_left_infeasible);
        printf("# the optimum: %.0f sets of homes scored for one machine, at most %" PRIu64
               "; too many for %lu machines; for %lu all were tried, "
               "%lu differ\n",
               t->count > 0 ? (double) t->n_scored / (double) t->count : 0, t->most_scored, t->n_unproven, t->n_exact,
               t->n_search_differs);
        printf("# cost / optimum%20s %6s %6s %8s %7s %7s %7s %7s %8s  %s\n", "", "n", "none", "optimal", "mean", "p50", "p90",
               "p99", "worst", "its seed");
        for (unsigned c = 0; c < N_COLUMNS; c++) {
                double w = print_column(&t->columns[c]);
                if (c == PLAN)
                        worst = w;
                else if (c == FOLLOW)
                        worst_follow = w;
        }
        printf("# settled in homes that had no room before others had left them, and so have no ratio: %lu\n", t->n_later);
        printf("# constraints broken where a feasible plan exists: %lu; homes against a service's own rule: %lu; "
               "scorer and manual page disagree: %lu\n",
               t->n_breaches, t->n_own_broken, t->n_disagreements);
        bool ok = mean <= MEAN_MOST && mean_follow <= MEAN_MOST && worst <= WORST_MOST && worst_follow <= WORST_MOST &&
                  t->n_breaches + t->n_own_broken == 0 && t->n_disagreements + t->n_search_differs == 0 &&
                  (t->count == 1 || t->columns[PLAN].n > 0);
        printf("%s: mean %.4f, with memory that follows %.4f (at most %.2f), worst %.4f, with memory that follows %.4f (at most "
               "%.2f), %lu broken\n",
               ok ? "ok" : "FAILED", mean, mean_follow, MEAN_MOST, worst, worst_follow, WORST_MOST,
               t->n_breaches + t->n_own_broken);
        return ok;
}

int bench_optimum(uint64_t seed, unsigned long count, unsigned max_services, bool verbose) {
        static const char *const names[N_COLUMNS] = {
                [PLAN] = "plan",
                [FOLLOW] = "plan, with memory that follows",
                [SETTLED] = "plan, carried out and settled",
                [STAYING] = "plan, where hysteresis may hold",
                [GREEDY] = "greedy: most free CPUs x memory",
                [RANDOM] = "random, keeping to the rules",
                [STAY] = "left where it is",
        };
        struct tally t = { .verbose = verbose };

        for (unsigned c = 0; c < N_COLUMNS; c++) {
                t.columns[c].name = names[c];
                t.columns[c].ratio = calloc(count + 1, sizeof *t.columns[c].ratio);
                t.columns[c].seed = calloc(count + 1, sizeof *t.columns[c].seed);
                if (!t.columns[c].ratio || !t.columns[c].seed)
                        abort();
        }
        for (unsigned long i = 0; i < count; i++) {
                bool asked = verbose || (seed + i) % STAYING_EVERY != 0;
                try_one(&t, seed + i, max_services, asked);
                if (asked && (seed + i) % STAYING_EVERY == 1)
                        try_settled(&t, seed + i, max_services);
        }
        bool ok = print(&t);
        for (unsigned c = 0; c < N_COLUMNS; c++) {
                free(t.columns[c].ratio);
                free(t.columns[c].seed);
        }
        return ok ? 0 : 1;
}
