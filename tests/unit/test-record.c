/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record survives what can happen to a file and to us, and keeps the right "before". */
#include <sys/stat.h>
#include <unistd.h>

#include "act/record-json.h"
#include "record-fixture.h"

static const struct target target = { "/a.slice/x.service", "x.service", OWNER_SYSTEMD };

/* A state and a change, as lists; NULL: unset (in a change: side not changed, "": cleared). */
static struct cpuset_state state_of(const char *cpus, const char *mems) {
        struct cpuset_state s = { .configured = { .cpus_set = cpus, .mems_set = mems } };
        if (cpus)
                assert_int_equal(cpu_mask_parse(cpus, &s.configured.cpus), 0);
        if (mems)
                assert_int_equal(node_set_parse(mems, &s.configured.mems), 0);
        assert_int_equal(cpu_mask_parse("0-7", &s.parent_effective_cpus), 0);
        assert_int_equal(node_set_parse("0-3", &s.parent_effective_mems), 0);
        return s;
}

static struct cpuset_change change_to(const char *cpus, const char *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        if (cpus)
                assert_int_equal(cpu_mask_parse(cpus, &c.value.cpus), 0);
        if (mems)
                assert_int_equal(node_set_parse(mems, &c.value.mems), 0);
        c.value.cpus_set = !cpu_mask_is_empty(&c.value.cpus);
        c.value.mems_set = !node_set_is_empty(&c.value.mems);
        return c;
}

static void note(struct record *r, const char *cpus, const char *mems, const char *to_cpus, const char *to_mems) {
        struct cpuset_state s = state_of(cpus, mems);
        struct cpuset_change c = change_to(to_cpus, to_mems);
        assert_int_equal(record_before_change(r, &target, &s, &c), 0);
}

static void assert_mems(const struct node_set *s, const char *expected) {
        _cleanup_free_ char *text = node_set_format(s);
        assert_string_equal(text, expected);
}

static void assert_cpus(const struct cpu_mask *m, const char *expected) {
        _cleanup_free_ char *text = cpu_mask_format(m);
        assert_string_equal(text, expected);
}

static void test_missing_file_is_empty(void **state) {
        struct record *r = reopen(NULL);
        assert_int_equal(r->n_entries, 0);
        assert_null(record_find(r, "/x"));
        assert_int_equal(record_forget(r, "/x"), -ENOENT);
        record_free(r);
}

static void test_round_trip(void **state) {
        struct record *r = reopen(NULL);
        struct cpuset_state s = state_of("0-3,7", NULL);
        struct cpuset_change c = change_to("0-1", NULL);
        /* a cgroup's name can be any bytes but '/' and newline */
        const struct target odd = { "/b\xff\"\\\x01 é", "b", OWNER_CGROUPFS };
        assert_int_equal(record_before_change(r, &odd, &s, &c), 0);
        note(r, NULL, "0-1", "4-5", "2");
        r = reopen(r);
        assert_int_equal(r->n_entries, 2);

        const struct record_entry *e = record_find(r, odd.cgroup);
        assert_non_null(e);
        assert_int_equal(e->owner, OWNER_CGROUPFS);
        assert_true(e->changed_cpus && !e->changed_mems && e->before.cpus_set && e->ours.cpus_set);
        assert_cpus(&e->before.cpus, "0-3,7");
        assert_cpus(&e->ours.cpus, "0-1");

        e = record_find(r, target.cgroup);
        assert_non_null(e);
        assert_string_equal(e->unit, "x.service");
        assert_int_equal(e->owner, OWNER_SYSTEMD);
        assert_true(e->changed_cpus && e->changed_mems && !e->before.cpus_set && e->before.mems_set);
        assert_mems(&e->before.mems, "0-1");
        assert_mems(&e->ours.mems, "2");
        assert_mems(&e->seen.mems, "0-1");
        assert_true(strcmp(r->entries[0]->cgroup, r->entries[1]->cgroup) < 0);

        assert_int_equal(record_forget(r, odd.cgroup), 0);
        r = reopen(r);
        assert_int_equal(r->n_entries, 1);
        record_free(r);
}

static void test_before_is_of_the_first_change(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "0-2");
        note(r, NULL, "0-2", NULL, "2");
        note(r, "1-2", "2", "1", NULL); /* the other side begins later, with its own before */
        r = reopen(r);
        const struct record_entry *e = record_find(r, target.cgroup);
        assert_mems(&e->before.mems, "0-1");
        assert_mems(&e->ours.mems, "2");
        assert_mems(&e->seen.mems, "0-2");
        assert_cpus(&e->before.cpus, "1-2");
        record_free(r);
}

static void test_somebody_elses_value_becomes_before(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "2");
        note(r, NULL, "1,3", NULL, "2"); /* neither 0-1 nor 2: set by somebody else */
        assert_mems(&record_find(r, target.cgroup)->before.mems, "1,3");
        record_free(r);
}

/* Killed between writing down and asking: what is still configured is explained all the same. */
static void test_seen_explains(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "0-2");
        note(r, NULL, "0-2", NULL, "2");
        const struct record_entry *e = record_find(r, target.cgroup);
        static const char *const explained[] = { "0-1", "0-2", "2" }, *const not_explained[] = { "0", "0-3", NULL };
        for (size_t i = 0; i < ARRAY_SIZE(explained); i++) {
                struct cpuset_state s = state_of(NULL, explained[i]);
                assert_true(record_explains_mems(e, &s.configured));
        }
        for (size_t i = 0; i < ARRAY_SIZE(not_explained); i++) {
                struct cpuset_state s = state_of(NULL, not_explained[i]);
                assert_false(record_explains_mems(e, &s.configured));
        }
        record_free(r);
}

static void test_a_value_that_restrains_nothing_is_unset(void **state) {
        struct record *r = reopen(NULL);
        note(r, "0-7", "0-3", "0-1", "0");
        const struct record_entry *e = record_find(r, target.cgroup);
        assert_false(e->before.cpus_set);
        assert_false(e->before.mems_set);
        assert_true(e->seen.mems_set);
        record_free(r);
}

static void test_failed_write_changes_nothing(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "2");
        /* Something that cannot be unlinked stands where the temporary file goes. */
        assert_int_equal(mkdir(temporary, 0700), 0);
        struct cpuset_state s = state_of(NULL, "2");
        struct cpuset_change c = change_to("3", "3");
        assert_true(record_before_change(r, &target, &s, &c) < 0);
        const struct target other = { "/other", NULL, OWNER_CGROUPFS };
        assert_true(record_before_change(r, &other, &s, &c) < 0);
        assert_true(record_forget(r, target.cgroup) < 0);
        assert_int_equal(r->n_entries, 1);
        assert_mems(&record_find(r, target.cgroup)->ours.mems, "2");
        assert_false(record_find(r, target.cgroup)->changed_cpus);
        r = reopen(r);
        assert_mems(&record_find(r, target.cgroup)->ours.mems, "2");
        record_free(r);
}

static void test_limits(void **state) {
        struct record *r;
        struct record_entry *e;
        struct cpuset_state s = state_of(NULL, NULL);
        const struct cpuset_change nothing = { 0 }, c = change_to(NULL, "2");
        assert_int_equal(record_open(NULL, &r), 0);
        assert_int_equal(record_before_change(r, &target, &s, &nothing), -EINVAL);
        for (unsigned i = 0; i < RECORD_ENTRIES_MAX; i++)
                assert_int_equal(record_insert(r, format_string("/%u", i), strdup("x.service"), &e), 0);
        assert_int_equal(record_before_change(r, &target, &s, &c), -EFBIG);
        const struct target known = { "/7", "x.service", OWNER_SYSTEMD };
        assert_int_equal(record_before_change(r, &known, &s, &c), 0);
        assert_int_equal(r->n_entries, RECORD_ENTRIES_MAX);
        record_free(r);
}

/* What was noted and not made is as if it had not been. */
static void test_taken_back(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "2");
        assert_int_equal(record_take_back(r, target.cgroup, NULL), 0);
        assert_int_equal(r->n_entries, 0);
        r = reopen(r);
        assert_int_equal(r->n_entries, 0);
        assert_int_equal(record_take_back(r, target.cgroup, NULL), -ENOENT);
        note(r, NULL, "0-1", NULL, "2");
        struct record_entry was = *record_find(r, target.cgroup);
        was.cgroup = was.unit = NULL;
        note(r, "0-5", "0", "0", "3"); /* anew: somebody else had set it */
        assert_int_equal(mkdir(temporary, 0700), 0);
        assert_true(record_take_back(r, target.cgroup, &was) < 0);
        assert_mems(&record_find(r, target.cgroup)->ours.mems, "3");
        assert_true(record_find(r, target.cgroup)->changed_cpus);
        assert_int_equal(rmdir(temporary), 0);
        assert_int_equal(record_take_back(r, target.cgroup, &was), 0);
        for (int i = 0; i < 2; i++, r = reopen(r)) {
                const struct record_entry *e = record_find(r, target.cgroup);
                assert_string_equal(e->unit, "x.service");
                assert_mems(&e->before.mems, "0-1");
                assert_mems(&e->ours.mems, "2");
                assert_mems(&e->seen.mems, "0-1");
                assert_false(e->changed_cpus);
        }
        record_free(r);
}

static void test_left_temporary_file(void **state) {
        struct record *r = reopen(NULL);
        note(r, NULL, "0-1", NULL, "2");
        fixture_write(&fx, "record.json.tmp", "{\"version\": 1, \"entr");
        r = reopen(r);
        assert_int_equal(r->n_entries, 1);
        note(r, NULL, "2", NULL, "3");
        assert_int_equal(access(temporary, F_OK), -1);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        record_free(r);
}

/* kernel.numa_balancing is on record beside the cgroups, and keeps what it was before the first time. */
static void test_kernel_balancing(void **state) {
        struct record *r = reopen(NULL);
        assert_false(r->balancing_changed);
        assert_int_equal(record_before_balancing(r, 3, 0), 0);
        r = reopen(r);
        assert_true(r->balancing_changed);
        assert_int_equal(r->balancing_before, 3);
        assert_int_equal(r->balancing_ours, 0);
        note(r, NULL, NULL, "0-1", NULL);
        assert_int_equal(record_before_balancing(r, 1, 2), 0);
        r = reopen(r);
        assert_int_equal(r->n_entries, 1);
        assert_int_equal(r->balancing_before, 3);
        assert_int_equal(r->balancing_ours, 2);
        assert_int_equal(record_forget_balancing(r), 0);
        r = reopen(r);
        assert_false(r->balancing_changed);
        assert_int_equal(r->n_entries, 1);

        /* What cannot be written is not on record. */
        assert_int_equal(mkdir(temporary, 0700), 0);
        assert_true(record_before_balancing(r, 1, 0) < 0);
        assert_false(r->balancing_changed);
        assert_int_equal(rmdir(temporary), 0);
        assert_int_equal(record_before_balancing(r, 1, 0), 0);
        assert_int_equal(mkdir(temporary, 0700), 0);
        assert_true(record_forget_balancing(r) < 0);
        assert_true(r->balancing_changed);
        assert_int_equal(rmdir(temporary), 0);
        record_free(r);
}

static void test_damaged_files_are_kept_aside(void **state) {
#define ENTRY                                                                                                                    \
        "\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": {\"before\": null, \"ours\": \"1\", \"seen\": "  \
        "null}"
        static const char *const texts[] = {
                "",
                "{",
                "[]",
                "{\"version\": 1}",
                "{\"version\": 2, \"entries\": []}",
                "{\"version\": \"1\", \"entries\": []}",
                "{\"version\": 1, \"entries\": {}}",
                "{\"version\": 1, \"entries\": []} x",
                "{\"version\": 1, \"entries\": [1]}",
                "{\"version\": 1, \"entries\": [{}]}",
                "{\"version\": 1, \"entries\": [{" ENTRY "}, {" ENTRY "}]}", /* twice */
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\"}]}",
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": "
                "{\"before\": "
                "null, \"ours\": \"1\", \"seen\": null}}]}",
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"me\", \"cpus\": {\"before\": "
                "null, "
                "\"ours\": \"1\", \"seen\": null}}]}",
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": "
                "{\"before\": "
                "null, \"ours\": \"9-1\", \"seen\": null}}]}",
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": "
                "{\"before\": "
                "null, \"ours\": 1, \"seen\": null}}]}",
                "{\"version\": 1, \"entries\": [{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": "
                "{\"before\": "
                "null, \"ours\": \"1\"}}]}",
                "{\"version\": 1, \"entries\": [], \"kernel_balancing\": 1}",
                "{\"version\": 1, \"entries\": [], \"kernel_balancing\": {\"before\": 1}}",
                "{\"version\": 1, \"entries\": [], \"kernel_balancing\": {\"before\": -1, \"ours\": 0}}",
                "{\"version\": 1, \"entries\": [], \"kernel_balancing\": {\"before\": 1, \"ours\": 256}}",
                "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
        };
        struct record *r = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                (void) unlink(bad);
                fixture_write(&fx, "record.json", texts[i]);
                assert_int_equal(record_open(path, &r), -EBADMSG);
                assert_null(r);
                _cleanup_free_ char *kept = fixture_read(&fx, "record.json.bad");
                assert_non_null(kept);
                assert_string_equal(kept, texts[i]);
                assert_int_equal(access(path, F_OK), -1);
        }
        (void) unlink(bad);
        assert_int_equal(mkdir(path, 0700), 0); /* no file at all */
        assert_int_equal(record_open(path, &r), -EBADMSG);
        assert_int_equal(rmdir(bad), 0);
        fixture_write(&fx, "record.json", "{\"version\": 1, \"entries\": [{" ENTRY "}]}");
        assert_int_equal(record_open(path, &r), 0);
        assert_int_equal(r->n_entries, 1);
        record_free(r);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_missing_file_is_empty),
                TEST(test_round_trip),
                TEST(test_before_is_of_the_first_change),
                TEST(test_somebody_elses_value_becomes_before),
                TEST(test_seen_explains),
                TEST(test_a_value_that_restrains_nothing_is_unset),
                TEST(test_failed_write_changes_nothing),
                TEST(test_limits),
                TEST(test_taken_back),
                TEST(test_left_temporary_file),
                TEST(test_kernel_balancing),
                TEST(test_damaged_files_are_kept_aside),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
