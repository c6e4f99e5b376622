/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last decisions and moves, for "numabalancectl history": what the journal was told, in memory and bounded. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "report/journal.h"

#define EVENTS_MAX 256u

struct events;
struct events *events_new(void); /* NULL: out of memory */
struct events *events_free(struct events *e);

/* Each takes in one event, the oldest makes room; `time_usec` is CLOCK_REALTIME. Returns 0 or -ENOMEM: then this event is not remembered. */
int events_add_decision(struct events *e, uint64_t time_usec, const struct service_sample *s, const struct placement *p,
                        unsigned n_ids, bool dry_run);
int events_add_moved(struct events *e, uint64_t time_usec, const struct move_report *r);
int events_add_blocked(struct events *e, uint64_t time_usec, const struct service_sample *s, const char *reason);
int events_add_undone(struct events *e, uint64_t time_usec, const struct undone_report *r);
int events_add_restored(struct events *e, uint64_t time_usec, const char *unit, const char *cgroup, enum restore_outcome outcome,
                        const char *detail);

/* Oldest first: [{time_usec, unit, cgroup, rule, event, from_nodes, to_nodes, bytes, locality_before, locality_after, reason}], and of a move
 * effort: {duration_usec, narrow_usec, longest_slice_usec, longest_call_usec, bytes_per_sec, held_usec, held_by: {cause: µs}, and as far as known
 * memory_ and cpu_pressure_before_ and _during_percent}. `unit`: a unit's
 * name or a cgroup's path, raw or as printed (text_matches()); "": all. event: decided | would-act (in a dry run) | moved | failed | undone | blocked |
 * restored | not-restored. Of one that is undone from_nodes is its home, bytes what the kernel took from there, and undone_by balancing | demotion, whose part was
 * larger; undone_also_by the other if it had a part in it. null where it does not apply. NULL: out of memory. */
struct json_object *events_list(const struct events *e, const char *unit);
