/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines, to the journal with fields or to the console in words. One line per decision; nothing when nothing changes.
 * Message ids are in report/message-ids.h, their explanations in systemd/numabalanced.catalog. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "act/mover.h"
#include "act/restore.h"
#include "core/backoff.h"
#include "core/plan.h"
#include "core/util.h"

enum log_target { LOG_TARGET_JOURNAL, LOG_TARGET_CONSOLE };
/* Lines above `max_priority` (LOG_DEBUG is the highest) are left out. Without it: console, LOG_INFO. The console is standard error; a line waits
 * for a slow reader only shortly, then it is lost, and the next one says how many were. */
void log_open(enum log_target target, int max_priority);

/* In place of the target, for simulations: what is said, and the fields "KEY=value" beside it, both borrowed. NULL: back to the target. */
typedef void (*log_sink)(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata);
void log_divert(log_sink sink, void *userdata);

/* Plain line without fields (start-up, failures of the daemon itself). Returns `error` so that callers can `return log_error(r, …)`.
 * One line: control characters are shown as \xNN. */
#define log_full(priority, error, ...) log_internal((priority), (error), __FILE__, __LINE__, __func__, __VA_ARGS__)
int log_internal(int priority, int error, const char *file, int line, const char *function, const char *format, ...)
        _printf_(6, 7);
#define log_error(error, ...)   log_full(LOG_ERR, (error), __VA_ARGS__)
#define log_warning(error, ...) log_full(LOG_WARNING, (error), __VA_ARGS__)
#define log_notice(...)         ((void) log_full(LOG_NOTICE, 0, __VA_ARGS__))
#define log_info(...)           ((void) log_full(LOG_INFO, 0, __VA_ARGS__))
#define log_debug(...)          ((void) log_full(LOG_DEBUG, 0, __VA_ARGS__))

/* The fields, beside PRIORITY, MESSAGE, MESSAGE_ID, CODE_…, ERRNO; numabalanced(8) has them for users:
 * NUMABALANCED_UNIT, NUMABALANCED_CGROUP, NUMABALANCED_RULE, NUMABALANCED_PLACE; OBJECT_SYSTEMD_UNIT is the host's unit that the cgroup lies in: from
 * root, journalctl -u UNIT shows such entries (journalctl(1), --unit=). Nodes are in list format, localities 0…1, distances 10.00 for all local. */

/* A decision: FROM_NODES, TO_NODES (memory, or where memory is left alone CPUs), CPU_NODES, BYTES_TO_MOVE, LOCALITY_BEFORE, DISTANCE_BEFORE,
 * DISTANCE_AFTER (expected), REASON, DRY_RUN=yes|no. */
void journal_decision(const struct service_sample *s, const struct placement *p, unsigned n_ids, bool dry_run);

/* What a move was like for the service. */
struct move_effort {
        uint64_t moving_usec;                            /* in passes over its memory, with all that these waited */
        uint64_t held_usec[_HOLD_CAUSE_MAX];             /* waited, by what for: in passes, or before the first (HOLD_KERNEL) */
        int memory_before_permille, cpu_before_permille; /* stalled for so much of the time ("some" of PSI); -1: not known */
        int memory_during_permille, cpu_during_permille;
};

/* A completed (or given up) transition, with what the kernel says now. */
struct move_report {
        const struct service_sample *sample; /* as it was when it began */
        struct node_set from, to;
        const struct move_result *moved;
        const struct move_effort *effort; /* NULL: no pages were to be moved */
        uint64_t duration_usec, narrow_usec;
        double locality_before, locality_after, distance_after;
        bool verified;                     /* the numbers after were read back; false: they could not be */
        bool cpus_asked, mems_asked;       /* a restriction was asked for: only then it is told whether it is in force */
        bool cpus_in_force, mems_in_force; /* read back */
        int error;                         /* 0, or why it was given up */
        const char *reason;                /* why in words; for a give-up what went wrong */
};
/* FROM_NODES (where pages came from), TO_NODES, BYTES, PAGES, HUGE_PAGES, FAILED_SHARED, FAILED_BUSY, FAILED_NO_MEMORY, FAILED_GONE, FAILED_OTHER (pages),
 * SKIPPED_POLICY_BYTES, SKIPPED_ROOM_BYTES, DURATION_USEC, NARROW_USEC, LONGEST_SLICE_USEC, LONGEST_CALL_USEC; where there was an effort BYTES_PER_SEC, HELD_USEC, HELD_BY
 * (longest first), and as far as known MEMORY_PRESSURE_… and CPU_PRESSURE_… BEFORE and DURING in percent; LOCALITY_BEFORE, where verified LOCALITY_AFTER and DISTANCE_AFTER,
 * CPUS_IN_FORCE, MEMS_IN_FORCE (where asked for), REASON, ERRNO. */
void journal_moved(const struct move_report *r);
/* Where its pages came from; where none was moved, where it had some off its home. */
struct node_set move_report_from(const struct move_report *r);
/* In all, and the words for what it was, longest first ("cpu-pressure,migrate-rate"; the caller frees; NULL: no memory). */
uint64_t move_effort_held_usec(const struct move_effort *e);
char *move_effort_held_by(const struct move_effort *e);
uint64_t move_report_bytes_per_sec(const struct move_report *r);
/* OUTCOME=restored|gone|changed-by-others|failed, DETAIL. */
void journal_restored(const char *unit, const char *cgroup, enum restore_outcome outcome, int error, const char *detail);
void journal_blocked(const struct service_sample *s, const char *reason); /* once per new reason, the caller sees to that */
/* A process that does not come back from being read or moved; once. `companion`: it is not one of the service's own. */
void journal_stuck(const char *unit, const char *cgroup, bool companion, const char *while_doing);
/* A change of cpusets that does not come to an end; `what`: "changing its cpuset". */
void journal_change_late(const char *unit, const char *cgroup, const char *what);
/* kernel.numa_balancing was set, by us; `why`: "kernel-balancing: off", "given back". KERNEL_BALANCING_BEFORE, KERNEL_BALANCING, REASON. */
void journal_kernel_balancing(unsigned before, unsigned now, const char *why);
/* It is on, and will take back what these rules ("a, b") have moved. KERNEL_BALANCING, REASON. */
void journal_kernel_balancing_meets(unsigned mode, const char *rules);
/* The kernel has taken back what was moved. */
struct undone_report {
        const struct service_sample *sample; /* as it is now */
        struct node_set home, to;            /* from there, and where else its memory is */
        uint64_t bytes;
        enum undone_by by;
        unsigned balancing; /* kernel.numa_balancing */
        uint64_t wait_usec; /* 0: moved again at once, as the rule says */
};
/* FROM_NODES (home), TO_NODES, BYTES, KERNEL_BALANCING, KERNEL_CAUSE=balancing|demotion, KERNEL_CAUSE_ALSO (the other had a part in it), WAIT_USEC. */
void journal_undone(const struct undone_report *r);
/* Something this machine cannot do (host_limitations), at start. */
void journal_limitation(const char *what);
void journal_config_loaded(const char *what, unsigned n_rules);
void journal_config_rejected(const char *what, const char *const *lines, unsigned n_lines);
