/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of NUMA nodes and of CPUs, and the kernel's list format for them ("0-1,3", cpuset(7) "List format").
 * Both are plain values: copy by assignment, zero-initialise for the empty set. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linux allows up to 1024 nodes (CONFIG_NODES_SHIFT=10) and 8192 CPUs (CONFIG_NR_CPUS). */
#define NODE_ID_MAX 1023u
#define CPU_ID_MAX  8191u

struct node_set {
        uint64_t words[(NODE_ID_MAX + 1) / 64];
};

struct cpu_mask {
        uint64_t words[(CPU_ID_MAX + 1) / 64];
};

#define NODE_SET_WORDS ((NODE_ID_MAX + 1) / 64)

/* Inline, because the planner does little else. add/remove ignore ids past the limit; has() is false for them. */
static inline void node_set_add(struct node_set *s, unsigned node) {
        if (node <= NODE_ID_MAX)
                s->words[node / 64] |= UINT64_C(1) << node % 64;
}
static inline void node_set_remove(struct node_set *s, unsigned node) {
        if (node <= NODE_ID_MAX)
                s->words[node / 64] &= ~(UINT64_C(1) << node % 64);
}
static inline bool node_set_has(const struct node_set *s, unsigned node) {
        return node <= NODE_ID_MAX && (s->words[node / 64] >> node % 64 & 1) != 0;
}
static inline bool node_set_is_empty(const struct node_set *s) {
        uint64_t any = 0;
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                any |= s->words[i];
        return any == 0;
}
static inline bool node_set_equal(const struct node_set *a, const struct node_set *b) {
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                if (a->words[i] != b->words[i]) /* mostly the first */
                        return false;
        return true;
}
static inline bool node_set_is_subset(const struct node_set *a, const struct node_set *b) { /* a ⊆ b */
        uint64_t beyond = 0;
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                beyond |= a->words[i] & ~b->words[i];
        return beyond == 0;
}
unsigned node_set_count(const struct node_set *s);
static inline struct node_set node_set_union(const struct node_set *a, const struct node_set *b) {
        struct node_set s;
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                s.words[i] = a->words[i] | b->words[i];
        return s;
}
static inline struct node_set node_set_intersect(const struct node_set *a, const struct node_set *b) {
        struct node_set s;
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                s.words[i] = a->words[i] & b->words[i];
        return s;
}
static inline struct node_set node_set_subtract(const struct node_set *a, const struct node_set *b) {
        struct node_set s;
        for (unsigned i = 0; i < NODE_SET_WORDS; i++)
                s.words[i] = a->words[i] & ~b->words[i];
        return s;
}
/* The lowest id ≥ `from` in the set, or -1. */
static inline int node_set_next(const struct node_set *s, unsigned from) {
        unsigned i = from / 64;
        if (i >= NODE_SET_WORDS)
                return -1;
        uint64_t word = s->words[i] & UINT64_MAX << from % 64;
        while (word == 0) {
                if (++i >= NODE_SET_WORDS)
                        return -1;
                word = s->words[i];
        }
        return (int) (i * 64) + __builtin_ctzll(word);
}
// NOLINTBEGIN(bugprone-macro-parentheses): the first argument names a variable
#define NODE_SET_FOREACH(node, set)                                                                                              \
        for (int node = node_set_next((set), 0); node >= 0; node = node_set_next((set), (unsigned) node + 1))
// NOLINTEND(bugprone-macro-parentheses)
static inline struct node_set node_set_of(unsigned node) {
        struct node_set s = { 0 };
        node_set_add(&s, node);
        return s;
}

void cpu_mask_add(struct cpu_mask *m, unsigned cpu);
bool cpu_mask_has(const struct cpu_mask *m, unsigned cpu);
bool cpu_mask_is_empty(const struct cpu_mask *m);
bool cpu_mask_equal(const struct cpu_mask *a, const struct cpu_mask *b);
bool cpu_mask_is_subset(const struct cpu_mask *a, const struct cpu_mask *b);
unsigned cpu_mask_count(const struct cpu_mask *m);
void cpu_mask_or(struct cpu_mask *into, const struct cpu_mask *other);
void cpu_mask_and(struct cpu_mask *into, const struct cpu_mask *other);
int cpu_mask_next(const struct cpu_mask *m, unsigned from);
// NOLINTBEGIN(bugprone-macro-parentheses): the first argument names a variable
#define CPU_MASK_FOREACH(cpu, mask)                                                                                              \
        for (int cpu = cpu_mask_next((mask), 0); cpu >= 0; cpu = cpu_mask_next((mask), (unsigned) cpu + 1))
// NOLINTEND(bugprone-macro-parentheses)

/* Parse the kernel's list format. "" (or one newline) is the empty set; one trailing newline is allowed.
 * Return 0, -EINVAL (syntax, descending range) or -ERANGE (id past the limit); `*ret` is set only on success. */
int node_set_parse(const char *text, struct node_set *ret);
int cpu_mask_parse(const char *text, struct cpu_mask *ret);

/* Format in the kernel's list format; "" for the empty set. The caller frees; NULL when memory ran out. */
char *node_set_format(const struct node_set *s);
char *cpu_mask_format(const struct cpu_mask *m);
