/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One place that a service could be in, as a row of a table: see struct column. */
#pragma once

#include <json-c/json.h>

char *candidate_nodes(struct json_object *row);        /* heap; NULL: no memory */
char *candidate_cost(struct json_object *row);         /* likewise */
const char *candidate_colour(struct json_object *row); /* of the one that is chosen; NULL: none */
