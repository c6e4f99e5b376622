/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the parser for numa_maps, shared by numa-maps.c (pieces of text into lines) and numa-maps-line.c (lines into mappings). */
#pragma once

#include "host/numa-maps.h"

/* A path is at most PATH_MAX (4096) long, each of its characters at most four when escaped. The longest line has one of those, and a
 * number for each of 1024 nodes. */
#define NUMA_MAPS_WORD_MAX (5 + 4 * 4096 + 64)
#define NUMA_MAPS_TEXT_MAX 65536u

struct numa_maps_parser {
        unsigned n_ids;
        uint64_t page_bytes;
        numa_maps_callback callback;
        void *userdata;
        int error;

        uint64_t *pages_by_node;
        struct numa_mapping mapping;
        /* The line being gathered. */
        bool line_begun, line_cut;
        size_t line_length, word_length;
        char line[NUMA_MAPS_TEXT_MAX + 1];
};

/* Parses the line, whose newline is before `end`, and calls back; `cut`: words of it are missing. What goes wrong is in p->error. */
void numa_maps_take_line(struct numa_maps_parser *p, const char *text, const char *end, bool cut);
/* The same with each line where it stands in the text, which ends with a newline. Returns where it has come: to the end, or to a line that may hold words
 * longer than a gathered line would have them, and is to be gathered. */
const char *numa_maps_take_lines(struct numa_maps_parser *p, const char *text, const char *end);
