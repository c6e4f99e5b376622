/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the planner's world share: whatever a test cannot go on without ends the program. */
#pragma once

#include "world.h"

#include <stdio.h>
#include <string.h>

static inline void *need(void *p) {
        if (!p) {
                fprintf(stderr, "out of memory\n");
                abort();
        }
        return p;
}

static inline void need_zero(int r) {
        if (r < 0) {
                fprintf(stderr, "unexpected error: %s\n", strerror(-r));
                abort();
        }
}

/* What every explanation keeps; NULL, or what is broken. */
const char *world_check_explanation(const struct explanation *e);
