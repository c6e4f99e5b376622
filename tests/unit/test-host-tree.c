/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unpacks the fixtures: lines "== PATH" begin a file, lines before the first of them are a comment. */
#include "test-host-tree.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unit.h"

static void full_path(const struct tree *t, const char *path, char *ret) {
        int n = snprintf(ret, PATH_MAX, "%s/%s", t->root, path);
        assert_true(n > 0 && n < PATH_MAX);
}

static void make_parents(const struct tree *t, const char *path) {
        char full[PATH_MAX];
        full_path(t, path, full);
        for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                if (mkdir(full, 0755) < 0)
                        assert_int_equal(errno, EEXIST);
                *p = '/';
        }
}

void tree_put_bytes(const struct tree *t, const char *path, const void *bytes, size_t size) {
        char full[PATH_MAX];
        make_parents(t, path);
        full_path(t, path, full);
        FILE *f = fopen(full, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
}

void tree_put(const struct tree *t, const char *path, const char *text) {
        tree_put_bytes(t, path, text, strlen(text));
}

static void unpack(const struct tree *t, FILE *in) {
        char *line = NULL, *text = NULL;
        size_t line_size = 0, length = 0;
        char path[PATH_MAX] = "";
        ssize_t n;
        do {
                n = getline(&line, &line_size, in);
                if (n < 0 || strncmp(line, "== ", 3) == 0) {
                        if (*path)
                                tree_put_bytes(t, path, text ? text : "", length);
                        length = 0;
                        if (n > 0) {
                                line[n - 1] = 0;
                                (void) snprintf(path, sizeof path, "%s", line + 3);
                        }
                        continue;
                }
                text = realloc(text, length + (size_t) n + 1);
                assert_non_null(text);
                memcpy(text + length, line, (size_t) n);
                length += (size_t) n;
        } while (n >= 0);
        free(line);
        free(text);
}

void tree_make(struct tree *t, const char *name) {
        const char *tmp = getenv("TMPDIR");
        if (!tmp || strlen(tmp) > 40) /* thousands of small files: in memory where that can be */
                tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        (void) snprintf(t->root, sizeof t->root, "%s/test-host-XXXXXX", tmp);
        assert_non_null(mkdtemp(t->root));
        if (!*name)
                return;
        char path[PATH_MAX];
        (void) snprintf(path, sizeof path, "%s/host/%s.tree", TEST_FIXTURES, name);
        FILE *in = fopen(path, "re");
        assert_non_null(in);
        unpack(t, in);
        (void) fclose(in);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

void tree_done(struct tree *t) {
        (void) nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void tree_remove(const struct tree *t, const char *path) {
        char full[PATH_MAX];
        full_path(t, path, full);
        assert_int_equal(nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void tree_link(const struct tree *t, const char *path, const char *target) {
        char full[PATH_MAX];
        make_parents(t, path);
        full_path(t, path, full);
        assert_int_equal(symlink(target, full), 0);
}

void tree_fifo(const struct tree *t, const char *path) {
        char full[PATH_MAX];
        make_parents(t, path);
        full_path(t, path, full);
        assert_int_equal(mkfifo(full, 0600), 0);
}

void tree_make_unreadable(const struct tree *t, const char *path) {
        char file[PATH_MAX], full[PATH_MAX];
        (void) snprintf(file, sizeof file, "%s/cgroup.procs", path);
        make_parents(t, file);
        full_path(t, file, full);
        (void) unlink(full);
        assert_int_equal(mkdir(full, 0755), 0);
}

int tree_mark_delegated(const struct tree *t, const char *path) {
        char full[PATH_MAX];
        full_path(t, path, full);
        return setxattr(full, "user.delegate", "1", 1, 0) == 0;
}

static void put_stat(const struct tree *t, const char *path, int pid, const char *comm, unsigned n_threads, uint64_t ticks,
                     uint64_t start, int cpu) {
        char text[512];
        (void) snprintf(
                text, sizeof text,
                "%d (%s) S 1 1 1 0 -1 4194560 1 0 0 0 %llu 0 0 0 20 0 %u 0 %llu 1000 25 18446744073709551615 1 1 0 0 0 0 0 0 0 0 "
                "0 0 17 %d 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                pid, comm, (unsigned long long) ticks, n_threads, (unsigned long long) start, cpu);
        tree_put(t, path, text);
}

void tree_put_stat(const struct tree *t, int pid, const char *comm, unsigned n_threads, uint64_t ticks, uint64_t start, int cpu) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/stat", pid);
        put_stat(t, path, pid, comm, n_threads, ticks, start, cpu);
}

void tree_put_thread(const struct tree *t, int pid, int tid, uint64_t ticks, uint64_t start, int cpu) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/task/%d/stat", pid, tid);
        put_stat(t, path, tid, "thread", 2, ticks, start, cpu);
}

void leave_descriptors(unsigned n) {
        static struct rlimit first;
        struct rlimit now;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
        if (first.rlim_max == 0)
                first = now;
        now.rlim_cur = first.rlim_cur;
        if (n != UINT_MAX) {
                int lowest = dup(0);
                assert_true(lowest >= 0);
                (void) close(lowest);
                now.rlim_cur = (rlim_t) lowest + n;
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}
