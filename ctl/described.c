/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the environment describes a machine that commands can look at. */
#include "described.h"

#include <stdlib.h>

#include "host/described.h"
#include "out.h"

int check_described(void) {
        const char *name = described_wrongly();
        return name ? out_error(EXIT_FAILURE, "%s describes no machine that hwloc understands: %s", name, getenv(name))
                    : EXIT_SUCCESS;
}
