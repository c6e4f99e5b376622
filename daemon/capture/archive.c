/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes a capture as a tar archive: ustar, and pax records before it where a name is too long for that (POSIX.1-2008, pax). By hand, because a library
 * for archives of every kind brings one for XML and its tables of the world's characters into a client that is called in loops. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "core/util.h"

#define BLOCK     512u
#define SIZE_MAX_ UINT64_C(077777777777) /* what the field holds */

struct header {
        char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
                user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

struct output {
        FILE *file;
        uint64_t now; /* seconds since 1970 */
};

static int put(const struct output *o, const void *bytes, size_t size) {
        return size == 0 || fwrite(bytes, size, 1, o->file) == 1 ? 0 : errno > 0 ? -errno : -EIO;
}

static int put_contents(const struct output *o, const char *bytes, size_t size) {
        static const char zeros[BLOCK];
        int r = put(o, bytes, size);
        return r < 0 || size % BLOCK == 0 ? r : put(o, zeros, BLOCK - size % BLOCK);
}

static void put_octal(char *field, size_t size, uint64_t value) {
        field[--size] = 0;
        for (; size > 0; value >>= 3)
                field[--size] = (char) ('0' + (value & 7));
}

/* Up to the whole field, which then has no 0 at its end. */
static void put_text(char *field, size_t size, const char *text, size_t length) {
        memcpy(field, text, MIN2(length, size));
}

/* What is 8 spaces while it is counted. */
static void put_checksum(struct header *h) {
        unsigned sum = 0;
        memset(h->checksum, ' ', sizeof h->checksum);
        for (size_t i = 0; i < sizeof *h; i++)
                sum += ((const unsigned char *) h)[i];
        put_octal(h->checksum, sizeof h->checksum - 1, sum);
}

static int put_header(const struct output *o, struct header *h, char type, uint64_t size) {
        h->type = type;
        put_octal(h->mode, sizeof h->mode, type == '5' ? 0755 : 0644);
        put_octal(h->uid, sizeof h->uid, 0);
        put_octal(h->gid, sizeof h->gid, 0);
        put_octal(h->size, sizeof h->size, size);
        put_octal(h->mtime, sizeof h->mtime, MIN2(o->now, SIZE_MAX_));
        memcpy(h->magic, "ustar", sizeof h->magic);
        memcpy(h->version, "00", sizeof h->version);
        put_checksum(h);
        return put(o, h, sizeof *h);
}

/* Where the name is cut in two: behind so many bytes there is a slash, and both parts have room. 0: it fits as it is; -1: it does not fit. */
static ssize_t split(const struct header *h, const char *path, size_t length) {
        if (length <= sizeof h->name)
                return 0;
        for (size_t i = MIN2(length - 2, sizeof h->prefix); i > 0 && length - i - 1 <= sizeof h->name; i--)
                if (path[i] == '/')
                        return (ssize_t) i;
        return -1;
}

/* "LENGTH path=NAME\n", where the length counts its own digits. */
static void add_record(struct strbuf *b, const char *key, const char *value) {
        size_t rest = strlen(key) + strlen(value) + 3, digits = 1;
        for (size_t limit = 10; rest + digits >= limit; limit *= 10)
                digits++;
        strbuf_printf(b, "%zu %s=%s\n", rest + digits, key, value);
}

static int put_long_names(const struct output *o, const char *path, const char *link) {
        struct header h = { .name = "pax-names" };
        struct strbuf b = { 0 };
        if (path)
                add_record(&b, "path", path);
        if (link)
                add_record(&b, "linkpath", link);
        _cleanup_free_ char *text = strbuf_steal(&b);
        if (!text)
                return -ENOMEM;
        size_t size = strlen(text);
        int r = put_header(o, &h, 'x', size);
        return r < 0 ? r : put_contents(o, text, size);
}

static int put_item(const struct output *o, const struct recorded *item, const char *directory) {
        static const char types[] = { [RECORDED_FILE] = '0', [RECORDED_LINK] = '2', [RECORDED_DIRECTORY] = '5' };
        struct header h = { 0 };
        _cleanup_free_ char *path = format_string("%s/%s%s", directory, item->path, item->type == RECORDED_DIRECTORY ? "/" : "");
        const char *link = item->type == RECORDED_LINK ? item->bytes : "";
        size_t size = item->type == RECORDED_FILE ? item->size : 0;
        if (!path)
                return -ENOMEM;
        if (size > SIZE_MAX_)
                return -EFBIG;

        size_t length = strlen(path);
        ssize_t cut = split(&h, path, length);
        bool long_link = strlen(link) > sizeof h.link;
        int r = cut < 0 || long_link ? put_long_names(o, cut < 0 ? path : NULL, long_link ? link : NULL) : 0;
        if (r < 0)
                return r;
        if (cut > 0) {
                put_text(h.prefix, sizeof h.prefix, path, (size_t) cut);
                put_text(h.name, sizeof h.name, path + cut + 1, length - (size_t) cut - 1);
        } else
                put_text(h.name, sizeof h.name, path, length);
        put_text(h.link, sizeof h.link, link, strlen(link));
        r = put_header(o, &h, types[item->type], size);
        return r < 0 ? r : put_contents(o, item->bytes, size);
}

int capture_write(const struct capture *c, int fd, const char *directory) {
        static const char end[2 * BLOCK];
        int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own_fd < 0)
                return -errno;
        const struct output o = { .file = fdopen(own_fd, "w"), .now = (uint64_t) MAX2(time(NULL), 0) };
        if (!o.file) {
                (void) close(own_fd);
                return -ENOMEM;
        }
        int r = 0;
        for (size_t i = 0; i < c->n_items && r == 0; i++)
                r = put_item(&o, &c->items[i], directory);
        if (r == 0)
                r = put(&o, end, sizeof end);
        if (fclose(o.file) != 0 && r == 0)
                r = -errno;
        return r;
}
