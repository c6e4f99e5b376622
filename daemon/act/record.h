/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of what we changed and what it was before, in the runtime directory, written before the change is made. It survives kill -9 and
 * is what restoring works from. One JSON file, replaced atomically (write, fsync, rename, fsync directory) while few cgroups are on record; with many, what
 * changes is appended, a line each (write, fsync), and the whole written anew now and then, so that what a change costs does not grow with their number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "act/ops.h"

/* So many entries and no more: the file is replaced at each change. */
#define RECORD_FEW 64u

struct record_entry {
        char *cgroup, *unit;
        enum owner owner;
        struct cpuset_value before; /* as configured before our first change */
        struct cpuset_value ours;   /* the last that we asked for */
        struct cpuset_value
                seen; /* as configured when that was written down: what is still there if we were killed before asking */
        bool changed_cpus, changed_mems;
};

struct record {
        char *path;
        struct record_entry **entries; /* sorted by cgroup; each stays where it is until it is forgotten */
        size_t n_entries, capacity;
        /* kernel.numa_balancing, where we have changed it: what it was, and what we set. */
        bool balancing_changed;
        unsigned balancing_before, balancing_ours;
        /* The file: the whole with so many lines after it, and so many bytes in all. */
        size_t n_lines;
        uint64_t file_bytes;
        size_t lines_until; /* the whole could not be written: lines follow up to so many, then it is tried again */
        bool can_append;    /* it is there, and ends where a line may begin */
        size_t few;         /* RECORD_FEW; tests have less */
};

/* Loads what an earlier run left (a missing file is an empty record; one that is no record, or of a newer version, gives -EBADMSG and is kept
 * aside as PATH.bad). The directory must exist. `path` NULL: a record in memory alone, for simulations. Writes nothing. */
int record_open(const char *path, struct record **ret);
struct record *record_free(struct record *r);
struct record_entry *record_find(const struct record *r, const char *cgroup);

/* Is one side, as configured now, a value that this entry explains: what it was, what we asked for, or what was there when we asked?
 * If not, somebody else has set it since. */
bool record_explains_cpus(const struct record_entry *e, const struct cpuset_value *configured);
bool record_explains_mems(const struct record_entry *e, const struct cpuset_value *configured);

/* Notes the state before the first change of this cgroup (kept if already noted for that side), and what is about to be asked for; then writes it
 * to the file. Only when this returns 0 may the change be made; otherwise the record is as it was, and the next may still find room. -EFBIG: it would be
 * more than is ever read again.
 * Two refinements of "before": a value that restrains nothing at present is noted as unset (after a clearing that the kernel refused, its files hold
 * the parent's full set while nobody asks for one); and a side that somebody else has set since our last change is noted anew, since
 * that is what restoring should give back. */
int record_before_change(struct record *r, const struct target *t, const struct cpuset_state *now, const struct cpuset_change *c);
/* What was noted last was not made, and will not be: the entry is again what it `was` before, of which only the values count; NULL: there was none. Writes that
 * to the file; where that fails the entry stays. -ENOENT: no such entry. */
int record_take_back(struct record *r, const char *cgroup, const struct record_entry *was);
/* The cgroup is as it was: forget it. Writes that to the file; where that fails the entry stays. -ENOENT: no such entry. */
int record_forget(struct record *r, const char *cgroup);

/* The same for kernel.numa_balancing: noted before it is set; what it was before the first time is kept. Then, when it is as it was, or somebody
 * else's: forgotten. Both write to the file, and leave all as it was where that fails. */
int record_before_balancing(struct record *r, unsigned before, unsigned ours);
int record_forget_balancing(struct record *r);

/* When nothing is to follow: what was appended becomes part of the whole, as earlier versions read it. Where that fails, the file is as good as it was. */
int record_settle(struct record *r);
