/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building JSON objects so that running out of memory is checked once, at the end: each function adds one member to *o; where that fails,
 * *o is freed and becomes NULL, and with NULL all of them do nothing. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"

void json_put(struct json_object **o, const char *key,
              struct json_object *value); /* takes the value; NULL counts as out of memory */
void json_put_null(struct json_object **o, const char *key);
void json_put_string(struct json_object **o, const char *key, const char *text); /* cleaned (text_clean); NULL gives null */
void json_put_int(struct json_object **o, const char *key, uint64_t value);      /* capped to INT64_MAX */
void json_put_bool(struct json_object **o, const char *key, bool value);
void json_put_number(struct json_object **o, const char *key, double value, unsigned decimals); /* see json_new_number() */
void json_put_nodes(struct json_object **o, const char *key, const struct node_set *nodes);     /* array of ids */
void json_put_u64s(struct json_object **o, const char *key, const uint64_t *values, size_t n);  /* NULL: n zeros */

/* A name that must come back byte for byte: a string, or where it is no UTF-8 (which neither JSON nor D-Bus carries) an array of its bytes. */
void json_put_exact(struct json_object **o, const char *key, const char *text);

/* The same for arrays. Takes the item; NULL counts as out of memory. */
void json_append(struct json_object **array, struct json_object *item);
void json_append_string(struct json_object **array, const char *text); /* cleaned (text_clean); NULL counts as out of memory */
void json_append_null(struct json_object **array);

/* A double ≥ 0 rounded to at most 6 decimals, that prints without binary noise (0.1, not 0.10000000000000001). What is no number
 * becomes 0. NULL when memory ran out. */
struct json_object *json_new_number(double value, unsigned decimals);
/* A double as it is, printed with as many digits as it needs to be read back the same. */
struct json_object *json_new_double_exact(double value);

/* Reading back what was written, by us or an older version: a member that is missing, or of another type, counts as 0, false or NULL; so do
 * negative numbers. Lists and texts are borrowed from `o`. */
uint64_t json_get_u64(struct json_object *o, const char *name);
bool json_get_flag(struct json_object *o, const char *name);
struct json_object *json_get_list(struct json_object *o, const char *name);
const char *json_get_text(struct json_object *o, const char *name);
/* What json_put_exact() has written, to be freed. 0, -ENOMEM, or -EBADMSG: there is no such name. */
int json_get_exact(struct json_object *o, const char *name, char **ret);
uint64_t json_list_u64(struct json_object *list, size_t i);
