/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which rules have services here, how they stand to each other, and the groups that follow from that. A rule is known by its number in
 * planner.rules, in order of the configuration (rules from elsewhere, as tests have them, in order of their first service). */
#include <string.h>

#include "core/plan-internal.h"

struct seen {
        const struct rule *rule;
        size_t rank;
};

static int by_rule(const void *a, const void *b) {
        const struct seen *x = a, *y = b;
        if (x->rule != y->rule)
                return (uintptr_t) x->rule < (uintptr_t) y->rule ? -1 : 1;
        return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_rank(const void *a, const void *b) {
        const struct seen *x = a, *y = b;
        return (x->rank > y->rank) - (x->rank < y->rank);
}

static size_t rank_of(const struct planner *pl, const struct rule *r, size_t job) {
        const struct config *c = pl->in->config;
        uintptr_t at = (uintptr_t) r, first = (uintptr_t) c->rules, end = first + c->n_rules * sizeof *c->rules;
        return c->rules && at >= first && at < end ? (at - first) / sizeof *c->rules : c->n_rules + job;
}

/* One that is too small for a home as yet still binds those that are to share its home to each other: they need not part and meet again
 * as it shrinks and grows. */
static bool is_subject(const struct job *j) {
        return j->rule && (j->kind != JOB_TOLD || j->binds);
}

/* Numbers the rules by rank and gives each job its rule's number. `seen`: room for n_jobs. */
static bool number_rules(struct planner *pl, struct seen *seen) {
        size_t n = 0, distinct = 0;
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (is_subject(&pl->jobs[i]))
                        seen[n++] = (struct seen) { pl->jobs[i].rule, rank_of(pl, pl->jobs[i].rule, i) };
        qsort(seen, n, sizeof *seen, by_rule);
        for (size_t i = 0; i < n; i++)
                if (i == 0 || seen[i].rule != seen[i - 1].rule)
                        seen[distinct++] = seen[i];
        qsort(seen, distinct, sizeof *seen, by_rank);
        pl->rules = calloc(distinct + 1, sizeof *pl->rules);
        if (!pl->rules)
                return false;
        pl->n_rules = distinct;
        for (size_t i = 0; i < distinct; i++) {
                pl->rules[i] = (struct rule_state) { .rule = seen[i].rule, .rank = seen[i].rank, .together = SIZE_MAX };
                seen[i].rank = i;
        }
        qsort(seen, distinct, sizeof *seen, by_rule);
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                struct seen key = { .rule = j->rule };
                size_t low = 0, high = distinct;
                while (is_subject(j) && low < high) {
                        size_t mid = low + (high - low) / 2;
                        if (seen[mid].rule == key.rule) {
                                j->rule_number = seen[mid].rank;
                                break;
                        }
                        if ((uintptr_t) seen[mid].rule < (uintptr_t) key.rule)
                                low = mid + 1;
                        else
                                high = mid;
                }
                if (is_subject(j) && j->binds)
                        pl->rules[j->rule_number].n_jobs++;
        }
        return true;
}

struct named {
        const char *name;
        uint32_t rule;
};

static int by_name(const void *a, const void *b) {
        const struct named *x = a, *y = b;
        int r = strcmp(x->name, y->name);
        return r != 0 ? r : (x->rule > y->rule) - (x->rule < y->rule);
}

static size_t first_named(const struct named *named, size_t n, const char *name) {
        return FIRST_NOT_BEFORE(i, n, strcmp(named[i].name, name) < 0);
}

static size_t root(size_t *parent, size_t i) {
        while (parent[i] != i)
                i = parent[i] = parent[parent[i]];
        return i;
}

/* Rules that have services and name each other are one bond; a rule that names itself is one alone. */
static void bond_rules(struct planner *pl, const struct named *named, size_t n_named, size_t *parent) {
        for (size_t i = 0; i < pl->n_rules; i++)
                parent[i] = i;
        for (size_t i = 0; i < pl->n_rules; i++) {
                const struct string_list *l = &pl->rules[i].rule->together_with;
                for (size_t k = 0; k < l->n_items && pl->rules[i].n_jobs > 0; k++)
                        for (size_t m = first_named(named, n_named, l->items[k]);
                             m < n_named && strcmp(named[m].name, l->items[k]) == 0; m++)
                                if (pl->rules[named[m].rule].n_jobs > 0) {
                                        size_t a = root(parent, i), b = root(parent, named[m].rule);
                                        parent[MAX2(a, b)] = MIN2(a, b);
                                        pl->rules[i].together = pl->rules[named[m].rule].together = 0; /* bound at all */
                                }
        }
        for (size_t i = 0; i < pl->n_rules; i++)
                if (pl->rules[i].together != SIZE_MAX)
                        pl->rules[i].together = root(parent, i);
}

struct edge {
        uint32_t from, to;
};

static int by_edge(const void *a, const void *b) {
        const struct edge *x = a, *y = b;
        if (x->from != y->from)
                return x->from < y->from ? -1 : 1;
        return (x->to > y->to) - (x->to < y->to);
}

/* Both ways, whoever said it. */
static bool part_rules(struct planner *pl, const struct named *named, size_t n_named) {
        struct edge *edges = NULL;
        size_t n = 0, capacity = 0, distinct = 0;
        for (size_t i = 0; i < pl->n_rules; i++) {
                const struct string_list *l = &pl->rules[i].rule->apart_from;
                pl->contested |= pl->rules[i].rule->exclusive || l->n_items > 0;
                for (size_t k = 0; k < l->n_items; k++)
                        for (size_t m = first_named(named, n_named, l->items[k]);
                             m < n_named && strcmp(named[m].name, l->items[k]) == 0; m++) {
                                if (array_reserve(&edges, &capacity, n + 2, sizeof *edges) < 0) {
                                        free(edges);
                                        return false;
                                }
                                edges[n++] = (struct edge) { (uint32_t) i, named[m].rule };
                                edges[n++] = (struct edge) { named[m].rule, (uint32_t) i };
                        }
        }
        if (n > 0)
                qsort(edges, n, sizeof *edges, by_edge);
        pl->apart = calloc(n + 1, sizeof *pl->apart);
        for (size_t i = 0; i < n && pl->apart; i++) {
                if (i > 0 && by_edge(&edges[i], &edges[i - 1]) == 0)
                        continue;
                struct rule_state *r = &pl->rules[edges[i].from];
                if (r->n_apart++ == 0)
                        r->first_apart = distinct;
                pl->apart[distinct++] = edges[i].to;
        }
        free(edges);
        return pl->apart != NULL;
}

static bool relate_rules(struct planner *pl) {
        struct named *named = calloc(pl->n_rules + 1, sizeof *named);
        size_t *parent = calloc(pl->n_rules + 1, sizeof *parent), n = 0;
        bool ok = named && parent;
        for (size_t i = 0; i < pl->n_rules && ok; i++)
                if (pl->rules[i].rule->name)
                        named[n++] = (struct named) { pl->rules[i].rule->name, (uint32_t) i };
        if (ok && n > 0)
                qsort(named, n, sizeof *named, by_name);
        if (ok) {
                bond_rules(pl, named, n, parent);
                ok = part_rules(pl, named, n);
        }
        free(named);
        free(parent);
        return ok;
}

bool constraints_init(struct planner *pl) {
        struct seen *seen = calloc(pl->n_jobs + 1, sizeof *seen);
        bool ok = seen && number_rules(pl, seen) && relate_rules(pl);
        free(seen);
        if (ok && pl->contested)
                ok = (pl->occupants = calloc((size_t) pl->n_nodes + 1, sizeof *pl->occupants)) != NULL;
        return ok && groups_init(pl);
}

void constraints_done(struct planner *pl) {
        for (unsigned i = 0; i < pl->n_nodes && pl->occupants; i++)
                free(pl->occupants[i].jobs);
        free(pl->occupants);
        free(pl->rules);
        free(pl->apart);
        free(pl->groups);
        free(pl->members);
        free(pl->order);
}
