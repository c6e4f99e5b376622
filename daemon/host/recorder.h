/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps what the readers of this room read of a machine, so that a capture has what a cycle needs without a list of it. While a recorder is in use
 * (by the thread that set it), every file, link and directory that is read is noted with its path below the root. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What one recorder holds at most: a machine with more is not captured rather than captured in part. */
#define RECORDER_BYTES_MAX (1024u << 20)

enum recorded_type { RECORDED_FILE, RECORDED_LINK, RECORDED_DIRECTORY };

struct recorded {
        char *path; /* below the root, without a slash before it */
        enum recorded_type type;
        char *bytes; /* of a file, or where a link points; NUL-terminated */
        size_t size, capacity;
        size_t sequence;
};
struct recorder {
        char *root; /* as the kernel names it; "" for "/" */
        struct recorded *items;
        size_t n_items, capacity;
        size_t bytes;
        int error; /* -ENOMEM or -EFBIG: something is missing */
};

int recorder_init(struct recorder *r, int root_fd);
void recorder_done(struct recorder *r);
/* Lets this thread's reads be noted there; NULL: nowhere. */
void recorder_use(struct recorder *r);
bool recorder_in_use(void);
/* Moves what another one has, of the same root, to the end of the one in use; without one does nothing. */
void recorder_adopt(struct recorder *from);
/* Sorts by path; of a file that was read several times the first stays. Returns r->error. */
int recorder_finish(struct recorder *r);

/* For the readers; without a recorder they do nothing. `path` as given to openat(2). */
void record_file(int dir_fd, const char *path, const char *bytes, size_t size);
void record_link(int dir_fd, const char *path, const char *target, size_t size);
void record_directory(int dir_fd, const char *path);
/* A file that is read piece by piece, one file at a time. */
void record_part_of_file(int fd, bool first, const char *bytes, size_t size);
/* "NAME:x:UID:0:::" in etc/passwd, from wherever the name came. */
void record_user(uid_t uid, const char *name);
