/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notes what is read. The kernel knows the path of an open directory, so no reader has to carry one about. */
#include "host/recorder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"

static _Thread_local struct recorder *in_use;

static ssize_t path_of_fd(int fd, char *ret, size_t size) {
        char link[64];
        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, ret, size - 1);
        if (n < 0)
                return -errno;
        ret[n] = 0;
        return n;
}

int recorder_init(struct recorder *r, int root_fd) {
        char path[PATH_MAX];
        *r = (struct recorder) { 0 };
        ssize_t n = path_of_fd(root_fd, path, sizeof path);
        if (n < 0)
                return (int) n;
        r->root = strdup(strcmp(path, "/") == 0 ? "" : path);
        return r->root ? 0 : -ENOMEM;
}

void recorder_done(struct recorder *r) {
        for (size_t i = 0; i < r->n_items; i++) {
                free(r->items[i].path);
                free(r->items[i].bytes);
        }
        free(r->items);
        free(r->root);
        *r = (struct recorder) { 0 };
}

void recorder_use(struct recorder *r) {
        in_use = r;
}

bool recorder_in_use(void) {
        return in_use;
}

void recorder_adopt(struct recorder *from) {
        struct recorder *r = in_use;
        if (!r || r->error < 0)
                return;
        if (from->error < 0)
                r->error = from->error;
        else if (from->bytes > RECORDER_BYTES_MAX - r->bytes)
                r->error = -EFBIG;
        else if (array_reserve(&r->items, &r->capacity, r->n_items + from->n_items, sizeof *r->items) < 0)
                r->error = -ENOMEM;
        if (r->error < 0)
                return;
        for (size_t i = 0; i < from->n_items; i++, r->n_items++) {
                r->items[r->n_items] = from->items[i];
                r->items[r->n_items].sequence = r->n_items;
        }
        r->bytes += from->bytes;
        from->n_items = 0;
        from->bytes = 0;
}

/* The path below the root; NULL: outside of it, or no memory (noted). `path` NULL: that of dir_fd itself. */
static char *full_path(struct recorder *r, int dir_fd, const char *path) {
        char directory[PATH_MAX];
        if (path_of_fd(dir_fd, directory, sizeof directory) < 0)
                return NULL;
        size_t n = strlen(r->root);
        if (strncmp(directory, r->root, n) != 0 || (directory[n] != '/' && directory[n]))
                return NULL;
        const char *below = directory + n;
        while (*below == '/')
                below++;
        char *full = !path ? strdup(below) : *below ? format_string("%s/%s", below, path) : strdup(path);
        if (!full)
                r->error = -ENOMEM;
        return full;
}

static struct recorded *add(struct recorder *r, char *path, enum recorded_type type) {
        if (array_reserve(&r->items, &r->capacity, r->n_items + 1, sizeof *r->items) < 0) {
                r->error = -ENOMEM;
                free(path);
                return NULL;
        }
        struct recorded *item = &r->items[r->n_items];
        *item = (struct recorded) { .path = path, .type = type, .sequence = r->n_items };
        r->n_items++;
        return item;
}

static void append(struct recorder *r, struct recorded *item, const char *bytes, size_t size) {
        if (size > RECORDER_BYTES_MAX - r->bytes) {
                r->error = -EFBIG;
                return;
        }
        if (array_reserve(&item->bytes, &item->capacity, item->size + size + 1, 1) < 0) {
                r->error = -ENOMEM;
                return;
        }
        if (size > 0)
                memcpy(item->bytes + item->size, bytes, size);
        item->size += size;
        item->bytes[item->size] = 0;
        r->bytes += size;
}

static void record(int dir_fd, const char *path, enum recorded_type type, const char *bytes, size_t size) {
        struct recorder *r = in_use;
        if (!r || r->error < 0)
                return;
        char *full = full_path(r, dir_fd, path);
        struct recorded *item = full ? add(r, full, type) : NULL;
        if (item && type != RECORDED_DIRECTORY)
                append(r, item, bytes, size);
}

void record_file(int dir_fd, const char *path, const char *bytes, size_t size) {
        record(dir_fd, path, RECORDED_FILE, bytes, size);
}

void record_link(int dir_fd, const char *path, const char *target, size_t size) {
        record(dir_fd, path, RECORDED_LINK, target, size);
}

void record_directory(int dir_fd, const char *path) {
        record(dir_fd, path, RECORDED_DIRECTORY, NULL, 0);
}

void record_part_of_file(int fd, bool first, const char *bytes, size_t size) {
        struct recorder *r = in_use;
        if (!r || r->error < 0)
                return;
        _cleanup_free_ char *path = full_path(r, fd, NULL);
        struct recorded *last = r->n_items > 0 ? &r->items[r->n_items - 1] : NULL;
        if (!path)
                return;
        if (first || !last || strcmp(last->path, path) != 0)
                last = add(r, TAKE_PTR(path), RECORDED_FILE);
        if (last)
                append(r, last, bytes, size);
}

void record_user(uid_t uid, const char *name) {
        struct recorder *r = in_use;
        if (!r || r->error < 0 || strpbrk(name, ":\n"))
                return;
        _cleanup_free_ char *line = format_string("%s:x:%u:0:::\n", name, (unsigned) uid);
        char *path = strdup("etc/passwd");
        struct recorded *item = line && path ? add(r, path, RECORDED_FILE) : NULL;
        if (item)
                append(r, item, line, strlen(line));
        else if (!line || !path) {
                r->error = -ENOMEM;
                free(path);
        }
}

static int compare(const void *a, const void *b) {
        const struct recorded *x = a, *y = b;
        int order = strcmp(x->path, y->path);
        return order != 0 ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Users come one by one, and are one file. */
static bool is_users(const struct recorded *item) {
        return strcmp(item->path, "etc/passwd") == 0;
}

int recorder_finish(struct recorder *r) {
        size_t kept = 0;
        if (r->n_items > 0)
                qsort(r->items, r->n_items, sizeof *r->items, compare);
        for (size_t i = 0; i < r->n_items; i++) {
                struct recorded *item = &r->items[i], *first = kept > 0 ? &r->items[kept - 1] : NULL;
                if (!first || strcmp(first->path, item->path) != 0) {
                        struct recorded moved = *item;
                        r->items[kept++] = moved;
                        continue;
                }
                if (is_users(item))
                        append(r, first, item->bytes, item->size);
                free(item->path);
                free(item->bytes);
        }
        r->n_items = kept;
        return r->error;
}
