/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large a slice of a move is: the closed loop between its size and the time it takes. Arithmetic on what was measured. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/util.h"

/* A slice should take about this long: it bounds how late a move notices that it must stop. */
#define PACE_SLICE_USEC (20 * USEC_PER_MSEC)
/* Begins with so much; never less, which is where each call's own price would be all that is paid; never more, because throughput is flat from
 * about 1,280 pages of 4 KiB. */
#define PACE_START_BYTES (256 * KIB)
#define PACE_MIN_BYTES   (256 * KIB)
#define PACE_MAX_BYTES   (16 * MIB)
#define PACE_WINDOW      8u

/* What was learnt of moving one service's pages; outlives the move. All zero: nothing yet. */
struct pace {
        uint64_t slice_bytes; /* of usual slices; 0: begins small */
        uint64_t probe_bytes; /* of the next slice, where it is of another size on purpose; 0: it is a usual one */
        unsigned n_since_probe;
        struct pace_slice {
                uint64_t bytes, usec;
        } last[PACE_WINDOW];
        unsigned n_last, next_last;
        /* The line through the slices, where each weighs less with its age: sums of weights, KiB and microseconds. */
        double weight, x, y, xx, xy;
        bool was_off;        /* the last slice was far from it */
        double slope;        /* of that line, microseconds per KiB */
        uint64_t fixed_usec; /* and where it begins: what a slice takes whatever its size */
};
/* Of the next slice. */
uint64_t pace_slice_bytes(const struct pace *p);
/* Learns from a slice. `tried_bytes`: of pages put to the kernel for moving, whether they moved or not; 0 teaches nothing. Grows at most twofold, and only
 * where all but one of the last slices would have kept to the time; shrinks at once, to an eighth at most. Where a call costs much whatever it moves,
 * smaller slices would only cost more: they may then take up to twenty-five times as long. One slice in seven is of another size, to find that out. */
void pace_slice_done(struct pace *p, uint64_t tried_bytes, uint64_t took_usec);
