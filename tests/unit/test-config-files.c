/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cannot be read, or is not what it should be, and links; single files and roots. */
#include <sys/socket.h>
#include <sys/un.h>

#include "test-config-tree.h"

/* All files' errors, the main file's first; each with its own limit. */
static void test_errors_of_all_files(void **state) {
        put(MAIN, "daemon: {dry-run: 1}\n");
        put(ETC_D "/b.yaml", "x: 1\n");
        put(LIB_D "/a.yaml", "daemon: [\n");
        static const char *const lines[] = {
                "ROOT" MAIN ":1:19: dry-run: \"1\" is neither true nor false; expected true or false",
                "ROOT" LIB_D
                "/a.yaml:2:1: not valid YAML: did not find expected node content (while parsing a flow node that begins in "
                "line 2)",
                "ROOT" ETC_D "/b.yaml:1:1: unknown key \"x\" in the file; expected one of version, daemon, rules",
        };
        struct loaded l = load(NULL);
        assert_int_equal(l.r, -EBADMSG);
        assert_int_equal(l.errors.n_lines, 3);
        for (size_t i = 0; i < 3; i += 2) { /* the YAML library's words are its own */
                _cleanup_free_ char *expected = format_string("%s%s", root, lines[i] + 4);
                assert_string_equal(l.errors.lines[i], expected);
        }
        assert_non_null(strstr(l.errors.lines[1], LIB_D "/a.yaml:2:1: not valid YAML: "));
        unload(&l);
}

static void test_unreadable(void **state) {
        put(ETC_D "/a.yaml", RULE("a"));
        free(in_root(ETC_D "/b.yaml/x")); /* makes the directory */
        assert_error(NULL, -EISDIR, "ROOT" ETC_D "/b.yaml: cannot read it: a directory");
        _cleanup_free_ char *fifo = in_root(ETC_D "/c.yaml");
        assert_int_equal(mkfifo(fifo, 0644), 0);
        static const char *const two[] = {
                "ROOT" ETC_D "/b.yaml: cannot read it: a directory",
                "ROOT" ETC_D "/c.yaml: cannot read it: a FIFO",
        };
        assert_errors(NULL, -EISDIR, 2, two);
        put(MAIN, "x: 1\n"); /* bad content weighs more than what could not be read */
        struct loaded l = load(NULL);
        assert_int_equal(l.r, -EBADMSG);
        assert_int_equal(l.errors.n_lines, 3);
        unload(&l);
}

static void test_links(void **state) {
        put("/srv/a.yaml", RULE("a"));
        put_link(ETC_D "/a.yaml", "/srv/a.yaml"); /* absolute links stay in the captured tree */
        assert_rules("a ");
        put_link(ETC_D "/b.yaml", "/srv/nowhere");
        assert_error(NULL, -ENOENT, "ROOT" ETC_D "/b.yaml: cannot read it: a link to something that does not exist");
        _cleanup_free_ char *b = in_root(ETC_D "/b.yaml");
        assert_int_equal(unlink(b), 0);
        put_link(ETC_D "/b.yaml", "b.yaml");
        assert_error(NULL, -ELOOP, "ROOT" ETC_D "/b.yaml: cannot read it: Too many levels of symbolic links");
}

static void test_socket_and_no_directory(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_free_ char *path = in_root("/run/numabalanced/s");
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        put_link(ETC_D "/a.yaml", "/run/numabalanced/s");
        assert_error(NULL, -EINVAL, "ROOT" ETC_D "/a.yaml: cannot read it: a socket");
        (void) close(fd);
        _cleanup_free_ char *a = in_root(ETC_D "/a.yaml");
        assert_int_equal(unlink(a), 0);
        put("/run/numabalanced/numabalanced.d", "a file where a directory belongs");
        assert_error(NULL, -ENOTDIR, "ROOT" RUN_D ": cannot read it: Not a directory");
}

/* Root reads everything, so it becomes nobody for the moment. */
static void assert_denied(const char *line) {
        bool privileged = geteuid() == 0;
        if (privileged)
                assert_int_equal(seteuid(65534), 0);
        assert_error(NULL, -EACCES, line);
        if (privileged)
                assert_int_equal(seteuid(0), 0);
}

static void test_permissions(void **state) {
        put(ETC_D "/a.yaml", RULE("a"));
        _cleanup_free_ char *a = in_root(ETC_D "/a.yaml"), *d = in_root(ETC_D);
        assert_int_equal(chmod(root, 0755), 0);
        assert_int_equal(chmod(a, 0), 0);
        assert_denied("ROOT" ETC_D "/a.yaml: cannot read it: Permission denied");
        assert_int_equal(chmod(d, 0700), 0);
        if (geteuid() != 0)
                assert_int_equal(chmod(d, 0), 0);
        assert_denied("ROOT" ETC_D ": cannot read it: Permission denied");
        assert_int_equal(chmod(d, 0755), 0);
}

/* A file's name can hold what a terminal obeys, a second line, or no UTF-8, which JSON and D-Bus do not carry. */
static void test_odd_names(void **state) {
        put(ETC_D "/a-\x1b[31m\n\xff.yaml", "x: 1");
        assert_error(NULL, -EBADMSG,
                     "ROOT" ETC_D
                     "/a-\\x1b[31m\\x0a\\xff.yaml:1:1: unknown key \"x\" in the file; expected one of version, daemon, "
                     "rules");
        _cleanup_free_ char *a = in_root(ETC_D "/a-\x1b[31m\n\xff.yaml"), *b = in_root(ETC_D "/b-\x1b[31m-é.yaml");
        assert_int_equal(unlink(a), 0);
        assert_int_equal(mkdir(b, 0755), 0);
        assert_error(NULL, -EISDIR, "ROOT" ETC_D "/b-\\x1b[31m-é.yaml: cannot read it: a directory");
}

static void test_one_file(void **state) {
        put("/my.yaml", RULE("mine"));
        put(MAIN, RULE("main"));
        put(ETC_D "/a.yaml", RULE("a"));
        _cleanup_free_ char *mine = in_root("/my.yaml"), *none = in_root("/none.yaml"), *dir = in_root("/etc/x");
        struct loaded l = load(mine);
        assert_int_equal(l.r, 0);
        assert_int_equal(l.config->n_rules, 1);
        assert_string_equal(l.config->rules[0].name, "mine");
        assert_string_equal(l.config->rules[0].file, mine);
        assert_int_equal(l.config->rules[0].line, 1);
        unload(&l);
        assert_error(none, -ENOENT, "ROOT/none.yaml: cannot read it: No such file or directory");
        *strrchr(dir, '/') = 0;
        assert_error(dir, -EISDIR, "ROOT/etc: cannot read it: a directory");
        l = load("/dev/null");
        assert_int_equal(l.r, 0);
        assert_int_equal(l.config->n_rules, 0);
        unload(&l);
        assert_error("/dev/zero", -EINVAL, "/dev/zero: cannot read it: a character device");
        put("/my.yaml", "x: 1");
        assert_error(mine, -EBADMSG, "ROOT/my.yaml:1:1: unknown key \"x\" in the file; expected one of version, daemon, rules");
}

static void test_large_file(void **state) {
        _cleanup_free_ char *path = in_root(MAIN);
        put(MAIN, "");
        assert_int_equal(truncate(path, CONFIG_FILE_BYTES_MAX), 0);
        assert_error(NULL, -EBADMSG, "ROOT" MAIN ":1:1: a control character (U+0000); expected plain text");
        assert_int_equal(truncate(path, CONFIG_FILE_BYTES_MAX + 1), 0);
        assert_error(NULL, -EBADMSG, "ROOT" MAIN ":1:1: a file of more than 1 MiB; expected less");
        assert_int_equal(truncate(path, (off_t) 1 << 40), 0);
        assert_error(NULL, -EBADMSG, "ROOT" MAIN ":1:1: a file of more than 1 MiB; expected less");
}

static void test_roots(void **state) {
        put(MAIN, RULE("main"));
        _cleanup_free_ char *slashes = format_string("%s//", root);
        struct config_errors errors = { 0 };
        struct config *c = NULL;
        assert_int_equal(config_load(&(const struct config_source) { .root = slashes }, &c, &errors), 0);
        _cleanup_free_ char *file = format_string("%s" MAIN, root);
        assert_string_equal(c->rules[0].file, file);
        config_free(c);
        c = NULL;
        assert_int_equal(config_load(&(const struct config_source) { .root = "/nonexistent" }, &c, &errors), -ENOENT);
        assert_null(c);
        assert_int_equal(errors.n_lines, 1);
        assert_string_equal(errors.lines[0], "/nonexistent: cannot read it: No such file or directory");
        config_errors_done(&errors);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                IN_TREE(test_errors_of_all_files),
                IN_TREE(test_unreadable),
                IN_TREE(test_links),
                IN_TREE(test_socket_and_no_directory),
                IN_TREE(test_permissions),
                IN_TREE(test_odd_names),
                IN_TREE(test_one_file),
                IN_TREE(test_large_file),
                IN_TREE(test_roots),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
