/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record on disk. As a whole it is replaced, so that at any moment one complete version is there. With many entries that takes milliseconds for each
 * change, and for as many changes as entries minutes; so a line is appended for each, until there are as many of them as entries. */
#include "act/record-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/record-json.h"
#include "act/write-file.h"
#include "core/util.h"
#include "host/host.h"

int record_read(struct record *r) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int k = read_file_at(AT_FDCWD, r->path, RECORD_FILE_MAX_BYTES, &text, &size);
        if (k >= 0)
                k = record_from_json(text, size, r);
        if (file_is_damaged(k))
                return set_file_aside(r->path);
        r->file_bytes = size;
        return k < 0 ? k : 0;
}

bool record_bears_line(const struct record *r) {
        return r->path && r->can_append && r->n_lines > 0;
}

int record_write(struct record *r) {
        if (!r->path)
                return 0; /* in memory alone */
        _cleanup_free_ char *text = record_to_json(r);
        if (!text)
                return -ENOMEM;
        size_t size = strlen(text);
        /* What would not be read again is no record. */
        bool is_new = false;
        int k = size < RECORD_FILE_MAX_BYTES ? write_file_atomically(r->path, text, &is_new) : -EFBIG;
        if (k >= 0) {
                r->n_lines = r->lines_until = 0;
                r->file_bytes = size;
                r->can_append = true;
        } else {
                r->can_append &= !is_new; /* where it is as it was, it bears what it bore */
                r->lines_until = record_bears_line(r) ? r->n_lines + r->few : 0;
        }
        return k;
}

bool record_takes_line(const struct record *r) {
        return r->path && r->can_append &&
               ((r->n_entries > r->few && r->n_lines < r->n_entries + r->few) || r->n_lines < r->lines_until);
}

/* Nobody else writes to it, but somebody may have removed it: what is appended to must be what we know. `ret_intact`: the file is as it was. */
static int append(const struct record *r, int fd, const char *line, size_t size, bool *ret_intact) {
        struct stat st;
        *ret_intact = false;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size != r->file_bytes)
                return -ESTALE;
        if (r->file_bytes + size >= RECORD_FILE_MAX_BYTES) { /* the whole may be smaller, and a shorter line may fit */
                *ret_intact = true;
                return -EFBIG;
        }
        int k = write_all(fd, line, size);
        bool no_room = k < 0;
        if (k >= 0 && fsync(fd) < 0)
                k = -errno; /* who knows what of it is on disk, and what will be */
        if (k < 0 && ftruncate(fd, st.st_size) < 0)
                return -errno; /* half a line is left, which is not read; the whole will be written */
        *ret_intact = no_room;
        return k;
}

int record_append(struct record *r, const char *line) {
        size_t size = strlen(line);
        int fd = open(r->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        bool intact = false;
        int k = fd < 0 ? -errno : append(r, fd, line, size, &intact);
        if (fd >= 0 && close(fd) < 0 && k >= 0)
                k = -errno;
        if (k < 0) {
                r->can_append = intact;
                return k;
        }
        r->n_lines++;
        r->file_bytes += size;
        return 0;
}
