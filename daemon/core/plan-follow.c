/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory goes to where the threads are, and nothing is done about the threads: place: follow, and compact where the CPUs are not ours to
 * restrict. The nearest memory by expected distance: that is the node with the largest CPU share, unless a node between several is
 * nearer to all of them. Every move must pay: bytes elsewhere may be right where they are. */
#include "core/plan-internal.h"

#define GREAT_GAIN        0.25
#define CONGESTION_DEMAND 0.1 /* CPUs: memory of a service that uses less is not moved because a controller is busy … */
#define CONGESTION_GAINS  2   /* … and of others for so many times min-gain */
#define WANDERING_RESTS   5u  /* cooldowns before a home is left for less */

/* Would it pay if there were room on the nearest node? */
static bool would_pay(const struct planner *pl, const struct job *j, double distance) {
        struct node_set mems = job_mems(pl, j, &pl->all_nodes);
        double near = -1, ideal = 0, movable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                if (node_set_has(&mems, pl->nodes[i].id) && (near < 0 || pl->far[i] < near))
                        near = pl->far[i];
                movable += (double) j->movable[i];
                ideal += (double) (j->resident[i] - j->movable[i]) * pl->far[i];
        }
        if (near < 0 || distance <= 0 || j->bytes == 0)
                return false;
        ideal = (ideal + movable * near) / (double) j->bytes;
        return (distance - ideal) / distance >= job_min_gain(j);
}

/* Threads wander, and memory must not run after them: to leave a home, what was just seen has to agree with what is remembered, and unless
 * the gain is great, the home has to be an old one. The more so the more often it has followed them already, whatever the gain. */
static bool may_leave(struct planner *pl, struct job *j, const struct option *o, double gain) {
        double *remembered = j->share, distance;
        if (!j->has_home || !j->history || !j->history->placed)
                return true;
        struct option now;
        j->share = pl->share_now;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                j->share[i] = j->sample->cpu_share_by_node[pl->nodes[i].id] / 1e6;
        double cost = present_cost(pl, j, &distance);
        option_evaluate(pl, j, &o->nodes, &now);
        j->share = remembered;
        if (option_gain(cost, distance, &now) < job_min_gain(j))
                return false;
        uint64_t since = pl->in->now_usec - MIN2(j->history->placed_usec, pl->in->now_usec),
                 patience = history_patience_usec(j->history, pl->in->now_usec);
        if (since < patience) {
                j->patience_usec = patience - since;
                return false;
        }
        return gain >= GREAT_GAIN || since / WANDERING_RESTS >= j->rule->cooldown_usec;
}

/* Nearer memory, or memory that is much less busy; and never what costs more than staying, as where one controller would have to bear all. */
static bool is_worth(const struct job *j, const struct option *o, double gain) {
        if (o->cost >= j->present.cost)
                return false;
        return distance_gain(j->present.distance, o->distance) >= job_min_gain(j) ||
               (j->demand >= CONGESTION_DEMAND && gain >= CONGESTION_GAINS * job_min_gain(j));
}

/* Is there a reason not to take what would be worth it? */
static bool is_held_back(struct planner *pl, struct job *j, const struct option *o, double gain) {
        if (j->has_home && node_set_equal(&o->nodes, &j->home))
                return false;
        j->crowded = distance_gain(j->present.distance, o->distance) < job_min_gain(j);
        j->waits = j->rest_usec > 0 || !may_leave(pl, j, o, gain) || (j->crowded && !job_crowding_counts(pl, j));
        j->unpaid = !j->waits && !move_pays(pl, j, MAX2(gain, distance_gain(j->present.distance, o->distance)), o->bytes_in);
        return j->waits || j->unpaid;
}

static bool lacks_room(const struct planner *pl) {
        for (size_t i = 0; i < pl->n_options; i++)
                if (!pl->options[i].fits_memory)
                        return true;
        return pl->n_options == 0;
}

/* Nothing is worth it: why nothing is. */
static void say_why_not(struct planner *pl, struct job *j, const struct option *barred) {
        const struct option *now = &j->present, *unpaid = best_unpaid(pl, j, now);
        j->guarded = barred && is_worth(j, barred, option_gain(now->cost, now->distance, barred));
        j->unpaid = !j->guarded && unpaid;
        if (j->guarded || j->unpaid)
                j->better = j->guarded ? *barred : *unpaid;
        else
                j->declined = !lacks_room(pl) || !would_pay(pl, j, now->distance); /* otherwise it is room that lacks */
}

static void add_way(struct follow_way *ways, size_t *n, size_t max, const struct follow_way *way) {
        size_t at = *n < max ? (*n)++ : max;
        for (; at > 0 && ways[at - 1].cost > way->cost; at--)
                if (at < max)
                        ways[at] = ways[at - 1];
        if (at < max)
                ways[at] = *way;
}

size_t follow_ways(struct planner *pl, struct job *j, struct follow_way *ret, size_t max) {
        size_t n = 0;
        candidates_of_memory(pl, j);
        option_present(pl, j, &j->present);
        const struct option *home = j->has_home ? option_of(pl, &j->home) : NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (!o->fits_memory || guard_bars(j, home, o))
                        continue;
                double gain = option_gain(j->present.cost, j->present.distance, o);
                if (is_worth(j, o, gain) && !is_held_back(pl, j, o, gain))
                        add_way(ret, &n, max - 1, &(struct follow_way) { o->nodes, o->cost });
        }
        add_way(ret, &n, max, &(struct follow_way) { .cost = j->present.cost });
        return n;
}

/* Its memory cannot stay where others have the nodes for themselves. */
static void leave_barred_home(const struct planner *pl, struct job *j) {
        struct node_set barred = job_barred_nodes(pl, j, &j->lost_to), both = node_set_intersect(&barred, &j->home);
        if (!j->has_home || node_set_is_empty(&both))
                return;
        j->has_home = false;
        j->home_lost = j->displaced = true;
}

static void stay(struct planner *pl, struct job *j) {
        struct option home = { .nodes = j->home };
        if (!j->has_home)
                return;
        job_assign(pl, j, &home);
        j->hold_memory = true;
}

/* What is best for all together, if it can still be had; else what is best for it. */
static const struct option *choose(struct planner *pl, struct job *j) {
        const struct option *o = node_set_is_empty(&j->planned) ? NULL : option_of(pl, &j->planned);
        if (o && o->fits_memory && is_worth(j, o, option_gain(j->present.cost, j->present.distance, o)))
                return o;
        return candidates_best(pl, j);
}

static void plan_one(struct planner *pl, struct job *j) {
        leave_barred_home(pl, j);
        if (j->displaced && !job_is_looked_at(pl, j)) {
                pl->look[j - pl->jobs] = true;
                job_set_distance(pl, j);
        }
        if (!job_is_looked_at(pl, j)) /* at rest: it needs no room, and counts as traffic where it is */
                return;
        candidates_of_memory(pl, j);
        option_present(pl, j, &j->present);
        const struct option *best = choose(pl, j), *barred = candidates_barred(pl, j);
        struct option chosen = best ? *best : (struct option) { 0 }, former = barred ? *barred : (struct option) { 0 };
        double gain = best ? option_gain(j->present.cost, j->present.distance, &chosen) : 0;
        j->waits = j->unpaid = j->crowded = false;
        j->patience_usec = 0;
        bool worth = best && is_worth(j, &chosen, gain);
        /* The kernel's own balancing brings memory after the threads as well, page by page and sooner: two that do so undo each other's work. */
        if (worth && kernel_brings_pages(pl, j) && !j->home_lost) {
                strbuf_append(&j->notes,
                              "; bringing its memory to its threads is left to the kernel's own balancing, which is on");
                j->declined = true;
                stay(pl, j);
                return;
        }
        bool takes = worth && !is_held_back(pl, j, &chosen, gain);
        j->better = chosen;
        if (!worth)
                say_why_not(pl, j, barred ? &former : NULL);
        if (takes)
                job_assign(pl, j, &chosen);
        else
                stay(pl, j);
}

struct sized {
        struct job *job;
        uint64_t bytes;
};

/* Those that have a place in a plan of all, then the larger. */
static int larger_first(const void *a, const void *b) {
        const struct sized *x = a, *y = b;
        bool has_x = !node_set_is_empty(&x->job->planned), has_y = !node_set_is_empty(&y->job->planned);
        if (has_x != has_y)
                return has_x ? -1 : 1;
        if (x->bytes != y->bytes)
                return x->bytes > y->bytes ? -1 : 1;
        return (x->job > y->job) - (x->job < y->job);
}

void plan_follow(struct planner *pl) {
        struct sized *order = calloc(pl->n_jobs + 1, sizeof *order);
        size_t n = 0;
        if (!order) {
                pl->failed = true;
                return;
        }
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_FOLLOW)
                        order[n++] = (struct sized) { &pl->jobs[i], pl->jobs[i].bytes };
        qsort(order, n, sizeof *order, larger_first);
        for (size_t i = 0; i < n; i++)
                plan_one(pl, order[i].job);
        free(order);
}
