/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages that would not move, pinned for I/O most likely: kept from one move of a service to the next, so that not each tries them again, which costs the service a stall
 * and us a call that ends early. Tried again after a minute, and each time that they fail after twice as long, up to six hours. Times are of CLOCK_MONOTONIC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/sample.h"

#define STUBBORN_HOLD_MIN_USEC (UINT64_C(60) * 1000000)
#define STUBBORN_HOLD_MAX_USEC (UINT64_C(6) * 3600 * 1000000)
/* Ranges kept of one service; what is beyond is tried again each time. */
#define STUBBORN_MAX 4096u

struct stubborn;

/* A copy, without what is long over at `now_usec`; of NULL an empty one. 0 or -ENOMEM. */
int stubborn_copy(const struct stubborn *s, uint64_t now_usec, struct stubborn **ret);
struct stubborn *stubborn_free(struct stubborn *s);
/* Notes that [start, end) of a process did not move. 0 (also where no more are kept) or -ENOMEM. */
int stubborn_add(struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec);
/* Is all of [start, end), or any of it, not to be tried now? NULL: nothing is. */
bool stubborn_has_all(const struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec);
bool stubborn_has_any(const struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec);
/* Ranges kept. */
size_t stubborn_count(const struct stubborn *s);
