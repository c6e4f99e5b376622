/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: compact: homes for all such services together. Those that have a home keep it to begin with; the others choose, the hardest
 * to place first; then each looks again with all others in place, and pairs try to swap, until nothing improves.
 * A home is left only for a gain, so that noise moves nobody. */
#include "core/plan-internal.h"

#define ROUNDS_MAX      4u
#define SWAP_JOBS_MAX   64u
#define IMPROVEMENT     1e-6
#define CROWDING_RESTS  5u   /* cooldowns before a home is left only because it is crowded */
#define CROWDING_DEMAND 0.1  /* CPUs: a service that uses less is not moved because of crowding … */
#define CROWDING_GAINS  2    /* … and others for so many times min-gain: loads are less constant than distances */
#define FULL            0.85 /* of its CPUs */
#define CPU_SHARE_LOCAL 0.95 /* of its CPU time on the nodes: its threads are there */

static bool is_new(const struct job *j) {
        return j->kind == JOB_COMPACT && !j->has_home;
}

static void keep_homes(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (j->kind != JOB_COMPACT || !j->has_home)
                        continue;
                struct option o = { .nodes = j->home };
                job_assign(pl, j, &o);
        }
}

/* How much of a node of this machine it needs: of CPUs or of memory, whichever is more. */
static double hardness(const struct planner *pl, const struct job *j) {
        double cores = 0, bytes = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                cores = MAX2(cores, pl->nodes[i].n_cores);
                bytes = MAX2(bytes, (double) pl->nodes[i].bytes_total);
        }
        double by_cpu = cores > 0 ? j->demand / cores : 0, by_bytes = bytes > 0 ? (double) j->bytes / bytes : 0;
        return MAX2(by_cpu, by_bytes);
}

struct ranked {
        struct job *job;
        double hardness;
};

static int harder_first(const void *a, const void *b) {
        const struct ranked *x = a, *y = b;
        if (x->hardness != y->hardness)
                return x->hardness > y->hardness ? -1 : 1;
        return (x->job > y->job) - (x->job < y->job); /* the order of the samples */
}

static void place_new(struct planner *pl) {
        struct ranked *order = calloc(pl->n_jobs + 1, sizeof *order);
        size_t n = 0;
        if (!order) {
                pl->failed = true;
                return;
        }
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (is_new(&pl->jobs[i]))
                        order[n++] = (struct ranked){ &pl->jobs[i], hardness(pl, &pl->jobs[i]) };
        qsort(order, n, sizeof *order, harder_first);
        for (size_t i = 0; i < n; i++) {
                candidates_of_set(pl, order[i].job);
                const struct option *best = candidates_best(pl, order[i].job);
                if (best)
                        job_assign(pl, order[i].job, best);
        }
        free(order);
}

static bool is_nearer(const struct job *j, const struct option *home, const struct option *better) {
        return home->distance > 0 && (home->distance - better->distance) / home->distance >= job_min_gain(j);
}

/* Is there enough to gain by leaving home? */
static bool pays(const struct job *j, const struct option *home, const struct option *better) {
        double gain = option_gain(home->cost, home->distance, better);
        if (node_set_equal(&better->nodes, &j->home) || gain < job_min_gain(j))
                return false;
        return is_nearer(j, home, better) || (j->demand >= CROWDING_DEMAND && gain >= CROWDING_GAINS * job_min_gain(j));
}

/* Others share its CPUs, and together they use nearly all: services that are held there cannot show that they want more. */
static bool is_full(const struct option *o) {
        return o->load > FULL * o->n_cpus;
}

/* A gain by distance, or CPUs where there were none, may be taken after the cooldown; less crowding alone after several: loads
 * come and go. */
static bool rested(const struct planner *pl, const struct job *j, const struct option *home, const struct option *better) {
        if (j->rest_usec > 0)
                return false;
        bool relieved = (!home->fits_cpus && better->fits_cpus) || (is_full(home) && !is_full(better));
        if (is_nearer(j, home, better) || relieved || !j->history || !j->history->placed)
                return true;
        uint64_t since = pl->in->now_usec - MIN2(j->history->placed_usec, pl->in->now_usec);
        return since / CROWDING_RESTS >= j->rule->cooldown_usec;
}

/* Looks again for a service that has a home. Returns true where it leaves, or comes back from where an earlier round sent it. */
static bool review_home(struct planner *pl, struct job *j) {
        if (j->under_way)
                return false;
        struct node_set before = j->chosen.nodes;
        struct option home, ideal = { .distance = DISTANCE_LOCAL };
        job_unassign(pl, j);
        option_evaluate(pl, j, &j->home, &home);
        ideal.cost = least_cost(pl, j);
        j->waits = j->guarded = j->unpaid = false;
        /* Most sit so well that even the best that could be would not pay: they are not worth a list of candidates. */
        if (option_gain(home.cost, home.distance, &ideal) >= job_min_gain(j)) {
                candidates_of_set(pl, j);
                const struct option *best = candidates_best(pl, j), *barred = candidates_barred(pl, j);
                j->present = home;
                if (barred && pays(j, &home, barred)) {
                        j->better = *barred;
                        j->guarded = true;
                }
                if (best && pays(j, &home, best)) {
                        j->better = *best;
                        j->guarded = false;
                        j->unpaid = !move_pays(pl, j, option_gain(home.cost, home.distance, best), best->bytes_in);
                        j->waits = !j->unpaid && !rested(pl, j, &home, best);
                        if (!j->waits && !j->unpaid)
                                home = *best;
                } else if (!j->guarded) {
                        const struct option *unpaid = best_unpaid(pl, j, &home);
                        j->unpaid = unpaid && is_nearer(j, &home, unpaid);
                        if (j->unpaid)
                                j->better = *unpaid;
                }
        }
        job_assign(pl, j, &home);
        return !node_set_equal(&j->chosen.nodes, &before);
}

static bool review_new(struct planner *pl, struct job *j) {
        bool had = j->assigned;
        struct option before = j->chosen;
        job_unassign(pl, j);
        candidates_of_set(pl, j);
        const struct option *best = candidates_best(pl, j);
        if (!best)
                return had;
        if (had) {
                option_evaluate(pl, j, &before.nodes, &before);
                bool worse = option_fits(&before) && !option_fits(best);
                if (worse || (option_fits(&before) == option_fits(best) && best->cost > before.cost - IMPROVEMENT))
                        best = &before;
        }
        struct option chosen = *best;
        job_assign(pl, j, &chosen);
        return !had || !node_set_equal(&chosen.nodes, &before.nodes);
}

/* What both cost, `first` placed before `second`: as potentials add up, the sum does not depend on the order. */
static bool cost_of_pair(struct planner *pl, struct job *first, const struct node_set *first_nodes, struct job *second,
                         const struct node_set *second_nodes, double *ret) {
        struct option a = { .nodes = *first_nodes }, b = { .nodes = *second_nodes };
        job_assign(pl, first, &a);
        job_assign(pl, second, &b);
        *ret = first->weight * first->chosen.cost + second->weight * second->chosen.cost;
        return option_fits(&first->chosen) && option_fits(&second->chosen);
}

/* May this service live there at all, by its rule and by what others leave to it? */
static bool permits(const struct planner *pl, const struct job *j, const struct node_set *nodes) {
        struct node_set cpus = job_cpus(pl, j, nodes), mems = job_mems(pl, j, nodes), usable = node_set_union(&cpus, &mems);
        return node_set_equal(&usable, nodes) && (j->rule->max_nodes == 0 || node_set_count(nodes) <= j->rule->max_nodes);
}

static bool try_swap(struct planner *pl, struct job *a, struct job *b) {
        struct node_set home_a = a->chosen.nodes, home_b = b->chosen.nodes;
        double before, after;
        if (node_set_equal(&home_a, &home_b) || !permits(pl, a, &home_b) || !permits(pl, b, &home_a))
                return false;
        job_unassign(pl, a);
        job_unassign(pl, b);
        bool fit_before = cost_of_pair(pl, a, &home_a, b, &home_b, &before);
        job_unassign(pl, a);
        job_unassign(pl, b);
        bool fit_after = cost_of_pair(pl, a, &home_b, b, &home_a, &after);
        if (fit_after && (!fit_before || after < before - IMPROVEMENT))
                return true;
        job_unassign(pl, a);
        job_unassign(pl, b);
        (void) cost_of_pair(pl, a, &home_a, b, &home_b, &before);
        return false;
}

static bool swap_new(struct planner *pl) {
        size_t n = 0;
        bool changed = false;
        for (size_t i = 0; i < pl->n_jobs; i++)
                n += is_new(&pl->jobs[i]) && pl->jobs[i].assigned;
        if (n > SWAP_JOBS_MAX)
                return false;
        for (size_t i = 0; i < pl->n_jobs; i++)
                for (size_t k = i + 1; k < pl->n_jobs && is_new(&pl->jobs[i]) && pl->jobs[i].assigned; k++)
                        if (is_new(&pl->jobs[k]) && pl->jobs[k].assigned)
                                changed |= try_swap(pl, &pl->jobs[i], &pl->jobs[k]);
        return changed;
}

static void improve(struct planner *pl) {
        for (unsigned round = 0; round < ROUNDS_MAX && !pl->failed; round++) {
                bool changed = false;
                for (size_t i = 0; i < pl->n_jobs; i++) {
                        struct job *j = &pl->jobs[i];
                        if (j->kind == JOB_COMPACT)
                                changed |= j->has_home ? review_home(pl, j) : review_new(pl, j);
                }
                changed |= swap_new(pl);
                if (!changed)
                        return;
        }
}

/* All of it is there already, by itself: only its CPUs are to be kept there. */
static bool is_there(const struct planner *pl, const struct job *j, const struct option *o) {
        struct node_set cpus = job_cpus(pl, j, &o->nodes);
        double share = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (node_set_has(&cpus, pl->nodes[i].id))
                        share += j->share[i];
        return o->bytes_off <= job_tolerated_bytes(j) && share >= CPU_SHARE_LOCAL;
}

/* The best set where it is already; NULL: it is on none. */
static const struct option *where_it_is(struct planner *pl, const struct job *j) {
        const struct option *best = NULL;
        candidates_of_set(pl, j);
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (option_fits(o) && is_there(pl, j, o) && (!best || option_better(j, o, best)))
                        best = o;
        }
        return best;
}

/* Its CPUs go there for nothing: where that alone is gain enough the home is taken, and its memory stays until moving it pays. */
static bool new_home_pays(struct planner *pl, const struct job *j, const struct option *o, double gain) {
        struct option unmoved;
        double before = j->present.distance;
        if (move_pays(pl, j, MAX2(gain, distance_gain(before, o->distance)), o->bytes_in))
                return true;
        option_unmoved(pl, j, o, &unmoved);
        return distance_gain(before, unmoved.distance) >= job_min_gain(j);
}

/* A service that never had a home gets one for a gain, or where it costs nothing. */
static void accept_new(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (!is_new(j) || !j->assigned || j->home_lost || j->sample->newcomer)
                        continue;
                struct option o = j->chosen;
                job_unassign(pl, j);
                option_present(pl, j, &j->present);
                double distance = j->present.distance;
                /* Nearer memory is what the rule asks for, also where max-nodes makes the CPUs tight. */
                bool nearer = distance_gain(distance, o.distance) >= job_min_gain(j);
                double gain = option_gain(j->present.cost, distance, &o);
                bool worth = nearer || gain >= job_min_gain(j);
                j->unpaid = worth && !new_home_pays(pl, j, &o, gain);
                if ((worth && !j->unpaid) || is_there(pl, j, &o)) {
                        j->unpaid = false;
                        job_assign(pl, j, &o);
                        continue;
                }
                const struct option *here = where_it_is(pl, j);
                if (here) {
                        struct option stay = *here;
                        j->unpaid = false;
                        job_assign(pl, j, &stay);
                        continue;
                }
                j->better = o;
                j->declined = true;
                job_release(pl, j);
        }
}

void plan_compact(struct planner *pl) {
        keep_homes(pl);
        place_new(pl);
        improve(pl);
        accept_new(pl);
}
