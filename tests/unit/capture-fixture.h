/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small machine to take captures of, captures on their way elsewhere, without what they must not have, and what is decided there. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/replay.h"
#include "core/util.h"
#include "report/history-json.h"
#include "test-host-tree.h"
#include "unit.h"

static const char config[] =
        "rules:\n"
        "  - {name: cache, match: {unit: 'redis*', comm: redis-server}, place: compact, shared-pages: move}\n"
        "  - {name: db, match: {user: postgres, exe: /usr/lib/postgresql/*}, place: compact, memory: strict}\n"
        "  - {name: rest, match: {slice: system.slice}, place: follow, min-size: 1K}\n";

/* What must not be found anywhere in an archive. */
static const char *const secrets[] = { "redis-server.conf",    "libc.so.6",         "hidden-thread", "SECRET",
                                       "18446744073709551615", "supersecret-mount", "nobody-asked" };

struct machine {
        struct tree tree, copy;
        struct capture capture;
};

static inline void put_machine(struct machine *m) {
        tree_make(&m->tree, "bookworm");
        tree_put(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.yaml")[1], "daemon: {dry-run: true}\n");
        tree_put(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.d/a.yaml")[1], config);
        tree_link(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.d/b.yaml")[1], "/dev/null");
        tree_put(&m->tree, &(VENDORCONFDIR "/numabalanced.d/b.yaml")[1],
                 "rules: [{name: masked, match: {unit: '*'}, place: ignore}]\n");
        tree_put(&m->tree, "etc/passwd", "root:x:0:0:SECRET:/:\npostgres:x:105:105::/var/lib:\nnobody-asked:x:9:9:::\n");
        tree_put(&m->tree, "proc/300/cmdline", "redis-server\0--password\0SECRET\0");
        tree_put(&m->tree, "proc/300/environ", "PASSWORD=SECRET");
        tree_put(&m->tree, "proc/self/mountinfo",
                 "20 1 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n21 1 0:21 / /mnt/supersecret-mount rw - cifs //a/b "
                 "rw,user=SECRET\n");
        for (int pid = 400; pid <= 402; pid++) {
                char link[64];
                (void) snprintf(link, sizeof link, "proc/%d/exe", pid);
                tree_link(&m->tree, link, "/usr/lib/postgresql/15/bin/postgres");
        }
        tree_put(&m->tree, "proc/300/maps",
                 "55d000000000-55d000400000 r-xp 00000000 08:01 77 /usr/bin/redis-server SECRET\n"
                 "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 [anon:SECRET]\n"
                 "7f1000000000-7f1000200000 r--p 00000000 08:01 78 /usr/lib/libc.so.6\n"
                 "7ffc00010000-7ffc00012000 r-xp 00000000 00:00 0 [vdso]\n");
}

/* Between the looks threads ran, and a process came. */
static inline void time_passes(void *userdata) {
        struct machine *m = userdata;
        tree_put_thread(&m->tree, 300, 301, 500, 2000, 5);
        tree_put_thread(&m->tree, 300, 302, 90, 2000, 4);
        tree_put_stat(&m->tree, 400, "postgres", 1, 333, 3000, 7);
        tree_put(&m->tree, "sys/fs/cgroup/system.slice/redis-server.service/cpu.pressure", "some avg10=99.00 avg60=0.00\n");
}

static inline void take(struct machine *m, struct json_object *history, const char *config_file) {
        const struct capture_options options = {
                .root = m->tree.root,
                .config_file = config_file,
                .pause_usec = 20 * USEC_PER_MSEC,
                .paused = time_passes,
                .userdata = m,
                .history = history,
                .deep_usec = USEC_PER_MINUTE,
        };
        char *why;
        int r = capture_take(&options, &m->capture, &why);
        if (r < 0)
                fail_msg("%s: %s", strerror(-r), why ? why : "?");
}

static inline void copy_entry(struct machine *m, struct archive *a, struct archive_entry *e) {
        const char *path = archive_entry_pathname(e);
        assert_int_equal(strncmp(path, "report/", 7), 0);
        assert_true(archive_entry_perm(e) == 0644 || archive_entry_perm(e) == 0755);
        path += 7;
        if (archive_entry_filetype(e) == AE_IFLNK) {
                tree_link(&m->copy, path, archive_entry_symlink(e));
        } else if (archive_entry_filetype(e) == AE_IFREG) {
                size_t size = (size_t) archive_entry_size(e);
                _cleanup_free_ char *bytes = malloc(size + 1);
                assert_non_null(bytes);
                assert_int_equal(archive_read_data(a, bytes, size), size);
                bytes[size] = 0;
                for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
                        if (memmem(bytes, size, secrets[i], strlen(secrets[i])) && strcmp(path, "capture/plan.json") != 0)
                                fail_msg("%s has %s", path, secrets[i]);
                tree_put_bytes(&m->copy, path, bytes, size);
        } else {
                char keep[PATH_MAX];
                (void) snprintf(keep, sizeof keep, "%s/.keep", path);
                tree_put(&m->copy, keep, "");
        }
}

/* Through an archive into a fresh directory. */
static inline void travel(struct machine *m) {
        char file[PATH_MAX];
        (void) snprintf(file, sizeof file, "%s/x.tar", m->tree.root);
        int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(capture_write(&m->capture, fd, "report"), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        capture_done(&m->capture);
        tree_make(&m->copy, "");
        struct archive *a = archive_read_new();
        struct archive_entry *e;
        assert_non_null(a);
        assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
        assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
        while (archive_read_next_header(a, &e) == ARCHIVE_OK)
                copy_entry(m, a, e);
        (void) archive_read_free(a);
        (void) close(fd);
        tree_done(&m->tree);
}

static inline char *slurp(const struct tree *t, const char *path) {
        char full[PATH_MAX], *text;
        (void) snprintf(full, sizeof full, "%s/%s", t->root, path);
        assert_int_equal(read_file_at(AT_FDCWD, full, 64 * MIB, &text, NULL), 0);
        return text;
}

static inline char *replay_text(const char *root, const char *config_file) {
        struct replay r;
        char *why;
        assert_true(replay_is_capture(root));
        int error = replay_run(root, config_file, &r, &why);
        if (error < 0)
                fail_msg("%s: %s", strerror(-error), why ? why : "?");
        struct json_object *o = look_json(r.topology, &r.look);
        assert_non_null(o);
        char *text =
                format_string("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
        replay_done(&r);
        return text;
}
