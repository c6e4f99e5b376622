/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines as hwloc describes them, other than this one: by the environment, a file, or a text. */
#pragma once

#include <stdbool.h>

/* Can hwloc make a topology of this, a file of its XML or a synthetic description? */
bool is_topology(const char *what, bool is_file);
/* Does hwloc describe another machine than the one we run on? Then what its kernel does is not ours to tell. */
bool describes_another_machine(void);
/* The root of the machine's files: hwloc's HWLOC_FSROOT, or "/". */
const char *described_root(void);
/* Which of HWLOC_XMLFILE and HWLOC_SYNTHETIC describes no machine that hwloc understands; NULL: neither, or neither is set. */
const char *described_wrongly(void);
