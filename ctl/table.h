/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table from an array of JSON objects and a description of its columns. */
#pragma once

#include "ctl.h"

struct column {
        const char *name;
        const char *key;                                /* a string member, where `text` is NULL */
        char *(*text)(struct json_object *row);         /* to be freed; NULL: out of memory */
        const char *(*colour)(struct json_object *row); /* may be NULL */
        bool right;                                     /* aligned to the right */
        bool shrink;                                    /* cut where the terminal is too narrow */
        unsigned drop; /* left out where the terminal is still too narrow, the lowest first; 0: never */
};

/* Prints the rows, on a terminal within its width; headings with o->legend. Returns an exit status. */
int table_print(const struct column *columns, size_t n_columns, struct json_object *rows, const struct options *o);
