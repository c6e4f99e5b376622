/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read of processes that share memory while others come: who maps what is looked at again, as often as it may help and no more. */
#include "observe-deep-fixture.h"

#define CGROUP "/system.slice/forks.service"
#define PROCS  "sys/fs/cgroup" CGROUP "/cgroup.procs"
#define N_MANY 600

int __real_mappers_read(const struct host *h, const struct mappers_of *of, struct mappers **ret);
int __wrap_mappers_read(const struct host *h, const struct mappers_of *of, struct mappers **ret);

static struct {
        const struct setup *setup;
        pid_t comes;         /* this process is there once it was read who maps what, and */
        bool more_come;      /* … after each time another */
        unsigned n, n_procs; /* how often it was read, how many processes the last time */
} look;

static const char maps[] = "5510000000-5511000000 rw-p 00000000 00:00 0 [heap]\n"
                           "7f00000000-7f01000000 rw-s 00000000 00:01 2002 /dev/zero (deleted)\n"
                           "7f10000000-7f11000000 r-xp 00000000 fe:01 1001 /lib\n";

static void put_process(const struct setup *s, pid_t pid, const char *numa_maps) {
        _cleanup_free_ char *a = format_string("proc/%d/maps", (int) pid), *b = format_string("proc/%d/cgroup", (int) pid),
                            *c = format_string("proc/%d/numa_maps", (int) pid);
        tree_put_stat(&s->tree, (int) pid, "forked", 1, 1, 7, 0);
        tree_put(&s->tree, a, maps);
        tree_put(&s->tree, b, "0::" CGROUP "\n");
        tree_put(&s->tree, c, numa_maps);
}

static void put_list(const struct setup *s, pid_t also) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < s->n_processes; i++)
                strbuf_printf(&b, "%d\n", (int) s->processes[i].pid);
        strbuf_printf(&b, "%d\n", (int) also);
        _cleanup_free_ char *text = strbuf_steal(&b);
        assert_non_null(text);
        tree_put(&s->tree, PROCS, text);
}

int __wrap_mappers_read(const struct host *h, const struct mappers_of *of, struct mappers **ret) {
        int r = __real_mappers_read(h, of, ret);
        look.n++;
        look.n_procs = (unsigned) mappers_n_read(*ret);
        if (look.comes > 0 && (look.n == 1 || look.more_come)) {
                put_process(look.setup, look.comes, "1000 default N0=1\n");
                put_list(look.setup, look.comes);
                look.comes += look.more_come;
        }
        return r;
}

/* `mapmax`: of all that they share: a heap since a fork, shared memory, and a library. */
static void make(struct setup *s, size_t n_processes, unsigned mapmax, struct deep_options *options) {
        _cleanup_free_ char *text = format_string("5510000000 default heap anon=5 dirty=5 mapmax=%u N1=5\n"
                                                  "7f00000000 default file=/dev/zero\\040(deleted) dirty=1000 mapmax=%u N1=1000\n"
                                                  "7f10000000 default file=/lib mapped=70 mapmax=%u N1=70\n",
                                                  mapmax, mapmax, mapmax);
        setup_make(s);
        memset(&look, 0, sizeof look);
        look.setup = s;
        *options = (struct deep_options) { .move_shared = true, .cgroup = CGROUP };
        s->options = options;
        for (size_t i = 0; i < n_processes; i++) {
                add(s, 5000 + (pid_t) i, 7);
                put_process(s, 5000 + (pid_t) i, text);
        }
        put_list(s, 5000);
}

/* It came after the list of processes, and before the first look. */
static void test_came_before(void **state) {
        struct setup s;
        struct deep_options options;
        make(&s, 2, 3, &options);
        put_process(&s, 5002, "1000 default N0=1\n");
        put_list(&s, 5002);
        assert_by_node(deep(&s)->movable_by_node, 0, (2 * 5 + 1000 + 70) * KIB4, 0, 0);
        assert_int_equal(look.n, 1);
        assert_int_equal(s.d->n_processes_read, 2); /* it is known, not counted */

        /* It hangs: then it is a stranger, and all that it maps stays. */
        static const struct process_ref aside = { 5002, 7 };
        options.aside = &aside;
        options.n_aside = 1;
        assert_by_node(deep(&s)->movable_by_node, 0, 0, 0, 0);
        options.n_aside = 0;

        /* It is no process of the service; or nobody says where its processes are. */
        tree_put(&s.tree, "proc/5002/cgroup", "0::/system.slice/other.service\n");
        assert_by_node(deep(&s)->movable_by_node, 0, 0, 0, 0);
        options.cgroup = NULL;
        look.n = 0;
        assert_by_node(deep(&s)->movable_by_node, 0, 0, 0, 0);
        assert_int_equal(look.n, 1);
        setup_done(&s);
}

/* It came after the first look, before the memory was counted: another look finds it, and each mapping of the process that waited for that. */
static void test_came_after(void **state) {
        struct setup s;
        struct deep_options options;
        make(&s, 2, 3, &options);
        look.comes = 5002;
        /* What is of a library waits for nobody: only the second process, read after that look, has it counted. */
        assert_by_node(deep(&s)->movable_by_node, 0, (2 * 5 + 1000 + 70) * KIB4, 0, 0);
        assert_int_equal(look.n, 2);
        assert_int_equal(look.n_procs, 3);
        assert_by_node(s.d->bytes_by_node, 0, (2 * 5 + 1000 + 70) * KIB4, 0, 0);
        setup_done(&s);
}

/* Others map it, too, and nobody has come: to look again is of no use. */
static void test_strangers(void **state) {
        struct setup s;
        struct deep_options options;
        make(&s, 5, 99, &options);
        assert_by_node(deep(&s)->movable_by_node, 0, 0, 0, 0);
        assert_int_equal(look.n, 1);
        setup_done(&s);
}

/* They come all the time, and what so many processes map is never known. */
static void read_many(size_t n_processes) {
        static struct process_ref processes[N_MANY];
        struct setup s;
        struct deep_options options;
        make(&s, 2, 2 * N_MANY, &options);
        for (size_t i = 0; i < n_processes; i++)
                processes[i] = s.processes[i % 2];
        look.comes = 7000;
        look.more_come = true;
        assert_int_equal(observe_deep(s.host, 4, processes, n_processes, &options, &s.d), 0);
        assert_by_node(s.d->movable_by_node, 0, 0, 0, 0);
        setup_done(&s);
}

static void test_limits(void **state) {
        read_many(20);
        assert_int_equal(look.n, 1 + 8); /* so often, and no more */
        read_many(N_MANY);
        assert_int_equal(look.n, 1); /* their maps are not read twice */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_came_before),
                cmocka_unit_test(test_came_after),
                cmocka_unit_test(test_strangers),
                cmocka_unit_test(test_limits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
