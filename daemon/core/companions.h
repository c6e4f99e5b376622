/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Services that a rule keeps together with another, and whose shared pages are to be moved as well: what only they map beside it is theirs
 * in common, and may go where they all live. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/history.h"
#include "core/rule.h"
#include "core/sample.h"

/* For each sample the bond of its rule: services with the same number share one home (together-with, by way of whatever rules have services here)
 * and have shared-pages: move. SIZE_MAX: it has no such company. 0 or -ENOMEM. */
int services_bond(const struct config *config, const struct service_sample *samples, size_t n, size_t *ret_bonds);

/* May the other's mappings of what the service shares be ignored? They are of one bond, the other's memory is not its own affair, and both have the same
 * home; or, unless that is to hold `now`, will have: whoever has none yet, and is not too small for one, is given the group's. */
bool is_companion(const struct service_sample *samples, const size_t *bonds, size_t index, size_t other,
                  const struct history *history, unsigned n_ids, bool now);

/* One of them. */
struct companion {
        char *cgroup;
        struct process_ref *processes;
        size_t n_processes;
};
struct companions {
        struct companion *items;
        size_t n_items, capacity, n_processes; /* processes: of all */
};
/* Adds one, with the processes of `s` that are neither those of `own` (may be NULL: one that changed its cgroup meanwhile is not to count twice) nor
 * among `except`; of more than `limit` processes in all the rest is left out. 0 or -ENOMEM. */
int companions_add(struct companions *c, const struct service_sample *s, const struct service_sample *own,
                   const struct process_ref *except, size_t n_except, size_t limit);
int companions_copy(const struct companions *from,
                    struct companions *ret); /* `from` may be NULL. 0 or -ENOMEM: then *ret is empty */
/* Who they are, as a number; 0: nobody. */
uint64_t companions_key(const struct companions *c);
void companions_done(struct companions *c);
