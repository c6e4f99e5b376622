/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading what we wrote as JSON ourselves: the record, and what we hold back from. */
#pragma once

#include <stddef.h>

struct json_object;

/* The value that is all of `text`, but for white space around it; no deeper than `depth`. A NUL among the `size` bytes is an error, and a
 * `null` is none of ours. Strings may hold any bytes, as names of cgroups do. Returns 0, -EBADMSG or -ENOMEM; the caller owns the result
 * (json_object_put). */
int json_of_text(const char *text, size_t size, int depth, struct json_object **ret);
/* The same for a value that `text` begins with; *ret_end is where it ends. */
int json_at_start(const char *text, size_t size, int depth, struct json_object **ret, size_t *ret_end);
