/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of the configuration's words, its defaults, and which rule a service falls under. */
#include "core/rule.h"

#include <fnmatch.h>
#include <string.h>

#include "core/util.h"

static const char *name_of(const char *const *table, size_t n, int value) {
        return value >= 0 && (size_t) value < n ? table[value] : "invalid";
}

const char *place_to_string(enum place p) {
        static const char *const table[_PLACE_MAX] = {
                [PLACE_COMPACT] = "compact", [PLACE_NODES] = "nodes",   [PLACE_FOLLOW] = "follow",
                [PLACE_IGNORE] = "ignore",   [PLACE_SPREAD] = "spread", [PLACE_INTERLEAVE] = "interleave",
                [PLACE_NEAR] = "near",
        };
        return name_of(table, ARRAY_SIZE(table), (int) p);
}

const char *memory_mode_to_string(enum memory_mode m) {
        static const char *const table[_MEMORY_MODE_MAX] = {
                [MEMORY_PREFER] = "prefer",
                [MEMORY_STRICT] = "strict",
        };
        return name_of(table, ARRAY_SIZE(table), (int) m);
}

const char *cpus_mode_to_string(enum cpus_mode m) {
        static const char *const table[_CPUS_MODE_MAX] = {
                [CPUS_RESTRICT] = "restrict",
                [CPUS_FREE] = "free",
        };
        return name_of(table, ARRAY_SIZE(table), (int) m);
}

const char *shared_pages_to_string(enum shared_pages s) {
        static const char *const table[_SHARED_PAGES_MAX] = {
                [SHARED_PAGES_SKIP] = "skip",
                [SHARED_PAGES_MOVE] = "move",
        };
        return name_of(table, ARRAY_SIZE(table), (int) s);
}

const char *app_policy_to_string(enum app_policy p) {
        static const char *const table[_APP_POLICY_MAX] = {
                [APP_POLICY_RESPECT] = "respect",
                [APP_POLICY_OVERRIDE] = "override",
        };
        return name_of(table, ARRAY_SIZE(table), (int) p);
}

const char *interleave_by_to_string(enum interleave_by b) {
        static const char *const table[_INTERLEAVE_MAX] = {
                [INTERLEAVE_EQUAL] = "equal",
                [INTERLEAVE_BANDWIDTH] = "bandwidth",
                [INTERLEAVE_GIVEN] = "given",
        };
        return name_of(table, ARRAY_SIZE(table), (int) b);
}

const char *match_key_to_string(enum match_key k) {
        static const char *const table[_MATCH_KEY_MAX] = {
                [MATCH_UNIT] = "unit", [MATCH_SLICE] = "slice", [MATCH_CGROUP] = "cgroup",
                [MATCH_USER] = "user", [MATCH_EXE] = "exe",     [MATCH_COMM] = "comm",
        };
        return name_of(table, ARRAY_SIZE(table), (int) k);
}

const char *on_exit_to_string(enum on_exit o) {
        static const char *const table[_ON_EXIT_MAX] = {
                [ON_EXIT_KEEP] = "keep",
                [ON_EXIT_RESTORE] = "restore",
        };
        return name_of(table, ARRAY_SIZE(table), (int) o);
}

const char *kernel_balancing_to_string(enum kernel_balancing b) {
        static const char *const table[_KERNEL_BALANCING_MAX] = {
                [KERNEL_BALANCING_AUTO] = "auto",
                [KERNEL_BALANCING_RESPECT] = "respect",
                [KERNEL_BALANCING_OVERRIDE] = "override",
        };
        return name_of(table, ARRAY_SIZE(table), (int) b);
}

const char *balancing_setting_to_string(enum balancing_setting s) {
        static const char *const table[_BALANCING_SETTING_MAX] = {
                [BALANCING_LEAVE] = "leave",
                [BALANCING_OFF] = "off",
                [BALANCING_ON] = "on",
        };
        return name_of(table, ARRAY_SIZE(table), (int) s);
}

int string_list_add(struct string_list *l, const char *text) {
        /* The list keeps no capacity: it grows to the next power of two whenever it has reached one. */
        if ((l->n_items & (l->n_items - 1)) == 0) {
                size_t bytes;
                if (__builtin_mul_overflow(MAX2(l->n_items * 2, (size_t) 1), sizeof *l->items, &bytes))
                        return -ENOMEM;
                char **items = realloc(l->items, bytes);
                if (!items)
                        return -ENOMEM;
                l->items = items;
        }
        char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        l->items[l->n_items++] = copy;
        return 0;
}

void string_list_done(struct string_list *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i]);
        free(l->items);
        *l = (struct string_list) { 0 };
}

void rule_init(struct rule *r) {
        *r = (struct rule) {
                .place = PLACE_COMPACT,
                .memory = MEMORY_PREFER,
                .cpus = CPUS_RESTRICT,
                .min_size_bytes = RULE_MIN_SIZE_BYTES_DEFAULT,
                .min_gain_permille = RULE_MIN_GAIN_PERMILLE_DEFAULT,
                .cooldown_usec = RULE_COOLDOWN_USEC_DEFAULT,
                .priority = RULE_PRIORITY_DEFAULT,
        };
}

void rule_done(struct rule *r) {
        free(r->name);
        for (size_t k = 0; k < _MATCH_KEY_MAX; k++)
                string_list_done(&r->match.patterns[k]);
        string_list_done(&r->together_with);
        string_list_done(&r->apart_from);
        string_list_done(&r->devices);
        free(r->weights);
        free(r->file);
        *r = (struct rule) { 0 };
}

struct config *config_new(void) {
        struct config *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        c->settings = (struct settings) {
                .interval_usec = 10 * USEC_PER_SEC,
                .max_interval_usec = 5 * USEC_PER_MINUTE,
                .scan_cpu_permille = 10,
                .migrate_rate_bytes = GIB,
                .keep_free_permille = 50,
                .on_exit = ON_EXIT_KEEP,
        };
        return c;
}

struct config *config_free(struct config *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_rules; i++)
                rule_done(&c->rules[i]);
        free(c->rules);
        free(c->settings.windows);
        free(c);
        return NULL;
}

bool config_needs(const struct config *c, enum match_key key) {
        for (size_t i = 0; i < c->n_rules; i++)
                if (c->rules[i].match.patterns[key].n_items > 0)
                        return true;
        return false;
}

/* "" is what a service without a unit or slice has: no pattern matches it, not even "*". Backslashes are literal, as
 * in systemd's own globs, because unit names contain them ("dev-disk-by\x2duuid-…"). */
static bool list_matches(const struct string_list *patterns, const char *value) {
        if (!value || !*value)
                return false;
        for (size_t i = 0; i < patterns->n_items; i++)
                if (fnmatch(patterns->items[i], value, FNM_NOESCAPE) == 0)
                        return true;
        return false;
}

static bool key_matches(const struct string_list *patterns, const char *const *values, size_t n_values) {
        for (size_t i = 0; i < n_values; i++)
                if (list_matches(patterns, values[i]))
                        return true;
        return false;
}

static bool rule_matches(const struct rule *r, const struct service_identity *id) {
        const struct {
                const char *const *values;
                size_t n_values;
        } known[_MATCH_KEY_MAX] = {
                [MATCH_UNIT] = { &id->unit, 1 },        [MATCH_SLICE] = { &id->slice, 1 },
                [MATCH_CGROUP] = { &id->cgroup, 1 },    [MATCH_USER] = { id->users, id->n_users },
                [MATCH_EXE] = { id->exes, id->n_exes }, [MATCH_COMM] = { id->comms, id->n_comms },
        };
        bool any = false;
        for (size_t k = 0; k < _MATCH_KEY_MAX; k++) {
                const struct string_list *patterns = &r->match.patterns[k];
                if (patterns->n_items == 0)
                        continue;
                if (!key_matches(patterns, known[k].values, known[k].n_values))
                        return false;
                any = true;
        }
        return any;
}

const struct rule *config_match(const struct config *c, const struct service_identity *id) {
        for (size_t i = 0; i < c->n_rules; i++)
                if (rule_matches(&c->rules[i], id))
                        return &c->rules[i];
        return NULL;
}

bool config_may_match_unit(const struct config *c, const char *unit) {
        for (size_t i = 0; i < c->n_rules; i++) {
                const struct rule *r = &c->rules[i];
                const struct string_list *units = &r->match.patterns[MATCH_UNIT];
                bool more = false, any = units->n_items > 0;
                for (size_t k = 0; k < _MATCH_KEY_MAX; k++)
                        more |= k != MATCH_UNIT && r->match.patterns[k].n_items > 0;
                if ((!any && !more) || (any && !list_matches(units, unit)))
                        continue;
                if (r->place != PLACE_IGNORE)
                        return true;
                if (!more) /* the first that matches decides, and this one does for certain */
                        return false;
        }
        return false;
}

bool config_selects_cgroup(const struct config *c, const char *cgroup) {
        for (size_t i = 0; i < c->n_rules; i++)
                if (list_matches(&c->rules[i].match.patterns[MATCH_CGROUP], cgroup))
                        return true;
        return false;
}

bool settings_window_open(const struct settings *s, unsigned week_minute) {
        if (s->n_windows == 0)
                return true;
        unsigned minute = week_minute % WEEK_MINUTES;
        for (size_t i = 0; i < s->n_windows; i++) {
                const struct week_window *w = &s->windows[i];
                if ((minute >= w->start_minute && minute < w->end_minute) || minute + WEEK_MINUTES < w->end_minute)
                        return true;
        }
        return false;
}

unsigned settings_window_opens_in(const struct settings *s, unsigned week_minute) {
        unsigned minute = week_minute % WEEK_MINUTES, least = WEEK_MINUTES;
        if (settings_window_open(s, week_minute))
                return 0;
        for (size_t i = 0; i < s->n_windows; i++)
                least = MIN2(least, (s->windows[i].start_minute + WEEK_MINUTES - minute) % WEEK_MINUTES);
        return least;
}
