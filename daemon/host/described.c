/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hwloc's environment variables say of the machine that it describes (hwloc(7), "Environment variables"). It says nothing of a description that it
 * cannot use, and describes this machine instead: whoever asked for another must be told. */
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "host/described.h"

bool is_topology(const char *what, bool is_file) {
        hwloc_topology_t t;
        if (hwloc_topology_init(&t) < 0)
                return false;
        bool fine = (is_file ? hwloc_topology_set_xml(t, what) : hwloc_topology_set_synthetic(t, what)) == 0 &&
                    hwloc_topology_load(t) == 0;
        hwloc_topology_destroy(t);
        return fine;
}

bool describes_another_machine(void) {
        const char *this_system = getenv("HWLOC_THISSYSTEM"), *xml = getenv("HWLOC_XMLFILE"),
                   *synthetic = getenv("HWLOC_SYNTHETIC");
        return ((xml && *xml) || (synthetic && *synthetic)) && !(this_system && strcmp(this_system, "1") == 0);
}

const char *described_root(void) {
        const char *root = getenv("HWLOC_FSROOT");
        return root && *root ? root : "/";
}

const char *described_wrongly(void) {
        static const char *const names[] = { "HWLOC_XMLFILE", "HWLOC_SYNTHETIC" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const char *what = getenv(names[i]);
                if (!what || !*what || strcmp(what, "-") == 0) /* "-": standard input, which can be read only once */
                        continue;
                if (!is_topology(what, i == 0))
                        return names[i];
        }
        return NULL;
}
