/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser for numa_maps: pieces of text into lines; numa-maps-line.c takes them apart. The kernel returns whole lines from each read(2), so
 * nearly all are parsed where they are, the text of names left in place; one that the end of a piece cuts is gathered first. */
#include "host/numa-maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "host/numa-maps-internal.h"

static void line_reset(struct numa_maps_parser *p) {
        p->line_begun = p->line_cut = false;
        p->line_length = p->word_length = 0;
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

/* Puts together a line that comes in pieces. Byte for byte, so that where it is cut does not matter: of a word that is too long the
 * beginning is kept, of a line that is too long the words that fit. */
static void gather(struct numa_maps_parser *p, const char *s, const char *end) {
        p->line_begun = true;
        while (s < end) {
                const char *stop = *s == ' ' ? s + 1 : memchr(s, ' ', (size_t) (end - s));
                if (!stop)
                        stop = end;
                size_t n = (size_t) (stop - s);
                if (*s == ' ')
                        p->word_length = 0;
                else {
                        size_t room = NUMA_MAPS_WORD_MAX - p->word_length;
                        p->line_cut = p->line_cut || n > room;
                        n = MIN2(n, room);
                        p->word_length += n;
                }
                size_t room = NUMA_MAPS_TEXT_MAX - p->line_length;
                p->line_cut = p->line_cut || n > room;
                n = MIN2(n, room);
                memcpy(p->line + p->line_length, s, n);
                p->line_length += n;
                s = stop;
        }
}

static void take_gathered(struct numa_maps_parser *p) {
        p->line[p->line_length] = '\n';
        numa_maps_take_line(p, p->line, p->line + p->line_length + 1, p->line_cut);
        line_reset(p);
}

int numa_maps_parser_feed(struct numa_maps_parser *p, const char *text, size_t size) {
        const char *end = text + size, *last = size > 0 ? memrchr(text, '\n', size) : NULL;
        while (text < end && p->error == 0) {
                if (!p->line_begun && last && text <= last)
                        text = numa_maps_take_lines(p, text, last + 1);
                if (text == end || p->error < 0)
                        break;
                const char *newline = memchr(text, '\n', (size_t) (end - text));
                gather(p, text, newline ? newline : end);
                if (newline)
                        take_gathered(p);
                text = newline ? newline + 1 : end;
        }
        return p->error;
}

int numa_maps_parser_finish(struct numa_maps_parser *p) {
        if (p->error == 0 && p->line_begun)
                take_gathered(p);
        return p->error;
}
