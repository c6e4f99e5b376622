/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Captured machines for the tests of host/: a fixture is one text file, unpacked into a fresh temporary directory that the test may
 * change. (One file instead of a directory tree: paths in cgroupfs are longer than a v7 tar archive can hold.) */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct tree {
        char root[64];
};

/* Unpacks tests/fixtures/host/NAME.tree; "" gives an empty directory. Fails the test when it cannot. */
void tree_make(struct tree *t, const char *name);
/* Removes it all. */
void tree_done(struct tree *t);
/* Writes (replaces) a file below the root, with its directories. */
void tree_put(const struct tree *t, const char *path, const char *text);
void tree_put_bytes(const struct tree *t, const char *path, const void *bytes, size_t size);
/* Removes a file or a directory with all that is in it. */
void tree_remove(const struct tree *t, const char *path);
void tree_link(const struct tree *t, const char *path, const char *target);
void tree_fifo(const struct tree *t, const char *path);
/* Writes PATH/cgroup.procs as a directory: reading it fails, like that of a threaded cgroup. */
void tree_make_unreadable(const struct tree *t, const char *path);
/* Marks a cgroup as systemd does for Delegate=. 0: the file system here has no user attributes (skip the test). */
int tree_mark_delegated(const struct tree *t, const char *path);
/* Replaces proc/PID/stat. `ticks` is user time. */
void tree_put_stat(const struct tree *t, int pid, const char *comm, unsigned n_threads, uint64_t ticks, uint64_t start, int cpu);
void tree_put_thread(const struct tree *t, int pid, int tid, uint64_t ticks, uint64_t start, int cpu);
/* So many descriptors can be opened at once from now on, beside those that are open; UINT_MAX: as many as at first. */
void leave_descriptors(unsigned n);
