/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which nodes a rule may have and how many: keys that cannot all hold, and nodes without what is needed there. What is given node by
 * node (nodes, weights) must fit the bounds; the bounds must leave something. */
#include <string.h>

#include "config/config-private.h"

struct node_set rule_may_have(const struct rule *r) {
        struct node_set may = r->allowed;
        if (!r->has_allowed)
                memset(&may, 0xff, sizeof(may));
        return node_set_subtract(&may, &r->avoid);
}

struct node_set rule_fixed_nodes(const struct rule *r) {
        struct node_set fixed = { 0 };
        if (r->place == PLACE_NODES)
                return r->nodes;
        if (r->place == PLACE_INTERLEAVE)
                for (size_t i = 0; i < r->n_weights; i++)
                        node_set_add(&fixed, r->weights[i].node);
        return fixed;
}

/* "node 1 is", "nodes 0-1 are"; NULL when memory ran out. */
static char *nodes_are(const struct node_set *nodes) {
        bool one = node_set_count(nodes) == 1;
        _cleanup_free_ char *list = node_set_format(nodes);
        return list ? format_string("node%s %s %s", one ? "" : "s", list, one ? "is" : "are") : NULL;
}

/* -------- nodes and weights -------- */

/* Nodes given under `key` (at its value, or at an entry of weights) against allowed-nodes and avoid-nodes. */
static int check_inside(struct config_file *f, const struct rule *r, const struct seen *seen, const char *key, struct position at,
                        const struct node_set *nodes) {
        struct node_set outside = node_set_subtract(nodes, &r->allowed), avoided = node_set_intersect(nodes, &r->avoid);
        int e = 0;
        if (accepted(seen, RULE_ALLOWED_NODES) && !node_set_is_empty(&outside)) {
                _cleanup_free_ char *which = nodes_are(&outside), *allowed = node_set_format(&r->allowed);
                e = which && allowed ? complain(f, at, "%s: %s not in allowed-nodes; expected some of %s", key, which, allowed)
                                     : -ENOMEM;
        }
        if (e != -ENOMEM && accepted(seen, RULE_AVOID_NODES) && !node_set_is_empty(&avoided)) {
                _cleanup_free_ char *which = nodes_are(&avoided);
                e = which ? complain(f, at, "%s: %s in avoid-nodes; expected others", key, which) : -ENOMEM;
        }
        return e;
}

static int check_count(struct config_file *f, const struct rule *r, const struct seen *seen, const char *key, unsigned n) {
        if (accepted(seen, RULE_MAX_NODES) && r->max_nodes < n)
                return complain(f, key_at(seen, RULE_MAX_NODES)->next->at,
                                "max-nodes: %u contradicts %s, which gives %u; expected one of the two", r->max_nodes, key, n);
        if (accepted(seen, RULE_MIN_NODES) && r->min_nodes > n)
                return complain(f, key_at(seen, RULE_MIN_NODES)->next->at,
                                "min-nodes: %u contradicts %s, which gives %u; expected one of the two", r->min_nodes, key, n);
        return 0;
}

static int check_nodes(struct config_file *f, const struct rule *r, const struct seen *seen) {
        const struct topology *t = f->loader->topology;
        struct position at = key_at(seen, RULE_NODES)->next->at;
        int e = check_count(f, r, seen, "nodes", node_set_count(&r->nodes));
        if (e >= 0)
                e = check_inside(f, r, seen, "nodes", at, &r->nodes);
        if (e < 0 || !t)
                return e;
        struct node_set with_cpus = topology_nodes_with_cpus(t), with_memory = topology_nodes_with_memory(t);
        _cleanup_free_ char *cpus = node_set_format(&with_cpus), *memory = node_set_format(&with_memory);
        if (!cpus || !memory)
                return -ENOMEM;
        with_cpus = node_set_intersect(&with_cpus, &r->nodes);
        with_memory = node_set_intersect(&with_memory, &r->nodes);
        if (node_set_is_empty(&with_memory))
                return complain(f, at, "nodes: no memory there; expected a list with one of %s", memory);
        if (node_set_is_empty(&with_cpus) && !(accepted(seen, RULE_CPUS) && r->cpus == CPUS_FREE))
                return complain(f, at, "nodes: no usable CPUs there; expected a list with one of %s, or cpus: free", cpus);
        return 0;
}

static int check_weights(struct config_file *f, const struct rule *r, const struct seen *seen) {
        const struct topology *t = f->loader->topology;
        int e = check_count(f, r, seen, "weights", (unsigned) r->n_weights);
        for (const struct value *key = key_at(seen, RULE_WEIGHTS)->next->first; key && e != -ENOMEM; key = key->next->next) {
                struct node_set nodes;
                if (node_set_parse(key->text, &nodes) < 0) /* cannot be: it was accepted */
                        continue;
                e = check_inside(f, r, seen, "weights", key->at, &nodes);
                if (e < 0 || !t)
                        continue;
                struct node_set with_memory = topology_nodes_with_memory(t), without = node_set_subtract(&nodes, &with_memory);
                if (node_set_is_empty(&without))
                        continue;
                _cleanup_free_ char *which = nodes_are(&without), *memory = node_set_format(&with_memory);
                e = which && memory ? complain(f, key->at, "weights: %s without memory; expected some of %s", which, memory)
                                    : -ENOMEM;
        }
        return e;
}

/* -------- the bounds themselves -------- */

/* What allowed-nodes and avoid-nodes leave of the nodes that have something: at the key that leaves nothing. */
static int check_left(struct config_file *f, const struct rule *r, const struct seen *seen, const struct node_set *with,
                      const char *what, const char *or_else) {
        const struct value *allowed = key_at(seen, RULE_ALLOWED_NODES), *avoid = key_at(seen, RULE_AVOID_NODES);
        struct node_set of_allowed = allowed ? node_set_intersect(with, &r->allowed) : *with;
        struct node_set left = node_set_subtract(&of_allowed, &r->avoid);
        if (!node_set_is_empty(&left))
                return 0;
        bool at_allowed = node_set_is_empty(&of_allowed);
        _cleanup_free_ char *which = node_set_format(at_allowed ? with : &of_allowed);
        if (!which)
                return -ENOMEM;
        if (at_allowed)
                return complain(f, allowed->next->at, "allowed-nodes: no %s there; expected a list with one of %s%s", what, which,
                                or_else);
        return complain(f, avoid->next->at, "avoid-nodes: leaves no %s; expected a list that leaves one of %s%s", what, which,
                        or_else);
}

static int check_allowed(struct config_file *f, const struct rule *r, const struct seen *seen) {
        const struct topology *t = f->loader->topology;
        const struct value *allowed = key_at(seen, RULE_ALLOWED_NODES), *avoid = key_at(seen, RULE_AVOID_NODES);
        if (!allowed && !avoid)
                return 0;
        if (allowed && avoid && node_set_is_subset(&r->allowed, &r->avoid)) {
                _cleanup_free_ char *nodes = node_set_format(&r->allowed);
                return nodes ? complain(f, avoid->next->at,
                                        "avoid-nodes: leaves nothing of allowed-nodes; expected a list that leaves one of %s",
                                        nodes)
                             : -ENOMEM;
        }
        if (!t)
                return 0;
        struct node_set with_memory = topology_nodes_with_memory(t), with_cpus = topology_nodes_with_cpus(t);
        int e = node_set_is_empty(&with_memory) ? 0 : check_left(f, r, seen, &with_memory, "memory", "");
        if (e < 0 || r->cpus == CPUS_FREE || node_set_is_empty(&with_cpus))
                return e;
        return check_left(f, r, seen, &with_cpus, "usable CPUs", ", or cpus: free");
}

static int check_min(struct config_file *f, const struct rule *r, const struct seen *seen) {
        struct position at = key_at(seen, RULE_MIN_NODES)->next->at;
        if (accepted(seen, RULE_MAX_NODES) && r->min_nodes > r->max_nodes)
                return complain(f, at, "min-nodes: %u is more than max-nodes, %u; expected at most that", r->min_nodes,
                                r->max_nodes);
        struct node_set may = rule_may_have(r);
        unsigned n = node_set_count(&may);
        if (n > 0 && r->min_nodes > n)
                return complain(f, at,
                                "min-nodes: %u is more than the %u node%s that the service may have; expected at most that",
                                r->min_nodes, n, n == 1 ? "" : "s");
        return 0;
}

static bool refused(const struct seen *seen, enum rule_key key) {
        return seen->bad & (1u << key);
}

int rule_check_nodes(struct config_file *f, const struct rule *r, const struct seen *seen) {
        bool sure = !refused(seen, RULE_ALLOWED_NODES) && !refused(seen, RULE_AVOID_NODES);
        int e = sure && !refused(seen, RULE_CPUS) ? check_allowed(f, r, seen) : 0;
        if (e >= 0 && r->place == PLACE_NODES && accepted(seen, RULE_NODES))
                e = check_nodes(f, r, seen);
        if (e >= 0 && r->place == PLACE_INTERLEAVE && accepted(seen, RULE_WEIGHTS) && r->interleave_by == INTERLEAVE_GIVEN)
                e = check_weights(f, r, seen);
        if (e >= 0 && sure && accepted(seen, RULE_MIN_NODES) && r->place != PLACE_FOLLOW)
                e = check_min(f, r, seen);
        return e;
}
