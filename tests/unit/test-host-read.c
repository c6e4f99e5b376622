/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading below the root of a machine, this one or a captured one: bounded, whole, and never outside of it. */
#include "host/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "host/kernel-balancing.h"
#include "test-host-tree.h"
#include "unit.h"

static void test_read_file(void **state) {
        struct tree t;
        tree_make(&t, "");
        int fd = open(t.root, O_PATH | O_CLOEXEC);
        char bytes[10000], small[16];
        memset(bytes, 'a', sizeof bytes);
        tree_put_bytes(&t, "long", bytes, sizeof bytes);
        tree_put(&t, "empty", "");
        tree_put(&t, "d/short", "0123456789abcde");
        tree_put(&t, "d/fits-not", "0123456789abcdef");
        tree_link(&t, "link", "long");
        tree_fifo(&t, "fifo");

        char *text = NULL;
        size_t size = 7;
        static const size_t limits[] = { sizeof bytes, sizeof bytes + 1, SIZE_MAX / 4 };
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                assert_int_equal(read_file_at(fd, "long", limits[i], &text, &size), 0);
                assert_int_equal(size, sizeof bytes);
                assert_int_equal(strlen(text), sizeof bytes);
                free(text);
                text = NULL;
        }
        size = 7;
        assert_int_equal(read_file_at(fd, "long", sizeof bytes - 1, &text, &size), -EFBIG);
        assert_int_equal(read_file_at(fd, "long", 0, &text, &size), -EFBIG);
        assert_int_equal(read_file_at(fd, "link", 100000, &text, &size), -ELOOP);
        assert_int_equal(read_file_at(fd, "none", 100000, &text, &size), -ENOENT);
        assert_int_equal(read_file_at(fd, "d", 100000, &text, &size), -EINVAL);
        assert_int_equal(read_file_at(fd, "fifo", 100000, &text, &size), -EINVAL); /* and does not wait for a writer */
        assert_null(text);
        assert_int_equal(size, 7);
        assert_int_equal(read_file_at(fd, "empty", 0, &text, NULL), 0);
        assert_string_equal(text, "");
        free(text);

        assert_int_equal(read_small_file_at(fd, "d/short", small, sizeof small), 15);
        assert_string_equal(small, "0123456789abcde");
        assert_int_equal(read_small_file_at(fd, "d/fits-not", small, sizeof small), -EFBIG);
        assert_int_equal(read_small_file_at(fd, "fifo", small, sizeof small), 0);
        (void) close(fd);
        tree_done(&t);
}

/* Links of a captured tree stay in it, whoever made it: absolute ones begin at its root, and ".." ends there. */
static void test_links_stay_inside(void **state) {
        struct tree t, outside;
        char path[128];
        _cleanup_free_ char *text = NULL;
        tree_make(&t, "");
        tree_make(&outside, "");
        tree_put(&outside, "secret", "secret");
        int fd = open(t.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        tree_link(&t, "absolute", outside.root);
        (void) snprintf(path, sizeof path, "..%s", strrchr(outside.root, '/'));
        tree_link(&t, "upwards", path);
        assert_int_equal(read_file_at(fd, "absolute/secret", 100, &text, NULL), -ENOENT);
        assert_int_equal(read_file_at(fd, "upwards/secret", 100, &text, NULL), -ENOENT);
        (void) snprintf(path, sizeof path, "..%s/secret", strrchr(outside.root, '/'));
        assert_int_equal(read_file_at(fd, path, 100, &text, NULL), -ENOENT);
        assert_int_equal(read_small_file_at(fd, "absolute/secret", path, sizeof path), -ENOENT);
        tree_put(&t, "sys/real/file", "its own");
        tree_link(&t, "sys/link", "/sys/real");
        assert_int_equal(read_file_at(fd, "sys/link/file", 100, &text, NULL), 0);
        assert_string_equal(text, "its own");
        (void) close(fd);
        tree_done(&outside);
        tree_done(&t);

        /* A cgroup mount that is said to be elsewhere, and a link as /proc. */
        struct host *h = NULL;
        tree_make(&t, "bookworm");
        tree_make(&outside, "bookworm");
        tree_remove(&t, "proc");
        (void) snprintf(path, sizeof path, "%s/proc", outside.root);
        tree_link(&t, "proc", path);
        assert_int_equal(host_open(t.root, &h), 0);
        _cleanup_free_ char *cgroup = NULL;
        assert_int_equal(host_process_cgroup(h, 1, &cgroup), -ENOENT);
        host_free(h);
        tree_done(&outside);
        tree_done(&t);
}

/* Tiers of memory are those that the tree's own link leads to; and what is there outside alone is not there. */
static void test_kernel_memory_stays_inside(void **state) {
        struct tree t, outside;
        char path[128];
        struct host *h = NULL;
        struct kernel_memory k;
        tree_make(&t, "bookworm");
        tree_make(&outside, "");
        tree_put(&t, "moved/memory_tiering/memory_tier4/nodelist", "0-1\n");
        tree_link(&t, "sys/devices/virtual", "/moved");
        tree_put(&outside, "mm/numa/demotion_enabled", "true\n");
        tree_remove(&t, "sys/kernel");
        (void) snprintf(path, sizeof path, "%s/", outside.root);
        tree_link(&t, "sys/kernel", path);
        assert_int_equal(host_open(t.root, &h), 0);
        kernel_memory_read(h, &k);
        assert_int_equal(k.n_tiers, 1);
        assert_false(k.has_demotion || k.demotion);
        host_free(h);
        tree_done(&outside);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_read_file),
                cmocka_unit_test(test_links_stay_inside),
                cmocka_unit_test(test_kernel_memory_stays_inside),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
