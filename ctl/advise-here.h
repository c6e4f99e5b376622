/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice without a daemon. */
#pragma once

#include <stdint.h>

#include "ctl.h"

/* Observes the machine for a second and plans for one more service; what is seen is taken as it is, since without a daemon no rule is in force.
 * keep-free is the configuration's. `ret`: view_advice(), to be put. Returns an exit status, said. */
int advise_here(uint64_t mcpu, uint64_t bytes, struct json_object **ret);
