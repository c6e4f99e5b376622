/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small hash table by file name, open addressing, at most half full. */
#include "host/shared-files.h"

#include <stdbool.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"

#define N_SLOTS (2 * SHARED_FILES_MAX) /* a power of two */

#define LANES 4u

static inline void mix(uint64_t *lanes, const char *s) {
        for (unsigned i = 0; i < LANES; i++) {
                uint64_t word;
                memcpy(&word, s + i * sizeof word, sizeof word);
                lanes[i] = (lanes[i] ^ word) * 0x9e3779b97f4a7c15ULL;
                lanes[i] ^= lanes[i] >> 32;
        }
}

/* Eight bytes at a time in each of four lanes, mixed as in the finalizer of splitmix64: names can be 16 KiB long, and each mapping has one.
 * They are the service's own choice: the worst that it can do to itself is a slow search among SHARED_FILES_MAX of them. */
static uint64_t hash(const char *s, size_t n) {
        uint64_t lanes[LANES] = { n, 1, 2, 3 }, h = 0;
        char rest[LANES * sizeof(uint64_t)] = { 0 };
        for (; n >= sizeof rest; s += sizeof rest, n -= sizeof rest)
                mix(lanes, s);
        memcpy(rest, s, n);
        mix(lanes, rest);
        for (unsigned i = 0; i < LANES; i++)
                h = (h ^ lanes[i]) * 0xbf58476d1ce4e5b9ULL;
        return h ^ h >> 31;
}

static bool is_named(const struct shared_file *f, const char *name, size_t length) {
        return f->name_length == length && memcmp(f->name, name, length) == 0;
}

/* The slot of a name, or the free one where it belongs. */
static size_t find_slot(const struct shared_files *s, const char *name, size_t length) {
        size_t i = (size_t) (hash(name, length) % N_SLOTS);
        while (s->slots[i] > 0) {
                if (is_named(&s->files[s->slots[i] - 1], name, length))
                        break;
                i = (i + 1) % N_SLOTS;
        }
        return i;
}

static int add_file(struct shared_files *s, const char *name, size_t length, size_t process) {
        if (s->n_files >= SHARED_FILES_MAX)
                return -ENOSPC;
        if (array_reserve(&s->files, &s->capacity, s->n_files + 1, sizeof *s->files) < 0)
                return -ENOMEM;
        struct shared_file f = { .name_length = length, .process = process };
        f.name = malloc(length + 1);
        f.most = calloc((size_t) s->n_ids + 1, sizeof *f.most);
        f.now = calloc((size_t) s->n_ids + 1, sizeof *f.now);
        if (!f.name || !f.most || !f.now) {
                free(f.name);
                free(f.most);
                free(f.now);
                return -ENOMEM;
        }
        memcpy(f.name, name, length);
        f.name[length] = 0;
        s->files[s->n_files++] = f;
        return 0;
}

static void take_most(struct shared_file *f, unsigned n_ids) {
        for (unsigned i = 0; i < n_ids; i++) {
                f->most[i] = MAX2(f->most[i], f->now[i]);
                f->now[i] = 0;
        }
}

int shared_files_add(struct shared_files *s, size_t process, const struct numa_mapping *m) {
        if (!s->slots) {
                s->slots = calloc(N_SLOTS, sizeof *s->slots);
                if (!s->slots)
                        return -ENOMEM;
        }
        /* Mappings of one file mostly follow each other. */
        if (s->last >= s->n_files || !is_named(&s->files[s->last], m->file, m->file_length)) {
                size_t slot = find_slot(s, m->file, m->file_length);
                if (s->slots[slot] == 0) {
                        int r = add_file(s, m->file, m->file_length, process);
                        if (r < 0)
                                return r;
                        s->slots[slot] = s->n_files;
                }
                s->last = s->slots[slot] - 1;
        }
        struct shared_file *f = &s->files[s->last];
        if (f->process != process) {
                take_most(f, s->n_ids);
                f->process = process;
        }
        for (unsigned i = m->first_node; i < m->end_node; i++)
                f->now[i] = saturating_add(f->now[i], saturating_mul(m->pages_by_node[i], m->kernel_page_bytes));
        return 0;
}

void shared_files_sum(struct shared_files *s, uint64_t *bytes_by_node) {
        for (size_t k = 0; k < s->n_files; k++) {
                take_most(&s->files[k], s->n_ids);
                for (unsigned i = 0; i < s->n_ids; i++)
                        bytes_by_node[i] = saturating_add(bytes_by_node[i], s->files[k].most[i]);
        }
}

void shared_files_done(struct shared_files *s) {
        for (size_t k = 0; k < s->n_files; k++) {
                free(s->files[k].name);
                free(s->files[k].most);
                free(s->files[k].now);
        }
        free(s->files);
        free(s->slots);
        *s = (struct shared_files) { .n_ids = s->n_ids };
}
