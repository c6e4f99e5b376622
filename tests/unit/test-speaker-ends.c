/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whoever speaks for a real process ends in the middle of a look at it, or of moving it, right before a call or a file is opened: another thread speaks for it then, and
 * nothing is passed over. */
#include "speaker-fixture.h"

#include "host/io.h"
#include "host/observe.h"

/* The n-th time from now that one of its files of this name is opened, or read where `of_read`, who speaks for it ends right before. NULL: never. */
static struct {
        const char *name;
        unsigned n;
        bool of_read;
} ends_at;
static unsigned n_ended;
static int watched_fd = -1; /* the last that was opened by that name */

int __real_open_file_at(int dir_fd, const char *path);
int __wrap_open_file_at(int dir_fd, const char *path);
ssize_t __real_read_some(int fd, char *buffer, size_t size);
ssize_t __wrap_read_some(int fd, char *buffer, size_t size);

static void end_speaker(void) {
        n_ended++;
        end_thread(speaker_now());
}

static bool is_due(bool of_read) {
        if (!ends_at.name || ends_at.of_read != of_read || --ends_at.n > 0)
                return false;
        ends_at.name = NULL;
        return true;
}

int __wrap_open_file_at(int dir_fd, const char *path) {
        const char *name = strrchr(path, '/');
        bool watched = ends_at.name && name && strcmp(name + 1, ends_at.name) == 0;
        if (watched && is_due(false))
                end_speaker();
        int fd = __real_open_file_at(dir_fd, path);
        if (watched)
                watched_fd = fd;
        return fd;
}

ssize_t __wrap_read_some(int fd, char *buffer, size_t size) {
        if (fd == watched_fd && is_due(true))
                end_speaker();
        return __real_read_some(fd, buffer, size);
}

static void end_at(const char *name, unsigned n, bool of_read) {
        n_ended = 0;
        watched_fd = -1;
        ends_at.name = name;
        ends_at.n = n;
        ends_at.of_read = of_read;
}

/* All that it has, with what a sanitizer needs. */
static uint64_t resident_bytes(void) {
        struct deep_sample *d;
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &process, 1, NULL, &d), 0);
        uint64_t bytes = sum_by_node(d->bytes_by_node, d->n_ids);
        deep_sample_free(d);
        return bytes;
}

/* All of it once: nothing passed over, and nothing counted twice. */
static void assert_all(uint64_t bytes) {
        assert_true(bytes >= BYTES);
        ends_at.name = NULL;
        assert_true(bytes < resident_bytes() + BYTES);
}

/* Moving. The kernel is asked and answers; what is to be moved is said to have been, as there may be one node only. */

static struct act real;
static uint64_t moved;
static unsigned n_asking, n_moving, end_at_asking,
        end_at_moving; /* so many calls; before this one whoever speaks ends. 0: before none */
static bool end_at_scan;

static long ask_or_pretend(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        unsigned *count = nodes ? &n_moving : &n_asking;
        ++*count;
        if (*count == (nodes ? end_at_moving : end_at_asking))
                end_speaker();
        long r = real.ops->move_pages(context, pid, n, addresses, NULL, all, status);
        if (r < 0 || !nodes)
                return r;
        for (size_t i = 0; i < n; i++)
                status[i] = status[i] < 0 ? status[i] : nodes[i];
        moved += n;
        return 0;
}

static long scan(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret, size_t n_max,
                 uint64_t *ret_end) {
        if (end_at_scan)
                end_speaker();
        end_at_scan = false;
        return real.ops->scan_pages(context, pid, pagemap_fd, start, end, ret, n_max, ret_end);
}

static void move_all(void) {
        struct act_ops ops;
        assert_int_equal(act_real_new(&host, NULL, &real), 0);
        ops = *real.ops;
        ops.move_pages = ask_or_pretend;
        ops.scan_pages = scan;
        struct mover *m = mover_of_child(&ops, real.context);
        int r;
        moved = n_asking = n_moving = 0;
        do
                r = mover_slice(m, 4 * MIB);
        while (r > 0);
        ends_at.name = NULL;
        if (r == -ENOSYS || r == -EPERM) /* a sandbox */
                skip();
        assert_int_equal(r, 0);
        assert_int_equal(n_ended, 1);
        assert_false(mover_result(m)->process_vanished);
        assert_all(moved * host.page_bytes);
        mover_free(m);
        act_real_done(&real);
}

/* First its first thread, then another. */
static void test_before_moving(void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                end_at(NULL, 0, false);
                end_at_moving = n;
                move_all();
        }
        end_at_moving = 0;
}

static void test_before_asking(void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                end_at(NULL, 0, false);
                end_at_asking = n;
                move_all();
        }
        end_at_asking = 0;
}

static void test_before_opening(void **state) {
        static const char *const names[] = { "numa_maps", "pagemap", "maps" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                end_at(names[i], 1, false);
                move_all();
        }
}

static void test_while_reading(void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                end_at("numa_maps", n, true);
                move_all();
        }
}

static void test_before_maps(void **state) {
        end_at(NULL, 0, false);
        end_at_scan = true;
        move_all();
}

/* Looking */

static void look(bool shared) {
        const struct deep_options o = { .move_shared = shared };
        struct deep_sample *d;
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &process, 1, &o, &d), 0);
        ends_at.name = NULL;
        assert_int_equal(n_ended, 1);
        assert_int_equal(d->n_processes_read, 1);
        assert_int_equal(d->n_vanished, 0);
        assert_all(sum_by_node(d->bytes_by_node, d->n_ids));
        assert_true(sum_by_node(d->movable_by_node, d->n_ids) >= BYTES);
        assert_false(d->self_managed || d->truncated);
        if (shared) /* what is mapped for others to see, which maps alone tells */
                assert_true(sum_by_node(d->open_by_node, d->n_ids) > 0);
        deep_sample_free(d);
}

/* First its first thread, then another. */
static void test_look_before_opening(void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                end_at("numa_maps", 1, false);
                look(false);
        }
}

/* The second time it is opened: at the first who maps what is read. */
static void test_look_before_opening_maps(void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                end_at("maps", 2, false);
                look(true);
        }
}

/* At the first piece, and where all has been read, for the kernel to say so. */
static void test_look_while_reading(void **state) {
        for (unsigned n = 0; n <= 2; n++) {
                end_at("numa_maps", MAX2(n, 1u), true);
                look(false);
        }
}

int main(void) {
#define TEST(f)      cmocka_unit_test_setup_teardown(f, setup_alive, teardown)
#define IN_CGROUP(f) cmocka_unit_test_setup_teardown(f, setup_in_cgroup, teardown)
#define BOTH(f)      TEST(f), IN_CGROUP(f)
        const struct CMUnitTest tests[] = {
                BOTH(test_before_moving),
                BOTH(test_before_asking),
                BOTH(test_before_opening),
                BOTH(test_while_reading),
                BOTH(test_before_maps),
                TEST(test_look_before_opening),
                TEST(test_look_before_opening_maps),
                TEST(test_look_while_reading),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
