/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one rule must have, and keys that contradict each other or could have no effect. A rule whose keys were not all accepted is
 * checked for what is certain all the same, so that one load shows as much as possible, and nothing twice. */
#include <string.h>

#include "config/config-private.h"

static const struct value *key_at(const struct seen *seen, enum rule_key key) {
        return seen->keys[key];
}

static bool accepted(const struct seen *seen, enum rule_key key) {
        return seen->keys[key] && !(seen->bad & (1u << key));
}

/* 'rule "databases"', or 'this rule' where it has no name to show. */
static char *rule_title(const struct rule *r) {
        return r->name ? format_string("rule \"%s\"", r->name) : format_string("this rule");
}

static int check_required(struct config_file *f, const struct value *v, const struct rule *r, const struct seen *seen) {
        static const struct {
                enum rule_key key;
                const char *name, *expected;
        } required[] = {
                { RULE_NAME, "name", "name: and a name that no other rule has" },
                { RULE_MATCH, "match", "match: with at least one of unit, slice, cgroup, user, exe, comm" },
                { RULE_PLACE, "place", "place: and one of compact, nodes, follow, ignore, spread, interleave, near" },
        };
        _cleanup_free_ char *title = rule_title(r);
        if (!title)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
                if (key_at(seen, required[i].key))
                        continue;
                if (!error_note(f, v->at, "%s has no %s; expected %s", title, required[i].name, required[i].expected))
                        return -ENOMEM;
        }
        return 0;
}

static int check_unique(struct config_file *f, const struct rule *r, const struct seen *seen) {
        const struct config *c = f->loader->config;
        if (!r->name)
                return 0;
        for (const struct rule *other = c->rules; other < r; other++) {
                if (!other->name || strcmp(other->name, r->name) != 0)
                        continue;
                bool noted = error_note(f, key_at(seen, RULE_NAME)->next->at,
                                        "a second rule \"%s\"; expected another name, since %s:%u has it", r->name, other->file,
                                        other->line);
                return noted ? 0 : -ENOMEM;
        }
        return 0;
}

/* Keys without any effect beside this `place`. */
struct idle_keys {
        enum rule_key key;
        const char *why;
};

static int refuse_keys(struct config_file *f, const struct rule *r, const struct seen *seen, const struct idle_keys *idle,
                       size_t n) {
        for (size_t i = 0; i < n; i++) {
                const struct value *key = key_at(seen, idle[i].key);
                if (key && !error_note(f, key->at, "%s contradicts place: %s, %s; expected one of the two", key->text,
                                       place_to_string(r->place), idle[i].why))
                        return -ENOMEM;
        }
        return 0;
}

static int check_ignore(struct config_file *f, const struct rule *r, const struct seen *seen) {
        static const char why[] = "which leaves the service alone";
        static const struct idle_keys idle[] = {
                { RULE_MEMORY, why },   { RULE_CPUS, why },     { RULE_NODES, why },    { RULE_MAX_NODES, why },
                { RULE_MIN_SIZE, why }, { RULE_MIN_GAIN, why }, { RULE_COOLDOWN, why }, { RULE_MIGRATE_RATE, why },
        };
        return refuse_keys(f, r, seen, idle, ARRAY_SIZE(idle));
}

static int check_follow(struct config_file *f, const struct rule *r, const struct seen *seen) {
        static const struct idle_keys nodes[] = { { RULE_NODES, "which goes where the threads are" } };
        static const struct idle_keys cpus[] = { { RULE_CPUS, "which leaves the CPUs untouched" } };
        static const struct idle_keys memory[] = { { RULE_MEMORY, "which must leave the memory free to go after the threads" } };
        int e = refuse_keys(f, r, seen, nodes, 1);
        if (e >= 0 && accepted(seen, RULE_CPUS) && r->cpus == CPUS_RESTRICT)
                e = refuse_keys(f, r, seen, cpus, 1);
        if (e >= 0 && accepted(seen, RULE_MEMORY) && r->memory == MEMORY_STRICT)
                e = refuse_keys(f, r, seen, memory, 1);
        return e;
}

static int check_nodes(struct config_file *f, const struct value *v, const struct rule *r, const struct seen *seen) {
        static const struct idle_keys idle[] = { { RULE_MIN_GAIN, "which goes there whatever it gains" } };
        const struct topology *t = f->loader->topology;
        int e = refuse_keys(f, r, seen, idle, ARRAY_SIZE(idle));
        if (e < 0)
                return e;
        if (!key_at(seen, RULE_NODES))
                return complain(f, key_at(seen, RULE_PLACE)->at,
                                "place: nodes without nodes; expected nodes: and a list such as \"0-1,3\"");
        if (!accepted(seen, RULE_NODES))
                return 0;
        struct position at = key_at(seen, RULE_NODES)->next->at;
        unsigned n = node_set_count(&r->nodes);
        if (accepted(seen, RULE_MAX_NODES) && r->max_nodes < n)
                return complain(f, key_at(seen, RULE_MAX_NODES)->next->at,
                                "max-nodes: %u contradicts nodes, which gives %u; expected one of the two", r->max_nodes, n);
        if (!t)
                return 0;
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

static int check_compact(struct config_file *f, const struct rule *r, const struct seen *seen) {
        static const struct idle_keys idle[] = { { RULE_NODES, "which chooses the nodes itself" } };
        return refuse_keys(f, r, seen, idle, ARRAY_SIZE(idle));
}

int rule_check(struct config_file *f, const struct value *v, struct rule *r, const struct seen *seen) {
        int e = check_required(f, v, r, seen);
        if (e >= 0)
                e = check_unique(f, r, seen);
        if (e < 0 || !accepted(seen, RULE_PLACE))
                return e;
        switch (r->place) {
        case PLACE_COMPACT: e = check_compact(f, r, seen); break;
        case PLACE_NODES: e = check_nodes(f, v, r, seen); break;
        case PLACE_FOLLOW: e = check_follow(f, r, seen); break;
        case PLACE_IGNORE: e = check_ignore(f, r, seen); break;
        default: break;
        }
        r->has_allowed = accepted(seen, RULE_ALLOWED_NODES);
        /* Those leave the CPUs untouched whatever the default says. */
        if (r->place == PLACE_FOLLOW || r->place == PLACE_IGNORE || r->place == PLACE_INTERLEAVE)
                r->cpus = CPUS_FREE;
        return e == -EBADMSG ? 0 : e;
}
