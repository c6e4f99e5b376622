/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A capture's archive as another program reads it: names of every length around what a header holds, links, sizes around a block. */
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"
#include "core/util.h"

#define ITEMS_MAX 4096u

static struct recorded items[ITEMS_MAX];
static size_t n_items;

/* A name of so many bytes with a slash after each `part` of them, never two in a row and none at its end. */
static char *name_of(size_t length, size_t part) {
        char *name = malloc(length + 1);
        assert_non_null(name);
        for (size_t i = 0; i < length; i++)
                name[i] = i > 0 && i + 1 < length && i % part == 0 ? '/' : (char) ('a' + (i + length) % 26);
        name[length] = 0;
        return name;
}

static void add(struct recorded item) {
        assert_true(n_items < ITEMS_MAX);
        items[n_items++] = item;
}

static void compare(struct archive *a, struct archive_entry *e, const struct recorded *item) {
        static const mode_t types[] = { [RECORDED_FILE] = AE_IFREG, [RECORDED_LINK] = AE_IFLNK, [RECORDED_DIRECTORY] = AE_IFDIR };
        const char *got = archive_entry_pathname(e);
        _cleanup_free_ char *path = format_string("d/%s%s", item->path, item->type == RECORDED_DIRECTORY ? "/" : "");
        assert_string_equal(got, path);
        assert_int_equal(archive_entry_filetype(e), types[item->type]);
        assert_int_equal(archive_entry_perm(e), item->type == RECORDED_DIRECTORY ? 0755 : 0644);
        if (item->type == RECORDED_LINK)
                assert_string_equal(archive_entry_symlink(e), item->bytes);
        if (item->type != RECORDED_FILE)
                return;
        _cleanup_free_ char *bytes = malloc(item->size + 1);
        assert_int_equal(archive_entry_size(e), item->size);
        assert_int_equal(archive_read_data(a, bytes, item->size + 1), item->size);
        assert_memory_equal(bytes, item->bytes, item->size);
}

static void read_back(int fd) {
        struct archive *a = archive_read_new();
        struct archive_entry *e;
        size_t n = 0;
        assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
        assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
        for (int r; (r = archive_read_next_header(a, &e)) != ARCHIVE_EOF; n++) {
                assert_int_equal(r, ARCHIVE_OK);
                assert_true(n < n_items);
                compare(a, e, &items[n]);
        }
        assert_int_equal(n, n_items);
        assert_int_equal(archive_read_free(a), ARCHIVE_OK);
}

static void test_read_back(void **state) {
        static const size_t parts[] = { 1000, 3, 50, 90, 101, 120, 160 }, sizes[] = { 0, 1, 511, 512, 513, 1024, 70000 };
        /* With "d/" before it: 100 and 255 are the most that a header holds; 989 is where a record's length gets another digit. */
        static const size_t lengths[] = { 1,   97,  98,  99,  100, 152, 153, 154, 155, 156, 252, 253,
                                          254, 255, 256, 257, 300, 980, 986, 987, 988, 989, 990, 3000 };
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
                        size_t size = sizes[k % ARRAY_SIZE(sizes)], other = lengths[(k + 7) % ARRAY_SIZE(lengths)];
                        add((struct recorded){ .path = name_of(lengths[k], parts[i]),
                                               .type = RECORDED_FILE,
                                               .bytes = name_of(size, 80),
                                               .size = size });
                        add((struct recorded){ .path = name_of(lengths[k], parts[i]), .type = RECORDED_DIRECTORY });
                        add((struct recorded){ .path = name_of(other, parts[i]),
                                               .type = RECORDED_LINK,
                                               .bytes = name_of(lengths[k], parts[i]) });
                }
        const struct capture c = { .items = items, .n_items = n_items };
        FILE *file = tmpfile();
        assert_non_null(file);
        assert_int_equal(capture_write(&c, fileno(file), "d"), 0);
        assert_int_equal(lseek(fileno(file), 0, SEEK_END) % 512, 0);
        assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
        read_back(fileno(file));
        (void) fclose(file);
        for (size_t i = 0; i < n_items; i++) {
                free(items[i].path);
                free(items[i].bytes);
        }
}

static void test_full(void **state) {
        char path[] = "a", bytes[] = "b";
        struct recorded one = { .path = path, .type = RECORDED_FILE, .bytes = bytes, .size = 1 };
        const struct capture c = { .items = &one, .n_items = 1 };
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(capture_write(&c, fd, "d"), -ENOSPC);
        (void) close(fd);
        assert_int_equal(capture_write(&c, fd, "d"), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_read_back), cmocka_unit_test(test_full) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
