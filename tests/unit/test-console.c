/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines on standard error: hostile names do not drive a terminal, the journal is told the level, and nobody has to read them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/journal.h"
#include "unit.h"

/* Standard error goes to a pipe meanwhile; the text is NUL-terminated. */
static void with_stderr(int fd, void (*say)(void)) {
        int saved = dup(STDERR_FILENO);
        assert_true(saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
        log_open(LOG_TARGET_CONSOLE, LOG_INFO);
        say();
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        close(saved);
}

static void assert_console(void (*say)(void), const char *expected) {
        int fds[2];
        char text[16384];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        with_stderr(fds[1], say);
        close(fds[1]);
        ssize_t n = read(fds[0], text, sizeof(text) - 1);
        close(fds[0]);
        text[n > 0 ? n : 0] = 0;
        assert_string_equal(text, expected);
}

static void say_some(void) {
        const char *const lines[] = { "x.yaml:1:2: wrong" };
        log_notice("Paused: %s", "a\033[2Jb\nerror: forged");
        log_warning(-EIO, "Could not read, ignoring");
        log_error(0, "Bad");
        log_debug("not wanted");
        journal_config_rejected("x.yaml", lines, 1);
}

static void say_long(void) {
        char name[10000];
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        log_info("%s", name);
}

static void test_console(void **state) {
        unsetenv("JOURNAL_STREAM");
        assert_console(say_some, "Paused: a\\x1b[2Jb\\x0aerror: forged\n"
                                 "warning: Could not read, ignoring\n"
                                 "error: Bad\n"
                                 "error: The configuration has errors, nothing of it is applied: x.yaml\n"
                                 "  x.yaml:1:2: wrong\n");
        char expected[4097];
        memset(expected, 'x', 4095);
        expected[4095] = '\n';
        expected[4096] = 0;
        assert_console(say_long, expected);
}

static void test_journal_stream(void **state) {
        int fds[2];
        struct stat st;
        char text[256];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(fstat(fds[1], &st), 0);
        _cleanup_free_ char *stream = format_string("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        setenv("JOURNAL_STREAM", stream, true);
        with_stderr(fds[1], say_some);
        unsetenv("JOURNAL_STREAM");
        close(fds[1]);
        ssize_t n = read(fds[0], text, sizeof(text) - 1);
        assert_true(n > 0);
        text[n] = 0;
        assert_non_null(strstr(text, "<5>Paused: a\\x1b[2Jb"));
        assert_non_null(strstr(text, "\n<4>Could not read"));
        close(fds[0]);
}

static int stuck_reader;

static void say_to_stuck_reader(void) {
        char buffer[65536];
        log_info("lost one");
        log_info("lost two");
        assert_true(read(stuck_reader, buffer, sizeof(buffer)) > 0);
        log_info("read again");
        ssize_t n = read(stuck_reader, buffer, sizeof(buffer) - 1);
        assert_true(n > 0);
        buffer[n] = 0;
        assert_string_equal(buffer, "warning: 2 lines were lost, nobody read them\nread again\n");
}

/* Nobody reads standard error: we go on, and say so once somebody does. */
static void test_nobody_reads(void **state) {
        int fds[2];
        static const char filler[8192]; /* two pages: a line begins a page of its own */
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        stuck_reader = fds[0];
        assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 8192), 8192);
        assert_int_equal(write(fds[1], filler, sizeof(filler)), 8192);
        with_stderr(fds[1], say_to_stuck_reader);
        close(fds[0]);
        close(fds[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_console),
                cmocka_unit_test(test_journal_stream),
                cmocka_unit_test(test_nobody_reads),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
