/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that several processes of one service map: each is counted once, as the most that one process has of it on each node. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "host/numa-maps.h"

#define SHARED_FILES_MAX 4096u

struct shared_file {
        char *name; /* escaped as numa_maps prints it */
        size_t name_length;
        size_t process; /* that `now` is of */
        uint64_t *most; /* n_ids entries each, in bytes */
        uint64_t *now;
};
struct shared_files {
        unsigned n_ids;
        struct shared_file *files; /* in the order seen */
        size_t n_files, capacity;
        size_t last;   /* index of the one that was added to last */
        size_t *slots; /* hash table of indices + 1 */
        size_t n_slots;
};

/* Adds one mapping of a file by the process with this (any, distinct) number; processes must come one after the other. Returns 0, -ENOMEM,
 * or -ENOSPC when there are too many different files: the caller then counts it by itself. */
int shared_files_add(struct shared_files *s, size_t process, const struct numa_mapping *m);
/* Adds what was counted, each file once. */
void shared_files_sum(struct shared_files *s, uint64_t *bytes_by_node);
void shared_files_done(struct shared_files *s);
