/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record's text form:
 *
 * {"version": 1, "entries": [{"cgroup", "unit", "owner", "cpus": {"before", "ours", "seen"}, "mems": {…}}]}: sets in the kernel's list
 * format, null for unset; a side that was not changed is left out. Beside "entries",
 * where kernel.numa_balancing was changed: "kernel_balancing": {"before", "ours"}.
 *
 * After that, one line each, what has become of it since: an entry (new, or in place of the one of that cgroup), {"forget": cgroup}, or
 * {"kernel_balancing": {…} or null}. Who knows no such lines takes a record that has some for a
 * damaged one, says so and keeps it aside: so there are none while few cgroups are on record, nor when the daemon has left. */
#pragma once

#include <stddef.h>

#include "act/record.h"

#define RECORD_VERSION 1
/* More than this no machine has, and no file of ours is larger. */
#define RECORD_ENTRIES_MAX    65536u
#define RECORD_FILE_MAX_BYTES (64ULL << 20)

/* The whole record as text, to be freed; NULL when memory ran out. */
char *record_to_json(const struct record *r);
/* One change as a line, the same. */
char *record_entry_line(const struct record_entry *e);
char *record_forget_line(const char *cgroup);
char *record_balancing_line(const struct record *r);
/* Fills an empty record, and says in n_lines how many lines there were, in can_append whether another one may follow. Returns 0, -ENOMEM or -EBADMSG (no
 * record, a version that we do not know, nonsense). */
int record_from_json(const char *text, size_t size, struct record *r);
/* Inserts in order; takes over the strings. -ENOMEM, -EEXIST. */
int record_insert(struct record *r, char *cgroup, char *unit, struct record_entry **ret);
/* Takes the entry out and frees it. */
void record_remove(struct record *r, struct record_entry *e);
