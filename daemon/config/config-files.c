/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files make the configuration. The main file is read first, so that the settings of drop-ins replace its own; its rules go
 * last, so that those of drop-ins are asked before them. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config/config-private.h"

#define N_DROPIN_DIRS 3u

static void closep(const int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

/* Where files are looked for: the machine itself, or a captured tree, whose absolute links must not lead out of it. */
struct tree {
        int root_fd;  /* -1: the machine itself */
        char *prefix; /* for messages; "" for the machine itself */
        struct loader *loader;
        const struct config_source *source;
        char *main_file;                  /* where it is by default */
        char *dropin_dirs[N_DROPIN_DIRS]; /* the strongest first */
        size_t n_unreadable;
        int first_error; /* of what could not be read, negative */
};

static int tree_open(const struct tree *t, const char *path, int flags) {
        int fd;
        flags |= O_CLOEXEC;
        if (t->root_fd < 0)
                fd = open(path, flags);
        else {
                struct open_how how = { .flags = (uint64_t) flags, .resolve = RESOLVE_IN_ROOT };
                fd = (int) syscall(SYS_openat2, t->root_fd, path, &how, sizeof(how));
        }
        return fd < 0 ? -errno : fd;
}

/* A file that cannot be read is an error like any other: leaving out its rules would be worse. */
static int unreadable(struct tree *t, const char *path, int error, const char *why) {
        if (error == -ENOMEM)
                return error;
        if (t->n_unreadable++ == 0)
                t->first_error = error;
        return loader_note_unreadable(t->loader,
                                      format_string("%s%s: cannot read it: %s", t->prefix, path, why ? why : strerror(-error)));
}

static const char *type_name(mode_t mode) {
        return S_ISDIR(mode)    ? "a directory"
               : S_ISFIFO(mode) ? "a FIFO"
               : S_ISSOCK(mode) ? "a socket"
               : S_ISCHR(mode)  ? "a character device"
               : S_ISBLK(mode)  ? "a block device"
                                : "no regular file";
}

static bool is_null_device(const struct stat *st) {
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* Reads up to one byte more than the limit, whatever st_size says. */
static int read_all(int fd, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, capacity = 0;
        while (size <= CONFIG_FILE_BYTES_MAX) {
                int r = array_reserve(&text, &capacity, size + 4096, 1);
                if (r < 0)
                        return r;
                ssize_t n = read(fd, text + size, MIN2(capacity - size, CONFIG_FILE_BYTES_MAX + 1 - size));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

/* Is it a link to /dev/null? Judged by its text, since a captured tree need not have the device. */
static int is_link(const struct tree *t, const char *path, bool *ret_link, bool *ret_null) {
        char target[sizeof("/dev/null") + 1];
        _cleanup_(closep) int fd = tree_open(t, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        ssize_t n = readlinkat(fd, "", target, sizeof(target));
        *ret_link = n >= 0;
        *ret_null = n == (ssize_t) strlen("/dev/null") && memcmp(target, "/dev/null", (size_t) n) == 0;
        return 0;
}

/* Returns 1 and the text; 0 for a masked file, or one that is in the errors now; -ENOENT where nothing has that name; -ENOMEM. */
static int read_file(struct tree *t, const char *path, char **ret, size_t *ret_size) {
        bool link, null;
        struct stat st;
        int r = is_link(t, path, &link, &null);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return unreadable(t, path, r, NULL);
        if (null)
                return 0;
        /* Only looked at first: opening a device or a FIFO can do something, or block. */
        _cleanup_(closep) int peek = tree_open(t, path, O_PATH);
        if (peek == -ENOENT)
                return link ? unreadable(t, path, peek, "a link to something that does not exist") : peek;
        if (peek < 0)
                return unreadable(t, path, peek, NULL);
        if (fstat(peek, &st) < 0)
                return unreadable(t, path, -errno, NULL);
        if (is_null_device(&st))
                return 0;
        if (!S_ISREG(st.st_mode))
                return unreadable(t, path, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, type_name(st.st_mode));
        _cleanup_(closep) int fd = tree_open(t, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        if (fd == -ENOENT)
                return fd;
        if (fd < 0)
                return unreadable(t, path, fd, NULL);
        if (fstat(fd, &st) < 0)
                return unreadable(t, path, -errno, NULL);
        if (!S_ISREG(st.st_mode))
                return unreadable(t, path, -EINVAL, type_name(st.st_mode));
        r = read_all(fd, ret, ret_size);
        return r < 0 ? unreadable(t, path, r, NULL) : 1;
}

/* Returns 1 where the file was read, 0 where it was masked or unreadable, -ENOENT or -ENOMEM. */
static int load_file(struct tree *t, const char *path) {
        _cleanup_free_ char *text = NULL, *name = NULL;
        size_t size = 0;
        int r = read_file(t, path, &text, &size);
        if (r >= 0 && t->source->seen)
                t->source->seen(path, text, size, t->source->userdata);
        if (r <= 0)
                return r;
        name = format_string("%s%s", t->prefix, path);
        if (!name)
                return -ENOMEM;
        r = loader_read(t->loader, name, text, size);
        return r < 0 ? r : 1;
}

/* -------- drop-ins -------- */

struct dropin {
        char *name;
        size_t dir; /* the strongest directory that has it */
};

struct dropin_list {
        struct dropin *items;
        size_t n_items, capacity;
};

static void dropin_list_done(struct dropin_list *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].name);
        free(l->items);
}

static int compare_dropins(const void *a, const void *b) {
        return strcmp(((const struct dropin *) a)->name, ((const struct dropin *) b)->name);
}

static bool is_dropin_name(const char *name) {
        size_t n = strlen(name), m = strlen(".yaml");
        return name[0] != '.' && n > m && strcmp(name + n - m, ".yaml") == 0;
}

static int add_dropin(struct dropin_list *l, const char *name, size_t dir) {
        for (size_t i = 0; i < l->n_items; i++)
                if (strcmp(l->items[i].name, name) == 0)
                        return 0;
        if (l->n_items == CONFIG_DROPINS_MAX)
                return -E2BIG;
        int r = array_reserve(&l->items, &l->capacity, l->n_items + 1, sizeof(*l->items));
        if (r < 0)
                return r;
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        l->items[l->n_items++] = (struct dropin) { .name = copy, .dir = dir };
        return 0;
}

static int list_dir(struct tree *t, size_t dir, struct dropin_list *l) {
        const char *path = t->dropin_dirs[dir];
        _cleanup_(closedirp) DIR *d = NULL;
        int fd = tree_open(t, path, O_RDONLY | O_DIRECTORY);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return unreadable(t, path, fd, NULL);
        d = fdopendir(fd);
        if (!d) {
                int r = -errno;
                (void) close(fd);
                return unreadable(t, path, r, NULL);
        }
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(d);
                if (!entry)
                        return errno != 0 ? unreadable(t, path, -errno, NULL) : 0;
                if (!is_dropin_name(entry->d_name))
                        continue;
                int r = add_dropin(l, entry->d_name, dir);
                if (r == -E2BIG)
                        return unreadable(t, path, r, "more than 1000 drop-ins");
                if (r < 0)
                        return r;
        }
}

/* A file that went away since it was listed uncovers the one of the same name in a weaker directory. */
static int load_dropin(struct tree *t, const struct dropin *d) {
        for (size_t dir = d->dir; dir < N_DROPIN_DIRS; dir++) {
                _cleanup_free_ char *path = format_string("%s/%s", t->dropin_dirs[dir], d->name);
                if (!path)
                        return -ENOMEM;
                int r = load_file(t, path);
                if (r != -ENOENT)
                        return r < 0 ? r : 0;
        }
        return 0;
}

static int load_dropins(struct tree *t) {
        _cleanup_(dropin_list_done) struct dropin_list list = { 0 };
        for (size_t dir = 0; dir < N_DROPIN_DIRS; dir++) {
                int r = list_dir(t, dir, &list);
                if (r < 0)
                        return r;
        }
        if (list.n_items > 0)
                qsort(list.items, list.n_items, sizeof(list.items[0]), compare_dropins);
        for (size_t i = 0; i < list.n_items; i++) {
                int r = load_dropin(t, &list.items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* -------- the whole -------- */

static int load_all(struct tree *t, const char *main_file, struct config **ret) {
        int r = load_file(t, main_file ? main_file : t->main_file);
        if (r == -ENOENT)
                r = main_file ? unreadable(t, main_file, r, NULL) : 0;
        if (r < 0)
                return r;
        size_t n_main_rules = t->loader->config->n_rules;
        if (!main_file) {
                r = load_dropins(t);
                if (r < 0)
                        return r;
        }
        r = loader_finish(t->loader, n_main_rules, ret);
        return r == -EBADMSG && t->loader->errors->n_lines == t->n_unreadable ? t->first_error : r;
}

static int name_places(struct tree *t) {
        const char *etc = t->source->sysconfdir ? t->source->sysconfdir : SYSCONFDIR;
        const char *lib = t->source->vendorconfdir ? t->source->vendorconfdir : VENDORCONFDIR;
        t->main_file = format_string("%s/numabalanced/numabalanced.yaml", etc);
        t->dropin_dirs[0] = format_string("%s/numabalanced/numabalanced.d", etc);
        t->dropin_dirs[1] = strdup("/run/numabalanced/numabalanced.d");
        t->dropin_dirs[2] = format_string("%s/numabalanced.d", lib);
        return t->main_file && t->dropin_dirs[0] && t->dropin_dirs[1] && t->dropin_dirs[2] ? 0 : -ENOMEM;
}

static void tree_done(struct tree *t) {
        if (t->root_fd >= 0)
                (void) close(t->root_fd);
        free(t->prefix);
        free(t->main_file);
        for (size_t i = 0; i < N_DROPIN_DIRS; i++)
                free(t->dropin_dirs[i]);
}

/* "/" for the machine itself, however it is spelt; a captured tree's path without slashes at its end. */
static int tree_init(struct tree *t, const struct config_source *source, struct loader *loader) {
        const char *root = source->root ? source->root : "/";
        size_t n = strlen(root);
        *t = (struct tree) { .root_fd = -1, .loader = loader, .source = source };
        while (n > 0 && root[n - 1] == '/')
                n--;
        bool captured = n > 0 && !source->main_file;
        t->prefix = captured ? strndup(root, n) : strdup("");
        if (!t->prefix || name_places(t) < 0)
                return -ENOMEM;
        if (!captured)
                return 0;
        t->root_fd = open(t->prefix, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (t->root_fd >= 0)
                return 0;
        int r = unreadable(t, "", -errno, NULL);
        return r < 0 ? r : t->first_error;
}

int config_load(const struct config_source *source, struct config **ret, struct config_errors *errors) {
        struct loader loader;
        struct tree tree = { .root_fd = -1 };
        int r = loader_init(&loader, source->topology, errors);
        if (r >= 0)
                r = tree_init(&tree, source, &loader);
        if (r >= 0)
                r = load_all(&tree, source->main_file, ret);
        else if (r != -ENOMEM && loader_flush(&loader) < 0)
                r = -ENOMEM;
        tree_done(&tree);
        loader_done(&loader);
        return r;
}
