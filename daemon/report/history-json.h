/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner's history as JSON and back, every field exactly: for captures. */
#pragma once

#include <json-c/json.h>

#include "core/history.h"

struct json_object *history_to_json(const struct history *h); /* an array; NULL: no memory */
/* `list` NULL: an empty history. `n_ids` of the topology. Returns 0, -ENOMEM or -EBADMSG. */
int history_from_json(struct json_object *list, unsigned n_ids, struct history *ret);
