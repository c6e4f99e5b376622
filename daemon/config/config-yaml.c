/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text → tree of values with their places, by libyaml's events. A tree of our own rather than libyaml's documents: those resolve
 * aliases silently (so that a few lines can stand for billions of values) and forget tags and where an alias was. */
#include <string.h>
#include <yaml.h>

#include "config/config-private.h"

#define BYTE_ORDER_MARK 0xfeffu

struct value *value_free(struct value *v) {
        while (v) {
                struct value *next = v->next;
                value_free(v->first); /* no deeper than CONFIG_DEPTH_MAX */
                free(v->text);
                free(v);
                v = next;
        }
        return NULL;
}

bool value_is_null(const struct value *v) {
        static const char *const words[] = { "", "~", "null", "Null", "NULL" };
        if (v->kind != VALUE_SCALAR || !v->plain)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcmp(v->text, words[i]) == 0)
                        return true;
        return false;
}

const char *value_kind_name(const struct value *v) {
        static const char *const names[] = {
                [VALUE_SCALAR] = "a single value",
                [VALUE_LIST] = "a list",
                [VALUE_MAPPING] = "a mapping",
                [VALUE_REFUSED] = "an alias",
        };
        return names[v->kind];
}

/* The length of the well-formed UTF-8 sequence at `s` and its code point, or 0 (RFC 3629, table in section 4). */
static size_t utf8_decode(const unsigned char *s, size_t n, uint32_t *ret) {
        size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
        if (length == 0 || length > n)
                return 0;
        uint32_t c = length == 1 ? s[0] : s[0] & (0x7fu >> length);
        for (size_t i = 1; i < length; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3fu);
        }
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (c < least[length] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
                return 0;
        *ret = c;
        return length;
}

/* Where a line ends for libyaml, whose marks all other errors have (YAML 1.1, b-char): how many bytes that takes, or 0. */
static size_t break_length(const char *text, size_t n) {
        static const char *const breaks[] = { "\r\n", "\r", "\n", "\xc2\x85", "\u2028", "\u2029" };
        for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
                size_t length = strlen(breaks[i]);
                if (n >= length && memcmp(text, breaks[i], length) == 0)
                        return length;
        }
        return 0;
}

/* libyaml refuses these too, but by byte offset; a person wants line and column. */
static int check_text(struct config_file *f, const char *text, size_t size) {
        struct position at = { 1, 1 };
        const unsigned char *s = (const unsigned char *) text;
        for (size_t i = 0; i < size;) {
                uint32_t c;
                size_t n = utf8_decode(s + i, size - i, &c);
                if (n == 0)
                        return complain(f, at, "the byte 0x%02x is not UTF-8 here; expected a text file in UTF-8", s[i]);
                if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0 && c != 0x85) || c == 0xfffe ||
                    c == 0xffff)
                        return complain(f, at, "a control character (U+%04X); expected plain text", c);
                size_t n_break = break_length(text + i, size - i);
                if (n_break > 0)
                        at = (struct position) { at.line + 1, 1 };
                else if (i > 0 || c != BYTE_ORDER_MARK)
                        at.column++;
                i += MAX2(n, n_break);
        }
        return 0;
}

struct composer {
        yaml_parser_t parser;
        struct config_file *file;
        const char *text;
        size_t size;
        size_t n_values;
};

static struct position position_of(yaml_mark_t mark) {
        return (struct position) { (unsigned) mark.line + 1, (unsigned) mark.column + 1 };
}

/* Is there a tab at this place, or before it in the indentation? Libyaml's own message does not mention tabs. */
static bool tab_at(const struct composer *c, struct position at) {
        const char *line = c->text, *end = c->text + c->size;
        for (unsigned i = 1; i < at.line && line < end;) {
                size_t n = break_length(line, (size_t) (end - line));
                i += n > 0;
                line += MAX2(n, (size_t) 1);
        }
        while (line < end && *line == ' ')
                line++;
        return line < end && *line == '\t';
}

/* Libyaml says what it stumbled over; what a person most likely meant is a different thing. */
static const char *syntax_hint(const yaml_parser_t *p) {
        static const struct {
                const char *where, *hint;
        } hints[] = {
                { "scanning an alias", "a pattern that begins with * in quotes" },
                { "scanning an anchor", "a text that begins with & in quotes" },
                { "scanning a quoted scalar", "a closing quote" },
                { "found character that cannot start any token", "a text that begins with this character in quotes" },
                { "mapping values are not allowed", "a text with \": \" in quotes, or the key in its place" },
                { "did not find expected key", "a key indented as the others of this mapping" },
                { "did not find expected '-' indicator", "an entry that begins with \"-\", or a key indented as the others" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
                if ((p->context && strstr(p->context, hints[i].where)) || (p->problem && strstr(p->problem, hints[i].where)))
                        return hints[i].hint;
        return NULL;
}

static int complain_syntax(struct composer *c) {
        const yaml_parser_t *p = &c->parser;
        if (p->error == YAML_MEMORY_ERROR)
                return -ENOMEM;
        struct position at = position_of(p->problem_mark);
        const char *problem = p->problem ? p->problem : "unreadable", *hint = syntax_hint(p);
        if (tab_at(c, at))
                return complain(c->file, at, "not valid YAML: a tab in the indentation; expected spaces");
        struct strbuf text = { 0 };
        strbuf_printf(&text, "not valid YAML: %s", problem);
        if (p->context && p->context_mark.line + 1 != at.line)
                strbuf_printf(&text, " (%s that begins in line %zu)", p->context, p->context_mark.line + 1);
        else if (p->context)
                strbuf_printf(&text, ", %s", p->context);
        if (hint)
                strbuf_printf(&text, "; expected %s", hint);
        _cleanup_free_ char *line = strbuf_steal(&text);
        return line ? complain(c->file, at, "%s", line) : -ENOMEM;
}

static int next_event(struct composer *c, yaml_event_t *event) {
        return yaml_parser_parse(&c->parser, event) ? 0 : complain_syntax(c);
}

static int value_new(struct composer *c, enum value_kind kind, struct position at, struct value **ret) {
        if (++c->n_values > CONFIG_VALUES_MAX)
                return complain(c->file, at, "more than %u values in one file; expected fewer", CONFIG_VALUES_MAX);
        struct value *v = calloc(1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        v->kind = kind;
        v->at = at;
        *ret = v;
        return 0;
}

static int refuse_decoration(struct composer *c, struct position at, const yaml_char_t *anchor, const yaml_char_t *tag) {
        if (anchor && !error_note(c->file, at, "an anchor (&), which is not supported; expected the value itself at each place"))
                return -ENOMEM;
        if (tag && !error_note(c->file, at,
                               "a type tag (!), which is not supported; expected the value alone, in quotes if it begins with !"))
                return -ENOMEM;
        return 0;
}

static int compose(struct composer *c, const yaml_event_t *event, unsigned depth, struct value **ret);

/* The children of a list or mapping, up to its end. */
static int compose_children(struct composer *c, unsigned depth, struct value *parent) {
        if (depth >= CONFIG_DEPTH_MAX)
                return complain(c->file, parent->at, "nested deeper than %u levels; expected at most 5", CONFIG_DEPTH_MAX);
        struct value **tail = &parent->first;
        for (;;) {
                _cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
                int r = next_event(c, &event);
                if (r < 0)
                        return r;
                if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
                        return 0;
                r = compose(c, &event, depth + 1, tail);
                if (r < 0)
                        return r;
                tail = &(*tail)->next;
        }
}

/* `*ret` is owned by the caller also when this fails, if set. */
static int compose(struct composer *c, const yaml_event_t *event, unsigned depth, struct value **ret) {
        struct position at = position_of(event->start_mark);
        int r;
        switch (event->type) {
        case YAML_SCALAR_EVENT:
                r = value_new(c, VALUE_SCALAR, at, ret);
                if (r < 0)
                        return r;
                (*ret)->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
                (*ret)->size = event->data.scalar.length;
                (*ret)->text = malloc(event->data.scalar.length + 1);
                if (!(*ret)->text)
                        return -ENOMEM;
                memcpy((*ret)->text, event->data.scalar.value, event->data.scalar.length);
                (*ret)->text[event->data.scalar.length] = 0;
                return refuse_decoration(c, at, event->data.scalar.anchor, event->data.scalar.tag);
        case YAML_SEQUENCE_START_EVENT:
                r = value_new(c, VALUE_LIST, at, ret);
                if (r >= 0)
                        r = refuse_decoration(c, at, event->data.sequence_start.anchor, event->data.sequence_start.tag);
                return r < 0 ? r : compose_children(c, depth, *ret);
        case YAML_MAPPING_START_EVENT:
                r = value_new(c, VALUE_MAPPING, at, ret);
                if (r >= 0)
                        r = refuse_decoration(c, at, event->data.mapping_start.anchor, event->data.mapping_start.tag);
                return r < 0 ? r : compose_children(c, depth, *ret);
        case YAML_ALIAS_EVENT:
                r = value_new(c, VALUE_REFUSED, at, ret);
                if (r < 0)
                        return r;
                return error_note(c->file, at,
                                  "an alias (*); expected the value itself, or a pattern that begins with * in quotes")
                               ? 0
                               : -ENOMEM;
        default: return complain(c->file, at, "not valid YAML: expected a value");
        }
}

static int compose_stream(struct composer *c, struct value **ret) {
        for (;;) {
                _cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
                int r = next_event(c, &event);
                if (r < 0)
                        return r;
                switch (event.type) {
                case YAML_STREAM_START_EVENT:
                case YAML_DOCUMENT_START_EVENT:
                case YAML_DOCUMENT_END_EVENT: break;
                case YAML_STREAM_END_EVENT: return 0;
                default:
                        if (*ret)
                                return complain(c->file, position_of(event.start_mark),
                                                "a second document; expected one document in a file");
                        r = compose(c, &event, 0, ret);
                        if (r < 0)
                                return r;
                }
        }
}

int value_tree_parse(struct config_file *f, const char *text, size_t size, struct value **ret) {
        static const char byte_order_mark[] = { '\xef', '\xbb', '\xbf' };
        if (size >= sizeof(byte_order_mark) && memcmp(text, byte_order_mark, sizeof(byte_order_mark)) == 0) {
                text += sizeof(byte_order_mark); /* it takes no column */
                size -= sizeof(byte_order_mark);
        }
        int r = check_text(f, text, size);
        if (r < 0)
                return r;
        struct composer c = { .file = f, .text = text, .size = size };
        if (!yaml_parser_initialize(&c.parser))
                return -ENOMEM;
        yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&c.parser, (const unsigned char *) text, size);
        struct value *tree = NULL;
        r = compose_stream(&c, &tree);
        yaml_parser_delete(&c.parser);
        if (r < 0)
                value_free(tree);
        else
                *ret = tree;
        return r;
}
