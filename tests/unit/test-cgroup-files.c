/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of one cgroup say, and the cpuset that is in force for it. */
#include "host/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"
#include "test-host-tree.h"
#include "unit.h"

static int cgroup_fd(const struct tree *t, const char *cgroup) {
        char path[4096];
        (void) snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", t->root, cgroup);
        int fd = open(path, O_PATH | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void test_files(void **state) {
        struct tree t;
        tree_make(&t, "bookworm");
        int fd = cgroup_fd(&t, "/system.slice/redis-server.service");
        uint64_t bytes[4] = { 0, 0, 0, 5 }, usage = 7;
        assert_int_equal(cgroup_read_numa_stat(fd, 4, bytes, NULL), 0);
        assert_int_equal(bytes[0], 104857600 + 8192);
        assert_int_equal(bytes[1], 4096);
        assert_int_equal(bytes[2], 2097152);
        assert_int_equal(bytes[3], 5); /* added to */
        assert_int_equal(cgroup_read_cpu_usec(fd, &usage), 0);
        assert_int_equal(usage, 3000000);
        assert_int_equal(cgroup_read_pressure(fd, "memory.pressure"), 125);
        assert_true(cgroup_lists_controller(fd, "cgroup.controllers", "memory"));
        assert_false(cgroup_lists_controller(fd, "cgroup.controllers", "mem"));
        assert_false(cgroup_lists_controller(fd, "none", "memory"));

#define STAT "sys/fs/cgroup/system.slice/redis-server.service/memory.numa_stat"
        tree_put(&t, STAT,
                 "anon N0=1 N9=5 Nx=1 N1 N1= N2=-3 N3=99999999999999999999 =4 N=6 N0x=1\n\n \nanon_thp N0=50\nfile_mapped\nanonx "
                 "N0=9");
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(cgroup_read_numa_stat(fd, 4, bytes, NULL), 0);
        assert_int_equal(bytes[1] + bytes[2] + bytes[3], 0);
        tree_put(&t, STAT, "anon N0=1 N2=2 N3=3\n");
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(cgroup_read_numa_stat(fd, 2, bytes, NULL), 0);
        assert_int_equal(bytes[0], 1);
        assert_int_equal(bytes[2] + bytes[3], 0); /* past the end */
        tree_remove(&t, STAT);
        assert_int_equal(cgroup_read_numa_stat(fd, 4, bytes, NULL), -ENOENT);

        static const struct {
                const char *text;
                int want;
        } pressures[] = {
                { "some avg10=0.00 avg60=", 0 },
                { "some avg10=100.00 a", 10000 },
                { "some avg10=7.05 a", 705 },
                { "full avg10=1.00", -1 },
                { "some avg10=", -1 },
                { "some avg10=1", -1 },
                { "some avg10=1.x0", -1 },
                { "some avg10=1.0", -1 },
                { "some avg10=99999999999.00", -1 },
                { "", -1 },
                { "some avg10=-1.00", -1 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(pressures); i++) {
                tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/memory.pressure", pressures[i].text);
                assert_int_equal(cgroup_read_pressure(fd, "memory.pressure"), pressures[i].want);
        }
        tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/cpu.stat", "user_usec 1\nusage_usec\n");
        assert_int_equal(cgroup_read_cpu_usec(fd, &usage), -ENODATA);
        tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/cpu.stat", "usage_usec 12x\n");
        assert_int_equal(cgroup_read_cpu_usec(fd, &usage), -EINVAL);
        assert_int_equal(usage, 3000000);
        (void) close(fd);
        tree_done(&t);
}

static void assert_cpuset(const struct host *h, const char *cgroup, const char *cpus, const char *mems, bool narrows_cpus,
                          bool narrows_mems) {
        struct cgroup_cpuset c;
        cgroup_read_cpuset(h, cgroup, &c);
        assert_int_equal(c.have_cpus, cpus != NULL);
        assert_int_equal(c.have_mems, mems != NULL);
        _cleanup_free_ char *have_cpus = cpu_mask_format(&c.effective_cpus), *have_mems = node_set_format(&c.effective_mems);
        if (cpus)
                assert_string_equal(have_cpus, cpus);
        if (mems)
                assert_string_equal(have_mems, mems);
        assert_int_equal(c.narrows_cpus, narrows_cpus);
        assert_int_equal(c.narrows_mems, narrows_mems);
}

static void test_cpusets(void **state) {
        struct tree t;
        tree_make(&t, "bookworm");
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open(t.root, &h), 0);
        const char *redis = "/system.slice/redis-server.service";
#define REDIS "sys/fs/cgroup/system.slice/redis-server.service/"
        assert_cpuset(h, redis, "0-1", "0-3", true, false);
        /* No controller here: what is in force is further up. */
        assert_cpuset(h, "/system.slice/agent.service/worker-a", "0-7", "0-3", false, false);
        tree_put(&t, "sys/fs/cgroup/system.slice/cpuset.mems.effective", "1-2\n");
        assert_cpuset(h, "/system.slice/agent.service/worker-a", "0-7", "1-2", false, false);
        /* All of what the parent has narrows nothing. */
        tree_put(&t, REDIS "cpuset.cpus", "0-7\n");
        tree_put(&t, REDIS "cpuset.mems", "1-3\n");
        assert_cpuset(h, redis, "0-1", "0-3", false, false);
        tree_put(&t, REDIS "cpuset.mems", "1\n");
        assert_cpuset(h, redis, "0-1", "0-3", false, true);
        /* Nonsense, nothing, and no cgroup. */
        tree_put(&t, REDIS "cpuset.cpus.effective", "7-0\n");
        tree_put(&t, REDIS "cpuset.mems.effective", "\n");
        assert_cpuset(h, redis, "0-7", "1-2", false, true);
        tree_put(&t, REDIS "cpuset.cpus.effective", "\n");
        assert_cpuset(h, redis, "0-7", "1-2", false, true);
        assert_cpuset(h, "/system.slice/not-there", "0-7", "1-2", false, false);
        assert_cpuset(h, "", "0-7", "0-3", false, false);
        h->has_cpuset = false;
        assert_cpuset(h, redis, NULL, NULL, false, false);
        tree_done(&t);
}

static void test_stalls(void **state) {
        struct tree t;
        tree_make(&t, "bookworm");
        _cleanup_(host_freep) struct host *h = NULL;
        assert_int_equal(host_open(t.root, &h), 0);
        const char *redis = "/system.slice/redis-server.service";
        struct pressure_totals p;
        tree_put(&t, REDIS "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\nfull avg10=0.00 total=99\n");
        tree_put(&t, REDIS "cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=18446744073709551615\n");
        h->has_psi = true;
        cgroup_read_stalls(h, redis, &p);
        assert_true(p.has_memory && p.has_cpu && p.memory_usec == 12345 && p.cpu_usec == UINT64_MAX);
        static const char *const odd[] = { "",
                                           "some",
                                           "full avg10=0.00 total=1",
                                           "some avg10=0.00\nfull total=1",
                                           "some total=x",
                                           "some a total=99999999999999999999",
                                           "some a total=-1" };
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                tree_put(&t, REDIS "memory.pressure", odd[i]);
                cgroup_read_stalls(h, redis, &p);
                assert_true(!p.has_memory && p.has_cpu);
        }
        cgroup_read_stalls(h, "/system.slice/not-there", &p);
        assert_true(!p.has_memory && !p.has_cpu);
        cgroup_read_stalls(h, "pid:1", &p);
        assert_true(!p.has_memory && !p.has_cpu);
        h->has_psi = false;
        cgroup_read_stalls(h, redis, &p);
        assert_true(!p.has_memory && !p.has_cpu);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_cpusets),
                cmocka_unit_test(test_stalls),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
