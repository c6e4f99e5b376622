/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups: services that share one home, and are assigned, evaluated and weighed as if they were one. Most are one service alone. */
#include "core/plan-internal.h"

/* The higher priority; of equals the rule that stands first in the configuration, then the cgroup. */
static int stronger_first(const void *a, const void *b) {
        const struct job *x = *(struct job *const *) a, *y = *(struct job *const *) b;
        if (x->rule->priority != y->rule->priority)
                return x->rule->priority > y->rule->priority ? -1 : 1;
        if (x->rule_number != y->rule_number)
                return x->rule_number < y->rule_number ? -1 : 1;
        return (x > y) - (x < y);
}

static const struct job *leader(const struct group *g) {
        return g->members[0];
}

static int chooses_first(const void *a, const void *b) {
        const struct group *x = *(struct group *const *) a, *y = *(struct group *const *) b;
        if (x->priority != y->priority)
                return x->priority > y->priority ? -1 : 1;
        if (x->fixed != y->fixed)
                return x->fixed ? -1 : 1;
        if (x->hardness != y->hardness)
                return x->hardness > y->hardness ? -1 : 1;
        return (leader(x) > leader(y)) - (leader(x) < leader(y)); /* the order of the samples */
}

static int strength_first(const void *a, const void *b) {
        const struct group *x = *(struct group *const *) a, *y = *(struct group *const *) b;
        const struct job *p = leader(x), *q = leader(y);
        return stronger_first(&p, &q);
}

/* How much of a node of this machine it needs: of CPUs or of memory, whichever is more. */
static double hardness(const struct planner *pl, const struct group *g) {
        double cores = 0, bytes = 0, demand = 0, needs = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                cores = MAX2(cores, pl->nodes[i].n_cores);
                bytes = MAX2(bytes, (double) pl->nodes[i].bytes_total);
        }
        for (size_t k = 0; k < g->n; k++) {
                demand += g->members[k]->demand;
                needs += (double) g->members[k]->bytes;
        }
        double by_cpu = cores > 0 ? demand / cores : 0, by_bytes = bytes > 0 ? needs / bytes : 0;
        return MAX2(by_cpu, by_bytes);
}

bool job_is_looked_at(const struct planner *pl, const struct job *j) {
        return !pl->look || pl->look[j - pl->jobs];
}

static void set_up(struct planner *pl, struct group *g) {
        g->priority = leader(g)->rule->priority;
        g->has_home = true;
        g->home = leader(g)->home;
        g->fixed = g->contests = g->settles = g->look = false;
        for (size_t k = 0; k < g->n; k++) {
                struct job *j = g->members[k];
                j->group = g;
                g->look |= job_is_looked_at(pl, j);
                g->has_home &= j->has_home && node_set_equal(&j->home, &g->home);
                g->fixed |= j->kind == JOB_NODES;
                g->contests |= j->rule->exclusive || pl->rules[j->rule_number].n_apart > 0;
                g->settles |= j->under_way || j->rest_usec > 0;
        }
        g->hardness = hardness(pl, g);
        g->borrows = group_borrows(pl, g);
}

static void sort_groups(struct planner *pl) {
        qsort(pl->order, pl->n_groups, sizeof(struct group *), strength_first);
        for (size_t i = 0; i < pl->n_groups; i++)
                pl->order[i]->strength = i;
        qsort(pl->order, pl->n_groups, sizeof(struct group *), chooses_first);
}

static int by_bond(const void *a, const void *b) {
        const struct job *x = *(struct job *const *) a, *y = *(struct job *const *) b;
        size_t p = x->bond, q = y->bond;
        return p != q ? (p < q ? -1 : 1) : stronger_first(a, b);
}

bool groups_init(struct planner *pl) {
        size_t n = 0;
        pl->members = calloc(pl->n_jobs + 1, sizeof(struct job *));
        pl->groups = calloc(pl->n_jobs + 1, sizeof *pl->groups); /* however groups fall apart, each has a member of its own */
        pl->order = calloc(pl->n_jobs + 1, sizeof(struct group *));
        if (!pl->members || !pl->groups || !pl->order)
                return false;
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                if (!job_is_placed_kind(j))
                        continue;
                j->bond = pl->rules[j->rule_number].together;
                pl->members[n++] = j;
        }
        qsort(pl->members, n, sizeof(struct job *), by_bond);
        for (size_t i = 0; i < n;) {
                struct group *g = &pl->groups[pl->n_groups];
                *g = (struct group) { .members = pl->members + i, .n = 1, .bond = pl->members[i]->bond };
                while (g->bond != SIZE_MAX && i + g->n < n && g->members[g->n]->bond == g->bond)
                        g->n++;
                i += g->n;
                set_up(pl, g);
                pl->order[pl->n_groups++] = g;
        }
        sort_groups(pl);
        return true;
}

struct group *group_split(struct planner *pl, struct group *g, size_t n_left) {
        struct group *rest = &pl->groups[pl->n_groups];
        *rest = (struct group) { .members = g->members + n_left, .n = g->n - n_left, .bond = g->bond };
        g->n = n_left;
        pl->order[pl->n_groups++] = rest;
        set_up(pl, g);
        set_up(pl, rest);
        sort_groups(pl);
        return rest;
}

void group_unassign(struct planner *pl, struct group *g) {
        for (size_t k = g->n; k-- > 0;)
                job_unassign(pl, g->members[k]);
        g->assigned = false;
}

void group_assign(struct planner *pl, struct group *g, const struct node_set *nodes) {
        struct lent lent = { 0 };
        g->cost = 0;
        for (size_t k = 0; k < g->n; k++) {
                struct option o = { .nodes = *nodes };
                if (g->borrows)
                        group_assign_member(pl, g, k, &o, &lent);
                else
                        job_assign(pl, g->members[k], &o);
                g->cost += g->members[k]->weight * g->members[k]->chosen.cost;
        }
        g->assigned = true;
}

/* Of several services: means by weight, sums of bytes, and what holds for all. */
static void evaluate_several(struct planner *pl, struct group *g, const struct node_set *nodes, struct option *ret) {
        double weight = 0;
        group_assign(pl, g, nodes);
        *ret = g->members[g->n - 1]->chosen;
        *ret = (struct option) {
                .nodes = *nodes,
                .n_cores = ret->n_cores,
                .n_cpus = ret->n_cpus,
                .load = ret->load,
                .has_cpus = true,
                .has_memory = true,
                .fits_memory = true,
                .fits_cpus = true,
                .roomy = true,
        };
        for (size_t k = 0; k < g->n; k++) {
                const struct option *o = &g->members[k]->chosen;
                double w = g->members[k]->weight;
                weight += w;
                ret->distance += w * o->distance;
                ret->load_cost += w * o->load_cost;
                ret->slit_distance += w * o->slit_distance;
                ret->bandwidth_cost += w * o->bandwidth_cost;
                ret->breadth_cost += w * o->breadth_cost;
                ret->device_cost += w * o->device_cost;
                ret->fill_cost += w * o->fill_cost;
                ret->moving_cost += w * o->moving_cost;
                ret->cost += w * o->cost;
                ret->bytes_off += o->bytes_off;
                ret->bytes_in += o->bytes_in;
                ret->has_cpus &= o->has_cpus || !g->members[k]->restricts;
                ret->has_memory &= o->has_memory;
                ret->fits_memory &= o->fits_memory;
                ret->fits_cpus &= o->fits_cpus;
                ret->cramped |= o->cramped;
                ret->roomy &= o->roomy;
        }
        group_unassign(pl, g);
        ret->distance /= weight;
        ret->slit_distance /= weight;
        ret->bandwidth_cost /= weight;
        ret->breadth_cost /= weight;
        ret->device_cost /= weight;
        ret->load_cost /= weight;
        ret->fill_cost /= weight;
        ret->moving_cost /= weight;
        ret->cost /= weight;
}

void job_evaluate(struct planner *pl, struct job *j, const struct node_set *nodes, struct option *ret) {
        option_evaluate(pl, j, nodes, ret);
        if (j->kind == JOB_SPREAD)
                spread_set_parts(pl, j, nodes);
        if (job_divides(j))
                division_evaluate(pl, j, ret);
}

void group_evaluate(struct planner *pl, struct group *g, const struct node_set *nodes, struct option *ret) {
        if (g->n == 1)
                job_evaluate(pl, g->members[0], nodes, ret);
        else
                evaluate_several(pl, g, nodes, ret);
}

/* For several, `has_cpus` speaks for those of them that need CPUs: who leads the group says nothing of the others. */
bool group_holds(const struct group *g, const struct option *o) {
        bool has_cpus = o->has_cpus || (g->n == 1 && !g->members[0]->restricts);
        return has_cpus && o->has_memory && (o->fits_memory || g->fixed);
}

double group_weight(const struct group *g) {
        double weight = 0;
        for (size_t k = 0; k < g->n; k++)
                weight += g->members[k]->weight;
        return weight;
}
