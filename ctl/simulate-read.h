/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What numabalancectl simulate reads: a machine, a scenario, and the rules that hold there. Each says what is wrong on standard error; an exit status. */
#pragma once

#include "ctl.h"
#include "sim/scenario-file.h"

/* A file is hwloc's XML, anything else its synthetic description; NULL: this machine. */
int simulate_load_topology(const char *what, struct topology **ret);
int simulate_load_scenario(const char *path, const struct topology *t, struct scenario_file **ret);
/* The rules of the file that the options name, or those of the scenario. */
int simulate_load_rules(struct sim *s, const struct simulate_options *o, const struct scenario_file *scenario);
