/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rules say about each other, once all files are read: names that no rule has, and together-with, apart-from and exclusive that
 * no machine could hold. Rules that share a home form a group (union-find), with what all its members leave; only what is certain
 * whatever the planner does is refused. A rule with an error of its own takes no part: nothing is complained about twice. */
#include <string.h>

#include "config/config-private.h"

#define NOBODY SIZE_MAX

/* What holds for the home of a group: kept at its root. */
struct group {
        size_t parent;
        bool is_shared;        /* all services of the rules, or of the one rule, have one home */
        struct node_set may;   /* nodes that every member may have */
        struct node_set fixed; /* the home, where a member gives it node by node */
        size_t fixed_by;       /* that member, or NOBODY */
        unsigned min, max;     /* of nodes */
        size_t min_by, max_by; /* the members that say so, or NOBODY */
};

struct relations {
        struct loader *loader;
        const struct rule *rules;
        size_t n_rules;
        struct group *groups; /* one for each rule */
        size_t *by_name;      /* rules in the order of their names */
        size_t n_named;
        const char **names; /* in the same order */
        unsigned n_suggested;
};

/* Where a list is at: one name of rule `from`. */
struct edge {
        size_t from, to;
        struct position at;
};

#define complain_edge(rel, e, ...) complain((rel)->loader->origins[(e)->from].file, (e)->at, __VA_ARGS__)

static const char *name_of(const struct relations *rel, size_t i) {
        return rel->rules[i].name;
}

/* -------- names -------- */

static int compare_names(const void *a, const void *b, void *rules) {
        return strcmp(((const struct rule *) rules)[*(const size_t *) a].name,
                      ((const struct rule *) rules)[*(const size_t *) b].name);
}

/* NOBODY: no rule of that name. */
static size_t find_rule(const struct relations *rel, const char *name) {
        size_t low = 0, high = rel->n_named;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(name, rel->names[middle]);
                if (order == 0)
                        return rel->by_name[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NOBODY;
}

/* Comparing with a thousand names takes its time, and a thousand hints help nobody: only the first get one. */
static int complain_unknown(struct relations *rel, const struct edge *e, const char *key, const char *name) {
        const char *meant = NULL;
        if (rel->n_suggested < CONFIG_SUGGESTIONS_MAX) {
                rel->n_suggested++;
                meant = suggest_word(name, rel->names, rel->n_named);
        }
        if (meant)
                return complain_edge(rel, e, "%s: no rule has the name \"%s\", did you mean %s? Expected the name of a rule", key,
                                     name, meant);
        return complain_edge(rel, e, "%s: no rule has the name \"%s\"; expected the name of a rule", key, name);
}

/* Calls `check` for every name of a list that is a rule without errors. */
static int each_edge(struct relations *rel, size_t from, const char *key, const struct string_list *names,
                     const struct position *at, int (*check)(struct relations *rel, const struct edge *e)) {
        for (size_t i = 0; at && i < names->n_items; i++) {
                struct edge e = { .from = from, .to = find_rule(rel, names->items[i]), .at = at[i] };
                int r = 0;
                if (e.to == NOBODY && !rel->loader->names_unsure)
                        r = complain_unknown(rel, &e, key, names->items[i]);
                else if (e.to != NOBODY && rel->loader->origins[from].sure && rel->loader->origins[e.to].sure)
                        r = check(rel, &e);
                if (r < 0 && r != -EBADMSG)
                        return r;
        }
        return 0;
}

/* -------- groups -------- */

static size_t group_of(const struct relations *rel, size_t i) {
        struct group *g = rel->groups;
        while (g[i].parent != i) {
                g[i].parent = g[g[i].parent].parent;
                i = g[i].parent;
        }
        return i;
}

static void group_init(struct relations *rel, size_t i) {
        const struct rule *r = &rel->rules[i];
        struct group *g = &rel->groups[i];
        *g = (struct group) { .parent = i, .may = rule_may_have(r), .fixed = rule_fixed_nodes(r) };
        bool fixed = !node_set_is_empty(&g->fixed);
        g->min = fixed ? node_set_count(&g->fixed) : r->min_nodes;
        g->max = fixed ? g->min : r->max_nodes ? r->max_nodes : NODE_ID_MAX + 1;
        g->fixed_by = fixed ? i : NOBODY;
        g->min_by = g->min > 0 ? i : NOBODY;
        g->max_by = g->max <= NODE_ID_MAX ? i : NOBODY;
}

static struct group group_merge(const struct group *a, const struct group *b) {
        struct group g = *a;
        g.is_shared = true;
        g.may = node_set_intersect(&a->may, &b->may);
        if (b->fixed_by != NOBODY) {
                g.fixed = b->fixed;
                g.fixed_by = b->fixed_by;
        }
        if (b->min > a->min) {
                g.min = b->min;
                g.min_by = b->min_by;
        }
        if (b->max < a->max) {
                g.max = b->max;
                g.max_by = b->max_by;
        }
        return g;
}

static const char *place_without_home(const struct rule *r) {
        return r->place == PLACE_FOLLOW || r->place == PLACE_IGNORE ? place_to_string(r->place)
               : r->place == PLACE_COMPACT && r->cpus == CPUS_FREE  ? "compact with cpus: free"
                                                                    : NULL;
}

/* Nodes given differ, or are nodes that others may not have. */
static int check_merge_fixed(struct relations *rel, const struct edge *e, const struct group *a, const struct group *b,
                             const struct group *both) {
        if (both->fixed_by == NOBODY)
                return 0;
        struct node_set outside = node_set_subtract(&both->fixed, &both->may);
        _cleanup_free_ char *mine = node_set_format(&a->fixed), *other = node_set_format(&b->fixed);
        _cleanup_free_ char *all = node_set_format(&both->fixed), *barred = node_set_format(&outside);
        if (!mine || !other || !all || !barred)
                return -ENOMEM;
        if (a->fixed_by != NOBODY && b->fixed_by != NOBODY && !node_set_equal(&a->fixed, &b->fixed))
                return complain_edge(rel, e,
                                     "together-with: rule \"%s\" has nodes %s and rule \"%s\" nodes %s; expected the same nodes",
                                     name_of(rel, a->fixed_by), mine, name_of(rel, b->fixed_by), other);
        if (!node_set_is_empty(&outside))
                return complain_edge(rel, e,
                                     "together-with: rule \"%s\" has nodes %s, and rule \"%s\" and rule \"%s\" may not share %s; "
                                     "expected nodes that both may have",
                                     name_of(rel, both->fixed_by), all, name_of(rel, e->from), name_of(rel, e->to), barred);
        return 0;
}

static int check_merge_may(struct relations *rel, const struct edge *e, const struct group *both) {
        const struct topology *t = rel->loader->topology;
        const char *from = name_of(rel, e->from), *to = name_of(rel, e->to), *what = NULL;
        struct node_set with_memory = both->may, with_cpus = both->may;
        if (t) {
                struct node_set memory = topology_nodes_with_memory(t), cpus = topology_nodes_with_cpus(t);
                with_memory = node_set_intersect(&memory, &both->may);
                with_cpus = node_set_intersect(&cpus, &both->may);
        }
        if (node_set_is_empty(&both->may))
                what = "node";
        else if (node_set_is_empty(&with_memory))
                what = "node with memory";
        else if (node_set_is_empty(&with_cpus) &&
                 (rel->rules[e->from].cpus == CPUS_RESTRICT || rel->rules[e->to].cpus == CPUS_RESTRICT))
                what = "node with usable CPUs";
        if (what)
                return complain_edge(rel, e,
                                     "together-with: no %s is left that both rule \"%s\" and rule \"%s\" may have; expected "
                                     "allowed-nodes that meet",
                                     what, from, to);
        unsigned n = node_set_count(&both->may);
        if (both->min > both->max)
                return complain_edge(
                        rel, e,
                        "together-with: rule \"%s\" has at least %u nodes and rule \"%s\" at most %u; expected numbers "
                        "that can both hold",
                        name_of(rel, both->min_by), both->min, name_of(rel, both->max_by), both->max);
        if (both->min > n)
                return complain_edge(
                        rel, e,
                        "together-with: rule \"%s\" has at least %u nodes, and rule \"%s\" and rule \"%s\" may share %u; "
                        "expected at most that",
                        name_of(rel, both->min_by), both->min, from, to, n);
        return 0;
}

static int check_together(struct relations *rel, const struct edge *e) {
        const struct rule *to = &rel->rules[e->to];
        const char *place = to->place == PLACE_INTERLEAVE ? "interleave" : place_without_home(to);
        if (place)
                return complain_edge(
                        rel, e,
                        "together-with: rule \"%s\" has place: %s, which has no home to share; expected a rule with place: "
                        "compact, nodes, spread or near",
                        to->name, place);
        size_t a = group_of(rel, e->from), b = group_of(rel, e->to);
        rel->groups[a].is_shared = true;
        if (a == b)
                return 0;
        struct group both = group_merge(&rel->groups[a], &rel->groups[b]);
        int r = check_merge_fixed(rel, e, &rel->groups[a], &rel->groups[b], &both);
        if (r >= 0)
                r = check_merge_may(rel, e, &both);
        if (r < 0) /* not joined: one complaint is enough */
                return r;
        rel->groups[b].parent = a;
        rel->groups[a] = both;
        return 0;
}

/* -------- nodes of their own -------- */

/* Can the homes of two groups not but meet? Two that do not are there exactly if both together have enough nodes to choose from. */
static bool must_meet(const struct group *a, const struct group *b) {
        const struct node_set *of_a = a->fixed_by != NOBODY ? &a->fixed : &a->may,
                              *of_b = b->fixed_by != NOBODY ? &b->fixed : &b->may;
        struct node_set all = node_set_union(of_a, of_b);
        return node_set_count(&all) < MAX2(a->min, 1u) + MAX2(b->min, 1u);
}

/* "nodes 0-1", "2 of nodes 0-3"; NULL when memory ran out. */
static char *describe_choice(const struct group *g) {
        _cleanup_free_ char *nodes = node_set_format(g->fixed_by != NOBODY ? &g->fixed : &g->may);
        if (!nodes)
                return NULL;
        return g->fixed_by != NOBODY ? format_string("nodes %s", nodes)
                                     : format_string("at least %u of nodes %s", MAX2(g->min, 1u), nodes);
}

static int complain_meet(struct relations *rel, const struct edge *e, const char *key) {
        _cleanup_free_ char *mine = describe_choice(&rel->groups[group_of(rel, e->from)]);
        _cleanup_free_ char *other = describe_choice(&rel->groups[group_of(rel, e->to)]);
        if (!mine || !other)
                return -ENOMEM;
        return complain_edge(rel, e, "%s: rule \"%s\" has %s and rule \"%s\" %s; expected nodes that do not meet", key,
                             name_of(rel, e->from), mine, name_of(rel, e->to), other);
}

static int check_apart(struct relations *rel, const struct edge *e) {
        const struct rule *from = &rel->rules[e->from], *to = &rel->rules[e->to];
        const char *place = place_without_home(to);
        size_t a = group_of(rel, e->from), b = group_of(rel, e->to);
        if (place)
                return complain_edge(
                        rel, e,
                        "apart-from: rule \"%s\" has place: %s, which has no home to stay away from; expected a rule with "
                        "another place",
                        to->name, place);
        if (e->from == e->to && rel->groups[a].is_shared)
                return complain_edge(
                        rel, e,
                        "apart-from: the services of rule \"%s\" share one home by together-with; expected one of the two",
                        to->name);
        if (e->from == e->to && !node_set_is_empty(&rel->groups[a].fixed))
                return complain_edge(rel, e,
                                     "apart-from: rule \"%s\" gives all its services the same nodes; expected another place",
                                     to->name);
        if (e->from == e->to)
                return 0;
        if (a == b)
                return complain_edge(
                        rel, e,
                        "apart-from: rule \"%s\" and rule \"%s\" share one home by together-with; expected one of the two",
                        from->name, to->name);
        return must_meet(&rel->groups[a], &rel->groups[b]) ? complain_meet(rel, e, "apart-from") : 0;
}

/* At the first rule that it cannot be without; of two that both are exclusive at the one that is read first. */
static int check_exclusive(struct relations *rel, size_t i) {
        const struct rule_origin *origin = &rel->loader->origins[i];
        size_t a = group_of(rel, i);
        if (!rel->rules[i].exclusive || !origin->sure)
                return 0;
        for (size_t j = 0; j < rel->n_rules; j++) {
                const struct rule *other = &rel->rules[j];
                size_t b = group_of(rel, j);
                if (a == b || !rel->loader->origins[j].sure || place_without_home(other) || (other->exclusive && j < i) ||
                    !must_meet(&rel->groups[a], &rel->groups[b]))
                        continue;
                const struct edge e = { .from = i, .to = j, .at = origin->exclusive_at };
                return complain_meet(rel, &e, "exclusive");
        }
        return 0;
}

/* -------- the whole -------- */

static int relations_init(struct relations *rel, struct loader *l) {
        *rel = (struct relations) { .loader = l, .rules = l->config->rules, .n_rules = l->config->n_rules };
        rel->groups = calloc(rel->n_rules, sizeof(*rel->groups));
        rel->by_name = calloc(rel->n_rules, sizeof(*rel->by_name));
        rel->names = calloc(rel->n_rules, sizeof(*rel->names));
        if (!rel->groups || !rel->by_name || !rel->names)
                return -ENOMEM;
        for (size_t i = 0; i < rel->n_rules; i++) {
                group_init(rel, i);
                if (rel->rules[i].name)
                        rel->by_name[rel->n_named++] = i;
        }
        qsort_r(rel->by_name, rel->n_named, sizeof(*rel->by_name), compare_names, (void *) rel->rules);
        for (size_t i = 0; i < rel->n_named; i++)
                rel->names[i] = name_of(rel, rel->by_name[i]);
        return 0;
}

int relations_check(struct loader *l) {
        struct relations rel;
        if (l->config->n_rules == 0)
                return 0;
        int r = relations_init(&rel, l);
        for (size_t i = 0; i < rel.n_rules && r >= 0; i++)
                r = each_edge(&rel, i, "together-with", &rel.rules[i].together_with, l->origins[i].together_at, check_together);
        for (size_t i = 0; i < rel.n_rules && r >= 0; i++)
                r = each_edge(&rel, i, "apart-from", &rel.rules[i].apart_from, l->origins[i].apart_at, check_apart);
        for (size_t i = 0; i < rel.n_rules && r >= 0; i++) {
                r = check_exclusive(&rel, i);
                if (r == -EBADMSG)
                        r = 0;
        }
        free(rel.groups);
        free(rel.by_name);
        free(rel.names);
        return r;
}
