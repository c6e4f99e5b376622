/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A token bucket in integers. What is earned between two looks is rarely a whole byte; the rest is kept in
 * `millionths`, so that looking often neither loses nor gains anything. Products are taken in 128 bits: no rate and
 * no pause, however long, overflows. */
#include "core/throttle.h"

#include "core/util.h"

#define BURST_MIN_BYTES (2 * MIB) /* a transparent huge page moves whole */
#define BURST_MAX_BYTES ((uint64_t) INT64_MAX)

__extension__ typedef unsigned __int128 u128;

static uint64_t burst_of(uint64_t rate_bytes) {
        return MIN2(MAX2(rate_bytes / 4, BURST_MIN_BYTES), BURST_MAX_BYTES);
}

static void refill(struct throttle *t, uint64_t now_usec) {
        if (now_usec <= t->updated_usec)
                return;
        u128 earned = (u128) t->rate_bytes * (now_usec - t->updated_usec) + t->millionths;
        t->updated_usec = now_usec;
        /* Tokens can be as low as INT64_MIN: the missing bytes need 64 bits without sign. */
        uint64_t missing = t->burst_bytes - (uint64_t) t->tokens_bytes;
        if (earned / USEC_PER_SEC >= missing) {
                t->tokens_bytes = (int64_t) t->burst_bytes;
                t->millionths = 0;
                return;
        }
        t->tokens_bytes = (int64_t) ((uint64_t) t->tokens_bytes + (uint64_t) (earned / USEC_PER_SEC));
        t->millionths = (uint32_t) (earned % USEC_PER_SEC);
}

void throttle_init(struct throttle *t, uint64_t rate_bytes, uint64_t now_usec) {
        *t = (struct throttle) {
                .rate_bytes = rate_bytes,
                .burst_bytes = burst_of(rate_bytes),
                .tokens_bytes = (int64_t) burst_of(rate_bytes),
                .updated_usec = now_usec,
        };
}

void throttle_set_rate(struct throttle *t, uint64_t rate_bytes, uint64_t now_usec) {
        if (t->rate_bytes == 0) {
                throttle_init(t, rate_bytes, now_usec);
                return;
        }
        refill(t, now_usec);
        t->rate_bytes = rate_bytes;
        t->burst_bytes = burst_of(rate_bytes);
        if (t->tokens_bytes >= (int64_t) t->burst_bytes) {
                t->tokens_bytes = (int64_t) t->burst_bytes;
                t->millionths = 0;
        }
}

uint64_t throttle_available(struct throttle *t, uint64_t now_usec) {
        if (t->rate_bytes == 0)
                return UINT64_MAX;
        refill(t, now_usec);
        return t->tokens_bytes > 0 ? (uint64_t) t->tokens_bytes : 0;
}

void throttle_take(struct throttle *t, uint64_t bytes, uint64_t now_usec) {
        if (t->rate_bytes == 0)
                return;
        refill(t, now_usec);
        int64_t taken = bytes > (uint64_t) INT64_MAX ? INT64_MAX : (int64_t) bytes;
        if (__builtin_sub_overflow(t->tokens_bytes, taken, &t->tokens_bytes))
                t->tokens_bytes = INT64_MIN;
}

uint64_t throttle_when(struct throttle *t, uint64_t bytes, uint64_t now_usec) {
        if (t->rate_bytes == 0)
                return now_usec;
        refill(t, now_usec);
        uint64_t wanted = MIN2(bytes, t->burst_bytes);
        if (t->tokens_bytes >= (int64_t) wanted)
                return now_usec;
        u128 missing = (u128) (wanted - (uint64_t) t->tokens_bytes) * USEC_PER_SEC - t->millionths;
        u128 wait = (missing + t->rate_bytes - 1) / t->rate_bytes;
        return wait > UINT64_MAX - now_usec ? UINT64_MAX : now_usec + (uint64_t) wait;
}
