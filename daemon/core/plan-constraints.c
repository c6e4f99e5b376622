/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rules ask of homes beside each other: which services share one home (together-with), which must not meet (apart-from, exclusive),
 * and who gives way. Bonds are between rules, so they are found rule by rule; who is in whose way is found node by node. */
#include <string.h>

#include "core/plan-internal.h"

bool job_is_placed_kind(const struct job *j) {
        return j->kind == JOB_NODES || j->kind == JOB_COMPACT || j->kind == JOB_SPREAD || j->kind == JOB_NEAR;
}

bool rule_is_apart(const struct planner *pl, size_t a, size_t b) {
        const struct rule_state *r = &pl->rules[a];
        size_t low = r->first_apart, high = r->first_apart + r->n_apart;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (pl->apart[mid] == b)
                        return true;
                if (pl->apart[mid] < b)
                        low = mid + 1;
                else
                        high = mid;
        }
        return false;
}

static bool names(const struct string_list *l, const char *name) {
        for (size_t i = 0; i < l->n_items; i++)
                if (name && strcmp(l->items[i], name) == 0)
                        return true;
        return false;
}

static bool bonded(const struct job *a, const struct job *b) {
        return a->bond != SIZE_MAX && a->bond == b->bond && job_is_placed_kind(a) && job_is_placed_kind(b);
}

bool jobs_conflict(const struct planner *pl, const struct job *a, const struct job *b, struct bar *ret) {
        if (bonded(a, b))
                return false;
        *ret = (struct bar) { .constraint = CONSTRAINT_EXCLUSIVE, .other = b };
        if (rule_is_apart(pl, a->rule_number, b->rule_number)) {
                ret->constraint = CONSTRAINT_APART;
                ret->rule = names(&a->rule->apart_from, b->rule->name) ? a->rule : b->rule;
                return true;
        }
        ret->rule = a->rule->exclusive ? a->rule : b->rule;
        return ret->rule->exclusive;
}

/* What b asks of a: that it keep away. */
static bool keeps_away(const struct planner *pl, const struct job *b, const struct job *a, struct bar *ret) {
        if (bonded(a, b))
                return false;
        *ret = (struct bar) { .constraint = CONSTRAINT_EXCLUSIVE, .rule = b->rule, .other = b };
        if (b->rule->exclusive)
                return true;
        ret->constraint = CONSTRAINT_APART;
        return rule_is_apart(pl, a->rule_number, b->rule_number) && names(&b->rule->apart_from, a->rule->name);
}

static enum constraint broken_by_itself(const struct job *j, const struct node_set *nodes) {
        const struct rule *r = j->rule;
        struct node_set avoided = node_set_intersect(nodes, &r->avoid);
        unsigned n = node_set_count(nodes);
        bool counts = j->kind != JOB_NODES; /* otherwise the number of them was given with them */
        if (j->kind == JOB_NODES && !node_set_equal(nodes, &j->permitted))
                return CONSTRAINT_NODES;
        if (!node_set_is_empty(&avoided))
                return CONSTRAINT_AVOID;
        if (!node_set_is_subset(nodes, &j->permitted))
                return CONSTRAINT_ALLOWED;
        if (counts && n < r->min_nodes)
                return CONSTRAINT_MIN_NODES;
        return counts && r->max_nodes > 0 && n > r->max_nodes ? CONSTRAINT_MAX_NODES : CONSTRAINT_NONE;
}

bool job_bars(const struct job *j, const struct node_set *nodes, struct bar *ret) {
        *ret = (struct bar) { .constraint = broken_by_itself(j, nodes), .rule = j->rule };
        return ret->constraint != CONSTRAINT_NONE;
}

static enum standing against(const struct planner *pl, const struct group *g, const struct job *j, const struct job *other,
                             struct bar *ret) {
        struct bar bar;
        if (other->group == j->group || !jobs_conflict(pl, j, other, &bar))
                return STANDING_FREE;
        *ret = bar;
        if (other->group->strength > g->strength)
                return STANDING_DISPLACES;
        if (keeps_away(pl, other, j, ret))
                return STANDING_FORBIDDEN;
        *ret = bar;
        return j->rule->exclusive ? STANDING_BREAKS_EXCLUSIVE : STANDING_BREAKS_APART;
}

enum standing group_standing(const struct planner *pl, const struct group *g, const struct node_set *nodes, struct bar *ret) {
        enum standing worst = STANDING_FREE;
        struct bar bar;
        for (size_t k = 0; k < g->n; k++)
                if (job_bars(g->members[k], nodes, ret))
                        return STANDING_FORBIDDEN;
        if (!pl->contested)
                return STANDING_FREE;
        NODE_SET_FOREACH (id, nodes) {
                const struct occupants *o = &pl->occupants[pl->index_of[id]];
                for (size_t i = 0; i < o->n && (g->contests || o->n_exclusive > 0); i++)
                        for (size_t k = 0; k < g->n; k++) {
                                enum standing s = against(pl, g, g->members[k], &pl->jobs[o->jobs[i]], &bar);
                                if (s <= worst)
                                        continue;
                                worst = s;
                                *ret = bar;
                                if (worst == STANDING_FORBIDDEN)
                                        return worst;
                        }
        }
        return worst;
}

enum standing job_standing(const struct planner *pl, const struct job *j, const struct node_set *nodes, struct bar *ret) {
        const struct group *g = j->group;
        struct job *self = &pl->jobs[j - pl->jobs];
        struct group alone = *g;
        for (size_t k = 0; k < g->n; k++)
                if (g->members[k] != j && g->members[k]->assigned && !node_set_equal(&g->members[k]->chosen.nodes, nodes)) {
                        *ret = (struct bar) { CONSTRAINT_TOGETHER, g->members[k]->rule, g->members[k] };
                        return STANDING_FORBIDDEN;
                }
        alone.members = &self;
        alone.n = 1;
        return group_standing(pl, &alone, nodes, ret);
}

/* The first of these nodes that others have for themselves. */
static bool barred_by_others(const struct planner *pl, const struct job *j, const struct node_set *nodes, struct bar *ret) {
        NODE_SET_FOREACH (id, nodes) {
                const struct occupants *o = pl->contested ? &pl->occupants[pl->index_of[id]] : NULL;
                for (size_t i = 0; o && i < o->n; i++)
                        if (keeps_away(pl, &pl->jobs[o->jobs[i]], j, ret))
                                return true;
        }
        return false;
}

bool job_excluded(const struct planner *pl, const struct job *j, const struct node_set *nodes, struct exclusion *ret) {
        struct node_set cpus = job_cpus(pl, j, nodes), mems = job_mems(pl, j, nodes),
                        usable = j->restricts ? node_set_union(&cpus, &mems) : mems,
                        able = node_set_union(&pl->cpu_nodes, &pl->mem_nodes), here = node_set_intersect(nodes, &able);
        struct bar bar = { .constraint = CONSTRAINT_NONE };
        bool barred = j->group ? job_standing(pl, j, nodes, &bar) != STANDING_FREE
                               : job_bars(j, nodes, &bar) || barred_by_others(pl, j, nodes, &bar);
        *ret = (struct exclusion) { 0 };
        if (barred)
                *ret = (struct exclusion) { bar.constraint, bar.rule };
        else if (!node_set_is_subset(&here, &usable))
                ret->constraint = CONSTRAINT_CPUSET;
        return ret->constraint != CONSTRAINT_NONE;
}

struct node_set job_barred_nodes(const struct planner *pl, const struct job *j, struct bar *ret) {
        struct node_set barred = { 0 };
        struct bar bar;
        if (!pl->contested)
                return barred;
        bool contests = j->rule->exclusive || pl->rules[j->rule_number].n_apart > 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                const struct occupants *o = &pl->occupants[i];
                for (size_t k = 0; k < o->n && (contests || o->n_exclusive > 0); k++)
                        if (&pl->jobs[o->jobs[k]] != j && (keeps_away(pl, &pl->jobs[o->jobs[k]], j, &bar) ||
                                                           ((j->kind == JOB_INTERLEAVE || j->kind == JOB_FOLLOW) &&
                                                            jobs_conflict(pl, j, &pl->jobs[o->jobs[k]], &bar)))) {
                                node_set_add(&barred, pl->nodes[i].id);
                                *ret = bar;
                                break;
                        }
        }
        return barred;
}

void constraints_enter(struct planner *pl, struct job *j) {
        if (!pl->contested || !j->group)
                return;
        NODE_SET_FOREACH (id, &j->chosen.nodes) {
                struct occupants *o = &pl->occupants[pl->index_of[id]];
                if (array_reserve(&o->jobs, &o->capacity, o->n + 1, sizeof *o->jobs) < 0)
                        pl->failed = true;
                else {
                        o->jobs[o->n++] = (uint32_t) (j - pl->jobs);
                        o->n_exclusive += j->rule->exclusive;
                }
        }
}

void constraints_leave(struct planner *pl, struct job *j) {
        if (!pl->contested || !j->group)
                return;
        NODE_SET_FOREACH (id, &j->chosen.nodes) {
                struct occupants *o = &pl->occupants[pl->index_of[id]];
                for (size_t i = o->n; i-- > 0;)
                        if (o->jobs[i] == (uint32_t) (j - pl->jobs)) {
                                o->jobs[i] = o->jobs[--o->n];
                                o->n_exclusive -= j->rule->exclusive;
                                break;
                        }
        }
}
