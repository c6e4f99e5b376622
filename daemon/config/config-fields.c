/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One value of the tree → one field, or a complaint that names the key, what was written and what was expected. */
#include <assert.h>
#include <string.h>

#include "config/config-private.h"

int wrong_kind(struct config_file *f, const struct key *k, const struct value *v, const char *expected) {
        if (value_is_null(v))
                return complain(f, v->at, "%s has no value; expected %s", k->name, expected);
        return complain(f, v->at, "%s is %s; expected %s", k->name, value_kind_name(v), expected);
}

int wrong_text(struct config_file *f, const struct key *k, const struct value *v, const char *why, const char *expected) {
        _cleanup_free_ char *quoted = quote_text(v->text, v->size);
        if (!quoted)
                return -ENOMEM;
        return complain(f, v->at, "%s: %s %s; expected %s", k->name, quoted, why, expected);
}

int scalar(struct config_file *f, const struct key *k, const struct value *v, const char *expected, const char **ret) {
        if (v->kind != VALUE_SCALAR || value_is_null(v))
                return wrong_kind(f, k, v, expected);
        if (strlen(v->text) != v->size)
                return wrong_text(f, k, v, "has a NUL in it", expected);
        *ret = v->text;
        return 0;
}

static int check_range(struct config_file *f, const struct key *k, const struct value *v, uint64_t number) {
        const struct range *range = k->data;
        if (number >= range->min && number <= range->max)
                return 0;
        return wrong_text(f, k, v, number < range->min ? "is too little" : "is too much", range->text);
}

/* Everything that is text → uint64_t within a range. */
static int field_u64(struct config_file *f, const struct key *k, const struct value *v, uint64_t *field,
                     int (*parse)(const char *, uint64_t *, const char **), const char *expected) {
        const char *text, *why;
        uint64_t number;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        if (parse(text, &number, &why) < 0)
                return wrong_text(f, k, v, why, expected);
        r = check_range(f, k, v, number);
        if (r < 0)
                return r;
        *field = number;
        return 0;
}

int field_duration(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return field_u64(f, k, v, field, parse_duration, "a duration in us, ms, s, min, h or d, such as 10s or \"1h 30min\"");
}

int field_size(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return field_u64(f, k, v, field, parse_size, "a size in bytes, or with K, M, G or T, such as 64M");
}

int field_rate(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return field_u64(f, k, v, field, parse_rate, "bytes per second, or with K, M, G or T, such as 512M or 512M/s");
}

int field_percent(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a percentage, such as 5% or 0.5%";
        const char *text, *why;
        unsigned permille;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        if (parse_percent(text, &permille, &why) < 0)
                return wrong_text(f, k, v, why, expected);
        r = check_range(f, k, v, permille);
        if (r < 0)
                return r;
        *(unsigned *) field = permille;
        return 0;
}

int field_number(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        const struct range *range = k->data;
        const char *text;
        uint64_t number;
        int r = scalar(f, k, v, range->text, &text);
        if (r < 0)
                return r;
        r = parse_u64(text, &number);
        if (r < 0)
                return wrong_text(f, k, v, r == -ERANGE ? "is too much" : "is not a whole number", range->text);
        r = check_range(f, k, v, number);
        if (r < 0)
                return r;
        *(unsigned *) field = (unsigned) number;
        return 0;
}

int field_boolean(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "true or false";
        const char *text, *why;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        bool flag;
        if (parse_boolean(text, &flag, &why) < 0)
                return wrong_text(f, k, v, why, expected);
        *(bool *) field = flag;
        return 0;
}

static char *join_words(const char *const *words, size_t n) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
        return strbuf_steal(&b);
}

int field_choice(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static_assert(sizeof(enum place) == sizeof(int) && sizeof(enum memory_mode) == sizeof(int) &&
                              sizeof(enum cpus_mode) == sizeof(int) && sizeof(enum on_exit) == sizeof(int) &&
                              sizeof(enum shared_pages) == sizeof(int) && sizeof(enum app_policy) == sizeof(int) &&
                              sizeof(enum kernel_balancing) == sizeof(int) && sizeof(enum balancing_setting) == sizeof(int),
                      "enums with a negative constant are ints");
        const struct choices *c = k->data;
        _cleanup_free_ char *expected = join_words(c->words, c->n_words);
        const char *text;
        if (!expected)
                return -ENOMEM;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n_words; i++) {
                if (strcmp(text, c->words[i]) != 0)
                        continue;
                *(int *) field = (int) i;
                return 0;
        }
        return wrong_word(f, k, v, c, expected);
}

int wrong_word(struct config_file *f, const struct key *k, const struct value *v, const struct choices *c, const char *expected) {
        const char *meant = suggest_word(v->text, c->words, c->n_words);
        if (!meant)
                return wrong_text(f, k, v, "is unknown", expected);
        _cleanup_free_ char *quoted = quote_text(v->text, v->size);
        if (!quoted)
                return -ENOMEM;
        return complain(f, v->at, "%s: %s is unknown, did you mean %s? Expected %s", k->name, quoted, meant, expected);
}

int field_nodes(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a list of node numbers in one text, such as \"0-1,3\"";
        const char *text;
        struct node_set nodes;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        r = node_set_parse(text, &nodes);
        if (r == -ERANGE)
                return wrong_text(f, k, v, "has a node that Linux cannot have", "numbers from 0 to 1023");
        if (r < 0 || strchr(text, '\n'))
                return wrong_text(f, k, v, "is not a list of nodes", expected);
        if (node_set_is_empty(&nodes))
                return wrong_text(f, k, v, "names no node", expected);
        const struct topology *t = f->loader->topology;
        if (t) {
                struct node_set present = topology_nodes(t), absent = node_set_subtract(&nodes, &present);
                if (!node_set_is_empty(&absent)) {
                        _cleanup_free_ char *which = node_set_format(&absent), *have = node_set_format(&present);
                        if (!which || !have)
                                return -ENOMEM;
                        return complain(f, v->at, "%s: this machine has no node%s %s; expected some of %s", k->name,
                                        node_set_count(&absent) == 1 ? "" : "s", which, have);
                }
        }
        *(struct node_set *) field = nodes;
        return 0;
}

int each_text(struct config_file *f, const struct key *k, const struct value *v, const char *expected, size_t limit,
              text_parser one, void *field) {
        const char *text;
        if (v->kind != VALUE_LIST) {
                int r = scalar(f, k, v, expected, &text);
                return r < 0 ? r : one(f, k, v, text, field);
        }
        if (!v->first)
                return complain(f, v->at, "%s is an empty list; expected %s", k->name, expected);
        int result = 0;
        size_t n = 0;
        for (const struct value *item = v->first; item; item = item->next) {
                if (++n > limit)
                        return complain(f, item->at, "%s has more than %zu entries; expected fewer", k->name, limit);
                if (item->kind == VALUE_REFUSED) {
                        result = -EBADMSG;
                        continue;
                }
                int r = scalar(f, k, item, expected, &text);
                if (r >= 0)
                        r = one(f, k, item, text, field);
                if (r == -EBADMSG)
                        result = r;
                else if (r < 0)
                        return r;
        }
        return result;
}

static const char window_expected[] = "days and times such as \"Mon..Fri 22:00-06:00\" or \"00:00-05:30\"";

static int add_window(struct config_file *f, const struct key *k, const struct value *v, const char *text, void *field) {
        struct settings *s = field;
        struct week_window days[7], *windows;
        size_t n;
        const char *why;
        if (parse_window(text, days, &n, &why) < 0)
                return wrong_text(f, k, v, why, window_expected);
        windows = reallocarray(s->windows, s->n_windows + n, sizeof(*windows));
        if (!windows)
                return -ENOMEM;
        memcpy(windows + s->n_windows, days, n * sizeof(*windows));
        s->windows = windows;
        s->n_windows += n;
        return 0;
}

int field_windows(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        struct settings *s = field;
        free(s->windows); /* those of a file read before */
        s->windows = NULL;
        s->n_windows = 0;
        return each_text(f, k, v, window_expected, CONFIG_WINDOWS_MAX, add_window, s);
}

int check_name(struct config_file *f, const struct key *k, const struct value *v, const char *text) {
        static const char expected[] = "up to 64 letters, digits, and . _ - @ : +";
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        size_t n = strlen(text);
        if (n == 0)
                return wrong_text(f, k, v, "is empty", expected);
        if (n > CONFIG_NAME_BYTES_MAX)
                return wrong_text(f, k, v, "is too long", expected);
        if (!strchr(letters, text[0]))
                return wrong_text(f, k, v, "does not begin with a letter or digit", expected);
        for (const char *p = text; *p; p++)
                if (!strchr(letters, *p) && !strchr("._-@:+", *p))
                        return wrong_text(f, k, v, "has a character that a name cannot have", expected);
        return 0;
}

int field_name(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        const char *text;
        int r = scalar(f, k, v, "a name that no other rule has", &text);
        if (r >= 0)
                r = check_name(f, k, v, text);
        if (r < 0)
                return r;
        char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*(char **) field);
        *(char **) field = copy;
        return 0;
}

static int add_pattern(struct config_file *f, const struct key *k, const struct value *v, const char *text, void *field) {
        const char *expected;
        if (strlen(text) > CONFIG_PATTERN_BYTES_MAX)
                return wrong_text(f, k, v, "is too long", "at most 1024 bytes");
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        return wrong_text(f, k, v, "has a control character", "a shell glob of plain text");
        const char *why = pattern_problem((enum match_key)(k->offset / sizeof(struct string_list)), text, &expected);
        if (why)
                return wrong_text(f, k, v, why, expected);
        return string_list_add(field, text);
}

int field_patterns(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return each_text(f, k, v, "a shell glob, or a list of them", CONFIG_PATTERNS_MAX, add_pattern, field);
}
