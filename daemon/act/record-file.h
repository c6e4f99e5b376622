/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record's file: written as a whole, or one line more. For record.c alone. */
#pragma once

#include <stdbool.h>

#include "act/record.h"

/* Reads the file into an empty record that has a path. -ENOENT: there is none; -EBADMSG: it is no record, and was set aside. */
int record_read(struct record *r);
/* Is a line what is to be written for one change of this record, and not all of it? Never of one in memory alone. */
bool record_takes_line(const struct record *r);
/* Both return 0 once it is on disk, or negative errno: then what is read next time is as it was before, or with that one change.
 * A line that cannot be appended has the whole written. */
int record_write(struct record *r);
int record_append(struct record *r, const char *line);
