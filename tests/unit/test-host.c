/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kind of machine it is, each node's memory, and what the kernel moves by itself. test-host-read.c has how files are read. */
#include "host/host.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "host/kernel-balancing.h"
#include "test-host-tree.h"
#include "unit.h"

static struct host *open_tree(struct tree *t, const char *name) {
        struct host *h = NULL;
        tree_make(t, name);
        assert_int_equal(host_open(t->root, &h), 0);
        assert_false(h->live);
        return h;
}

static bool has_limitation(const struct host *h, const char *begin) {
        _cleanup_(host_limitations_freep) char **lines = host_limitations(h);
        assert_non_null(lines);
        for (char **l = lines; *l; l++) {
                assert_null(strchr(*l, '\n'));
                if (strncmp(*l, begin, strlen(begin)) == 0)
                        return true;
        }
        return false;
}

static void test_bookworm(void **state) {
        struct tree t;
        _cleanup_(host_freep) struct host *h = open_tree(&t, "bookworm");
        assert_string_equal(h->cgroup_mount, "sys/fs/cgroup");
        assert_true(h->has_cpuset && h->has_memory_controller && h->has_systemd && h->has_psi);
        assert_true(has_limitation(h, "reading a captured machine"));
        assert_false(has_limitation(h, "no "));
        assert_false(has_limitation(h, "systemd"));
        tree_done(&t);
}

static void test_hybrid(void **state) {
        struct tree t;
        _cleanup_(host_freep) struct host *h = open_tree(&t, "hybrid");
        assert_string_equal(h->cgroup_mount, "sys/fs/cgroup/unified");
        assert_true(!h->has_cpuset && !h->has_memory_controller && h->has_systemd && !h->has_psi);
        assert_true(has_limitation(h, "no cpuset controller"));
        assert_true(has_limitation(h, "no memory controller"));
        assert_true(has_limitation(h, "no pressure stall information"));
        assert_false(has_limitation(h, "no cgroup v2"));
        tree_done(&t);
}

static void test_legacy(void **state) {
        struct tree t;
        _cleanup_(host_freep) struct host *h = open_tree(&t, "legacy");
        assert_null(h->cgroup_mount);
        assert_true(has_limitation(h, "no cgroup v2"));
        assert_false(has_limitation(h, "no cpuset controller")); /* said already */
        tree_remove(&t, "run/systemd");
        _cleanup_(host_freep) struct host *without = NULL;
        assert_int_equal(host_open(t.root, &without), 0);
        assert_true(has_limitation(without, "systemd is not the service manager"));
        tree_done(&t);
}

/* In a container with the host's tree, but a cgroup namespace of its own: CPUs could be restricted by these paths, and no page moved, as no process is known to be
 * in any of them. */
static void test_namespace(void **state) {
        struct tree t;
        tree_make(&t, "bookworm");
        tree_put(&t, "proc/self/mountinfo", "33 24 0:28 /../.. /sys/fs/cgroup rw shared:7 - cgroup2 cgroup2 rw,nsdelegate\n");
        _cleanup_(host_freep) struct host *h = NULL, *own = NULL;
        assert_int_equal(host_open(t.root, &h), 0);
        assert_null(h->cgroup_mount);
        assert_false(h->has_cpuset);
        assert_true(has_limitation(h, "the control groups that are mounted here have other names"));
        assert_false(has_limitation(h, "no cgroup v2"));
        /* With a mount of its own, it sees what is in its own. */
        tree_put(&t, "proc/self/mountinfo",
                 "33 24 0:28 /../.. /sys/fs/cgroup rw shared:7 - cgroup2 cgroup2 rw,nsdelegate\n"
                 "68 33 0:28 / /sys/fs/cgroup rw - cgroup2 none rw\n");
        assert_int_equal(host_open(t.root, &own), 0);
        assert_string_equal(own->cgroup_mount, "sys/fs/cgroup");
        assert_false(has_limitation(own, "the control groups"));
        /* A part of the host's is none either; and a capture that was taken there says the same. */
        _cleanup_(host_freep) struct host *part = NULL;
        tree_put(&t, "proc/self/mountinfo", "33 24 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert_int_equal(host_open(t.root, &part), 0);
        assert_null(part->cgroup_mount);
        assert_true(has_limitation(part, "the control groups that are mounted here have other names"));
        tree_done(&t);
}

/* The system's own mount wins over copies, whatever the order; spaces are escaped; what is not mounted here is not taken. */
static void test_mountinfo(void **state) {
        static const struct {
                const char *mountinfo, *mount;
        } all[] = {
                { "1 2 0:1 / /other rw - cgroup2 c rw\n3 2 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n", "sys/fs/cgroup" },
                { "3 2 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n1 2 0:1 / /other rw - cgroup2 c rw\n", "sys/fs/cgroup" },
                { "3 2 0:1 /a /sys/fs/cgroup rw - cgroup2 c rw\n1 2 0:1 / /other rw - cgroup2 c rw\n", "other" },
                { "1 2 0:1 / /other rw shared:7 master:2 - cgroup2 c rw\n", "other" },
                { "1 2 0:1 / /with\\040space\\134 rw - cgroup2 c rw\n", "with space\\" },
                { "1 2 0:1 / /not/there rw - cgroup2 c rw\n", "sys/fs/cgroup" },           /* the usual place */
                { "1 2 0:1 / /other rw - cgroup cgroup2 rw\n", "sys/fs/cgroup" },          /* not its type */
                { "1 2 0:1 / other rw - cgroup2 c rw\n - cgroup2 \n\n", "sys/fs/cgroup" }, /* nonsense */
                { "1 2 0:1 / /other - cgroup2 c rw", "other" },
        };
        struct tree t;
        tree_make(&t, "");
        tree_put(&t, "sys/fs/cgroup/cgroup.controllers", "cpu memory cpuset2\n");
        tree_put(&t, "other/cgroup.controllers", "cpuset\n");
        tree_put(&t, "with space\\/cgroup.controllers", "\n");
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                tree_put(&t, "proc/self/mountinfo", all[i].mountinfo);
                _cleanup_(host_freep) struct host *h = NULL;
                assert_int_equal(host_open(t.root, &h), 0);
                assert_string_equal(h->cgroup_mount, all[i].mount);
                assert_int_equal(h->has_cpuset, strcmp(all[i].mount, "other") == 0);
                assert_int_equal(h->has_memory_controller, strcmp(all[i].mount, "sys/fs/cgroup") == 0);
        }
        tree_remove(&t, "proc");
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open(t.root, &h), 0);
        assert_string_equal(h->cgroup_mount, "sys/fs/cgroup");
        tree_done(&t);
}

static void test_no_root(void **state) {
        struct host *h = NULL;
        assert_int_equal(host_open("/nowhere/at/all", &h), -ENOENT);
        assert_int_equal(host_open("/proc/self/stat", &h), -ENOTDIR);
        assert_null(h);
}

static void test_live(void **state) {
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open("/.", &h), 0);
        assert_true(h->live);
        assert_int_equal(h->ticks_per_sec, 100);
        _cleanup_free_ char *cgroup = NULL;
        assert_int_equal(host_process_cgroup(h, getpid(), &cgroup), 0);
        assert_true(*cgroup == 0 || *cgroup == '/');
        char *none;
        assert_true(host_vanished(host_process_cgroup(h, 4194305, &none)));
        assert_true(host_vanished(host_process_open_cgroup(h, 4194305)));
}

/* What was opened of a process that has ended says so, and is nobody else's. */
static void test_open_cgroup(void **state) {
        _cleanup_(host_freep) struct host *h = NULL;
        _cleanup_free_ char *cgroup = NULL;
        assert_int_equal(host_open("/.", &h), 0);
        pid_t child = fork();
        if (child == 0)
                for (;;)
                        (void) pause();
        assert_int_equal(host_process_cgroup(h, child, &cgroup), 0);
        int fd = host_process_open_cgroup(h, child);
        assert_true(fd >= 0);
        for (unsigned i = 0; i < 2; i++) { /* from the start of the file each time */
                assert_int_equal(host_process_is_still_in(h, fd, cgroup), 1);
                assert_int_equal(host_process_is_still_in(h, fd, "/not/this/one"), 0);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(host_process_is_still_in(h, fd, cgroup), -ESRCH);
        (void) close(fd);
}

static void test_process_cgroup(void **state) {
        struct tree t;
        struct host *h = open_tree(&t, "bookworm");
        _cleanup_free_ char *v2 = NULL, *colon = NULL, *root = NULL;
        tree_put(&t, "proc/9/cgroup", "12:cpuset:/wrong\n1:name=systemd:/wrong/too\n0::/a/b.service\n");
        assert_int_equal(host_process_cgroup(h, 9, &v2), 0);
        assert_string_equal(v2, "/a/b.service");
        int fd = host_process_open_cgroup(h, 9);
        assert_true(fd >= 0);
        assert_int_equal(host_process_is_still_in(h, fd, "/a"), 1);
        assert_int_equal(host_process_is_still_in(h, fd, "/a/b.service/"), 1);
        assert_int_equal(host_process_is_still_in(h, fd, "/a/b"), 0);
        assert_int_equal(host_process_is_still_in(h, fd, "/wrong"), 0);
        (void) close(fd);
        tree_put(&t, "proc/9/cgroup", "0::/a:b/c\n");
        assert_int_equal(host_process_cgroup(h, 9, &colon), 0);
        assert_string_equal(colon, "/a:b/c");
        tree_put(&t, "proc/9/cgroup", "10::/x\n");
        assert_int_equal(host_process_cgroup(h, 9, &root), 0);
        assert_string_equal(root, "");
        host_free(h);
        tree_done(&t);

        h = open_tree(&t, "legacy");
        _cleanup_free_ char *v1 = NULL, *none = NULL;
        assert_int_equal(host_process_cgroup(h, 70, &v1), 0);
        assert_string_equal(v1, "/system.slice/mysql.service");
        assert_int_equal(host_process_cgroup(h, 74, &none), 0);
        assert_string_equal(none, "");
        host_free(h);
        tree_done(&t);
}

static void test_node_memory(void **state) {
        struct tree t;
        _cleanup_(host_freep) struct host *h = open_tree(&t, "bookworm");
        _cleanup_(topology_freep) struct topology *topo = topology_new(5, 8);
        for (unsigned i = 0; i < 5; i++)
                topo->nodes[i] = (struct topology_node) { .present = i != 3, .bytes_total = 77 };
        h->page_bytes = 4096;
        struct machine_sample m;
        assert_int_equal(machine_sample_read(h, topo, &m), 0);
        assert_int_equal(m.nodes[0].bytes_total, 1000000ULL * 1024);
        assert_int_equal(m.nodes[1].bytes_total, 1000001ULL * 1024);
        assert_int_equal(m.nodes[1].bytes_free, 401000ULL * 1024);
        assert_int_equal(m.nodes[2].bytes_droppable, 5002ULL * 1024);
        assert_int_equal(m.nodes[0].bytes_low_mark, 1000 * 4096); /* two zones */
        assert_int_equal(m.nodes[2].bytes_low_mark, 1002 * 4096);
        assert_int_equal(m.nodes[0].hugetlb_free_bytes, 0);
        assert_int_equal(m.nodes[0].hugetlb_bytes, 8 * MIB);
        assert_int_equal(m.nodes[1].hugetlb_bytes, 8 * MIB + 2 * GIB);
        assert_int_equal(m.nodes[1].hugetlb_free_bytes, 2 * MIB + GIB); /* two pools */
        assert_int_equal(m.nodes[3].bytes_total, 0);                    /* absent in the topology */
        assert_int_equal(m.nodes[4].bytes_total, 77);                   /* unknown to the kernel: shown as empty */
        assert_int_equal(m.nodes[4].bytes_free, 77);
        machine_sample_done(&m);
        topo->of_this_kernel = true; /* which had it, when the topology was read */
        assert_int_equal(machine_sample_read(h, topo, &m), 0);
        assert_int_equal(m.nodes[2].bytes_droppable, 5002ULL * 1024);
        assert_int_equal(m.nodes[4].bytes_total, 0);
        assert_int_equal(m.nodes[4].bytes_free, 0);
        machine_sample_done(&m);
        topo->of_this_kernel = false;
        assert_int_equal(hugetlb_bytes_in_use(h), 20 * MIB);

        tree_put(&t, "sys/devices/system/node/node0/meminfo",
                 "Node\nNode 0\nNode 0 MemFree:\nNode 0 MemTotal: x kB\nMemFree: 99999999999999999999 kB\nNode 0 MemFree: "
                 "18446744073709551615 kB");
        tree_put(&t, "proc/zoneinfo",
                 "low 5\nNode x, zone\n low 6\nNode 99999, zone\n low 7\nNode 0, zone\n low\n low x\n low 18446744073709551615\n "
                 "low 9");
        tree_put(&t, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "99\n"); /* more free than there are */
        tree_put(&t, "sys/kernel/mm/hugepages/nonsense/nr_hugepages", "99\n");
        assert_int_equal(machine_sample_read(h, topo, &m), 0);
        assert_int_equal(m.nodes[0].bytes_total, 0);
        assert_true(m.nodes[0].bytes_free == UINT64_MAX);
        assert_true(m.nodes[0].bytes_low_mark == UINT64_MAX);
        machine_sample_done(&m);
        assert_int_equal(hugetlb_bytes_in_use(h), 0);
        tree_done(&t);

        _cleanup_(host_freep) struct host *old = open_tree(&t, "legacy");
        assert_int_equal(machine_sample_read(old, topo, &m), 0);
        assert_int_equal(m.nodes[0].bytes_free, 200000ULL * 1024); /* from /proc/meminfo */
        assert_int_equal(m.nodes[0].bytes_droppable, 7ULL * 1024);
        assert_int_equal(m.nodes[1].bytes_free, 77);
        machine_sample_done(&m);
        topo->of_this_kernel = true; /* node 0 was taken away: the others' memory is not its own */
        assert_int_equal(machine_sample_read(old, topo, &m), 0);
        assert_int_equal(m.nodes[0].bytes_free, 0);
        machine_sample_done(&m);
        _cleanup_(topology_freep) struct topology *single = topology_new(1, 8);
        single->nodes[0].present = single->of_this_kernel = true;
        assert_int_equal(machine_sample_read(old, single, &m), 0);
        assert_int_equal(m.nodes[0].bytes_free, 200000ULL * 1024);
        machine_sample_done(&m);
        tree_done(&t);
}

static void test_online(void **state) {
        struct tree t;
        tree_make(&t, "");
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open(t.root, &h), 0);
        _cleanup_free_ char *none = host_online(h);
        assert_string_equal(none, "");
        tree_put(&t, "sys/devices/system/node/online", "0-3\n");
        tree_put(&t, "sys/devices/system/cpu/online", "0-7\n");
        _cleanup_free_ char *all = host_online(h);
        assert_string_equal(all, "node/online 0-3\ncpu/online 0-7\n");
        tree_put(&t, "sys/devices/system/cpu/online", "0-6\n");
        _cleanup_free_ char *less = host_online(h);
        assert_string_not_equal(all, less);
        tree_done(&t);
        /* A partition was made, or given up. */
        _cleanup_(host_freep) struct host *cpuset = open_tree(&t, "bookworm");
        tree_put(&t, "sys/fs/cgroup/cpuset.cpus.effective", "0-7\n");
        _cleanup_free_ char *before = host_online(cpuset);
        tree_put(&t, "sys/fs/cgroup/cpuset.cpus.effective", "0-5\n");
        _cleanup_free_ char *after = host_online(cpuset);
        assert_string_not_equal(before, after);
        tree_done(&t);
}

static void test_kernel_balancing(void **state) {
        struct tree t;
        _cleanup_(host_freep) struct host *h = open_tree(&t, "bookworm");
        unsigned mode = 7;
        assert_int_equal(kernel_balancing_read(h, &mode), -ENOENT); /* a kernel without */
        static const struct {
                const char *text;
                int result;
                unsigned mode;
        } cases[] = { { "0\n", 0, 0 },         { "1\n", 0, 1 },          { "3", 0, 3 },           { "", -EBADMSG, 7 },
                      { "-1\n", -EBADMSG, 7 }, { "256\n", -EBADMSG, 7 }, { "on\n", -EBADMSG, 7 }, { "1 1\n", -EBADMSG, 7 } };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                mode = 7;
                tree_put(&t, "proc/sys/kernel/numa_balancing", cases[i].text);
                assert_int_equal(kernel_balancing_read(h, &mode), cases[i].result);
                assert_int_equal(mode, cases[i].mode);
        }
        struct machine_sample m = { 0 };
        h->page_bytes = 4096;
        tree_put(&t, "proc/vmstat", "nr_free_pages 5\nnuma_hint_faults 9\nnuma_pages_migrated 1000\npgmigrate_success 3\n");
        tree_put(&t, "proc/sys/kernel/numa_balancing", "0\n");
        kernel_balancing_sample(h, &m);
        assert_int_equal(m.kernel_balancing, 0);
        assert_int_equal(m.kernel_moved_bytes, 0); /* off: not even read */
        tree_put(&t, "proc/sys/kernel/numa_balancing", "2\n");
        kernel_balancing_sample(h, &m);
        assert_int_equal(m.kernel_balancing, 2);
        assert_int_equal(m.kernel_moved_bytes, 1000 * 4096);
        /* Demotion: by whoever reclaims. */
        assert_false(m.kernel_demotes);
        tree_put(&t, "proc/vmstat", "pgdemote_kswapd 5\nnuma_pages_migrated 1000\npgdemote_direct 7\npgdemoted 1\n");
        tree_put(&t, "sys/kernel/mm/numa/demotion_enabled", "false\n");
        kernel_balancing_sample(h, &m);
        assert_false(m.kernel_demotes);
        tree_put(&t, "sys/kernel/mm/numa/demotion_enabled", "true\n");
        kernel_balancing_sample(h, &m);
        assert_true(m.kernel_demotes);
        assert_int_equal(m.kernel_demoted_bytes, 12 * 4096);
        assert_int_equal(m.kernel_moved_bytes, 1000 * 4096);
        tree_put(&t, "proc/sys/kernel/numa_balancing", "0\n"); /* the one without the other */
        kernel_balancing_sample(h, &m);
        assert_true(kernel_moves_pages(&m) && m.kernel_moved_bytes == 1000 * 4096 && m.kernel_demoted_bytes == 12 * 4096);
        tree_put(&t, "sys/kernel/mm/numa/demotion_enabled", "false\n");
        kernel_balancing_sample(h, &m);
        assert_false(kernel_moves_pages(&m) || m.kernel_moved_bytes + m.kernel_demoted_bytes > 0); /* not even read */
        tree_put(&t, "sys/kernel/mm/numa/demotion_enabled", "true\n");
        tree_put(&t, "proc/sys/kernel/numa_balancing", "2\n");
        tree_put(&t, "proc/vmstat", "numa_pages_migrated x\n");
        kernel_balancing_sample(h, &m);
        assert_int_equal(m.kernel_moved_bytes + m.kernel_demoted_bytes, 0);

        /* For who asks: tiers by their number, whatever the order of the directory, and without what is none. */
        struct kernel_memory k;
        kernel_memory_read(h, &k);
        assert_true(k.has_balancing && k.has_demotion && k.demotion && k.balancing == 2 && k.n_tiers == 0);
        tree_put(&t, "sys/devices/virtual/memory_tiering/memory_tier22/nodelist", "2-3\n");
        tree_put(&t, "sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "0-1\n");
        tree_put(&t, "sys/devices/virtual/memory_tiering/memory_tier100/nodelist", "5\n");
        tree_put(&t, "sys/devices/virtual/memory_tiering/memory_tierx/nodelist", "6\n");
        tree_put(&t, "sys/devices/virtual/memory_tiering/memory_tier7/nodelist", "x\n");
        tree_put(&t, "sys/devices/virtual/memory_tiering/uevent", "\n");
        kernel_memory_read(h, &k);
        assert_int_equal(k.n_tiers, 3);
        assert_true(k.tiers[0].id == 4 && k.tiers[1].id == 22 && k.tiers[2].id == 100);
        assert_true(node_set_has(&k.tiers[0].nodes, 1) && node_set_has(&k.tiers[1].nodes, 2) &&
                    node_set_has(&k.tiers[2].nodes, 5));

        /* By service, where the kernel counts so; a rule's alone. */
        struct rule placed, ignored;
        rule_init(&placed);
        rule_init(&ignored);
        ignored.place = PLACE_IGNORE;
        struct service_sample s[4];
        for (size_t i = 0; i < ARRAY_SIZE(s); i++)
                service_sample_init(&s[i]);
        s[0].cgroup = (char[]) { "/a.service" };
        s[1].cgroup = (char[]) { "/b.service" };
        s[2].cgroup = (char[]) { "/gone.service" };
        s[3].cgroup = (char[]) { "pid:1" };
        s[0].rule = s[2].rule = s[3].rule = &placed;
        s[1].rule = &ignored;
        tree_put(&t, "sys/fs/cgroup/a.service/memory.stat",
                 "anon 5\nnuma_pages_migrated 12\npgdemote_direct 3\npgdemote_kswapd 4\n");
        tree_put(&t, "sys/fs/cgroup/b.service/memory.stat", "anon 5\nnuma_pages_migrated 12\n");
        kernel_balancing_sample_services(h, s, ARRAY_SIZE(s));
        assert_true(s[0].kernel_moved_known);
        assert_int_equal(s[0].kernel_moved_bytes, 12 * 4096);
        assert_int_equal(s[0].kernel_demoted_bytes, 7 * 4096);
        assert_false(s[1].kernel_moved_known || s[2].kernel_moved_known || s[3].kernel_moved_known);
        s[1].rule = &placed;
        tree_put(&t, "sys/fs/cgroup/a.service/memory.stat", "anon 5\n"); /* an older kernel: no need to ask for others */
        s[0].kernel_moved_known = false;
        kernel_balancing_sample_services(h, s, ARRAY_SIZE(s));
        assert_false(s[0].kernel_moved_known || s[1].kernel_moved_known);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bookworm),    cmocka_unit_test(test_hybrid),
                cmocka_unit_test(test_legacy),      cmocka_unit_test(test_mountinfo),
                cmocka_unit_test(test_namespace),   cmocka_unit_test(test_no_root),
                cmocka_unit_test(test_live),        cmocka_unit_test(test_process_cgroup),
                cmocka_unit_test(test_open_cgroup), cmocka_unit_test(test_node_memory),
                cmocka_unit_test(test_online),      cmocka_unit_test(test_kernel_balancing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
