/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of numa_maps. One is words between single spaces: an address, a policy, then flags and name=value pairs. Two policies contain a
 * space ("prefer (many):1-2", "weighted interleave:0-1"), and a newer kernel's may too: see continues_policy(). */
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/numa-maps-internal.h"

#define POLICY_MAX 256 /* the kernel cuts at 64 */

/* Every line that is parsed has its newline before `end`: so what goes byte by byte need not look for an end. */

#define BEGINS(s, end, what) ((size_t) ((end) - (s)) >= sizeof(what) && memcmp(s, what, sizeof(what) - 1) == 0)
#define IS(s, n, what)       ((n) == sizeof(what) - 1 && memcmp(s, what, sizeof(what) - 1) == 0)

static inline bool ends_word(const char *s) {
        return *s == ' ' || *s == '\n';
}

static const char *word_end(const char *s) {
        while (!ends_word(s))
                s++;
        return s;
}

/* Decimal digits, whatever follows. Where they end; NULL: there are none, or too many. */
static inline const char *take_digits(const char *s, uint64_t *ret) {
        const char *begin = s;
        uint64_t value = 0;
        unsigned digit;
        while ((digit = (unsigned char) (*s - '0')) <= 9) {
                value = value * 10 + digit;
                s++;
        }
        *ret = value;
        if (s - begin > 19) /* it may have overflowed */
                return text_number(begin, s, ret);
        return s > begin ? s : NULL;
}

/* A whole word, or the rest of one, that is a number. Where it ends, or NULL. */
static inline const char *take_number(const char *s, uint64_t *ret) {
        s = take_digits(s, ret);
        return s && ends_word(s) ? s : NULL;
}

/* The policy's name ends at '=' (flags) or ':' (nodes). */
static enum policy_mode policy_from_text(const char *s, size_t n) {
        /* With flags or nodes it would be one that we don't know. */
        if (IS(s, n, "default"))
                return POLICY_DEFAULT;
        size_t length = 0;
        while (length < n && s[length] != '=' && s[length] != ':')
                length++;
        return IS(s, length, "local")                 ? POLICY_LOCAL
               : IS(s, length, "prefer")              ? POLICY_PREFERRED
               : IS(s, length, "bind")                ? POLICY_BIND
               : IS(s, length, "interleave")          ? POLICY_INTERLEAVE
               : IS(s, length, "prefer (many)")       ? POLICY_PREFERRED_MANY
               : IS(s, length, "weighted interleave") ? POLICY_WEIGHTED_INTERLEAVE
                                                      : POLICY_UNKNOWN;
}

/* Is a word that we don't know, after the policy, still part of it? One that is no name=value pair is, where it looks like
 * nothing else ("(many):1", "interleave:0-1"), or where what we have of the policy so far is no policy. A word we
 * don't know after a policy that is complete is left to be a newer kernel's flag. */
static bool continues_policy(const struct numa_mapping *m, const char *s, size_t n) {
        const char *equals = memchr(s, '=', n);
        uint64_t ignored;
        if (equals && take_number(equals + 1, &ignored))
                return false;
        if (memchr(s, '(', n) || memchr(s, ':', n))
                return true;
        return policy_from_text(m->policy_text, m->policy_length) == POLICY_UNKNOWN;
}

/* "N3=17", behind the N. */
static inline const char *take_node(struct numa_maps_parser *p, const char *s) {
        uint64_t id, value;
        s = take_digits(s, &id);
        if (!s || *s != '=' || !(s = take_number(s + 1, &value)))
                return NULL;
        if (id >= p->n_ids) {
                p->error = -ERANGE;
                return s;
        }
        struct numa_mapping *m = &p->mapping;
        p->pages_by_node[id] = value;
        m->first_node = MIN2(m->first_node, (unsigned) id);
        m->end_node = MAX2(m->end_node, (unsigned) id + 1);
        return s;
}

static inline const char *take_page_size(struct numa_mapping *m, const char *s) {
        uint64_t value;
        s = take_number(s, &value);
        if (!s || value == 0 || value > UINT64_MAX / 1024)
                return NULL;
        m->kernel_page_bytes = value * 1024;
        return s;
}

/* Names can be long, so memchr(3) looks for their end; `end` is that of the whole text. */
static const char *take_file(struct numa_mapping *m, const char *s, const char *end) {
        const char *space = memchr(s, ' ', (size_t) (end - s));
        const char *newline = memchr(s, '\n', (size_t) ((space ? space : end) - s));
        const char *stop = newline ? newline : space;
        m->is_file = true;
        m->file = s;
        m->file_length = (size_t) (stop - s);
        return stop;
}

static inline const char *take_flag(bool *flag, const char *s) {
        if (!ends_word(s))
                return NULL;
        *flag = true;
        return s;
}

/* A word that we know. Returns where it ends; NULL: it is none, and nothing was taken from it. */
static inline const char *take_known(struct numa_maps_parser *p, const char *s, const char *end) {
        struct numa_mapping *m = &p->mapping;
#define PAIR(name, field)                                                                                                        \
        if (BEGINS(s, end, name))                                                                                                \
        return take_number(s + sizeof(name) - 1, &m->field)
#define FLAG(name, field)                                                                                                        \
        if (BEGINS(s, end, name))                                                                                                \
        return take_flag(&m->field, s + sizeof(name) - 1)
        switch (*s) {
        case 'N': return take_node(p, s + 1);
        case 'k':
                if (BEGINS(s, end, "kernelpagesize_kB="))
                        return take_page_size(m, s + sizeof("kernelpagesize_kB=") - 1);
                break;
        case 'f':
                if (BEGINS(s, end, "file="))
                        return take_file(m, s + 5, end);
                break;
        case 'a':
                PAIR("anon=", anon_pages);
                PAIR("active=", active_pages);
                break;
        case 'd': PAIR("dirty=", dirty_pages); break;
        case 'm':
                PAIR("mapped=", mapped_pages);
                PAIR("mapmax=", mapmax);
                break;
        case 'h':
                FLAG("heap", is_heap);
                FLAG("huge", is_hugetlb);
                break;
        case 's':
                FLAG("stack", is_stack);
                PAIR("swapcache=", swapcache_pages);
                break;
        case 'w': PAIR("writeback=", writeback_pages); break;
        default: break;
        }
#undef PAIR
#undef FLAG
        return NULL;
}

/* Address and the policy's first word. Returns where that ends; NULL: this is no numa_maps. */
static inline const char *take_begin(struct numa_mapping *m, const char *s, const char *end) {
        static const unsigned char digits[256] = {
                ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
                ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
        };
        const char *begin = s;
        uint64_t start = 0;
        unsigned digit;
        for (; (digit = digits[(unsigned char) *s]); s++)
                start = start << 4 | (digit - 1);
        if (s == begin || s - begin > 16 || *s != ' ')
                return NULL;
        m->start = start;
        m->policy_text = ++s;
        const char *stop = BEGINS(s, end, "default") && ends_word(s + 7) ? s + 7 : word_end(s);
        m->policy_length = (size_t) (stop - s);
        return m->policy_length > 0 ? stop : NULL;
}

/* The words behind the policy's first. Returns where the newline is. */
static inline const char *take_words(struct numa_maps_parser *p, const char *s, const char *end) {
        struct numa_mapping *m = &p->mapping;
        bool in_policy = true;
        for (;;) {
                while (*s == ' ') /* a trailing or doubled space is nothing */
                        s++;
                if (*s == '\n')
                        return s;
                const char *stop = take_known(p, s, end);
                if (!stop) {
                        stop = word_end(s);
                        in_policy = in_policy && continues_policy(m, s, (size_t) (stop - s));
                        if (in_policy)
                                m->policy_length = (size_t) (stop - m->policy_text);
                        else
                                m->truncated = true;
                } else
                        in_policy = false;
                s = stop;
        }
}

/* Fills p->mapping from the line that begins at `s`. Returns where its newline is; NULL: this is no numa_maps. */
static inline const char *parse_line(struct numa_maps_parser *p, const char *s, const char *end) {
        struct numa_mapping *m = &p->mapping;
        *m = (struct numa_mapping) { .kernel_page_bytes = p->page_bytes,
                                     .pages_by_node = p->pages_by_node,
                                     .first_node = p->n_ids };
        s = take_begin(m, s, end);
        if (s) {
                s = take_words(p, s, end);
                m->policy = policy_from_text(m->policy_text, m->policy_length);
        } else
                p->error = -EBADMSG;
        m->first_node = MIN2(m->first_node, m->end_node);
        return s;
}

static inline void clear_nodes(struct numa_maps_parser *p) {
        for (unsigned i = p->mapping.first_node; i < p->mapping.end_node; i++)
                p->pages_by_node[i] = 0;
}

/* Calls back, if all went well. */
static inline void tell(struct numa_maps_parser *p) {
        struct numa_mapping *m = &p->mapping;
        if (p->error == 0) {
                if (m->policy_length > POLICY_MAX) {
                        m->policy_length = POLICY_MAX;
                        m->truncated = true;
                }
                int r = p->callback(m, p->userdata);
                if (r < 0)
                        p->error = r;
        }
        clear_nodes(p);
}

void numa_maps_take_line(struct numa_maps_parser *p, const char *text, const char *end, bool cut) {
        (void) parse_line(p, text, end);
        p->mapping.truncated = p->mapping.truncated || cut;
        tell(p);
}

const char *numa_maps_take_lines(struct numa_maps_parser *p, const char *text, const char *end) {
        while (text < end && p->error == 0) {
                const char *newline = parse_line(p, text, end);
                if (newline && newline - text > NUMA_MAPS_WORD_MAX) { /* not told: it is parsed again once it is gathered */
                        clear_nodes(p);
                        p->error = 0;
                        return text;
                }
                tell(p);
                text = newline ? newline + 1 : end;
        }
        return text;
}
