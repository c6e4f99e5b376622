/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one rule must have, and keys that contradict each other or could have no effect. A rule whose keys were not all accepted is
 * checked for what is certain all the same, so that one load shows as much as possible, and nothing twice. */
#include <string.h>

#include "config/config-private.h"

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

/* -------- keys without any effect beside others -------- */

static const char which_ignores[] = "which leaves the service alone", which_follows[] = "which goes where the threads are",
                  which_no_home[] = "which has no home of its own", which_no_device[] = "which looks at no device",
                  which_no_weight[] = "which gives no node a weight";

static const struct {
        enum place place;
        enum rule_key key;
        const char *why;
} idle_keys[] = {
        { PLACE_COMPACT, RULE_NODES, "which chooses the nodes itself" },
        { PLACE_COMPACT, RULE_DEVICE, which_no_device },
        { PLACE_COMPACT, RULE_WEIGHTS, which_no_weight },
        { PLACE_NODES, RULE_MIN_GAIN, "which goes there whatever it gains" },
        { PLACE_NODES, RULE_DEVICE, which_no_device },
        { PLACE_NODES, RULE_WEIGHTS, which_no_weight },
        { PLACE_FOLLOW, RULE_NODES, which_follows },
        { PLACE_FOLLOW, RULE_MIN_NODES, which_follows },
        { PLACE_FOLLOW, RULE_TOGETHER_WITH, which_no_home },
        { PLACE_FOLLOW, RULE_APART_FROM, which_no_home },
        { PLACE_FOLLOW, RULE_DEVICE, which_no_device },
        { PLACE_FOLLOW, RULE_WEIGHTS, which_no_weight },
        { PLACE_SPREAD, RULE_NODES, "which takes allowed-nodes for that" },
        { PLACE_SPREAD, RULE_DEVICE, which_no_device },
        { PLACE_SPREAD, RULE_WEIGHTS, "which divides memory as its CPUs are" },
        { PLACE_INTERLEAVE, RULE_NODES, "which takes allowed-nodes or weights for that" },
        { PLACE_INTERLEAVE, RULE_DEVICE, which_no_device },
        { PLACE_INTERLEAVE, RULE_TOGETHER_WITH, "which leaves the CPUs untouched" },
        { PLACE_NEAR, RULE_NODES, "which goes where the device is" },
        { PLACE_NEAR, RULE_WEIGHTS, which_no_weight },
};

static int refuse_key(struct config_file *f, const struct rule *r, const struct seen *seen, enum rule_key k, const char *why) {
        const struct value *key = key_at(seen, k);
        if (!key)
                return 0;
        bool noted = error_note(f, key->at, "%s contradicts place: %s, %s; expected one of the two", key->text,
                                place_to_string(r->place), why);
        return noted ? 0 : -ENOMEM;
}

static int check_idle(struct config_file *f, const struct rule *r, const struct seen *seen) {
        int e = 0;
        if (r->place == PLACE_IGNORE)
                for (int k = RULE_PLACE + 1; k < _RULE_KEY_MAX && e >= 0; k++)
                        e = refuse_key(f, r, seen, (enum rule_key) k, which_ignores);
        for (size_t i = 0; i < ARRAY_SIZE(idle_keys) && e >= 0; i++)
                if (idle_keys[i].place == r->place)
                        e = refuse_key(f, r, seen, idle_keys[i].key, idle_keys[i].why);
        return e;
}

/* Those where only one of the key's values is refused. */
static int check_idle_values(struct config_file *f, const struct rule *r, const struct seen *seen) {
        int e = 0;
        if ((r->place == PLACE_FOLLOW || r->place == PLACE_INTERLEAVE) && accepted(seen, RULE_CPUS) && r->cpus == CPUS_RESTRICT)
                e = refuse_key(f, r, seen, RULE_CPUS, "which leaves the CPUs untouched");
        if (e >= 0 && r->place == PLACE_FOLLOW && accepted(seen, RULE_MEMORY) && r->memory == MEMORY_STRICT)
                e = refuse_key(f, r, seen, RULE_MEMORY, "which must leave the memory free to go after the threads");
        if (e >= 0 && r->place == PLACE_FOLLOW && accepted(seen, RULE_EXCLUSIVE) && r->exclusive)
                e = refuse_key(f, r, seen, RULE_EXCLUSIVE, which_no_home);
        return e;
}

/* compact with cpus: free has its memory go after the threads: there is no home to share, or to keep to itself. */
static int check_free_compact(struct config_file *f, const struct rule *r, const struct seen *seen) {
        static const enum rule_key keys[] = { RULE_TOGETHER_WITH, RULE_APART_FROM, RULE_EXCLUSIVE };
        if (r->place != PLACE_COMPACT || !accepted(seen, RULE_CPUS) || r->cpus != CPUS_FREE)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const struct value *key = key_at(seen, keys[i]);
                if (!key || (keys[i] == RULE_EXCLUSIVE && !r->exclusive))
                        continue;
                if (!error_note(f, key->at,
                                "%s contradicts cpus: free, which lets a compact service run anywhere; expected one of "
                                "the two",
                                key->text))
                        return -ENOMEM;
        }
        return 0;
}

/* What a place cannot do without. */
static int check_needed(struct config_file *f, const struct rule *r, const struct seen *seen) {
        if (r->place == PLACE_NODES && !key_at(seen, RULE_NODES))
                return complain(f, key_at(seen, RULE_PLACE)->at,
                                "place: nodes without nodes; expected nodes: and a list such as \"0-1,3\"");
        if (r->place == PLACE_NEAR && !key_at(seen, RULE_DEVICE))
                return complain(f, key_at(seen, RULE_PLACE)->at,
                                "place: near without device; expected device: and a name such as net/eth0");
        return 0;
}

int rule_check(struct config_file *f, const struct value *v, struct rule *r, const struct seen *seen) {
        int e = check_required(f, v, r, seen);
        if (e >= 0)
                e = check_unique(f, r, seen);
        if (e < 0 || !accepted(seen, RULE_PLACE))
                return e;
        e = check_idle(f, r, seen);
        if (e >= 0)
                e = check_idle_values(f, r, seen);
        if (e >= 0)
                e = check_free_compact(f, r, seen);
        if (e >= 0)
                e = check_needed(f, r, seen);
        /* Those leave the CPUs untouched whatever the default says. */
        if (r->place == PLACE_FOLLOW || r->place == PLACE_IGNORE || r->place == PLACE_INTERLEAVE)
                r->cpus = CPUS_FREE;
        r->has_allowed = accepted(seen, RULE_ALLOWED_NODES);
        if (e >= 0 && r->place != PLACE_IGNORE)
                e = rule_check_nodes(f, r, seen);
        return e == -EBADMSG ? 0 : e;
}
