/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of services that "numabalancectl list" and "numabalanced --once" print. */
#pragma once

#include "ctl.h"

/* `services`: an array of view_service() objects, borrowed. Those with a rule come first. With o->legend headings and a closing line.
 * Returns an exit status. */
int list_table_print(struct json_object *services, const struct options *o);
