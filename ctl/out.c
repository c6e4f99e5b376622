/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is printed, and how members of JSON objects are read for printing. */
#include "out.h"

#include <errno.h> /* program_invocation_short_name */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/bitmap.h"
#include "report/format.h"

bool out_wants_colour(void) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

int out_error(int status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list args;
        (void) fflush(stdout);
        va_start(args, format);
        int n = vasprintf(&text, format, args);
        va_end(args);
        if (n < 0)
                text = NULL; /* what it is then is not defined */
        /* There can be a name in it, or an argument: shown, not obeyed. */
        _cleanup_free_ char *clean = text ? text_clean(text, true) : NULL;
        (void) fprintf(stderr, "%s: %s\n", program_invocation_short_name, clean ? clean : "out of memory");
        return status;
}

char *out_refused_option(char **argv) {
        char letter[] = { '-', (char) optopt, 0 };
        return text_clean(optopt > 0 && optopt <= UCHAR_MAX ? letter : argv[optind - 1], false);
}

int out_finish(void) {
        if (fflush(stdout) != 0 || ferror(stdout))
                return out_error(EXIT_FAILURE, "cannot write to standard output");
        return EXIT_SUCCESS;
}

int out_json(struct json_object *value, const struct options *o) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                    (o->json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN);
        const char *text = json_object_to_json_string_ext(value, flags);
        if (!text)
                return out_error(EXIT_FAILURE, "out of memory");
        (void) puts(text);
        return out_finish();
}

const char *out_state_colour(const char *state) {
        static const struct {
                const char *state, *colour;
        } colours[] = { { "stable", "green" }, { "moving", "cyan" }, { "pending", "yellow" }, { "blocked", "red" } };
        for (size_t i = 0; state && i < ARRAY_SIZE(colours); i++)
                if (strcmp(state, colours[i].state) == 0)
                        return colours[i].colour;
        return NULL;
}

const char *out_begin_colour(const char *colour, const struct options *o) {
        static const struct {
                const char *colour, *sequence;
        } sequences[] = { { "green", "\033[32m" }, { "cyan", "\033[36m" }, { "yellow", "\033[33m" }, { "red", "\033[31m" } };
        for (size_t i = 0; o->colour && colour && i < ARRAY_SIZE(sequences); i++)
                if (strcmp(colour, sequences[i].colour) == 0)
                        return sequences[i].sequence;
        return "";
}

const char *out_end_colour(const char *colour, const struct options *o) {
        return *out_begin_colour(colour, o) ? "\033[0m" : "";
}

static struct json_object *get(struct json_object *o, const char *key, enum json_type type) {
        struct json_object *value;
        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value) ||
            !json_object_is_type(value, type))
                return NULL;
        return value;
}

const char *get_string(struct json_object *o, const char *key) {
        struct json_object *s = get(o, key, json_type_string);
        return s ? json_object_get_string(s) : NULL;
}

uint64_t get_u64(struct json_object *o, const char *key) {
        struct json_object *n = get(o, key, json_type_int);
        int64_t value = n ? json_object_get_int64(n) : 0;
        return value > 0 ? (uint64_t) value : 0;
}

double get_double(struct json_object *o, const char *key) {
        struct json_object *d = get(o, key, json_type_double);
        return d ? json_object_get_double(d) : (double) get_u64(o, key);
}

bool get_bool(struct json_object *o, const char *key) {
        struct json_object *b = get(o, key, json_type_boolean);
        return b && json_object_get_boolean(b);
}

struct json_object *get_object(struct json_object *o, const char *key) {
        return get(o, key, json_type_object);
}

struct json_object *get_array(struct json_object *o, const char *key) {
        return get(o, key, json_type_array);
}

size_t array_length(struct json_object *array) {
        return array ? json_object_array_length(array) : 0;
}

char *text_of_nodes(struct json_object *ids) {
        struct node_set nodes = { 0 };
        for (size_t i = 0; i < array_length(ids); i++) {
                int id = json_object_get_int(json_object_array_get_idx(ids, i));
                if (id >= 0)
                        node_set_add(&nodes, (unsigned) id);
        }
        return node_set_is_empty(&nodes) ? format_string("-") : node_set_format(&nodes);
}

char *text_of_bytes_by_node(struct json_object *bytes) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < array_length(bytes); i++) {
                int64_t n = json_object_get_int64(json_object_array_get_idx(bytes, i));
                if (n > 0)
                        strbuf_printf(&b, "%s%zu:%s", b.length > 0 ? " " : "", i, FORMAT_BYTES((uint64_t) n));
        }
        if (b.length == 0)
                strbuf_append(&b, "-");
        return strbuf_steal(&b);
}

char *text_of_shares_by_node(struct json_object *shares) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < array_length(shares); i++) {
                double percent = json_object_get_double(json_object_array_get_idx(shares, i)) * 100;
                if (percent >= 0.5)
                        strbuf_printf(&b, "%s%zu:%.0f%%", b.length > 0 ? " " : "", i, percent);
        }
        if (b.length == 0)
                strbuf_append(&b, "-");
        return strbuf_steal(&b);
}
