/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing cpusets in a tree of plain files, and what counts as in force. */
#include "act/cpuset.h"

#include "act-fixture.h"
#include "act/cgroupfs.h"

static struct fixture fx;

static int setup(void **state) {
        fixture_new(&fx);
        fixture_write(&fx, "cg/cgroup.procs", "");
        fixture_write(&fx, "cg/cgroup.controllers", "cpuset cpu memory\n");
        fixture_write(&fx, "cg/cgroup.subtree_control", "memory\n");
        fixture_write(&fx, "cg/cpuset.cpus.effective", "0-7\n");
        fixture_write(&fx, "cg/cpuset.mems.effective", "0-3\n");
        return 0;
}

static int teardown(void **state) {
        fixture_done(&fx);
        return 0;
}

/* A cgroup with the controller. */
static void add_cgroup(const char *path, const char *cpus, const char *mems, const char *cpus_effective,
                       const char *mems_effective) {
        static const char *const names[] = { "cgroup.procs", "cpuset.cpus", "cpuset.mems", "cpuset.cpus.effective",
                                             "cpuset.mems.effective" };
        const char *const texts[] = { "", cpus, mems, cpus_effective, mems_effective };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *name = format_string("cg%s/%s", path, names[i]);
                fixture_write(&fx, name, texts[i]);
        }
}

/* One without: only what every cgroup has. */
static void add_plain(const char *path, const char *controllers, const char *subtree_control) {
        static const char *const names[] = { "cgroup.procs", "cgroup.controllers", "cgroup.subtree_control" };
        const char *const texts[] = { "", controllers, subtree_control };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *name = format_string("cg%s/%s", path, names[i]);
                fixture_write(&fx, name, texts[i]);
        }
}

static void assert_file(const char *name, const char *expected) {
        _cleanup_free_ char *text = fixture_read(&fx, name);
        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void assert_sets(const struct cpu_mask *cpus, const struct node_set *mems, const char *expected_cpus,
                        const char *expected_mems) {
        _cleanup_free_ char *c = cpu_mask_format(cpus), *m = node_set_format(mems);
        assert_string_equal(c, expected_cpus);
        assert_string_equal(m, expected_mems);
}

static void test_get(void **state) {
        struct cpuset_state s;
        add_cgroup("/a.slice", "0-5\n", "\n", "0-5\n", "0-3\n");
        add_cgroup("/a.slice/x.service", "\n", "2\n", "0-5\n", "2\n");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/a.slice/x.service", &s), 0);
        assert_false(s.configured.cpus_set);
        assert_true(s.configured.mems_set);
        assert_sets(&s.configured.cpus, &s.configured.mems, "", "2");
        assert_sets(&s.effective_cpus, &s.effective_mems, "0-5", "2");
        assert_sets(&s.parent_effective_cpus, &s.parent_effective_mems, "0-5", "0-3");
        assert_true(s.populated);
        fixture_write(&fx, "cg/a.slice/x.service/cgroup.events", "populated 0\nfrozen 0\n");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/a.slice/x.service", &s), 0);
        assert_false(s.populated);
        fixture_write(&fx, "cg/a.slice/cgroup.events", "populated 1\nfrozen 0\n");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/a.slice", &s), 0);
        assert_true(s.populated);
        assert_sets(&s.parent_effective_cpus, &s.parent_effective_mems, "0-7", "0-3");
}

static void test_get_without_the_controller(void **state) {
        struct cpuset_state s;
        add_cgroup("/a", "1-2\n", "1\n", "1-2\n", "1\n");
        add_plain("/a/b", "", "");
        add_plain("/a/b/c", "", "");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/a/b/c", &s), 0);
        assert_false(s.configured.cpus_set || s.configured.mems_set);
        assert_sets(&s.effective_cpus, &s.effective_mems, "1-2", "1");
        assert_sets(&s.parent_effective_cpus, &s.parent_effective_mems, "1-2", "1");
}

static void test_get_root_and_errors(void **state) {
        struct cpuset_state s;
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/", &s), 0);
        assert_sets(&s.effective_cpus, &s.effective_mems, "0-7", "0-3");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/none", &s), -ENOENT);
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "pid:1", &s), -EOPNOTSUPP);
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/../cg", &s), -EOPNOTSUPP);
        add_cgroup("/bad", "1-\n", "\n", "0\n", "0\n");
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/bad", &s), -EINVAL);
        fx.host.cgroup_mount = NULL;
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/", &s), -EOPNOTSUPP);
}

static void test_get_without_cpuset_anywhere(void **state) {
        struct cpuset_state s;
        add_plain("/a", "", "");
        assert_int_equal(unlinkat(fx.host.root_fd, "cg/cpuset.cpus.effective", 0), 0);
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/a", &s), -EOPNOTSUPP);
        assert_int_equal(cgroupfs_get_cpuset(&fx.host, "/", &s), -EOPNOTSUPP);
}

static struct cpuset_change change_to(const char *cpus, const char *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        c.value.cpus_set = cpus && cpu_mask_parse(cpus, &c.value.cpus) == 0 && !cpu_mask_is_empty(&c.value.cpus);
        c.value.mems_set = mems && node_set_parse(mems, &c.value.mems) == 0 && !node_set_is_empty(&c.value.mems);
        return c;
}

static int set(const char *cgroup, const char *cpus, const char *mems) {
        struct cpuset_change c = change_to(cpus, mems);
        return cgroupfs_set_cpuset(&fx.host, cgroup, &c);
}

static void test_set(void **state) {
        add_cgroup("/a", "", "", "0-7\n", "0-3\n");
        assert_int_equal(set("/a", "1,3-5", NULL), 0);
        assert_file("cg/a/cpuset.cpus", "1,3-5");
        assert_file("cg/a/cpuset.mems", "");
        assert_int_equal(set("/a", "", "2-3"), 0);
        assert_file("cg/a/cpuset.mems", "2-3");
        _cleanup_free_ char *cleared = fixture_read(&fx, "cg/a/cpuset.cpus");
        assert_int_equal(cleared[0], '\n'); /* a write of nothing would not reach the kernel */
        assert_int_equal(set("/none", "1", NULL), -ENOENT);
        assert_int_equal(set("/", "1", NULL), -EPERM);
}

/* From the top down, and only where it is not enabled yet. Plain files do not bring cpuset.cpus about, so the write itself then fails. */
static void test_enables_the_controller(void **state) {
        add_plain("/a", "", "");
        add_plain("/a/b", "", "cpu\n");
        add_plain("/a/b/c", "", "");
        assert_int_equal(set("/a/b/c", "1", NULL), -ENOENT);
        assert_file("cg/cgroup.subtree_control", "+cpuset");
        assert_file("cg/a/cgroup.subtree_control", "+cpuset");
        assert_file("cg/a/b/cgroup.subtree_control", "+cpuset");
        assert_file("cg/a/b/c/cgroup.subtree_control", "");

        fixture_write(&fx, "cg/cgroup.subtree_control", "cpuset\n");
        fixture_write(&fx, "cg/a/cgroup.controllers", "cpuset\n");
        fixture_write(&fx, "cg/a/cgroup.subtree_control", "memory\n");
        assert_int_equal(set("/a/b", "1", NULL), -ENOENT);
        assert_file("cg/cgroup.subtree_control", "cpuset\n");
        assert_file("cg/a/cgroup.subtree_control", "+cpuset");
}

static void test_clearing_needs_no_controller(void **state) {
        add_plain("/a", "", "");
        assert_int_equal(set("/a", "", ""), 0);
        assert_file("cg/cgroup.subtree_control", "memory\n");
}

static void test_no_controller_at_all(void **state) {
        add_plain("/a", "", "");
        fixture_write(&fx, "cg/cgroup.controllers", "cpu memory\n");
        assert_int_equal(set("/a", "1", NULL), -EOPNOTSUPP);
        assert_file("cg/cgroup.subtree_control", "memory\n");
}

static void test_never_in_systemds_cgroups(void **state) {
        fx.host.has_systemd = true;
        add_cgroup("/a.slice", "", "", "0-7\n", "0-3\n");
        add_cgroup("/a.slice/x.service", "", "", "0-7\n", "0-3\n");
        add_cgroup("/a.slice/x.service/sub.scope", "", "", "0-7\n", "0-3\n");
        static const char *const theirs[] = { "/a.slice", "/a.slice/x.service", "/a.slice/x.service/sub.scope" };
        for (size_t i = 0; i < ARRAY_SIZE(theirs); i++) {
                _cleanup_free_ char *name = format_string("cg%s/cpuset.cpus", theirs[i]);
                assert_int_equal(set(theirs[i], "1", NULL), -EPERM);
                assert_file(name, "");
        }
        /* outside its tree: ours to write, but the root's subtree_control is not */
        add_cgroup("/mine", "", "", "0-7\n", "0-3\n");
        assert_int_equal(set("/mine", "1", NULL), 0);
        add_plain("/other", "", "");
        assert_int_equal(set("/other", "1", NULL), -EOPNOTSUPP);
        assert_file("cg/cgroup.subtree_control", "memory\n");
}

/* Below a delegated unit everything is the delegate's; the unit's own files stay the service manager's. */
static void test_below_a_delegated_unit(void **state) {
        fx.host.has_systemd = true;
        add_cgroup("/system.slice/docker-1.scope", "", "", "0-7\n", "0-3\n");
        add_cgroup("/system.slice/docker-1.scope/inner", "", "", "0-7\n", "0-3\n");
        assert_int_equal(set("/system.slice/docker-1.scope", "1", NULL), -EPERM);
        assert_int_equal(set("/system.slice/docker-1.scope/inner", "1", NULL), 0);
        assert_file("cg/system.slice/docker-1.scope/inner/cpuset.cpus", "1");

        /* Its subtree_control is the delegate's too, that of the slice is not. */
        add_plain("/system.slice/docker-1.scope/other", "", "");
        fixture_write(&fx, "cg/system.slice/docker-1.scope/cgroup.controllers", "cpuset\n");
        fixture_write(&fx, "cg/system.slice/docker-1.scope/cgroup.subtree_control", "");
        assert_int_equal(set("/system.slice/docker-1.scope/other", "1", NULL), -ENOENT);
        assert_file("cg/system.slice/docker-1.scope/cgroup.subtree_control", "+cpuset");
        fixture_write(&fx, "cg/system.slice/docker-1.scope/cgroup.controllers", "memory\n");
        fixture_write(&fx, "cg/system.slice/docker-1.scope/cgroup.subtree_control", "");
        fixture_write(&fx, "cg/system.slice/cgroup.subtree_control", "memory\n");
        assert_int_equal(set("/system.slice/docker-1.scope/other", "1", NULL), -EOPNOTSUPP);
        assert_file("cg/system.slice/cgroup.subtree_control", "memory\n");
}

/* Each of the two sides by itself. */
static void test_in_force(void **state) {
        struct cpuset_state s = { 0 };
        assert_int_equal(node_set_parse("0-1", &s.parent_effective_mems), 0);
        static const struct {
                const char *configured, *effective, *wanted;
                bool in_force;
        } cases[] = {
                { "0-1", "0-1", "0-1", true }, { "1", "0-1", "1", false },
                { "1-2", "1", "1-2", true }, /* what the parent has of it */
                { "2", "0-1", "2", false },  /* taken, and ignored */
                { "0-1", "0-1", "", true },    { "1", "1", "", false },
                { "", "0-1", "", true },       { "2", "0-1", "", false }, /* it will not be ignored when the parent has it */
                { "", "0-1", "0-1", false }, /* it happens to be so, and must have been written all the same */
                { "2", "0-1", "0-1", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct cpuset_change was = change_to(cases[i].configured, cases[i].configured),
                                     mems = change_to(NULL, cases[i].wanted), cpus = change_to(cases[i].wanted, NULL);
                s.configured = was.value;
                assert_int_equal(node_set_parse(cases[i].effective, &s.effective_mems), 0);
                assert_int_equal(cpu_mask_parse(cases[i].effective, &s.effective_cpus), 0);
                assert_int_equal(cpu_mask_parse("0-1", &s.parent_effective_cpus), 0);
                assert_int_equal(cpuset_in_force(&s, &mems), cases[i].in_force);
                assert_int_equal(cpuset_in_force(&s, &cpus), cases[i].in_force);
        }
        /* Both sides have to be. */
        struct cpuset_change was = change_to("0-1", "1"), c = change_to("", "");
        s.configured = was.value;
        assert_int_equal(node_set_parse("1", &s.effective_mems), 0);
        assert_int_equal(cpu_mask_parse("0-1", &s.effective_cpus), 0);
        assert_false(cpuset_in_force(&s, &c));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_get),
                TEST(test_get_without_the_controller),
                TEST(test_get_root_and_errors),
                TEST(test_get_without_cpuset_anywhere),
                TEST(test_set),
                TEST(test_enables_the_controller),
                TEST(test_clearing_needs_no_controller),
                TEST(test_no_controller_at_all),
                TEST(test_never_in_systemds_cgroups),
                TEST(test_below_a_delegated_unit),
                TEST(test_in_force),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
