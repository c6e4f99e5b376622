/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are there whole or not at all, whenever we are killed. */
#include "act/write-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"

int write_all(int fd, const char *text, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, text, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                size -= (size_t) n;
        }
        return 0;
}

static int sync_directory_of(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *directory = slash ? format_string("%.*s/", (int) (slash - path), path) : strdup(".");
        if (!directory)
                return -ENOMEM;
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        int k = fsync(fd) < 0 ? -errno : 0;
        close(fd);
        return k;
}

/* A temporary file that a killed predecessor left is overwritten; nobody reads it. */
int write_file_atomically(const char *path, const char *text, bool *ret_is_new) {
        bool unused;
        bool *is_new = ret_is_new ? ret_is_new : &unused;
        *is_new = false;
        _cleanup_free_ char *temporary = format_string("%s.tmp", path);
        if (!temporary)
                return -ENOMEM;
        if (unlink(temporary) < 0 && errno != ENOENT)
                return -errno;
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        int k = write_all(fd, text, strlen(text));
        if (k >= 0 && fsync(fd) < 0)
                k = -errno;
        if (close(fd) < 0 && k >= 0)
                k = -errno;
        if (k >= 0 && rename(temporary, path) < 0)
                k = -errno;
        if (k < 0) {
                (void) unlink(temporary);
                return k;
        }
        *is_new = true;
        return sync_directory_of(path);
}

bool file_is_damaged(int r) {
        return r == -EBADMSG || r == -EFBIG || r == -EINVAL || r == -ELOOP;
}

int set_file_aside(const char *path) {
        _cleanup_free_ char *bad = format_string("%s.bad", path);
        if (!bad)
                return -ENOMEM;
        return rename(path, bad) < 0 ? -errno : -EBADMSG;
}
