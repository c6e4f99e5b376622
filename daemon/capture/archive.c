/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes a capture as a tar archive (pax where names are long). */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "capture/capture.h"
#include "core/util.h"

static int archive_error(struct archive *a) {
        int e = archive_errno(a);
        return e > 0 ? -e : -EIO;
}

static int write_item(struct archive *a, const struct recorded *item, const char *directory, time_t now) {
        static const mode_t types[] = { [RECORDED_FILE] = S_IFREG, [RECORDED_LINK] = S_IFLNK, [RECORDED_DIRECTORY] = S_IFDIR };
        _cleanup_free_ char *path = format_string("%s/%s", directory, item->path);
        struct archive_entry *e = archive_entry_new();
        if (!e || !path) {
                archive_entry_free(e);
                return -ENOMEM;
        }
        archive_entry_set_pathname(e, path);
        archive_entry_set_filetype(e, types[item->type]);
        archive_entry_set_perm(e, item->type == RECORDED_DIRECTORY ? 0755 : 0644);
        archive_entry_set_mtime(e, now, 0);
        archive_entry_set_size(e, item->type == RECORDED_FILE ? (int64_t) item->size : 0);
        if (item->type == RECORDED_LINK)
                archive_entry_set_symlink(e, item->bytes);
        int r = archive_write_header(a, e) < ARCHIVE_WARN ? archive_error(a) : 0;
        if (r == 0 && item->type == RECORDED_FILE && item->size > 0 &&
            archive_write_data(a, item->bytes, item->size) != (la_ssize_t) item->size)
                r = archive_error(a);
        archive_entry_free(e);
        return r;
}

int capture_write(const struct capture *c, int fd, const char *directory) {
        struct archive *a = archive_write_new();
        if (!a)
                return -ENOMEM;
        time_t now = time(NULL);
        int r = archive_write_set_format_pax_restricted(a) != ARCHIVE_OK || archive_write_open_fd(a, fd) != ARCHIVE_OK
                        ? archive_error(a)
                        : 0;
        for (size_t i = 0; i < c->n_items && r == 0; i++)
                r = write_item(a, &c->items[i], directory, now);
        if (archive_write_close(a) != ARCHIVE_OK && r == 0)
                r = archive_error(a);
        (void) archive_write_free(a);
        return r;
}
