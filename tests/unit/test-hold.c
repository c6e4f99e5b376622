/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the administrator said survives us; what is damaged is noticed, not believed. */
#include "act/hold.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act-fixture.h"

static struct fixture fx;
static char path[128], bad[160];

static int setup(void **state) {
        fixture_new(&fx);
        (void) snprintf(path, sizeof(path), "%s/hold.json", fx.path);
        (void) snprintf(bad, sizeof(bad), "%s.bad", path);
        return 0;
}

static int teardown(void **state) {
        fixture_done(&fx);
        return 0;
}

static void test_round_trip(void **state) {
        char first[] = "/a.slice/odd \"name\" \\x2d\xff.service", second[] = "/b.service", *names[] = { first, second };
        struct hold written = { .paused = true, .cgroups = names, .n_cgroups = 2 }, read;
        assert_int_equal(hold_save(path, &written), 0);
        assert_int_equal(hold_load(path, &read), 0);
        assert_true(read.paused);
        assert_int_equal(read.n_cgroups, 2);
        assert_string_equal(read.cgroups[0], first);
        assert_string_equal(read.cgroups[1], second);
        hold_done(&read);

        written.paused = false;
        assert_int_equal(hold_save(path, &written), 0);
        assert_int_equal(hold_load(path, &read), 0);
        assert_false(read.paused);
        assert_int_equal(read.n_cgroups, 2);
        hold_done(&read);
}

static void test_nothing_to_remember(void **state) {
        struct hold h = { .paused = true }, none = { 0 }, read = { .paused = true };
        assert_int_equal(hold_load(path, &read), 0); /* no file */
        assert_false(read.paused);
        assert_int_equal(hold_save(path, &h), 0);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(hold_save(path, &none), 0);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(hold_save(path, &none), 0);
}

static void write_text(const char *text) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
        close(fd);
}

static void test_damaged(void **state) {
        static const char *const texts[] = {
                "",
                "{",
                "[]",
                "{}",
                "{\"version\": 1, \"paused\": true}",
                "{\"version\": 2, \"paused\": true, \"held\": []}",
                "{\"version\": 1, \"paused\": \"yes\", \"held\": []}",
                "{\"version\": 1, \"paused\": true, \"held\": [1]}",
                "{\"version\": 1, \"paused\": true, \"held\": [\"\"]}",
                "{\"version\": 1, \"paused\": true, \"held\": [\"relative\"]}",
                "{\"version\": 1, \"paused\": true, \"held\": [\"/b\", \"/a\"]}",
                "{\"version\": 1, \"paused\": true, \"held\": [\"/a\", \"/a\"]}",
                "{\"version\": 1, \"paused\": true, \"held\": [\"/a\\u0000b\"]}",
                "{\"version\": 1, \"paused\": true, \"held\": []} and more",
                "{\"version\": 1, \"paused\": true, \"held\": []} {}",
                "null",
        };
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct hold h;
                (void) unlink(bad);
                write_text(texts[i]);
                if (hold_load(path, &h) != -EBADMSG)
                        fail_msg("taken for good: %s", texts[i]);
                assert_int_equal(access(bad, F_OK), 0);
                assert_int_equal(access(path, F_OK), -1);
        }
        /* No file at all: a daemon that cannot begin would be of no more use. */
        struct hold h;
        (void) unlink(bad);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(hold_load(path, &h), -EBADMSG);
        assert_int_equal(rmdir(bad), 0);
        assert_int_equal(symlink("/dev/zero", path), 0);
        assert_int_equal(hold_load(path, &h), -EBADMSG);
        assert_int_equal(access(path, F_OK), -1);
}

static void test_cannot_be_written(void **state) {
        char where[192];
        struct hold h = { .paused = true };
        (void) snprintf(where, sizeof(where), "%s/missing/hold.json", fx.path);
        assert_int_equal(hold_save(where, &h), -ENOENT);
        /* What a killed predecessor left, or somebody put there, is no obstacle and is not followed. */
        (void) snprintf(where, sizeof(where), "%s.tmp", path);
        assert_int_equal(symlink("/dev/null", where), 0);
        assert_int_equal(hold_save(path, &h), 0);
        struct hold read;
        assert_int_equal(hold_load(path, &read), 0);
        assert_true(read.paused);
        hold_done(&read);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_round_trip),
                EACH(test_nothing_to_remember),
                EACH(test_damaged),
                EACH(test_cannot_be_written),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
