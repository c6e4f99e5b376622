/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes whose memory is moved: layouts of which it is known, page by page, what has to move. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SMALL_BYTES 4096u
#define HUGE_BYTES  ((uint64_t) 2 << 20)

enum layout {
        LAYOUT_SMALL,    /* 4 KiB pages */
        LAYOUT_THP,      /* transparent huge pages */
        LAYOUT_HUGETLB,  /* 2 MiB each */
        LAYOUT_MIX,      /* in one mapping: huge pages, small ones, holes, and every second page home already */
        LAYOUT_SPARSE,   /* a page here and there in a terabyte */
        LAYOUT_MAPPINGS, /* 200,000 mappings, a tenth with a page in it */
        _LAYOUT_MAX,
};

extern const char *const layout_names[];

/* What one address moves. */
struct piece {
        uint64_t address;
        bool home; /* to lie at home from the start */
};

struct victim {
        pid_t pid;
        struct piece *pieces; /* in order of address */
        size_t n;
        bool *is_huge; /* of n: one address of a huge page */
};

/* Starts a process whose memory lies so; waits until it does. Says why not, and returns false, where this machine cannot have such pages. */
bool victim_start(struct victim *v, enum layout layout, size_t mib, int from);
void victim_end(struct victim *v);
/* Base pages of one piece. */
size_t victim_piece_pages(const struct victim *v, size_t i);
