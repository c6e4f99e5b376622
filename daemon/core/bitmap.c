/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both kinds of set are arrays of 64-bit words; what follows works on words, and the public functions are one
 * line each. The list format is the kernel's (cpuset(7), "List format"), without the group form "0-7:1/2" that
 * the kernel takes but never prints. */
#include "core/bitmap.h"

#include <string.h>

#include "core/util.h"

#define NODE_WORDS (sizeof((struct node_set) { 0 }.words) / sizeof(uint64_t))
#define CPU_WORDS  (sizeof((struct cpu_mask) { 0 }.words) / sizeof(uint64_t))

static void words_add(uint64_t *w, size_t n_words, unsigned id) {
        if (id / 64 < n_words)
                w[id / 64] |= UINT64_C(1) << (id % 64);
}

static bool words_has(const uint64_t *w, size_t n_words, unsigned id) {
        return id / 64 < n_words && (w[id / 64] >> (id % 64) & 1);
}

static bool words_is_empty(const uint64_t *w, size_t n_words) {
        for (size_t i = 0; i < n_words; i++)
                if (w[i])
                        return false;
        return true;
}

static bool words_is_subset(const uint64_t *a, const uint64_t *b, size_t n_words) {
        for (size_t i = 0; i < n_words; i++)
                if (a[i] & ~b[i])
                        return false;
        return true;
}

/* In registers: where CPUs may lack the instruction, the compiler's popcount is a call. */
static unsigned word_count(uint64_t w) {
        w -= w >> 1 & UINT64_C(0x5555555555555555);
        w = (w & UINT64_C(0x3333333333333333)) + (w >> 2 & UINT64_C(0x3333333333333333));
        return (unsigned) (((w + (w >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * UINT64_C(0x0101010101010101) >> 56);
}

static unsigned words_count(const uint64_t *w, size_t n_words) {
        unsigned n = 0;
        for (size_t i = 0; i < n_words; i++)
                n += w[i] != 0 ? word_count(w[i]) : 0;
        return n;
}

static int words_next(const uint64_t *w, size_t n_words, unsigned from) {
        size_t i = from / 64;
        if (i >= n_words)
                return -1;
        uint64_t word = w[i] & (UINT64_MAX << (from % 64));
        while (!word) {
                if (++i >= n_words)
                        return -1;
                word = w[i];
        }
        return (int) (i * 64) + __builtin_ctzll(word);
}

/* One decimal id; moves the cursor past it. */
static int parse_id(const char **cursor, unsigned limit, unsigned *ret) {
        const char *p = *cursor;
        unsigned value = 0;
        if (*p < '0' || *p > '9')
                return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++) {
                value = value * 10 + (unsigned) (*p - '0');
                if (value > limit)
                        return -ERANGE;
        }
        *cursor = p;
        *ret = value;
        return 0;
}

static int words_parse(const char *text, uint64_t *w, size_t n_words) {
        unsigned limit = (unsigned) (n_words * 64 - 1);
        const char *p = text;
        if (*p == 0 || (p[0] == '\n' && p[1] == 0))
                return 0;
        for (;;) {
                unsigned first, last;
                int r = parse_id(&p, limit, &first);
                if (r < 0)
                        return r;
                last = first;
                if (*p == '-') {
                        p++;
                        r = parse_id(&p, limit, &last);
                        if (r < 0)
                                return r;
                        if (last < first)
                                return -EINVAL;
                }
                for (unsigned id = first; id <= last; id++)
                        words_add(w, n_words, id);
                if (*p != ',')
                        break;
                p++;
        }
        if (*p == '\n')
                p++;
        return *p == 0 ? 0 : -EINVAL;
}

static char *words_format(const uint64_t *w, size_t n_words) {
        struct strbuf b = { 0 };
        for (int first = words_next(w, n_words, 0); first >= 0;) {
                int last = first;
                while (words_has(w, n_words, (unsigned) last + 1))
                        last++;
                const char *comma = b.length > 0 ? "," : "";
                if (last > first)
                        strbuf_printf(&b, "%s%d-%d", comma, first, last);
                else
                        strbuf_printf(&b, "%s%d", comma, first);
                first = words_next(w, n_words, (unsigned) last + 1);
        }
        return strbuf_steal(&b);
}

unsigned node_set_count(const struct node_set *s) {
        return words_count(s->words, NODE_WORDS);
}

void cpu_mask_add(struct cpu_mask *m, unsigned cpu) {
        words_add(m->words, CPU_WORDS, cpu);
}

bool cpu_mask_has(const struct cpu_mask *m, unsigned cpu) {
        return words_has(m->words, CPU_WORDS, cpu);
}

bool cpu_mask_is_empty(const struct cpu_mask *m) {
        return words_is_empty(m->words, CPU_WORDS);
}

bool cpu_mask_equal(const struct cpu_mask *a, const struct cpu_mask *b) {
        return memcmp(a->words, b->words, sizeof a->words) == 0;
}

bool cpu_mask_is_subset(const struct cpu_mask *a, const struct cpu_mask *b) {
        return words_is_subset(a->words, b->words, CPU_WORDS);
}

unsigned cpu_mask_count(const struct cpu_mask *m) {
        return words_count(m->words, CPU_WORDS);
}

void cpu_mask_or(struct cpu_mask *into, const struct cpu_mask *other) {
        for (size_t i = 0; i < CPU_WORDS; i++)
                into->words[i] |= other->words[i];
}

void cpu_mask_and(struct cpu_mask *into, const struct cpu_mask *other) {
        for (size_t i = 0; i < CPU_WORDS; i++)
                into->words[i] &= other->words[i];
}

int cpu_mask_next(const struct cpu_mask *m, unsigned from) {
        return words_next(m->words, CPU_WORDS, from);
}

int node_set_parse(const char *text, struct node_set *ret) {
        struct node_set s = { 0 };
        int r = words_parse(text, s.words, NODE_WORDS);
        if (r < 0)
                return r;
        *ret = s;
        return 0;
}

int cpu_mask_parse(const char *text, struct cpu_mask *ret) {
        struct cpu_mask m = { 0 };
        int r = words_parse(text, m.words, CPU_WORDS);
        if (r < 0)
                return r;
        *ret = m;
        return 0;
}

char *node_set_format(const struct node_set *s) {
        return words_format(s->words, NODE_WORDS);
}

char *cpu_mask_format(const struct cpu_mask *m) {
        return words_format(m->words, CPU_WORDS);
}
