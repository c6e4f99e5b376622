/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields that only scenarios have, for their tables of keys: each sets `*field` or says what is wrong with the value, and
 * returns as the configuration's own fields do (config/config-private.h). */
#pragma once

#include "config/config-private.h"

/* A name of 1 to 200 characters, which can be a unit's or a slice's: char *, owned by the caller. */
int field_text(struct config_file *f, const struct key *k, const struct value *v, void *field);
/* A number of CPUs, with up to three digits behind the point: double. */
int field_cpus(struct config_file *f, const struct key *k, const struct value *v, void *field);
/* {"08-18": 100%, "18-08": 10%}: struct sim_hours; hours that are not named stay at 100 %. */
int field_hours(struct config_file *f, const struct key *k, const struct value *v, void *field);
/* "Mon 08:00": unsigned, minutes since the week began. */
int field_week_minute(struct config_file *f, const struct key *k, const struct value *v, void *field);
