/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser for /proc/PID/numa_maps (proc(5), and the kernel's fs/proc/task_mmu.c show_numa_map), one pass over a buffer,
 * nothing allocated per line. Fed in pieces of any size; lines can be of any length. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_mode {
        POLICY_DEFAULT,
        POLICY_LOCAL,
        POLICY_PREFERRED,
        POLICY_PREFERRED_MANY,
        POLICY_BIND,
        POLICY_INTERLEAVE,
        POLICY_WEIGHTED_INTERLEAVE,
        POLICY_UNKNOWN, /* a newer kernel's: treated as the application's own */
        _POLICY_MODE_MAX,
};

/* One mapping. Pointers are valid during the callback only. */
struct numa_mapping {
        uint64_t start; /* address; the end is not told (see /proc/PID/maps) */
        enum policy_mode policy;
        const char *policy_text; /* as printed, "bind=static:0-1"; not NUL-terminated */
        size_t policy_length;
        bool is_file, is_heap, is_stack, is_hugetlb;
        const char *file; /* escaped as printed; not NUL-terminated; NULL if none */
        size_t file_length;
        /* As printed; 0 where the kernel printed nothing (it leaves out mapmax where it is 1, and `mapped` where it
         * equals `anon` or `dirty`). */
        uint64_t anon_pages, dirty_pages, mapped_pages, mapmax, swapcache_pages, active_pages, writeback_pages;
        uint64_t kernel_page_bytes;    /* kernelpagesize_kB, or where not printed the base page; counts are in these pages */
        const uint64_t *pages_by_node; /* n_ids entries, */
        unsigned first_node, end_node; /* of which those before the one, and from the other on, are 0 */
        bool truncated;                /* some token could not be understood or was too long, and was passed over or cut */
};

typedef int (*numa_maps_callback)(const struct numa_mapping *m, void *userdata); /* <0 stops the parser */

struct numa_maps_parser;
/* Node ids ≥ n_ids are counted as an error (-ERANGE from feed). NULL when memory ran out. */
struct numa_maps_parser *numa_maps_parser_new(unsigned n_ids, uint64_t page_bytes, numa_maps_callback callback, void *userdata);
struct numa_maps_parser *numa_maps_parser_free(struct numa_maps_parser *p);
static inline void numa_maps_parser_freep(struct numa_maps_parser **p) {
        numa_maps_parser_free(*p);
}
/* Forgets the text so far: ready for another process's file. */
void numa_maps_parser_reset(struct numa_maps_parser *p);
/* Returns 0, the callback's negative result, -ERANGE, or -EBADMSG for text that is no numa_maps. An error stays until
 * the parser is reset. */
int numa_maps_parser_feed(struct numa_maps_parser *p, const char *text, size_t size);
int numa_maps_parser_finish(struct numa_maps_parser *p); /* the last line without a newline */
