/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --once: one cycle in the foreground, what was seen and what was (or would be) done, on standard output. */
#pragma once

#include <stdbool.h>

struct manager;
/* Nothing is left to do: measured once, and no transition runs or waits for its turn. */
bool once_is_complete(const struct manager *m);
/* Returns 0 or negative errno (nothing printed, or output failed). */
int once_print(struct manager *m);
