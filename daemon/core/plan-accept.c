/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a home that was found for services without one is worth having: a service that never had one gets it for a gain, or where it costs nothing, or
 * because a constraint asks for it. And whether one that was decided, and of which nothing is in force, still is. */
#include "core/plan-internal.h"

#define CPU_SHARE_LOCAL 0.95 /* of its CPU time on the nodes: its threads are there */
#define CPU_SHARE_MOST  0.75 /* most of them are */
#define CPU_SHARE_STRAY 0.02 /* less than that is not worth telling from noise */
#define MUCH_LESS       10   /* one byte has to come for so many: nearly all of it is there */

double group_min_gain(const struct group *g) {
        double gain = job_min_gain(g->members[0]);
        for (size_t k = 1; k < g->n; k++)
                gain = MAX2(gain, job_min_gain(g->members[k]));
        return gain;
}

/* Where the rule asks for more than the least distance. */
static bool is_for_its_own_sake(const struct job *j) {
        return j->kind == JOB_SPREAD || j->kind == JOB_NEAR || j->kind == JOB_NODES;
}

/* Are the bytes of all worth what moving them takes? */
bool group_pays(const struct planner *pl, const struct group *g, double gain, uint64_t bytes_in) {
        for (size_t k = 0; k < g->n; k++)
                if (!is_for_its_own_sake(g->members[k]) &&
                    !move_pays(pl, g->members[k], gain, g->n == 1 ? bytes_in : g->members[k]->movable_bytes))
                        return false;
        return true;
}

/* All its memory, and so much of its CPU time, is there already, by itself: only its CPUs are to be kept there. */
static bool is_there(const struct planner *pl, const struct group *g, const struct option *o, double least_share) {
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                struct node_set cpus = job_cpus(pl, j, &o->nodes);
                double share = 0;
                uint64_t off = 0;
                for (unsigned i = 0; i < pl->n_nodes; i++) {
                        if (node_set_has(&cpus, pl->nodes[i].id))
                                share += j->share[i];
                        if (!node_set_has(&o->nodes, pl->nodes[i].id))
                                off += j->movable[i];
                }
                if (off > job_tolerated_bytes(j) || share < least_share)
                        return false;
        }
        return true;
}

/* The best set where it is already, and no farther from its memory than now; NULL: it is on none. */
static const struct option *where_it_is(struct planner *pl, struct group *g, double distance) {
        const struct option *best = NULL;
        pl->thorough = true;
        candidates_of_group(pl, g);
        pl->thorough = false;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (option_fits(o) && o->standing == STANDING_FREE && is_there(pl, g, o, CPU_SHARE_LOCAL) &&
                    o->distance <= distance * (1 + group_min_gain(g)) && (!best || option_better(g->members[0], o, best)))
                        best = o;
        }
        return best;
}

/* A constraint asks for a home, whatever is gained by it: its own, or that of others where it is now. */
static bool is_asked_for(const struct planner *pl, const struct group *g) {
        if (g->contests || g->fixed || g->bond != SIZE_MAX)
                return true;
        for (size_t k = 0; k < g->n; k++) {
                const struct job *j = g->members[k];
                struct bar bar;
                struct node_set barred = job_barred_nodes(pl, j, &bar);
                if (j->home_lost || j->sample->newcomer || is_for_its_own_sake(j) || j->rule->has_allowed ||
                    !node_set_is_empty(&j->rule->avoid))
                        return true;
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (node_set_has(&barred, pl->nodes[i].id) &&
                            (j->share[i] > CPU_SHARE_STRAY || j->movable[i] > job_tolerated_bytes(j)))
                                return true;
        }
        return false;
}

/* Where all its services are, as one: means by weight. */
static struct option present_of(struct planner *pl, struct group *g) {
        struct option sum = { 0 };
        double weight = group_weight(g);
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                option_present(pl, j, &j->present);
                sum.cost += j->weight / weight * j->present.cost;
                sum.distance += j->weight / weight * j->present.distance;
        }
        return sum;
}

/* Its CPUs go there for nothing: where that alone is gain enough the home is taken, and its memory stays until moving it pays. */
static bool new_home_pays(struct planner *pl, const struct group *g, const struct option *o, const struct option *present) {
        double gain = MAX2(option_gain(present->cost, present->distance, o), distance_gain(present->distance, o->distance));
        if (group_pays(pl, g, gain, o->bytes_in))
                return true;
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                struct option there, unmoved;
                option_evaluate(pl, j, &o->nodes, &there);
                option_unmoved(pl, j, &there, &unmoved);
                if (distance_gain(j->present.distance, unmoved.distance) < job_min_gain(j))
                        return false;
        }
        return true;
}

/* The nodes that hold the memory of all. */
static struct node_set memory_of(const struct planner *pl, const struct group *g) {
        struct node_set s = { 0 };
        for (size_t k = 0; k < g->n; k++)
                for (unsigned i = 0; i < pl->n_nodes; i++)
                        if (g->members[k]->movable[i] > job_tolerated_bytes(g->members[k]))
                                node_set_add(&s, pl->nodes[i].id);
        return s;
}

/* It is as near to its memory where it is, and all that speaks for going elsewhere is crowding that need not last. */
static bool stays_for_now(struct planner *pl, struct group *g, const struct option *o) {
        struct option here = { .nodes = memory_of(pl, g) };
        struct bar bar;
        if (node_set_is_empty(&here.nodes) || node_set_count(&here.nodes) > node_set_count(&o->nodes) ||
            is_there(pl, g, o, CPU_SHARE_MOST) || !is_there(pl, g, &here, CPU_SHARE_MOST) || crowding_counts(pl, g, o->fits_cpus))
                return false;
        struct node_set stay = here.nodes;
        group_evaluate(pl, g, &stay, &here);
        if (!option_fits(&here) || group_standing(pl, g, &stay, &bar) != STANDING_FREE ||
            distance_gain(here.distance, o->distance) >= group_min_gain(g))
                return false;
        group_assign(pl, g, &stay);
        for (size_t k = 0; k < g->n; k++)
                g->members[k]->crowded = true;
        return true;
}

/* A service that never had a home gets one for a gain, or where it costs nothing. */
static void accept(struct planner *pl, struct group *g) {
        struct node_set nodes = g->members[0]->chosen.nodes;
        struct option o;
        group_unassign(pl, g);
        struct option present = present_of(pl, g);
        group_evaluate(pl, g, &nodes, &o);
        /* Nearer memory is what the rule asks for, also where max-nodes makes the CPUs tight. */
        bool worth = distance_gain(present.distance, o.distance) >= group_min_gain(g) ||
                     option_gain(present.cost, present.distance, &o) >= group_min_gain(g);
        if (stays_for_now(pl, g, &o))
                return;
        bool pays = worth && new_home_pays(pl, g, &o, &present);
        if (pays || is_there(pl, g, &o, CPU_SHARE_LOCAL)) {
                group_assign(pl, g, &nodes);
                return;
        }
        const struct option *here = where_it_is(pl, g, present.distance);
        if (here) {
                struct node_set stay = here->nodes;
                group_assign(pl, g, &stay);
                return;
        }
        for (size_t k = 0; k < g->n; k++) {
                g->members[k]->better = o;
                g->members[k]->declined = true;
                g->members[k]->unpaid = worth;
                job_release(pl, g->members[k]);
        }
        g->assigned = false;
}

/* Decided, and nothing holds it there: the move to it was undone, has failed or was cut short, or its CPUs were given back since. What is under way, or rests
 * after that, is left to itself. */
static bool is_home_by_name_alone(const struct group *g) {
        const struct job *j = g->members[0];
        return g->has_home && g->n == 1 && j->kind == JOB_COMPACT && !j->applied_cpus && !j->under_way && j->rest_usec == 0 &&
               node_set_equal(&j->chosen.nodes, &j->home);
}

/* The best set where nearly all of its memory is, and over which that home gains nothing; NULL: there is none. */
static const struct option *as_good_where_it_is(struct planner *pl, struct group *g, const struct option *home) {
        const struct option *best = NULL;
        double min = group_min_gain(g);
        pl->thorough = true;
        candidates_of_group(pl, g);
        pl->thorough = false;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                if (option_fits(o) && group_holds(g, o) && o->standing == STANDING_FREE &&
                    o->bytes_off <= home->bytes_off / MUCH_LESS && option_gain(o->cost, o->distance, home) < min &&
                    distance_gain(o->distance, home->distance) < min && (!best || option_better(g->members[0], o, best)))
                        best = o;
        }
        return best;
}

/* To keep its CPUs where its memory is by now takes nothing: no memory is moved to a home that is one by name alone for no more than that. */
static void review_name(struct planner *pl, struct group *g) {
        struct job *j = g->members[0];
        struct option home;
        if (j->chosen.bytes_off <= job_tolerated_bytes(j))
                return;
        group_unassign(pl, g);
        group_evaluate(pl, g, &g->home, &home);
        const struct option *better = as_good_where_it_is(pl, g, &home);
        struct node_set nodes = better ? better->nodes : g->home;
        group_assign(pl, g, &nodes);
        if (!better)
                return;
        j->waits = j->guarded = j->unpaid = j->crowded = false;
        strbuf_append(&j->notes, "; its former home, ");
        text_nodes(&j->notes, &g->home);
        strbuf_append(&j->notes, ", was not in force and is no nearer");
}

void plan_accept(struct planner *pl) {
        for (size_t i = 0; i < pl->n_groups; i++) {
                struct group *g = pl->order[i];
                if (g->look && g->assigned && is_home_by_name_alone(g))
                        review_name(pl, g);
                else if (g->look && !g->has_home && g->assigned && !is_asked_for(pl, g))
                        accept(pl, g);
        }
}
