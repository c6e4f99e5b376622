/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is printed, and how members of JSON objects are read for printing: a member that is missing or of another type reads as empty, because
 * the daemon may be older or newer than we are. */
#pragma once

#include <stdint.h>

#include "ctl.h"

/* Colours are for terminals, and not where NO_COLOR is set (https://no-color.org). */
bool out_wants_colour(void);

/* "PROGRAM: …" on standard error; returns `status`. */
int out_error(int status, const char *format, ...) _printf_(2, 3);
/* Prints the value as --json says (not with JSON_OFF). Returns an exit status. */
int out_json(struct json_object *value, const struct options *o);
/* The option that getopt_long(3) has just refused, as it was written: argv[optind - 1] is not it where letters stand together (-xy). To be freed;
 * NULL when memory ran out. */
char *out_refused_option(char **argv);
/* Flushes standard output. EXIT_FAILURE, said, where it could not be written. */
int out_finish(void);

/* The colour of a state, as libsmartcols names it, or NULL; and the escape sequences to begin and end it ("" without colours). */
const char *out_state_colour(const char *state);
const char *out_begin_colour(const char *colour, const struct options *o);
const char *out_end_colour(const char *colour, const struct options *o);

/* Borrowed from the object. */
const char *get_string(struct json_object *o, const char *key); /* NULL: none */
uint64_t get_u64(struct json_object *o, const char *key);
double get_double(struct json_object *o, const char *key);
bool get_bool(struct json_object *o, const char *key);
struct json_object *get_object(struct json_object *o, const char *key);
struct json_object *get_array(struct json_object *o, const char *key);
size_t array_length(struct json_object *array); /* 0 for NULL */

/* To be freed; NULL when memory ran out. "-" where there is nothing to show. */
char *text_of_nodes(struct json_object *ids);             /* "0-1,3" */
char *text_of_bytes_by_node(struct json_object *bytes);   /* "0:12.0M 3:98.2M": only nodes that have some */
char *text_of_shares_by_node(struct json_object *shares); /* "0:25% 1:75%" */
