/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own balancing (kernel.numa_balancing): switched off or on while we place services, where the configuration says so, given
 * back when we leave; and told where it takes back what we moved. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config;
struct cycle;
struct env_timer;
struct manager;

/* What it is set to, and how far we have come with switching it or giving it back. */
struct balancing {
        bool there;            /* this kernel has it */
        unsigned mode;         /* kernel.numa_balancing when last looked at */
        bool in_force;         /* what is on record as ours was seen in force by this process */
        bool yielded;          /* somebody else set it after us: left alone until a reload or resume */
        unsigned yielded_from; /* what it was for us until then */
        bool changing, giving_back;
        unsigned n_unanswered;        /* so many writers were begun and have not ended */
        bool give_back_next;          /* only once none of these is left, so that no two writers can pass each other */
        unsigned wanted;              /* with changing: what was asked for … */
        uint64_t until_usec;          /* … and how long that may take */
        unsigned n_failed;            /* in a row */
        uint64_t again_usec;          /* not before this */
        struct env_timer *timer;      /* looks whether it is in force */
        bool told;                    /* which rules it will undo, … */
        unsigned told_mode;           /* … at this setting */
        const struct config *told_of; /* … of this configuration; compared only */
};

/* Looks at it, and switches it or gives it back where the configuration says so and changes may be made. At every cycle. */
void manager_balancing_check(struct manager *m, bool may_change);
int manager_balancing_look(struct manager *m); /* 0, -ENOENT: this kernel has none, or another negative errno */
/* Gives back what is on record; counts in n_restoring until that is done. -ENOENT: nothing is; -EALREADY: under way. */
int manager_balancing_restore(struct manager *m);
void manager_balancing_forgive(struct manager *m); /* a reload, or resume: tried anew */
void manager_balancing_done(struct manager *m);
char *manager_balancing_describe(const struct manager *m); /* one sentence, heap; NULL: no memory */
/* manager-undone.c */

/* A placement that is about to be carried out: does it redo what the kernel has undone? Then that is said and remembered, and true returned. */
bool manager_balancing_undid(struct manager *m, const struct cycle *c, size_t i);
/* The move that was decided in cycle `then` has ended, `now` shows what it left, and `refused_bytes` would not move: remembered for that. Returns how many
 * bytes of what it moved were taken back in between, having said so. */
uint64_t manager_balancing_settled(struct manager *m, const struct cycle *then, size_t then_index, const struct cycle *now,
                                   size_t now_index, uint64_t refused_bytes);
