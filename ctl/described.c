/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hwloc says nothing of a description that it cannot use, and describes this machine instead: whoever asked for another must be told. */
#include "described.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "host/described.h"
#include "out.h"

int check_described(void) {
        static const char *const names[] = { "HWLOC_XMLFILE", "HWLOC_SYNTHETIC" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const char *what = getenv(names[i]);
                if (!what || !*what || strcmp(what, "-") == 0) /* "-": standard input, which can be read only once */
                        continue;
                if (!is_topology(what, i == 0))
                        return out_error(EXIT_FAILURE, "%s describes no machine that hwloc understands: %s", names[i], what);
        }
        return EXIT_SUCCESS;
}
