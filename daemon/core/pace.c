/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The closed loop of a move. The size of a slice follows the time that slices take, judged by the slowest but one of the last eight: one outlier makes the
 * next slice small and is forgotten, a cliff is believed at once, and a mix of cheap and dear pages settles at what is right for the dear. What a call
 * takes by itself is told from what pages take by a line through slices of different sizes. */
#include "core/pace.h"

/* A slice slower than this share of its time shrinks the next (where calls are dear, and times noisy, the line is asked instead); growing must be worth so
 * much. Between them nothing changes. */
#define SLOW_PERCENT 150u
#define GROW_PERCENT 125u
#define GROW_MAX     2u
#define SHRINK_MAX   8u
/* Of a slice pages took so much at least, however long the call is thought to take by itself. */
#define PAGES_SHARE_LEAST 64u
/* Slices may take so many times what a call takes by itself, so that no more than an eighth of their time is lost to that; but no longer than so many
 * times as long as others. */
#define FIXED_FACTOR    8u
#define DEAR_FACTOR_MAX 25u
/* Sizes that differ so much (their deviation, beside their mean) tell what a call costs by itself; without that it is forgotten bit by bit. */
#define TELLING_SPREAD 0.2
#define FORGET_SHARE   16u
#define OLDER_WEIGHS   (15.0 / 16)
#define OUTLIER_FACTOR 4
/* One slice in so many (odd: pages may alternate) is half as large, or, where it is as small as can be, so much larger. */
#define PROBE_EVERY  7u
#define PROBE_FACTOR 4u

/* What is beyond these is of no other meaning, and arithmetic stays exact enough. */
#define TOOK_MAX_USEC   (60 * USEC_PER_MINUTE)
#define TRIED_MAX_BYTES (UINT64_C(1) << 50)

static uint64_t usual_bytes(const struct pace *p) {
        return p->slice_bytes > 0 ? p->slice_bytes : PACE_START_BYTES;
}

uint64_t pace_slice_bytes(const struct pace *p) {
        return p->probe_bytes > 0 ? p->probe_bytes : usual_bytes(p);
}

static uint64_t allowed_usec(const struct pace *p) {
        return MIN2(MAX2(p->fixed_usec * FIXED_FACTOR, (uint64_t) PACE_SLICE_USEC), DEAR_FACTOR_MAX * PACE_SLICE_USEC);
}

/* A line through all slices, by least squares of relative errors: where it begins is what a slice of no size would take. One that took far longer, or
 * shorter, than the line would have it counts no more than a few times as much; two in a row are a machine that has changed, and the line begins anew. */
static void learn_fixed(struct pace *p, uint64_t bytes, uint64_t usec) {
        double x = (double) bytes / KIB, y = (double) usec;
        double line = p->weight > 0 ? (double) p->fixed_usec + p->slope * x : y;
        bool off = y > line * OUTLIER_FACTOR || y < line / OUTLIER_FACTOR;
        if (off && p->was_off) {
                p->weight = p->x = p->y = p->xx = p->xy = 0;
                p->fixed_usec = 0;
                line = y;
        }
        p->was_off = off;
        y = MIN2(MAX2(y, line / OUTLIER_FACTOR), line * OUTLIER_FACTOR);
        double w = 1 / (line * line);
        p->weight = p->weight * OLDER_WEIGHS + w;
        p->x = p->x * OLDER_WEIGHS + w * x;
        p->y = p->y * OLDER_WEIGHS + w * y;
        p->xx = p->xx * OLDER_WEIGHS + w * x * x;
        p->xy = p->xy * OLDER_WEIGHS + w * x * y;
        double mean_x = p->x / p->weight, mean_y = p->y / p->weight;
        double spread = p->xx / p->weight - mean_x * mean_x;
        if (spread < TELLING_SPREAD * TELLING_SPREAD * mean_x * mean_x)
                p->fixed_usec -= (p->fixed_usec + FORGET_SHARE - 1) / FORGET_SHARE;
        else {
                double start = mean_y - MAX2((p->xy / p->weight - mean_x * mean_y) / spread, 0.0) * mean_x;
                p->fixed_usec = start > 0 ? (uint64_t) start : 0;
        }
        p->slope = MAX2((mean_y - (double) p->fixed_usec) / mean_x, 0.001);
}

/* What a KiB costs beside that, in ns: in the dearest but one of the last slices (of fewer than three the dearest), or in the middle one. */
static uint64_t usual_cost(const struct pace *p, bool middle) {
        uint64_t costs[PACE_WINDOW];
        for (unsigned i = 0; i < p->n_last; i++) {
                const struct pace_slice *l = &p->last[i];
                double usec = (double) (l->usec - MIN2(p->fixed_usec, l->usec - l->usec / PAGES_SHARE_LEAST));
                uint64_t cost = (uint64_t) (usec * 1000.0 / ((double) l->bytes / KIB));
                unsigned at = i; /* the dearest first */
                for (; at > 0 && costs[at - 1] < cost; at--)
                        costs[at] = costs[at - 1];
                costs[at] = cost;
        }
        unsigned which = middle ? p->n_last / 2 : p->n_last < 3 ? 0 : 1;
        return MAX2(costs[which], UINT64_C(1));
}

/* bytes × a / b, without overflow for any of them. */
static uint64_t scale(uint64_t bytes, uint64_t a, uint64_t b) {
        double d = (double) bytes * ((double) a / (double) b);
        return d >= (double) PACE_MAX_BYTES ? PACE_MAX_BYTES : (uint64_t) d;
}

static void plan_probe(struct pace *p) {
        p->probe_bytes = 0;
        if (++p->n_since_probe < PROBE_EVERY)
                return;
        p->n_since_probe = 0;
        p->probe_bytes = p->slice_bytes > PACE_MIN_BYTES ? MAX2(p->slice_bytes / 2, (uint64_t) PACE_MIN_BYTES)
                                                         : PROBE_FACTOR * PACE_MIN_BYTES;
}

void pace_slice_done(struct pace *p, uint64_t tried_bytes, uint64_t took_usec) {
        if (tried_bytes == 0)
                return;
        uint64_t took = MIN2(MAX2(took_usec, (uint64_t) 1), (uint64_t) TOOK_MAX_USEC), size = usual_bytes(p);
        tried_bytes = MIN2(tried_bytes, (uint64_t) TRIED_MAX_BYTES);
        p->last[p->next_last] = (struct pace_slice) { tried_bytes, took };
        p->next_last = (p->next_last + 1) % PACE_WINDOW;
        p->n_last = MIN2(p->n_last + 1, PACE_WINDOW);
        learn_fixed(p, tried_bytes, took);

        uint64_t allowed = allowed_usec(p);
        bool dear = allowed > PACE_SLICE_USEC;
        uint64_t cost = MAX2(usual_cost(p, dear), (uint64_t) (p->slope * 1000));
        /* However long a call takes by itself, pages get a share of the slice. */
        uint64_t for_pages = MAX2(allowed - MIN2(p->fixed_usec, allowed), allowed / FIXED_FACTOR);
        uint64_t want = scale(KIB, for_pages * 1000, cost);
        if (!dear && took > allowed / 100 * SLOW_PERCENT)
                /* A page that cannot be split may be more than was asked for: no reason to ask for more. */
                size = MIN2(size, MAX2(scale(tried_bytes, allowed, took), size / SHRINK_MAX));
        else if (dear && want < size / SLOW_PERCENT * 100)
                size = MAX2(want, size / SHRINK_MAX);
        else if (tried_bytes >= size / 2 && (want >= size / 100 * GROW_PERCENT || want == PACE_MAX_BYTES))
                size = MIN2(want, size * GROW_MAX);
        p->slice_bytes = MIN2(MAX2(size, (uint64_t) PACE_MIN_BYTES), PACE_MAX_BYTES);
        plan_probe(p);
}
