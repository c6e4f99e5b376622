/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives a cgroup its former cpusets back and verifies it. Where the kernel refuses to clear a populated cpuset (ENOSPC before 7.x),
 * the parent's full set is written instead, which has the same effect. */
#pragma once

#include "act/ops.h"
#include "act/record.h"

enum restore_outcome {
        RESTORE_DONE, /* effective sets are as without us, read back from the kernel; or the unit is not running, and its settings are reset */
        RESTORE_GONE,     /* the cgroup, and for systemd the unit, no longer exists: nothing to restore */
        RESTORE_NOT_OURS, /* somebody changed it after us: left alone */
        RESTORE_FAILED,   /* `error` and `detail` say why; the entry is kept for another try */
};
/* `detail`: static English text or NULL. `error`: 0 or negative errno; on DONE, GONE and NOT_OURS only when the entry could not be forgotten. */
typedef void (*restore_done)(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata);

/* Is a process of the cgroup known that does not let go of who reads it? Then its memory nodes are not given back, as who changes them would wait for the
 * same, with all cgroups locked; and whom it waits for need not be found by act/waiting. */
typedef bool (*restore_hangs)(const char *cgroup, void *userdata);

/* Starts restoring one entry; `done` is called exactly once, possibly before this returns; the entry is forgotten on DONE, GONE and NOT_OURS.
 * A side (CPUs, memory nodes) that somebody else has set since is left alone; NOT_OURS only where no side is left to restore.
 * A unit without a cgroup still has our runtime settings, which would narrow it at its next start: they are reset.
 * `hangs`: asked before each change of memory nodes; NULL: never.
 * Returns 0, or negative errno when it could not be begun (-ENOENT: not on record); `done` is then not called. Borrows the record until done. */
int restore_start(struct record *r, const struct act *act, const char *cgroup, restore_hangs hangs, restore_done done,
                  void *userdata);
