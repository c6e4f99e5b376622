/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser for numa_maps. A line is words between single spaces: an address, a policy, then flags and name=value pairs. The text
 * is taken word by word, each gathered in one buffer, so that where a piece of it ends does not matter. Two policies contain a
 * space ("prefer (many):1-2", "weighted interleave:0-1"), and a newer kernel's may too: see continues_policy(). */
#include "host/numa-maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* A path is at most PATH_MAX (4096) long, each of its characters at most four when escaped. */
#define WORD_MAX   (5 + 4 * 4096 + 64)
#define POLICY_MAX 256 /* the kernel cuts at 64 */

enum position { AT_ADDRESS, AT_POLICY, AFTER_POLICY, AT_REST };

struct numa_maps_parser {
        unsigned n_ids;
        uint64_t page_bytes;
        numa_maps_callback callback;
        void *userdata;
        int error;

        enum position position;
        bool line_begun;
        size_t word_length;
        bool word_cut;
        size_t policy_length;
        struct numa_mapping mapping;
        uint64_t *pages_by_node;
        char word[WORD_MAX];
        char policy[POLICY_MAX];
        char file[WORD_MAX];
};

static void line_reset(struct numa_maps_parser *p) {
        p->position = AT_ADDRESS;
        p->line_begun = false;
        p->word_length = 0;
        p->word_cut = false;
        p->policy_length = 0;
        p->mapping = (struct numa_mapping){ .kernel_page_bytes = p->page_bytes, .pages_by_node = p->pages_by_node };
        memset(p->pages_by_node, 0, p->n_ids * sizeof *p->pages_by_node);
}

void numa_maps_parser_reset(struct numa_maps_parser *p) {
        p->error = 0;
        line_reset(p);
}

struct numa_maps_parser *numa_maps_parser_new(unsigned n_ids, uint64_t page_bytes, numa_maps_callback callback, void *userdata) {
        struct numa_maps_parser *p = malloc(sizeof *p);
        if (!p)
                return NULL;
        p->n_ids = n_ids;
        p->page_bytes = page_bytes;
        p->callback = callback;
        p->userdata = userdata;
        p->pages_by_node = calloc((size_t) n_ids + 1, sizeof *p->pages_by_node);
        if (!p->pages_by_node)
                return numa_maps_parser_free(p);
        numa_maps_parser_reset(p);
        return p;
}

struct numa_maps_parser *numa_maps_parser_free(struct numa_maps_parser *p) {
        if (!p)
                return NULL;
        free(p->pages_by_node);
        free(p);
        return NULL;
}

static bool parse_number(const char *s, size_t n, uint64_t *ret) {
        uint64_t value = 0;
        if (n == 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return false;
                if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t) (s[i] - '0'), &value))
                        return false;
        }
        *ret = value;
        return true;
}

static bool parse_address(const char *s, size_t n, uint64_t *ret) {
        uint64_t value = 0;
        if (n == 0 || n > 16)
                return false;
        for (size_t i = 0; i < n; i++) {
                unsigned digit;
                if (s[i] >= '0' && s[i] <= '9')
                        digit = (unsigned) (s[i] - '0');
                else if (s[i] >= 'a' && s[i] <= 'f')
                        digit = (unsigned) (s[i] - 'a') + 10;
                else
                        return false;
                value = value << 4 | digit;
        }
        *ret = value;
        return true;
}

static bool word_is(const char *s, size_t n, const char *what) {
        return n == strlen(what) && memcmp(s, what, n) == 0;
}

/* The policy's name ends at '=' (flags) or ':' (nodes). */
static enum policy_mode policy_from_text(const char *s, size_t n) {
        static const char *const names[_POLICY_MODE_MAX] = {
                [POLICY_DEFAULT] = "default",
                [POLICY_LOCAL] = "local",
                [POLICY_PREFERRED] = "prefer",
                [POLICY_PREFERRED_MANY] = "prefer (many)",
                [POLICY_BIND] = "bind",
                [POLICY_INTERLEAVE] = "interleave",
                [POLICY_WEIGHTED_INTERLEAVE] = "weighted interleave",
        };
        /* With flags or nodes it would be one that we don't know. */
        if (word_is(s, n, names[POLICY_DEFAULT]))
                return POLICY_DEFAULT;
        size_t length = 0;
        while (length < n && s[length] != '=' && s[length] != ':')
                length++;
        for (int mode = POLICY_DEFAULT + 1; mode < POLICY_UNKNOWN; mode++)
                if (word_is(s, length, names[mode]))
                        return (enum policy_mode) mode;
        return POLICY_UNKNOWN;
}

static void policy_append(struct numa_maps_parser *p, const char *s, size_t n) {
        size_t room = sizeof p->policy - p->policy_length;
        if (n > room) {
                n = room;
                p->mapping.truncated = true;
        }
        memcpy(p->policy + p->policy_length, s, n);
        p->policy_length += n;
}

static bool is_flag_or_pair(const char *s, size_t n) {
        if (word_is(s, n, "heap") || word_is(s, n, "stack") || word_is(s, n, "huge"))
                return true;
        if (n >= 5 && memcmp(s, "file=", 5) == 0)
                return true;
        const char *equals = memchr(s, '=', n);
        uint64_t ignored;
        return equals && parse_number(equals + 1, n - (size_t) (equals + 1 - s), &ignored);
}

/* Is the word after the policy still part of it? One that is no flag and no name=value pair is, where it looks like
 * nothing else ("(many):1", "interleave:0-1"), or where what we have of the policy so far is no policy. A word we
 * don't know after a policy that is complete is left to be a newer kernel's flag. */
static bool continues_policy(const struct numa_maps_parser *p, const char *s, size_t n) {
        if (is_flag_or_pair(s, n))
                return false;
        if (memchr(s, '(', n) || memchr(s, ':', n))
                return true;
        return policy_from_text(p->policy, p->policy_length) == POLICY_UNKNOWN;
}

static bool take_pair(struct numa_maps_parser *p, const char *s, size_t n) {
        const char *equals = memchr(s, '=', n);
        uint64_t value;
        if (!equals || !parse_number(equals + 1, n - (size_t) (equals + 1 - s), &value))
                return false;
        size_t name_length = (size_t) (equals - s);
        uint64_t id;
        if (s[0] == 'N' && parse_number(s + 1, name_length - 1, &id)) {
                if (id >= p->n_ids)
                        p->error = -ERANGE;
                else
                        p->pages_by_node[id] = value;
                return true;
        }
        struct numa_mapping *m = &p->mapping;
        if (word_is(s, name_length, "kernelpagesize_kB")) {
                if (value == 0 || value > UINT64_MAX / 1024)
                        return false;
                m->kernel_page_bytes = value * 1024;
                return true;
        }
        const struct {
                const char *name;
                uint64_t *field;
        } pairs[] = {
                { "anon", &m->anon_pages },           { "dirty", &m->dirty_pages },
                { "mapped", &m->mapped_pages },       { "mapmax", &m->mapmax },
                { "swapcache", &m->swapcache_pages }, { "active", &m->active_pages },
                { "writeback", &m->writeback_pages },
        };
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
                if (word_is(s, name_length, pairs[i].name)) {
                        *pairs[i].field = value;
                        return true;
                }
        return false;
}

static void take_ordinary(struct numa_maps_parser *p, const char *s, size_t n) {
        struct numa_mapping *m = &p->mapping;
        if (n >= 5 && memcmp(s, "file=", 5) == 0) {
                m->is_file = true;
                m->file = p->file;
                m->file_length = n - 5;
                memcpy(p->file, s + 5, m->file_length);
        } else if (word_is(s, n, "heap"))
                m->is_heap = true;
        else if (word_is(s, n, "stack"))
                m->is_stack = true;
        else if (word_is(s, n, "huge"))
                m->is_hugetlb = true;
        else if (p->word_cut || !take_pair(p, s, n))
                m->truncated = true;
}

/* A whole word is in the buffer. */
static void take_word(struct numa_maps_parser *p) {
        const char *s = p->word;
        size_t n = p->word_length;
        if (p->word_cut)
                p->mapping.truncated = true;
        if (n == 0 && p->position >= AFTER_POLICY)
                return; /* a trailing or doubled space */
        switch (p->position) {
        case AT_ADDRESS:
                if (!parse_address(s, n, &p->mapping.start))
                        p->error = -EBADMSG;
                p->position = AT_POLICY;
                break;
        case AT_POLICY:
                if (n == 0)
                        p->error = -EBADMSG;
                policy_append(p, s, n);
                p->position = AFTER_POLICY;
                break;
        case AFTER_POLICY:
                if (continues_policy(p, s, n)) {
                        policy_append(p, " ", 1);
                        policy_append(p, s, n);
                        break;
                }
                p->position = AT_REST;
                take_ordinary(p, s, n);
                break;
        case AT_REST: take_ordinary(p, s, n); break;
        }
        p->word_length = 0;
        p->word_cut = false;
}

static void end_line(struct numa_maps_parser *p) {
        take_word(p);
        if (p->error == 0 && p->position <= AT_POLICY)
                p->error = -EBADMSG; /* an address alone */
        if (p->error == 0) {
                struct numa_mapping *m = &p->mapping;
                m->policy_text = p->policy;
                m->policy_length = p->policy_length;
                m->policy = policy_from_text(p->policy, p->policy_length);
                int r = p->callback(m, p->userdata);
                if (r < 0)
                        p->error = r;
        }
        line_reset(p);
}

static void word_append(struct numa_maps_parser *p, const char *s, size_t n) {
        size_t room = sizeof p->word - p->word_length;
        if (n > room) {
                n = room;
                p->word_cut = true;
        }
        memcpy(p->word + p->word_length, s, n);
        p->word_length += n;
}

int numa_maps_parser_feed(struct numa_maps_parser *p, const char *text, size_t size) {
        const char *end = text + size;
        while (text < end && p->error == 0) {
                const char *stop = text;
                while (stop < end && *stop != ' ' && *stop != '\n')
                        stop++;
                p->line_begun = true;
                word_append(p, text, (size_t) (stop - text));
                if (stop == end)
                        break;
                if (*stop == '\n')
                        end_line(p);
                else
                        take_word(p);
                text = stop + 1;
        }
        return p->error;
}

int numa_maps_parser_finish(struct numa_maps_parser *p) {
        if (p->error == 0 && p->line_begun)
                end_line(p);
        return p->error;
}
