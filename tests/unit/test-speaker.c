/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real process whose first thread has ended while others live on: its memory is read and moved all the same. */
#include "speaker-fixture.h"

#include "host/maps.h"
#include "host/observe.h"

/* Its first thread has ended. */
static int setup(void **state) {
        int r = setup_alive(state);
        end_thread(child);
        return r;
}

static void test_who_speaks(void **state) {
        struct proc_stat st;
        assert_int_equal(stat_of(getpid(), &st), 0);
        assert_int_equal(process_speaker(&host, getpid(), &st), getpid());
        pid_t speaker = speaker_now();
        assert_true(speaker > 0 && speaker != child);
        for (int i = 0; i < N_THREADS - 1; i++)
                end_thread(speaker_now());
        assert_int_equal(speaker_now(), -ESRCH); /* a zombie altogether */
        assert_int_equal(process_open(&host, &process, "numa_maps", NULL), -ESRCH);
}

static void test_deep(void **state) {
        struct deep_sample *d;
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &process, 1, NULL, &d), 0);
        assert_int_equal(d->n_processes_read, 1);
        assert_int_equal(d->n_vanished, 0);
        assert_true(sum_by_node(d->bytes_by_node, d->n_ids) >= BYTES);
        assert_true(sum_by_node(d->movable_by_node, d->n_ids) >= BYTES);
        assert_false(d->self_managed || d->truncated);
        deep_sample_free(d);
        /* Somebody else's number is nobody's. */
        const struct process_ref other = { child, process.start_ticks + 1 };
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &other, 1, NULL, &d), 0);
        assert_int_equal(d->n_processes_read, 0);
        deep_sample_free(d);
}

static int find_memory(const struct maps_entry *e, void *userdata) {
        if (e->start <= (uintptr_t) memory && e->end > (uintptr_t) memory)
                *(struct maps_entry *) userdata = *e;
        return 0;
}

static void test_mappers(void **state) {
        struct maps_entry entry = { 0 };
        struct mappers *m;
        int fd = process_open(&host, &process, "maps", NULL);
        assert_true(fd >= 0);
        assert_int_equal(maps_read(fd, find_memory, &entry), 0);
        (void) close(fd);
        assert_true(entry.end > entry.start);
        const struct mappers_of of = { .processes = &process, .n_processes = 1 };
        assert_int_equal(mappers_read(&host, &of, &m), 0);
        assert_int_equal(mappers_count(m, &entry), 1);
        mappers_free(m);
}

/* Asked, the kernel answers by itself; what is to be moved is said to have been, as there may be one node only. */
static struct act real;
static pid_t moved_by;
static uint64_t moved;

static long ask_or_pretend(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        long r = real.ops->move_pages(context, pid, n, addresses, NULL, all, status);
        if (r < 0 || !nodes)
                return r;
        for (size_t i = 0; i < n; i++)
                status[i] = status[i] < 0 ? status[i] : nodes[i];
        moved += n;
        moved_by = pid;
        return 0;
}

static void test_mover(void **state) {
        assert_int_equal(act_real_new(&host, NULL, &real), 0);
        struct act_ops ops = *real.ops;
        ops.move_pages = ask_or_pretend;
        struct mover *m = mover_of_child(&ops, real.context);
        pid_t first = 0;
        int r;
        moved = 0;
        do {
                r = mover_slice(m, MIB);
                if (moved > 0 && first == 0) { /* whoever spoke so far ends: another one does */
                        first = moved_by;
                        end_thread(first);
                }
        } while (r > 0);
        if (r == -ENOSYS || r == -EPERM) /* a sandbox */
                skip();
        assert_int_equal(r, 0);
        assert_true(first > 0 && first != child && moved_by != child && moved_by != first);
        assert_true(moved * host.page_bytes >= BYTES);
        assert_false(mover_result(m)->process_vanished);
        mover_free(m);
        act_real_done(&real);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = { TEST(test_who_speaks), TEST(test_deep), TEST(test_mappers), TEST(test_mover) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
