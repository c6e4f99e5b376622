/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaves out of a capture what no decision needs. Works on what was recorded, by path: what is not known here is not kept. */
#pragma once

#include "host/recorder.h"

struct scrubber; /* remembers which pseudonym stands for which mapped file, over both looks */

struct scrubber *scrubber_new(void); /* NULL: no memory */
struct scrubber *scrubber_free(struct scrubber *s);
static inline void scrubber_freep(struct scrubber **s) {
        scrubber_free(*s);
}
/* Rewrites one file in place, or empties its path (path[0] = 0) if it is not to be kept. Returns 0 or -ENOMEM. */
int scrub(struct scrubber *s, struct recorded *item);
