/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files in the runtime directory that are replaced as a whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* All of it, however often that takes. Returns 0 or negative errno; then some of it may be there. */
int write_all(int fd, const char *text, size_t size);
/* Puts `text` in the place of the file, mode 0600: write, fsync, rename, fsync of the directory. PATH.tmp is used, and overwritten where a
 * killed predecessor left one. Returns 0 or negative errno; then the file is as it was, or, where only the last fsync failed, new: `ret_is_new`
 * (may be NULL) says which, in any case. */
int write_file_atomically(const char *path, const char *text, bool *ret_is_new);
/* Is this error of reading one that comes of what is there (no such content, too large, a directory, a link)? */
bool file_is_damaged(int r);
/* A file that is not what it should be becomes PATH.bad, for people to look at. Returns -EBADMSG, or why that failed. */
int set_file_aside(const char *path);
