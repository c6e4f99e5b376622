/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The closed loop of a move. The size of a slice follows the time that slices take, judged by the slowest but one of the last eight: one outlier makes the
 * next slice small and is forgotten, a cliff is believed at once, and a mix of cheap and dear pages settles at what is right for the dear. */
#include "core/pace.h"

#include <string.h>

/* A slice slower than this share of its time shrinks the next (where calls are dear, times are noisy: the line is asked, unless it is far more); growing
 * must be worth so much. Between them nothing changes. */
#define SLOW_PERCENT      150u
#define DEAR_SLOW_PERCENT 300u
#define GROW_PERCENT      125u
#define GROW_MAX          2u
#define SHRINK_MAX        8u
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

#define PSI_PERIOD_USEC (2 * USEC_PER_SEC)
/* Without an answer for so long the total stands still, and is not only late. */
#define PSI_STILL_USEC (PSI_PERIOD_USEC + USEC_PER_SEC / 2)

#define SLOWEST_LOOKS 4u
#define LEVEL_NEAR    2u /* with little room left: others may take it meanwhile */
#define REST_MAX_USEC (2 * USEC_PER_SEC)

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
                double usec = (double) (l->usec - MIN2(p->fixed_usec, l->usec - l->usec / SHRINK_MAX));
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
        p->last[p->next_last] = (struct pace_slice){ tried_bytes, took };
        p->next_last = (p->next_last + 1) % PACE_WINDOW;
        p->n_last = MIN2(p->n_last + 1, PACE_WINDOW);
        learn_fixed(p, tried_bytes, took);

        uint64_t allowed = allowed_usec(p);
        bool dear = allowed > PACE_SLICE_USEC;
        uint64_t cost = MAX2(usual_cost(p, dear), (uint64_t) (p->slope * 1000));
        uint64_t want = scale(KIB, (allowed - MIN2(p->fixed_usec, allowed)) * 1000, cost);
        if (took > allowed / 100 * (dear ? DEAR_SLOW_PERCENT : SLOW_PERCENT))
                /* A page that cannot be split may be more than was asked for: no reason to ask for more. */
                size = MIN2(size, MAX2(scale(tried_bytes, allowed, took), size / SHRINK_MAX));
        else if (dear && want < size * 100 / SLOW_PERCENT)
                size = MAX2(want, size / SHRINK_MAX);
        else if (tried_bytes >= size / 2 && (want >= size / 100 * GROW_PERCENT || want == PACE_MAX_BYTES))
                size = MIN2(want, size * GROW_MAX);
        p->slice_bytes = MIN2(MAX2(size, (uint64_t) PACE_MIN_BYTES), PACE_MAX_BYTES);
        plan_probe(p);
}

int pressure_share(struct pressure_meter *m, uint64_t total_usec, uint64_t now_usec) {
        if (!m->seen || now_usec < m->last_usec || total_usec < m->last_total_usec) {
                *m = (struct pressure_meter){ true, now_usec, total_usec, now_usec, total_usec };
                return -1;
        }
        uint64_t more = total_usec - m->last_total_usec, passed = now_usec - m->last_usec;
        if (passed < (more == 0 ? PSI_STILL_USEC : PSI_PERIOD_USEC))
                return -1;
        m->last_usec = now_usec;
        m->last_total_usec = total_usec;
        return (int) MIN2(more / (passed / 1000), UINT64_C(1000));
}

int pressure_share_of_all(const struct pressure_meter *m) {
        uint64_t passed = m->last_usec - m->first_usec;
        if (!m->seen || passed < PSI_PERIOD_USEC)
                return -1;
        return (int) MIN2((m->last_total_usec - m->first_total_usec) / (passed / 1000), UINT64_C(1000));
}

const char *hold_cause_to_string(enum hold_cause cause) {
        static const char *const words[] = {
                [HOLD_RATE] = "migrate-rate", [HOLD_TURN] = "other-moves", [HOLD_MEMORY] = "memory-pressure",
                [HOLD_CPU] = "cpu-pressure",  [HOLD_ROOM] = "free-memory",
        };
        return words[cause];
}

/* What one measure says by itself. */
enum word { UNKNOWN, CALM, STEADY, BAD, TERRIBLE };

static enum word judge(int now, int before, int calm, int slow, int pause) {
        if (now < 0)
                return UNKNOWN;
        int rise = now - before;
        return rise >= pause ? TERRIBLE : rise >= slow ? BAD : rise >= calm ? STEADY : CALM;
}

static enum word judge_room(const struct backoff *b, const struct backoff_look *l) {
        if (l->room_bytes == UINT64_MAX)
                return UNKNOWN;
        if (l->room_bytes == 0)
                return TERRIBLE;
        if (l->room_bytes >= l->near_bytes)
                return CALM;
        /* Slowly it still gets there; what was paused waits until there is some room again. */
        return b->level >= BACKOFF_PAUSED && l->room_bytes < l->near_bytes / 4 ? BAD : STEADY;
}

void backoff_init(struct backoff *b, int memory_permille, int cpu_permille, bool restricted) {
        *b = (struct backoff){ .before_memory = MAX2(memory_permille, 0),
                               .before_cpu = MAX2(cpu_permille, 0),
                               .restricted = restricted };
}

static void pause_it(struct backoff *b, enum hold_cause cause, uint64_t now) {
        b->level = BACKOFF_PAUSED;
        b->cause = cause;
        b->paused_usec = now;
        b->n_slowest = 0;
        if (cause == HOLD_CPU)
                b->ask_again_usec = now + BACKOFF_CPU_IS_US_USEC;
        else if (++b->n_pauses > BACKOFF_PAUSES_MAX && cause == HOLD_MEMORY)
                b->give_up = "its memory pressure rises whenever its pages are moved";
}

/* It is paused, and what was the cause stays as it is. */
static void stay_paused(struct backoff *b, const struct backoff_look *l, enum hold_cause cause) {
        uint64_t since = l->now_usec - MIN2(b->paused_usec, l->now_usec);
        b->cause = cause;
        if (cause == HOLD_CPU && since >= BACKOFF_CPU_ASK_USEC) {
                b->before_cpu = l->cpu_permille;
                b->level = b->restricted ? 1 : BACKOFF_CPU_SLOWEST;
                b->restricted = false;
                b->ask_again_usec = b->paused_usec + BACKOFF_CPU_NOT_US_USEC;
        } else if (cause == HOLD_MEMORY && since >= BACKOFF_MEMORY_LIMIT_USEC)
                b->give_up = "its memory pressure rose and stays high";
        else if (cause == HOLD_ROOM && since >= BACKOFF_ROOM_LIMIT_USEC)
                b->give_up = "the home nodes are full up to keep-free";
}

static void recover(struct backoff *b, uint64_t now) {
        b->n_slowest = 0;
        b->restricted &= b->level < BACKOFF_PAUSED; /* it fell while we paused: it was us */
        if (b->level < BACKOFF_PAUSED)
                b->level -= b->level > 0;
        else if (now - MIN2(b->paused_usec, now) >= BACKOFF_PAUSE_LEAST_USEC)
                b->level = b->cause == HOLD_ROOM ? 0 : b->cause == HOLD_CPU ? BACKOFF_CPU_SLOWEST : BACKOFF_SLOWEST;
}

/* Slower, as long as it helps; then it is asked whether it is us at all. */
static void slow_for_cpu(struct backoff *b, bool much, uint64_t now) {
        bool slowest = b->level >= BACKOFF_CPU_SLOWEST;
        b->cause = HOLD_CPU;
        if (!slowest)
                b->level = much ? BACKOFF_CPU_SLOWEST : b->level + 1;
        else
                b->n_slowest = MIN2(b->n_slowest + 1, SLOWEST_LOOKS);
        if (now >= b->ask_again_usec && (b->restricted || b->n_slowest >= SLOWEST_LOOKS))
                pause_it(b, HOLD_CPU, now);
}

static void slow_for_memory(struct backoff *b, uint64_t now) {
        b->cause = HOLD_MEMORY;
        if (b->level < BACKOFF_SLOWEST)
                b->level++;
        else if (++b->n_slowest >= SLOWEST_LOOKS)
                pause_it(b, HOLD_MEMORY, now);
}

/* One measure is bad, or terrible, and the others are no worse. */
static void suffer(struct backoff *b, const struct backoff_look *l, enum hold_cause cause, bool terrible) {
        if (b->level >= BACKOFF_PAUSED)
                stay_paused(b, l, cause);
        else if (cause == HOLD_CPU)
                slow_for_cpu(b, terrible, l->now_usec);
        else if (terrible)
                pause_it(b, cause, l->now_usec);
        else
                slow_for_memory(b, l->now_usec);
}

/* What weighs most. CPU pressure only slows, whatever it is: it hides nothing that may have to end the move. */
static enum hold_cause worst_of(const enum word *words) {
        enum hold_cause cause = words[HOLD_ROOM] > words[HOLD_MEMORY] ? HOLD_ROOM : HOLD_MEMORY;
        return words[cause] < BAD && words[HOLD_CPU] > words[cause] ? HOLD_CPU : cause;
}

void backoff_look(struct backoff *b, const struct backoff_look *l) {
        const enum word words[_HOLD_CAUSE_MAX] = {
                [HOLD_MEMORY] = judge(l->memory_permille, b->before_memory, BACKOFF_MEMORY_CALM, BACKOFF_MEMORY_SLOW,
                                      BACKOFF_MEMORY_PAUSE),
                [HOLD_CPU] = judge(l->cpu_permille, b->before_cpu, BACKOFF_CPU_CALM, BACKOFF_CPU_SLOW, BACKOFF_CPU_MUCH),
                [HOLD_ROOM] = judge_room(b, l),
        };
        enum hold_cause cause = worst_of(words);
        enum word worst = words[cause];
        /* What it was held back for says nothing new: others being calm is no reason to go on, nor that there is still room. */
        if (words[b->cause] == UNKNOWN && ((worst == CALM && b->level > 0) || b->level >= BACKOFF_PAUSED))
                worst = UNKNOWN;
        uint64_t paused = b->level >= BACKOFF_PAUSED ? l->now_usec - MIN2(b->paused_usec, l->now_usec) : 0;
        switch (worst) {
        case UNKNOWN:
                if (paused >= BACKOFF_MEMORY_LIMIT_USEC) /* nothing tells any more why it should wait */
                        b->level = BACKOFF_SLOWEST;
                break;
        case STEADY:
                if (b->level >= BACKOFF_PAUSED)
                        recover(b, l->now_usec);
                else if (cause == HOLD_ROOM && b->level < LEVEL_NEAR) {
                        b->level = LEVEL_NEAR;
                        b->cause = cause;
                }
                break;
        case CALM: recover(b, l->now_usec); break;
        case BAD: suffer(b, l, cause, false); break;
        case TERRIBLE: suffer(b, l, cause, true); break;
        }
}

uint64_t backoff_rest_usec(const struct backoff *b, uint64_t slice_usec) {
        static const uint64_t times[] = { 0, 1, 3, 7, 0 };
        return MIN2(MIN2(slice_usec, (uint64_t) REST_MAX_USEC) * times[b->level], (uint64_t) REST_MAX_USEC);
}
