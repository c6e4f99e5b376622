/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record's text form. */
#pragma once

#include <stddef.h>

#include "act/record.h"

/* More than this no machine has, and no file of ours is larger. */
#define RECORD_ENTRIES_MAX    65536u
#define RECORD_FILE_MAX_BYTES (64ULL << 20)

/* The whole record as text, to be freed; NULL when memory ran out. */
char *record_to_json(const struct record *r);
/* Fills an empty record. Returns 0, -ENOMEM or -EBADMSG (no record, a version that we do not know, nonsense). */
int record_from_json(const char *text, size_t size, struct record *r);
/* Inserts in order; takes over the strings. -ENOMEM, -EEXIST. The pointer holds until the next insertion or removal. */
int record_insert(struct record *r, char *cgroup, char *unit, struct record_entry **ret);
