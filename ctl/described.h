/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines that the environment describes, for commands that look at one. */
#pragma once

/* The environment's HWLOC_XMLFILE and HWLOC_SYNTHETIC. EXIT_SUCCESS, also where there is neither; EXIT_FAILURE, said why. */
int check_described(void);
