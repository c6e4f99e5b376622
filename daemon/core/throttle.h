/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Token bucket: how many bytes may be moved now, and when the next may. Time is an argument. */
#pragma once

#include <stdint.h>

struct throttle {
        uint64_t rate_bytes;  /* per second; 0: no limit */
        uint64_t burst_bytes; /* most that can be saved up */
        int64_t tokens_bytes; /* negative: in debt */
        uint32_t millionths;  /* of a byte, earned beside the tokens */
        uint64_t updated_usec;
};

/* Starts with a full bucket. The burst is a quarter of a second's worth, at least one huge page (2 MiB). */
void throttle_init(struct throttle *t, uint64_t rate_bytes, uint64_t now_usec);
/* Changes the rate, keeping the tokens (capped by the new burst). */
void throttle_set_rate(struct throttle *t, uint64_t rate_bytes, uint64_t now_usec);
/* Bytes that may be moved at `now`: UINT64_MAX where there is no limit. */
uint64_t throttle_available(struct throttle *t, uint64_t now_usec);
/* Takes bytes; can go into debt (a slice that moved more than was allowed), kept as a later `available` time. */
void throttle_take(struct throttle *t, uint64_t bytes, uint64_t now_usec);
/* The earliest time at which `bytes` (capped by the burst) are available; `now` where they are already. */
uint64_t throttle_when(struct throttle *t, uint64_t bytes, uint64_t now_usec);
