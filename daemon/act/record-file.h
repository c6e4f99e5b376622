/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record's file: written as a whole, or one line more. For record.c alone. */
#pragma once

#include <stdbool.h>

#include "act/record.h"

/* Reads the file into an empty record that has a path. -ENOENT: there is none; -EBADMSG: it is no record, and was set aside. */
int record_read(struct record *r);
/* Is a line what is to be written for one change of this record, and not all of it? Never of one in memory alone. */
bool record_takes_line(const struct record *r);
/* May a line follow, where the whole cannot be written? A file that has lines already is read no worse with one more. */
bool record_bears_line(const struct record *r);
/* Both return 0 once it is on disk, or negative errno: then what is read next time is as it was before, or with that one change. The other one may then still
 * succeed: what there is no room for as a whole can have room as a line, and of a file that somebody has removed only the whole can be written. */
int record_write(struct record *r);
int record_append(struct record *r, const char *line);
