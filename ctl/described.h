/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines as hwloc describes them, other than this one. */
#pragma once

#include <stdbool.h>

/* Can hwloc make a topology of this, a file of its XML or a synthetic description? */
bool is_topology(const char *what, bool is_file);

/* The environment's HWLOC_XMLFILE and HWLOC_SYNTHETIC. EXIT_SUCCESS, also where there is neither; EXIT_FAILURE, said why. */
int check_described(void);
