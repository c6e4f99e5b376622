/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read: what is movable, and what is counted once. test-observe-policy.c: whose a policy is. */
#include "observe-deep-fixture.h"

static void test_one_process(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 300, 2000);
        add(&s, 399, 1);    /* gone */
        add(&s, 300, 2001); /* its number was given to another */
        const struct deep_sample *d = deep(&s);
        assert_int_equal(d->n_processes_read, 1);
        assert_int_equal(d->n_vanished, 2);
        assert_by_node(d->bytes_by_node, (2 + 100 + 512 + 3) * KIB4, 300 * KIB4, 512 * KIB4, 0);
        assert_by_node(d->movable_by_node, (2 + 100 + 512 + 3) * KIB4, 0, 512 * KIB4, 0); /* libc is everybody's */
        assert_by_node(d->hugetlb_by_node, 0, 0, 0, 0);
        assert_false(d->self_managed || d->has_bound_mappings || d->truncated);
        assert_null(d->own_policy);
        setup_done(&s);
}

static void test_shared_once(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 400, 3000);
        add(&s, 401, 3001);
        add(&s, 402, 3002);
        const struct deep_sample *d = deep(&s);
        /* heaps and stacks each; the program 10 pages once; shared memory the most that one process has: 3000 and 50 */
        assert_by_node(d->bytes_by_node, 0, (5 + 700 + 100 + 3 * 2 + 10 + 3000) * KIB4 + 4 * MIB, 0, 50 * KIB4);
        assert_by_node(d->movable_by_node, 0, (5 + 700 + 100 + 3 * 2) * KIB4, 0, 0);
        assert_by_node(d->hugetlb_by_node, 0, 4 * MIB, 0, 0);
        assert_by_node(d->hugetlb_movable_by_node, 0, 0, 0, 0);
        setup_done(&s);
}

/* The same three: what the kernel says is mapped three times, the three of them map, and so may move with them; the same once only. */
static void test_shared_by_the_service_alone(void **state) {
        static const struct deep_options move = { .move_shared = true };
        static const char maps[] = "5500000000-550000a000 r-xp 00000000 fe:01 1001 /usr/lib/postgresql/postgres\n"
                                   "550000a000-550000b000 rw-p 0000a000 fe:01 1001 /usr/lib/postgresql/postgres\n"
                                   "5510000000-55110000000 rw-p 00000000 00:00 0 [heap]\n"
                                   "7f00000000-7f01000000 rw-s 00000000 00:01 2002 /dev/zero (deleted)\n"
                                   "7f80000000-7f80400000 rw-s 00000000 00:0f 3003 /anon_hugepage (deleted)\n"
                                   "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]\n";
        struct setup s;
        setup_make(&s);
        for (pid_t i = 0; i < 3; i++) {
                char path[32];
                (void) snprintf(path, sizeof path, "proc/%d/maps", 400 + (int) i);
                tree_put(&s.tree, path, maps);
                add(&s, 400 + i, 3000 + (uint64_t) i);
        }
        s.options = &move;
        const struct deep_sample *d = deep(&s);
        assert_by_node(d->movable_by_node, 0, (5 + 700 + 100 + 3 * 2 + 10 + 3000) * KIB4 + 4 * MIB, 0, 50 * KIB4);
        assert_by_node(d->hugetlb_movable_by_node, 0, 4 * MIB, 0, 0);

        /* Of two, one is somebody else's: the third. */
        s.n_processes = 2;
        d = deep(&s);
        assert_by_node(d->movable_by_node, 0, (5 + 700 + 2 * 2) * KIB4, 0, 0);

        /* Unless that one is a companion's: files move then, not what might be a fork's. */
        struct companion third = { .cgroup = (char *) "pid:402", .processes = &s.processes[2], .n_processes = 1 };
        const struct companions companions = { .items = &third, .n_items = 1, .n_processes = 1 };
        const struct deep_options together = { .move_shared = true, .companions = &companions };
        s.options = &together;
        d = deep(&s);
        assert_by_node(d->movable_by_node, 0, (5 + 700 + 2 * 2 + 10 + 3000) * KIB4 + 4 * MIB, 0, 50 * KIB4);
        assert_by_node(d->open_by_node, 0, 3000 * KIB4, 0, 50 * KIB4);
        s.options = &move;

        /* A file of the same name that is another. */
        s.n_processes = 3;
        tree_put(&s.tree, "proc/402/maps", "7f00000000-7f01000000 rw-s 00000000 00:01 2003 /dev/zero (deleted)\n");
        d = deep(&s);
        assert_by_node(d->movable_by_node, 0, (5 + 700 + 100 + 3 * 2) * KIB4, 0, 0);
        setup_done(&s);
}

static void test_odd_files(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 300, 2000);
        put_maps(&s, 300, ""); /* its memory is gone: it is ending */
        const struct deep_sample *d = deep(&s);
        assert_int_equal(d->n_processes_read, 0);
        assert_int_equal(d->n_vanished, 1);
        put_maps(&s, 300, "1000 default N0=3\ngarbage\n2000 default N0=5\n");
        d = deep(&s);
        assert_int_equal(d->n_processes_read, 1);
        assert_true(d->truncated && d->incomplete);
        assert_int_equal(d->bytes_by_node[0], 3 * KIB4);
        put_maps(&s, 300, "1000 default N0=3\n2000 default N4=5\n"); /* a node that was plugged in since */
        assert_true(deep(&s)->incomplete);
        put_maps(&s, 300, "1000 default N0=18446744073709551615 kernelpagesize_kB=4\n2000 default N0=1 shiny\n");
        d = deep(&s);
        assert_true(d->truncated && !d->incomplete); /* a word of a later kernel's */
        assert_true(d->bytes_by_node[0] == UINT64_MAX);
        tree_remove(&s.tree, "proc/300/numa_maps");
        assert_int_equal(deep(&s)->n_vanished, 1);
        s.n_processes = 0;
        assert_int_equal(deep(&s)->n_processes_read, 0);
        setup_done(&s);
}

/* Each process is read for itself: nonsense in one is not carried over, and the same file mapped by each alone is no shared one. */
static void test_processes_apart(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 400, 3000);
        add(&s, 401, 3001);
        put_maps(&s, 400, "1000 default file=/x N0=3\ngarbage\n");
        put_maps(&s, 401, "1000 default file=/x N0=4\n2000 default N1=5");
        const struct deep_sample *d = deep(&s);
        assert_int_equal(d->n_processes_read, 2);
        assert_true(d->truncated);
        assert_by_node(d->bytes_by_node, 7 * KIB4, 5 * KIB4, 0, 0);
        assert_by_node(d->movable_by_node, 7 * KIB4, 5 * KIB4, 0, 0);
        setup_done(&s);
}

static void test_many_shared_files(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 400, 3000);
        add(&s, 401, 3001);
        struct strbuf b = { 0 };
        for (unsigned i = 0; i < 5000; i++)
                strbuf_printf(&b, "%x000 default file=/f%u mapmax=2 N2=1\n", i + 1, i);
        _cleanup_free_ char *text = strbuf_steal(&b);
        put_maps(&s, 400, text);
        put_maps(&s, 401, text);
        /* Up to the limit once, beyond it by each. */
        assert_int_equal(deep(&s)->bytes_by_node[2], (4096 + 2 * (5000 - 4096)) * KIB4);
        setup_done(&s);
}

/* Text without end is read up to the limit; what was seen till then counts. */
static void test_text_limit(void **state) {
        static const char line[] = "1000 default N0=1 kernelpagesize_kB=4\n";
        struct setup s;
        setup_make(&s);
        add(&s, 820, 7002);
        size_t n = DEEP_TEXT_LIMIT / (sizeof line - 1) + 100000;
        _cleanup_free_ char *text = malloc(n * (sizeof line - 1));
        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                memcpy(text + i * (sizeof line - 1), line, sizeof line - 1);
        tree_put_bytes(&s.tree, "proc/820/numa_maps", text, n * (sizeof line - 1));
        const struct deep_sample *d = deep(&s);
        assert_true(d->truncated && d->incomplete);
        assert_int_equal(d->n_processes_read, 1);
        uint64_t lines = d->bytes_by_node[0] / KIB4;
        assert_true(lines < n && lines >= DEEP_TEXT_LIMIT / (sizeof line - 1) - 1);
        assert_true(d->cpu_usec > 0);
        setup_done(&s);
}

/* Mapped by the service, charged to another: the rest is what the memory controller says. */
static void test_borrowed(void **state) {
        static const struct deep_options move = { .move_shared = true };
        struct setup s;
        setup_make(&s);
        add(&s, 401, 3001);
        put_maps(&s, 401,
                 "1000 default N0=10\n2000 default file=/dev/shm/x mapmax=2 N0=500 N1=700\n3000 default file=/lib N2=9\n");
        tree_put(&s.tree, "proc/401/maps",
                 "1000-2000 rw-p 0 00:00 0\n2000-3000 rw-s 0 00:01 7 /dev/shm/x\n3000-4000 r-xp 0 fe:01 8 /lib\n");
        s.options = &move;
        const struct deep_sample *d = deep(&s);
        struct service_sample x;
        service_sample_init(&x);
        assert_int_equal(service_sample_alloc(&x, 4), 0);
        /* 20 pages of the file are its own charge; what an earlier read said is no longer of interest. */
        x.bytes_by_node[0] = 30 * KIB4;
        x.mapped_file_by_node[0] = 20 * KIB4;
        x.bytes_by_node[3] = x.borrowed_by_node[3] = 77 * KIB4;
        service_sample_merge_deep(&x, d, true);
        assert_by_node(x.bytes_by_node, (10 + 500) * KIB4, 700 * KIB4, 0, 0);
        assert_by_node(x.borrowed_by_node, 480 * KIB4, 700 * KIB4, 0, 0);
        service_sample_done(&x);
        s.options = NULL; /* where they stay it is as it was */
        d = deep(&s);
        assert_int_equal(service_sample_alloc(&x, 4), 0);
        x.bytes_by_node[0] = 30 * KIB4;
        service_sample_merge_deep(&x, d, true);
        assert_by_node(x.bytes_by_node, 30 * KIB4, 0, 0, 0);
        service_sample_done(&x);
        setup_done(&s);
}

static void test_merge(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 401, 3001);
        put_maps(&s, 401,
                 "1000 default N0=10\n2000 default N1=20\n3000 default huge N1=1 kernelpagesize_kB=2048\n"
                 "4000 bind:3 huge N3=1 kernelpagesize_kB=2048\n5000 default file=/x mapmax=2 N0=7\n");
        const struct deep_sample *d = deep(&s);
        struct service_sample x;
        service_sample_init(&x);
        assert_int_equal(service_sample_alloc(&x, 4), 0);
        assert_false(service_sample_needs_deep(&x, 4)); /* nobody to read */
        x.n_processes = 1;
        assert_true(service_sample_needs_deep(&x, 4));
        x.bytes_by_node[0] = 12 * KIB4;
        assert_false(service_sample_needs_deep(&x, 4));
        x.bytes_by_node[1] = 15 * KIB4; /* less than is mapped: read a moment before, or charged elsewhere */
        x.own_policy = strdup("old");
        service_sample_merge_deep(&x, d, true);
        assert_true(x.deep);
        assert_by_node(x.bytes_by_node, 12 * KIB4, 15 * KIB4 + 2 * MIB, 0, 2 * MIB);
        assert_by_node(x.movable_by_node, 10 * KIB4, 15 * KIB4 + 2 * MIB, 0, 0);
        assert_by_node(x.hugetlb_movable_by_node, 0, 2 * MIB, 0, 0);
        assert_int_equal(x.hugetlb_bytes, 4 * MIB);
        assert_false(x.self_managed);
        assert_true(x.has_bound_mappings);
        assert_string_equal(x.own_policy, "bind:3");
        service_sample_done(&x);

        /* No controller on the machine, or none for this cgroup. */
        for (int has = 0; has <= 1; has++) {
                assert_int_equal(service_sample_alloc(&x, 4), 0);
                x.bytes_by_node[2] = has ? 0 : 77;
                service_sample_merge_deep(&x, d, has);
                assert_by_node(x.bytes_by_node, 17 * KIB4, 20 * KIB4 + 2 * MIB, 0, 2 * MIB);
                assert_by_node(x.movable_by_node, 10 * KIB4, 20 * KIB4 + 2 * MIB, 0, 0);
                service_sample_done(&x);
        }
        setup_done(&s);
}

/* A process that cannot be read for want of descriptors has not ended, and a policy that was not seen is not the default one. */
static void test_no_descriptors(void **state) {
        struct setup s;
        bool failed = false, seen = false;
        setup_make(&s);
        add(&s, 300, 2000);
        const struct deep_sample *d = deep(&s);
        for (unsigned left = 0; left < 8; left++) {
                struct deep_sample *again = NULL;
                leave_descriptors(left);
                int r = observe_deep(s.host, 4, s.processes, s.n_processes, NULL, &again);
                leave_descriptors(UINT_MAX);
                assert_true(r == 0 || r == -EMFILE);
                failed |= r < 0;
                seen |= r == 0;
                if (r == 0)
                        assert_memory_equal(again->bytes_by_node, d->bytes_by_node, 4 * sizeof *d->bytes_by_node);
                deep_sample_free(again);
        }
        assert_true(failed && seen);
        setup_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_descriptors),  cmocka_unit_test(test_one_process),
                cmocka_unit_test(test_shared_once),     cmocka_unit_test(test_shared_by_the_service_alone),
                cmocka_unit_test(test_odd_files),       cmocka_unit_test(test_many_shared_files),
                cmocka_unit_test(test_processes_apart), cmocka_unit_test(test_text_limit),
                cmocka_unit_test(test_borrowed),        cmocka_unit_test(test_merge),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
