/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The schema: one table for each mapping, read by one function. */
#include <assert.h>
#include <string.h>

#include "config/config-private.h"

#define RANGE(min_, max_, text_)                                                                                                 \
        &(const struct range) {                                                                                                  \
                .min = (min_), .max = (max_), .text = (text_)                                                                    \
        }
#define DAY_USEC (24ULL * 60ULL * USEC_PER_MINUTE)

static const char *const on_exit_words[] = { [ON_EXIT_KEEP] = "keep", [ON_EXIT_RESTORE] = "restore" };
static const char *const place_words[] = {
        [PLACE_COMPACT] = "compact", [PLACE_NODES] = "nodes",           [PLACE_FOLLOW] = "follow", [PLACE_IGNORE] = "ignore",
        [PLACE_SPREAD] = "spread",   [PLACE_INTERLEAVE] = "interleave", [PLACE_NEAR] = "near",
};
static const char *const memory_words[] = { [MEMORY_PREFER] = "prefer", [MEMORY_STRICT] = "strict" };
static const char *const cpus_words[] = { [CPUS_RESTRICT] = "restrict", [CPUS_FREE] = "free" };
static const char *const shared_words[] = { [SHARED_PAGES_SKIP] = "skip", [SHARED_PAGES_MOVE] = "move" };
static const char *const policy_words[] = { [APP_POLICY_RESPECT] = "respect", [APP_POLICY_OVERRIDE] = "override" };
static const char *const kernel_words[] = {
        [KERNEL_BALANCING_AUTO] = "auto", [KERNEL_BALANCING_RESPECT] = "respect", [KERNEL_BALANCING_OVERRIDE] = "override"
};
static const char *const machine_words[] = { [BALANCING_LEAVE] = "leave", [BALANCING_OFF] = "off", [BALANCING_ON] = "on" };
static const char *const version_words[] = { "1" };

/* Versions of clang-format differ on macros in braces. */
/* clang-format off */
#define CHOICES(words_)                                                                                                          \
        { words_, ARRAY_SIZE(words_) }
/* clang-format on */
static const struct choices version_choices = CHOICES(version_words), on_exit_choices = CHOICES(on_exit_words);
static const struct choices place_choices = CHOICES(place_words), memory_choices = CHOICES(memory_words);
static const struct choices cpus_choices = CHOICES(cpus_words), shared_choices = CHOICES(shared_words);
static const struct choices policy_choices = CHOICES(policy_words);
static const struct choices kernel_choices = CHOICES(kernel_words), machine_choices = CHOICES(machine_words);
static_assert(ARRAY_SIZE(on_exit_words) == _ON_EXIT_MAX && ARRAY_SIZE(place_words) == _PLACE_MAX &&
                      ARRAY_SIZE(memory_words) == _MEMORY_MODE_MAX && ARRAY_SIZE(cpus_words) == _CPUS_MODE_MAX &&
                      ARRAY_SIZE(shared_words) == _SHARED_PAGES_MAX && ARRAY_SIZE(policy_words) == _APP_POLICY_MAX &&
                      ARRAY_SIZE(kernel_words) == _KERNEL_BALANCING_MAX && ARRAY_SIZE(machine_words) == _BALANCING_SETTING_MAX,
              "a word for each constant");

enum { SETTING_INTERVAL, SETTING_MAX_INTERVAL };

/* A key with a field; one whose value is accepted and needs none. */
/* clang-format off */
#define KEY(name_, parse_, offset_, data_)                                                                                       \
        { .name = (name_), .parse = (parse_), .offset = (offset_), .data = (data_) }
#define IDLE(name_, parse_, data_)                                                                                               \
        { .name = (name_), .parse = (parse_), .offset = SIZE_MAX, .data = (data_) }
/* clang-format on */

#define INTERVALS      RANGE(100 * USEC_PER_MSEC, DAY_USEC, "100ms to 1d")
#define RATES          RANGE(64 * KIB, 1024 * GIB, "64K to 1T per second")
#define NODE_COUNTS    RANGE(1, NODE_ID_MAX + 1, "a number of nodes from 1 to 1024")
#define SETTING(field) offsetof(struct settings, field)
#define PATTERNS(key)  offsetof(struct match, patterns[key])
#define RULE(field)    offsetof(struct rule, field)

static const struct key settings_keys[] = {
        [SETTING_INTERVAL] = KEY("interval", field_duration, SETTING(interval_usec), INTERVALS),
        [SETTING_MAX_INTERVAL] = KEY("max-interval", field_duration, SETTING(max_interval_usec), INTERVALS),
        KEY("windows", field_windows, 0, NULL),
        KEY("dry-run", field_boolean, SETTING(dry_run), NULL),
        KEY("scan-cpu", field_percent, SETTING(scan_cpu_permille), RANGE(1, 1000, "0.1% to 100% of one CPU")),
        KEY("migrate-rate", field_rate, SETTING(migrate_rate_bytes), RATES),
        KEY("keep-free", field_percent, SETTING(keep_free_permille), RANGE(0, 900, "0% to 90% of each node")),
        KEY("on-exit", field_choice, SETTING(on_exit), &on_exit_choices),
        KEY("kernel-balancing", field_choice, SETTING(kernel_balancing), &machine_choices),
};

static const struct key match_keys[] = {
        KEY("unit", field_patterns, PATTERNS(MATCH_UNIT), NULL),     KEY("slice", field_patterns, PATTERNS(MATCH_SLICE), NULL),
        KEY("cgroup", field_patterns, PATTERNS(MATCH_CGROUP), NULL), KEY("user", field_patterns, PATTERNS(MATCH_USER), NULL),
        KEY("exe", field_patterns, PATTERNS(MATCH_EXE), NULL),       KEY("comm", field_patterns, PATTERNS(MATCH_COMM), NULL),
};

static int field_match(struct config_file *f, const struct key *k, const struct value *v, void *field);

static const struct key rule_keys[] = {
        [RULE_NAME] = KEY("name", field_name, RULE(name), NULL),
        [RULE_MATCH] = KEY("match", field_match, RULE(match), NULL),
        [RULE_PLACE] = KEY("place", field_choice, RULE(place), &place_choices),
        [RULE_MEMORY] = KEY("memory", field_choice, RULE(memory), &memory_choices),
        [RULE_CPUS] = KEY("cpus", field_choice, RULE(cpus), &cpus_choices),
        [RULE_NODES] = KEY("nodes", field_nodes, RULE(nodes), NULL),
        [RULE_MAX_NODES] = KEY("max-nodes", field_number, RULE(max_nodes), NODE_COUNTS),
        [RULE_MIN_SIZE] = KEY("min-size", field_size, RULE(min_size_bytes), RANGE(0, 1024 * 1024 * GIB, "0 to 1024T")),
        [RULE_MIN_GAIN] =
                KEY("min-gain", field_percent, RULE(min_gain_permille), RANGE(0, 900, "0% to 90% of the present distance")),
        [RULE_COOLDOWN] = KEY("cooldown", field_duration, RULE(cooldown_usec), RANGE(0, 7 * DAY_USEC, "0 to 7d")),
        [RULE_MIGRATE_RATE] = KEY("migrate-rate", field_rate, RULE(migrate_rate_bytes), RATES),
        [RULE_SHARED_PAGES] = KEY("shared-pages", field_choice, RULE(shared_pages), &shared_choices),
        [RULE_APP_POLICY] = KEY("app-policy", field_choice, RULE(app_policy), &policy_choices),
        [RULE_KERNEL_BALANCING] = KEY("kernel-balancing", field_choice, RULE(kernel_balancing), &kernel_choices),
        [RULE_DEVICE] = KEY("device", field_devices, RULE(devices), NULL),
        [RULE_WEIGHTS] = KEY("weights", field_weights, 0, NULL),
        [RULE_MIN_NODES] = KEY("min-nodes", field_number, RULE(min_nodes), NODE_COUNTS),
        [RULE_ALLOWED_NODES] = KEY("allowed-nodes", field_nodes, RULE(allowed), NULL),
        [RULE_AVOID_NODES] = KEY("avoid-nodes", field_nodes, RULE(avoid), NULL),
        [RULE_TOGETHER_WITH] = KEY("together-with", field_names, RULE(together_with), NULL),
        [RULE_APART_FROM] = KEY("apart-from", field_names, RULE(apart_from), NULL),
        [RULE_EXCLUSIVE] = KEY("exclusive", field_boolean, RULE(exclusive), NULL),
        [RULE_PRIORITY] = KEY("priority", field_number, RULE(priority), RANGE(0, RULE_PRIORITY_MAX, "a priority from 0 to 1000")),
};
static_assert(ARRAY_SIZE(rule_keys) == _RULE_KEY_MAX && _RULE_KEY_MAX <= KEYS_MAX, "one entry for each key");

/* -------- mappings -------- */

static int unknown_key(struct config_file *f, const char *where, const struct value *key, const struct key *keys, size_t n_keys) {
        const char *names[KEYS_MAX];
        struct strbuf expected = { 0 };
        for (size_t i = 0; i < n_keys; i++) {
                names[i] = keys[i].name;
                strbuf_printf(&expected, "%s%s", expected.length ? ", " : "", keys[i].name);
        }
        _cleanup_free_ char *list = strbuf_steal(&expected);
        _cleanup_free_ char *quoted = quote_text(key->text, key->size);
        if (!list || !quoted)
                return -ENOMEM;
        if (strcmp(key->text, "<<") == 0)
                return complain(f, key->at,
                                "a merge key (<<), which is not supported; expected the keys themselves at each place");
        if (key->size > 0 && strspn(key->text, "0123456789-") == key->size && value_is_null(key->next))
                return complain(
                        f, key->at,
                        "unknown key %s in %s; expected a list of nodes with a comma in quotes, such as \"0,2\", or one of %s",
                        quoted, where, list);
        const char *meant = suggest_word(key->text, names, n_keys);
        if (meant)
                return complain(f, key->at, "unknown key %s in %s, did you mean %s? Expected one of %s", quoted, where, meant,
                                list);
        return complain(f, key->at, "unknown key %s in %s; expected one of %s", quoted, where, list);
}

/* One key and its value. Returns also -EBADMSG. */
static int read_entry(struct config_file *f, const char *where, const struct value *key, const struct key *keys, size_t n_keys,
                      void *target, struct seen *seen) {
        const struct value *v = key->next;
        if (key->kind == VALUE_REFUSED)
                return -EBADMSG;
        if (key->kind != VALUE_SCALAR)
                return complain(f, key->at, "%s as a key in %s; expected a plain word", value_kind_name(key), where);
        size_t i;
        for (i = 0; i < n_keys && strcmp(key->text, keys[i].name) != 0; i++)
                ;
        if (i == n_keys || strlen(key->text) != key->size)
                return unknown_key(f, where, key, keys, n_keys);
        if (seen->keys[i])
                return complain(f, key->at, "a second %s in %s; expected it once, as in line %u", keys[i].name, where,
                                seen->keys[i]->at.line);
        seen->keys[i] = key;
        /* Room for whatever a parser stores of a key that has no field. */
        int discarded;
        void *field = keys[i].offset == SIZE_MAX ? (void *) &discarded : (char *) target + keys[i].offset;
        int r = v->kind == VALUE_REFUSED ? -EBADMSG : keys[i].parse(f, &keys[i], v, field);
        if (r < 0)
                seen->bad |= 1u << i;
        return r;
}

int mapping_read(struct config_file *f, const char *where, const struct value *v, const struct key *keys, size_t n_keys,
                 void *target, struct seen *ret_seen) {
        *ret_seen = (struct seen) { 0 };
        for (const struct value *key = v->first; key; key = key->next->next) {
                int r = read_entry(f, where, key, keys, n_keys, target, ret_seen);
                if (r < 0 && r != -EBADMSG)
                        return r;
        }
        return 0;
}

static int field_match(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a mapping with at least one of unit, slice, cgroup, user, exe, comm";
        struct seen seen;
        if (value_is_null(v))
                return complain(f, v->at, "match has no value; expected %s", expected);
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "match is %s; expected %s", value_kind_name(v), expected);
        if (!v->first)
                return complain(f, v->at, "match is empty; expected %s", expected);
        return mapping_read(f, "match", v, match_keys, ARRAY_SIZE(match_keys), field, &seen);
}

/* The places of the texts in a value that is one, or a list of them; NULL when memory ran out. */
static struct position *text_positions(const struct value *v) {
        size_t n = 0, i = 0;
        for (const struct value *item = v->first; item; item = item->next)
                n++;
        struct position *at = calloc(MAX2(n, (size_t) 1), sizeof(*at));
        if (!at)
                return NULL;
        at[0] = v->at;
        for (const struct value *item = v->first; item; item = item->next)
                at[i++] = item->at;
        return at;
}

static int note_positions(const struct seen *seen, enum rule_key key, struct position **ret) {
        if (!accepted(seen, key))
                return 0;
        *ret = text_positions(key_at(seen, key)->next);
        return *ret ? 0 : -ENOMEM;
}

static int read_rule_keys(struct config_file *f, const struct value *v, struct rule *r, struct rule_origin *origin) {
        size_t n_errors = f->errors.n_found;
        struct seen seen;
        r->line = v->at.line;
        r->file = strdup(f->name);
        if (!r->file)
                return -ENOMEM;
        int e = mapping_read(f, "a rule", v, rule_keys, ARRAY_SIZE(rule_keys), r, &seen);
        if (e >= 0)
                e = rule_check(f, v, r, &seen);
        if (e >= 0)
                e = note_positions(&seen, RULE_TOGETHER_WITH, &origin->together_at);
        if (e >= 0)
                e = note_positions(&seen, RULE_APART_FROM, &origin->apart_at);
        if (e >= 0 && accepted(&seen, RULE_PLACE)) {
                r->place_line = key_at(&seen, RULE_PLACE)->at.line;
                r->place_column = key_at(&seen, RULE_PLACE)->at.column;
        }
        if (e >= 0 && accepted(&seen, RULE_EXCLUSIVE))
                origin->exclusive_at = key_at(&seen, RULE_EXCLUSIVE)->next->at;
        origin->sure = !seen.bad && f->errors.n_found == n_errors;
        if (!r->name)
                f->loader->names_unsure = true;
        return e;
}

static int read_rule(struct config_file *f, const struct value *v) {
        struct loader *l = f->loader;
        struct config *c = l->config;
        if (v->kind != VALUE_MAPPING || c->n_rules == CONFIG_RULES_MAX)
                l->names_unsure = true;
        if (v->kind == VALUE_REFUSED)
                return 0;
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "a rule is %s; expected a mapping with name, match and place",
                                value_is_null(v) ? "empty" : value_kind_name(v));
        if (c->n_rules == CONFIG_RULES_MAX)
                return complain(f, v->at, "more than %u rules; expected fewer", CONFIG_RULES_MAX);
        int e = array_reserve(&c->rules, &l->rules_capacity, c->n_rules + 1, sizeof(*c->rules));
        if (e >= 0)
                e = array_reserve(&l->origins, &l->origins_capacity, c->n_rules + 1, sizeof(*l->origins));
        if (e < 0)
                return e;
        struct rule *r = &c->rules[c->n_rules];
        struct rule_origin *origin = &l->origins[l->n_origins++];
        c->n_rules++;
        rule_init(r);
        *origin = (struct rule_origin) { .file = f };
        return read_rule_keys(f, v, r, origin);
}

/* -------- the top level -------- */

static int field_settings(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        struct loader *l = f->loader;
        struct seen seen;
        if (value_is_null(v)) /* all of it commented out */
                return 0;
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "daemon is %s; expected a mapping of settings", value_kind_name(v));
        int r = mapping_read(f, "daemon", v, settings_keys, ARRAY_SIZE(settings_keys), &l->config->settings, &seen);
        if (r < 0)
                return r;
        const unsigned both = 1u << SETTING_INTERVAL | 1u << SETTING_MAX_INTERVAL;
        const struct value *key = seen.keys[seen.keys[SETTING_INTERVAL] ? SETTING_INTERVAL : SETTING_MAX_INTERVAL];
        if (seen.bad & both)
                l->interval_unsure = true;
        if (!key)
                return 0;
        l->interval_file = f;
        l->interval_at = key->next->at;
        return 0;
}

static int field_rules(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        if (value_is_null(v))
                return 0;
        if (v->kind != VALUE_LIST)
                return complain(f, v->at, "rules is %s; expected a list, each entry beginning with \"-\"", value_kind_name(v));
        for (const struct value *item = v->first; item; item = item->next) {
                bool full = f->loader->config->n_rules == CONFIG_RULES_MAX;
                int r = read_rule(f, item);
                if (r < 0 && r != -EBADMSG)
                        return r;
                if (full)
                        break;
        }
        return 0;
}

enum { TOP_VERSION, TOP_DAEMON, TOP_RULES, _TOP_MAX };
static const struct key top_keys[] = {
        [TOP_VERSION] = IDLE("version", field_choice, &version_choices),
        [TOP_DAEMON] = IDLE("daemon", field_settings, NULL),
        [TOP_RULES] = IDLE("rules", field_rules, NULL),
};

int schema_read(struct config_file *f, const struct value *v) {
        struct seen seen;
        if (!v || value_is_null(v))
                return 0;
        if (v->kind == VALUE_REFUSED)
                return -EBADMSG;
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "the file is %s; expected a mapping with version, daemon and rules",
                                value_kind_name(v));
        int r = mapping_read(f, "the file", v, top_keys, ARRAY_SIZE(top_keys), NULL, &seen);
        /* "rule:" for "rules:" leaves names unknown that are there. */
        size_t n_unknown = 0;
        for (const struct value *key = v->first; key; key = key->next->next)
                n_unknown++;
        for (size_t i = 0; i < _TOP_MAX; i++)
                n_unknown -= seen.keys[i] != NULL;
        if (n_unknown > 0 || seen.bad & (1u << TOP_RULES))
                f->loader->names_unsure = true;
        return r;
}
