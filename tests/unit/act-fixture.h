/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A temporary directory as a machine's root, for the tests of act/. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "unit.h"

struct fixture {
        char path[64];
        struct host host;
};

static inline void fixture_new(struct fixture *f) {
        *f = (struct fixture) { .path = "/tmp/numabalanced-test-XXXXXX" };
        assert_non_null(mkdtemp(f->path));
        f->host = (struct host) {
                .root_fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC),
                .live = true,
                .cgroup_mount = (char *) "cg",
                .has_cpuset = true,
                .page_bytes = 4096,
                .ticks_per_sec = 100,
        };
        assert_true(f->host.root_fd >= 0);
}

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static inline void fixture_done(struct fixture *f) {
        close(f->host.root_fd);
        (void) nftw(f->path, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file, making the directories above it. */
static inline void fixture_write(const struct fixture *f, const char *name, const char *text) {
        _cleanup_free_ char *path = format_string("%s/%s", f->path, name);
        for (char *p = path + strlen(f->path) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                (void) mkdir(path, 0700);
                *p = '/';
        }
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static inline char *fixture_read(const struct fixture *f, const char *name) {
        char *text = NULL;
        int r = read_file_at(f->host.root_fd, name, MIB, &text, NULL);
        return r < 0 ? NULL : text;
}
