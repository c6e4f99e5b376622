/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read: what is movable, what is counted once, and whose a policy is. */
#include "host/observe.h"

#include <stdio.h>

#include "core/util.h"
#include "host/host.h"
#include "test-host-tree.h"
#include "unit.h"

#define KIB4 4096ULL

struct setup {
        struct tree tree;
        struct host *host;
        struct process_ref processes[8];
        size_t n_processes;
        const struct deep_options *options;
        struct deep_sample *d;
};

static void setup_make(struct setup *s) {
        *s = (struct setup){ 0 };
        tree_make(&s->tree, "bookworm");
        assert_int_equal(host_open(s->tree.root, &s->host), 0);
        s->host->page_bytes = 4096;
}

static void setup_done(struct setup *s) {
        deep_sample_free(s->d);
        host_free(s->host);
        tree_done(&s->tree);
}

static void add(struct setup *s, pid_t pid, uint64_t start) {
        s->processes[s->n_processes++] = (struct process_ref){ .pid = pid, .start_ticks = start };
}

static const struct deep_sample *deep(struct setup *s) {
        s->d = deep_sample_free(s->d);
        assert_int_equal(observe_deep(s->host, 4, s->processes, s->n_processes, s->options, &s->d), 0);
        return s->d;
}

static void assert_by_node(const uint64_t *have, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t want[] = { a, b, c, d };
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(have[i], want[i]);
}

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

static void put_maps(struct setup *s, pid_t pid, const char *text) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/numa_maps", (int) pid);
        tree_put(&s->tree, path, text);
}

static void put_thread_maps(struct setup *s, pid_t pid, pid_t tid, const char *text) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/task/%d/numa_maps", (int) pid, (int) tid);
        tree_put(&s->tree, path, text);
}

static void test_policies_overridden(void **state) {
        static const struct deep_options override = { .override_policy = true };
        struct setup s;
        setup_make(&s);
        add(&s, 820, 7002);
        s.options = &override;
        put_maps(&s, 820, "1000 bind:0 N0=1\n2000 interleave:0-3 stack N0=1 N1=2\n3000 local mapmax=2 N2=7\n");
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed); /* it is, all the same */
        assert_by_node(d->movable_by_node, 2 * KIB4, 2 * KIB4, 0, 0);
        setup_done(&s);
}

static void test_policies(void **state) {
        static const struct {
                const char *maps, *own;
                bool self, bound;
                uint64_t movable;
        } all[] = {
                { "1000 default N0=1\n2000 default stack N0=1\n", NULL, false, false, 2 },
                /* every mapping alike: the task's */
                { "1000 bind:0 N0=1\n2000 bind:0 stack N0=1\n", "bind:0", true, false, 0 },
                /* one has none of its own: the others' are theirs */
                { "1000 bind:0 N0=1\n2000 default stack N0=1\n", "bind:0", false, true, 1 },
                { "1000 default N0=1\n2000 prefer (many):1-2 N0=5\n3000 bind:1\n", "prefer (many):1-2", false, true, 1 },
                /* a task policy and mappings with another: the stack tells the task's */
                { "1000 bind:0 N0=1\n2000 interleave:0-3 stack N0=1\n3000 local", "interleave:0-3", true, false, 0 },
                { "1000 bind:0 N0=1\n2000 interleave:0-3 N0=1\n", "bind:0", true, false, 0 },
                /* one mapping alone, one that this program does not know */
                { "1000 prefer:1", "prefer:1", true, false, 0 },
                { "1000 quantum leap:1 N0=1\n2000 default", "quantum leap:1", false, true, 0 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct setup s;
                setup_make(&s);
                add(&s, 820, 7002);
                put_maps(&s, 820, all[i].maps);
                const struct deep_sample *d = deep(&s);
                assert_int_equal(d->self_managed, all[i].self);
                assert_int_equal(d->has_bound_mappings, all[i].bound);
                if (all[i].own)
                        assert_string_equal(d->own_policy, all[i].own);
                else
                        assert_null(d->own_policy);
                assert_int_equal(d->movable_by_node[0], all[i].movable * KIB4);
                setup_done(&s);
        }
}

static void test_one_of_several(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 400, 3000);
        add(&s, 401, 3001);
        add(&s, 402, 3002);
        put_maps(&s, 400, "1000 default N0=1\n2000 bind:2 N0=1\n");
        put_maps(&s, 401, "1000 interleave:0-1 N0=1\n2000 interleave:0-1 N0=1\n");
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed);
        assert_true(d->has_bound_mappings);
        assert_string_equal(d->own_policy, "interleave:0-1"); /* the task's policy says more */
        setup_done(&s);
}

static void test_threads(void **state) {
        static const struct {
                const char *leader, *thread, *own;
        } all[] = {
                { "1000 default N0=1\n2000 default\n", "1000 bind:1 N0=1\n2000 bind:1\n", "bind:1" },
                { "1000 default N0=1\n2000 default\n", "1000 default N0=1\n2000 default\n", NULL },
                /* the first mapping has a policy of its own: the same for both, the second tells */
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 default\n", NULL },
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 local\n", "local" },
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 bind:0\n", "bind:0" },
                /* it was unmapped meanwhile: what is there now proves nothing … */
                { "1000 default\n", "3000 bind:0\n", NULL },
                { "2000 default\n", "1000 bind:0\n", NULL },
                /* … but the text of a thread that is ending, or nonsense, neither */
                { "1000 default\n", "", NULL },
                { "1000 default\n", "garbage\n", NULL },
                { "1000 default\n", "1000 bind:1 N77=1\n", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct setup s;
                setup_make(&s);
                add(&s, 300, 2000);
                put_maps(&s, 300, all[i].leader);
                for (pid_t tid = 301; tid <= 302; tid++)
                        put_thread_maps(&s, 300, tid, all[i].leader);
                put_thread_maps(&s, 300, 303, all[i].thread);
                put_thread_maps(&s, 300, 300, "1000 bind:3\n"); /* the leader's is known: not asked again */
                const struct deep_sample *d = deep(&s);
                assert_int_equal(d->self_managed, all[i].own != NULL);
                if (all[i].own)
                        assert_string_equal(d->own_policy, all[i].own);
                assert_int_equal(d->n_processes_read, 1);
                setup_done(&s);
        }
}

/* The first line is longer than the first piece read, and many mappings with their own policy come before the one that tells. */
static void test_thread_far_down(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 300, 2000);
        struct strbuf leader = { 0 };
        for (unsigned i = 0; i < 300; i++)
                strbuf_printf(
                        &leader,
                        "%x000 bind:0 file=/a/rather/long/name/that/makes/the/line/longer/than/one/hundred/and/twenty/eight/"
                        "bytes/so/that/it/must/be/read/in/two N0=1\n",
                        i + 16);
        _cleanup_free_ char *bound = strbuf_steal(&leader), *text = format_string("%sfffff000 default\n", bound);
        _cleanup_free_ char *local = format_string("%sfffff000 local\n", bound);
        put_maps(&s, 300, text);
        for (pid_t tid = 301; tid <= 303; tid++)
                put_thread_maps(&s, 300, tid, text);
        assert_false(deep(&s)->self_managed);
        put_thread_maps(&s, 300, 302, local);
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed);
        assert_string_equal(d->own_policy, "local");
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
        assert_true(d->truncated);
        assert_int_equal(d->bytes_by_node[0], 3 * KIB4);
        put_maps(&s, 300, "1000 default N0=3\n2000 default N4=5\n"); /* a node that was plugged in since */
        assert_true(deep(&s)->truncated);
        put_maps(&s, 300, "1000 default N0=18446744073709551615 kernelpagesize_kB=4\n2000 default N0=1 shiny\n");
        d = deep(&s);
        assert_true(d->truncated);
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
        assert_true(d->truncated);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_process),
                cmocka_unit_test(test_shared_once),
                cmocka_unit_test(test_shared_by_the_service_alone),
                cmocka_unit_test(test_policies_overridden),
                cmocka_unit_test(test_policies),
                cmocka_unit_test(test_one_of_several),
                cmocka_unit_test(test_threads),
                cmocka_unit_test(test_thread_far_down),
                cmocka_unit_test(test_odd_files),
                cmocka_unit_test(test_many_shared_files),
                cmocka_unit_test(test_processes_apart),
                cmocka_unit_test(test_text_limit),
                cmocka_unit_test(test_borrowed),
                cmocka_unit_test(test_merge),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
