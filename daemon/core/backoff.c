/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holding back. Each measure says calm, steady, bad or terrible by itself; the worst decides, and CPU pressure only slows. */
#include "core/backoff.h"

#define PSI_PERIOD_USEC (2 * USEC_PER_SEC)
/* Without an answer for so long the total stands still, and is not only late. */
#define PSI_STILL_USEC (PSI_PERIOD_USEC + USEC_PER_SEC / 2)

#define SLOWEST_LOOKS 4u
#define LEVEL_NEAR    2u /* with little room left: others may take it meanwhile */
#define REST_MAX_USEC (2 * USEC_PER_SEC)

int pressure_share(struct pressure_meter *m, uint64_t total_usec, uint64_t now_usec) {
        if (!m->seen || now_usec < m->last_usec || total_usec < m->last_total_usec) {
                *m = (struct pressure_meter) { true, now_usec, total_usec, now_usec, total_usec };
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
                [HOLD_CPU] = "cpu-pressure",  [HOLD_ROOM] = "free-memory", [HOLD_KERNEL] = "kernel-balancing",
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
        *b = (struct backoff) { .before_memory = MAX2(memory_permille, 0),
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
        if (b->cause != HOLD_CPU)
                b->n_slowest = 0;
        b->cause = HOLD_CPU;
        if (!slowest)
                b->level = much ? BACKOFF_CPU_SLOWEST : b->level + 1;
        else
                b->n_slowest = MIN2(b->n_slowest + 1, SLOWEST_LOOKS);
        if (now >= b->ask_again_usec && (b->restricted || b->n_slowest >= SLOWEST_LOOKS))
                pause_it(b, HOLD_CPU, now);
}

static void slow_for_memory(struct backoff *b, uint64_t now) {
        if (b->cause != HOLD_MEMORY || b->level < BACKOFF_SLOWEST)
                b->n_slowest = 0; /* those were looks at something else, or at a faster move */
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
